//! Where in a text something is.

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
