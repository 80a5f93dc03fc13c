//! Which verb found what a baseline accepts.

use serde::{Deserialize, Serialize};

/// A verb whose findings a baseline can accept.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Verb {
    /// `lanfence verify`: cells with probes that were sent.
    #[default]
    Verify,
    /// `lanfence check`: probes and all frames, through the evaluator.
    Check,
    /// `lanfence mutate`: edits of the filter that nothing notices.
    Mutate,
    /// `cargo xtask hosts test`: scenarios in throwaway hosts.
    Hosts,
}

impl Verb {
    /// Whether it is the one that a baseline without a word about it has.
    pub fn is_verify(&self) -> bool {
        *self == Self::Verify
    }

    /// Its command.
    pub fn command(self) -> &'static str {
        match self {
            Self::Verify => "lanfence verify",
            Self::Check => "lanfence check",
            Self::Mutate => "lanfence mutate",
            Self::Hosts => "cargo xtask hosts test",
        }
    }

    /// The command that writes its report for `lanfence bless`.
    pub fn report(self) -> &'static str {
        match self {
            Self::Verify => "lanfence verify --json REPORT.json",
            Self::Check => "lanfence check --format json > REPORT.json",
            Self::Mutate => "lanfence mutate --json REPORT.json",
            Self::Hosts => "cargo xtask hosts test --json REPORT.json",
        }
    }

    /// Whether something of this name is there only where it is wrong: an edit of a rule, a kind of
    /// frames that breaks a statement, addresses that can be reached. All of these are looked for
    /// each time, so one that is not found is not there, and the baseline has no list of them.
    pub(super) fn is_found(self, id: &str) -> bool {
        match self {
            Self::Verify | Self::Hosts => false,
            Self::Mutate => true,
            Self::Check => {
                let row = id.split('/').next().unwrap_or_default();
                [REACHED, UNREACHED].contains(&row)
                    || (STATEMENTS.contains(&row) && id.matches('/').count() > 1)
            }
        }
    }
}

/// The row of what gets through to addresses that the policy forbids.
pub(super) const REACHED: &str = "reach";

/// The row of what does not get to addresses that the policy allows.
pub(super) const UNREACHED: &str = "unreached";

/// The rows of the policy's statements.
const STATEMENTS: [&str; 2] = ["in", "out"];
