//! What is printed: results on standard output, the rest on standard error.

use super::failure::Failure;
use std::fmt::Display;
use std::io::Write as _;

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

/// Prints what the user should know.
#[cfg(feature = "lab")]
pub fn note(message: &str) {
    let _ = writeln!(std::io::stderr(), "note: {message}");
}
