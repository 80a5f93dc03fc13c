//! Where in a text something is, and what a message shows of it.

use std::ops::Range;

/// Most characters of a message about what is wrong: the value may be a megabyte long.
const SHOWN: usize = 300;

/// `file:line:column` of a byte offset.
pub fn place(origin: &str, text: &str, offset: usize) -> String {
    let (line, column) = position(text, offset);
    format!("{origin}:{line}:{column}")
}

/// Line and column, both from 1, of a byte offset.
pub fn position(text: &str, offset: usize) -> (usize, usize) {
    let before = text.get(..offset).unwrap_or(text);
    let line = before.matches('\n').count() + 1;
    let column = before
        .rsplit('\n')
        .next()
        .unwrap_or_default()
        .chars()
        .count()
        + 1;
    (line, column)
}

/// The key of a TOML text at this span; none where something else is there.
pub fn toml_key(text: &str, span: Range<usize>) -> Option<&str> {
    let after = text.get(span.end..)?.trim_start();
    let key = text.get(span)?;
    let is_key = !key.is_empty() && key.chars().all(is_bare) && after.starts_with(['=', '.', ']']);
    is_key.then_some(key)
}

/// The key of a TOML text whose value begins at this offset; none where no value does.
#[cfg(feature = "lab")]
pub fn toml_key_of(text: &str, offset: usize) -> Option<&str> {
    let before = text.get(..offset)?.trim_end().strip_suffix('=')?.trim_end();
    let key = before.rsplit(|c| !is_bare(c)).next();
    key.filter(|key| !key.is_empty())
}

/// Whether the character may stand in a key without quotation marks.
fn is_bare(c: char) -> bool {
    c.is_ascii_alphanumeric() || "-_".contains(c)
}

/// What is wrong, cut where it is too long to be read.
pub fn shown(what: &str) -> String {
    match what.char_indices().nth(SHOWN) {
        Some((end, _)) => format!("{}…", &what[..end]),
        None => what.to_owned(),
    }
}
