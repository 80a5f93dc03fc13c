//! What verdicts come to.

use super::exit::Exit;

/// What a cell or a run comes to.
///
/// The order is the precedence: a run's conclusion is the greatest of its cells'.
/// A proven failure stays proven whatever else went wrong, so it beats every
/// error; in particular an unfit host (which a CI may treat as a skip) must not
/// hide a leak. A bug of lanfence comes next, since nothing else can be
/// trusted beside it, then what the user can mend, then what a second try may.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Conclusion {
    /// Every probe passed or is a known gap, and every cell passed its leak check.
    Pass,
    /// There was nothing to judge.
    Empty,
    /// Something was not proven.
    Inconclusive,
    /// The host cannot do it.
    Host,
    /// The user's input is wrong.
    Usage,
    /// A bug of lanfence.
    Internal,
    /// A leak, or something wrongly blocked, is proven.
    Fail,
}

impl Conclusion {
    /// The exit code of a process that ends with this conclusion.
    pub fn exit(self) -> Exit {
        match self {
            Self::Pass => Exit::Pass,
            Self::Fail => Exit::Fail,
            Self::Usage => Exit::Usage,
            Self::Host => Exit::Host,
            Self::Empty => Exit::Nothing,
            Self::Inconclusive => Exit::Inconclusive,
            Self::Internal => Exit::Internal,
        }
    }

    /// In print.
    pub fn word(self) -> &'static str {
        match self {
            Self::Pass => "PASS",
            Self::Fail => "FAIL",
            Self::Usage => "USAGE ERROR",
            Self::Host => "HOST UNFIT",
            Self::Empty => "NOTHING JUDGED",
            Self::Inconclusive => "INCONCLUSIVE",
            Self::Internal => "INTERNAL ERROR",
        }
    }
}
