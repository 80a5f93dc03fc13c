//! Why a verb could not do its work: an exit code, and an error with its causes.

use crate::report::text::{clean, harmless, shorten};
use crate::verdict::Exit;
use std::error::Error;
use std::fmt::{self, Display, Write as _};
use std::path::{Path, PathBuf};

/// Most characters of a cause: it may quote a whole file.
const LONGEST: usize = 400;

/// Any error; what is only said in words converts into one.
type Cause = Box<dyn Error + Send + Sync>;

/// Why a verb could not do its work.
#[derive(Debug)]
pub struct Failure {
    /// The exit code that it asks for.
    pub exit: Exit,
    error: Cause,
}

/// A file or directory that cannot be used.
#[derive(Debug, thiserror::Error)]
#[error("{}: {source}", path.display())]
pub struct FileError {
    path: PathBuf,
    source: std::io::Error,
}

impl Failure {
    /// With an exit code.
    pub fn new(exit: Exit, error: impl Into<Cause>) -> Self {
        let error = error.into();
        Self { exit, error }
    }

    /// The command line, the policy or a filter cannot be used.
    pub fn usage(error: impl Into<Cause>) -> Self {
        Self::new(Exit::Usage, error)
    }

    /// The host cannot do it.
    pub fn host(error: impl Into<Cause>) -> Self {
        Self::new(Exit::Host, error)
    }

    /// A file that the user named cannot be used.
    pub fn file(path: &Path, source: std::io::Error) -> Self {
        let path = path.to_owned();
        Self::usage(FileError { path, source })
    }
}

impl Display for Failure {
    /// The error, and below it those of its causes that it does not quote itself.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut text = self.error.to_string();
        let mut cause = self.error.source();
        while let Some(error) = cause {
            let words = error.to_string();
            // Some print the text that they are about first, and what is wrong last.
            if !text.contains(words.lines().last().unwrap_or_default()) {
                let _ = write!(text, "\n  because: {}", shorten(&clean(&words), LONGEST));
            }
            cause = error.source();
        }
        // What it quotes may be a report, a baseline or a filter that somebody else wrote.
        f.write_str(&harmless(&text))
    }
}

impl Error for Failure {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        self.error.source()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, thiserror::Error)]
    #[error("the lab is gone")]
    struct Silent(#[source] std::io::Error);

    fn io() -> std::io::Error {
        std::io::Error::other("no space left")
    }

    /// An escape sequence and a change of direction in what an error quotes.
    #[test]
    fn what_an_error_quotes_does_not_reach_the_terminal() {
        let words = "bad `\u{1b}[2J\u{202e}x\r`\n  cure: none";
        let failure = Failure::usage(std::io::Error::other(words));
        assert_eq!(failure.to_string(), "bad ` [2J x `\n  cure: none");
    }

    #[test]
    fn a_cause_is_told_once() {
        let quoted = Failure::file(Path::new("x.json"), io());
        assert_eq!(quoted.to_string(), "x.json: no space left");
        let silent = Failure::host(Silent(io()));
        let told = "the lab is gone\n  because: no space left";
        assert_eq!(silent.to_string(), told);
    }
}
