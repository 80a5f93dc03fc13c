//! Exit codes.

use std::process::ExitCode;

/// What the exit code says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum Exit {
    /// All pass.
    Pass = 0,
    /// Evaluator and kernel disagree.
    Mismatch = 1,
    /// The command line, the policy or a filter cannot be used.
    Usage = 2,
    /// The host cannot do it.
    Host = 3,
    /// No cell was selected.
    Nothing = 4,
    /// Something was not proven either way.
    Unproven = 5,
    /// A bug of lanfence.
    Internal = 70,
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit as u8)
    }
}

/// The list at the end of `--help`; the codes of a finished run are computed
/// by [`crate::report::model::Run::exit_code`].
pub const HELP: &str = "Exit codes:
  0    every probe passed (known gaps are listed, not counted)
  1    a leak, or LAN traffic blocked
  2    the command line, the policy or the filter cannot be used
  3    this host cannot run the lab; the message names the cure
  4    nothing was selected
  5    something was not proven either way
  70   a bug of lanfence
  130  interrupted";
