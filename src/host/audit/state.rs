//! What an interface is in.

use serde::Serialize;
use std::fmt;

/// What an interface is in. The order is the precedence: the worst reason decides.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum State {
    /// The kernel has the filter's rules, and they will be there at the next start.
    Fenced,
    /// It is fenced now, or some of it; something is not as it must be.
    Drifted,
    /// Something could not be looked at.
    Unknown,
    /// Frames pass that the policy forbids: now, or for a guest that is off at its next start.
    Open,
    /// No filter can hold it.
    Unfilterable,
}

impl State {
    /// All states, the best first.
    pub const ALL: [Self; 5] = [
        Self::Fenced,
        Self::Drifted,
        Self::Unknown,
        Self::Open,
        Self::Unfilterable,
    ];

    /// Its word.
    pub fn word(self) -> &'static str {
        match self {
            Self::Fenced => "fenced",
            Self::Drifted => "drifted",
            Self::Unknown => "unknown",
            Self::Open => "open",
            Self::Unfilterable => "unfilterable",
        }
    }
}

impl fmt::Display for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.word())
    }
}
