//! The one table of exit codes.

use std::fmt::Write as _;
use std::process::ExitCode;

/// What the exit code of every verb says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum Exit {
    /// Nothing is wrong.
    Pass = 0,
    /// Something is proven wrong.
    Fail = 1,
    /// The command line, the policy or a filter cannot be used.
    Usage = 2,
    /// The host cannot do it.
    Host = 3,
    /// No cell was selected.
    Nothing = 4,
    /// Something was not proven either way.
    Inconclusive = 5,
    /// A bug of lanfence.
    Internal = 70,
    /// Interrupted from outside.
    Interrupted = 130,
}

impl Exit {
    /// All codes, in their order.
    pub const ALL: [Self; 8] = [
        Self::Pass,
        Self::Fail,
        Self::Usage,
        Self::Host,
        Self::Nothing,
        Self::Inconclusive,
        Self::Internal,
        Self::Interrupted,
    ];

    /// The number.
    pub fn code(self) -> u8 {
        self as u8
    }

    /// What it says, for `--help` and the documents.
    pub fn meaning(self) -> &'static str {
        match self {
            Self::Pass => {
                "success: every probe passed (known gaps are listed; with a baseline: nothing is worse)"
            }
            Self::Fail => {
                "a leak, or LAN traffic blocked (with a baseline: one that it does not accept; with --replay: another verdict than before; bless: something left that is not accepted; lint: an error; diff: a difference; mutate: a survivor or a mismatch; crosscheck: a mismatch; fix: a leak or a block that the tap test sees; hook: a guest that may not start; audit: an interface that is not fenced; apply, remove, repair: a change that failed and was taken back)"
            }
            Self::Usage => "the command line, the policy or a filter cannot be used",
            Self::Host => {
                "this host cannot run the lab, or its libvirt cannot be reached; the message names the cure"
            }
            Self::Nothing => "no cell was selected",
            Self::Inconclusive => {
                "something was not proven either way (fix: not even the generated filter is)"
            }
            Self::Internal => "a bug of lanfence",
            Self::Interrupted => "interrupted",
        }
    }

    /// The list at the end of `--help`.
    pub fn help() -> String {
        let mut out = "Exit codes:".to_owned();
        for exit in Self::ALL {
            let _ = write!(out, "\n  {:<4} {}", exit.code(), exit.meaning());
        }
        out
    }
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit.code())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Documents that hold the table.
    const DOCUMENTS: [(&str, &str); 1] = [(
        "docs/verdicts.md",
        include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/docs/verdicts.md")),
    )];

    #[test]
    fn the_documents_have_this_table() {
        let mut table = "| exit code | meaning |\n|---|---|\n".to_owned();
        for exit in Exit::ALL {
            let _ = writeln!(table, "| {} | {} |", exit.code(), exit.meaning());
        }
        for (name, text) in DOCUMENTS {
            assert!(text.contains(&table), "{name} lacks\n{table}");
        }
    }
}
