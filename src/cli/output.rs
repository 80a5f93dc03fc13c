//! What is printed: results on standard output, the rest on standard error.

use super::failure::Failure;
use std::fmt::Display;
use std::io::Write as _;
use std::path::{Component, Path};

/// Standard output cannot be written.
#[derive(Debug, thiserror::Error)]
#[error("standard output: {0}")]
struct Unwritable(#[source] std::io::Error);

/// Prints to standard output. A reader that has seen enough (`| head -1`) is no
/// error; a disk that is full is.
///
/// # Errors
/// When standard output cannot be written.
pub fn say(text: &str) -> Result<(), Failure> {
    let mut out = std::io::stdout().lock();
    match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        Err(error) if error.kind() != std::io::ErrorKind::BrokenPipe => {
            Err(Failure::host(Unwritable(error)))
        }
        _ => Ok(()),
    }
}

/// Prints an error. When standard error is closed, the exit code still tells.
pub fn complain(error: &dyn Display) {
    let _ = writeln!(std::io::stderr(), "error: {error}");
}

/// Prints beside what standard output is for.
pub fn remark(text: &str) {
    let _ = std::io::stderr().write_all(text.as_bytes());
}

/// Prints what the user should know.
#[cfg(feature = "lab")]
pub fn note(message: &str) {
    let _ = writeln!(std::io::stderr(), "note: {message}");
}

/// The way from a file to a folder, for a link from the one into the other: `out`,
/// `../evidence`, `.`. Neither has to exist, but the folder of the file.
///
/// # Errors
/// When the current directory is gone.
pub fn relative(file: &Path, folder: &Path) -> Result<String, Failure> {
    let absolute = |path: &Path| {
        let known = path.canonicalize().or_else(|_| std::path::absolute(path));
        known.map_err(|error| Failure::file(path, error))
    };
    let from = absolute(file)?;
    let from: Vec<Component<'_>> = from.parent().map_or_else(Vec::new, parts);
    let to = absolute(folder)?;
    let to = parts(&to);
    let shared = from.iter().zip(&to).take_while(|(a, b)| a == b).count();
    let up = from[shared..].iter().map(|_| "..".to_owned());
    let down = to[shared..].iter();
    let down = down.map(|part| part.as_os_str().to_string_lossy().into_owned());
    let way: Vec<String> = up.chain(down).collect();
    Ok(if way.is_empty() {
        ".".to_owned()
    } else {
        way.join("/")
    })
}

fn parts(path: &Path) -> Vec<Component<'_>> {
    path.components().collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    #[rstest]
    #[case::beside("/a/b/page.html", "/a/b/out", "out")]
    #[case::the_same("/a/b/page.html", "/a/b", ".")]
    #[case::above("/a/b/c/page.html", "/a/out/x", "../../out/x")]
    #[case::with_dots("/a/b/page.html", "/a/b/./out", "out")]
    fn the_way_from_a_page_to_its_evidence(
        #[case] page: &str,
        #[case] folder: &str,
        #[case] way: &str,
    ) {
        assert_eq!(relative(Path::new(page), Path::new(folder)).unwrap(), way);
    }
}
