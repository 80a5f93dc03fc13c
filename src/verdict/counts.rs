//! How many verdicts there are of each kind, and how that is said.

use super::outcome::{Failure, Verdict};

/// How many probes came out how.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Counts {
    /// As the policy wants it.
    pub passed: usize,
    /// Got through against the policy.
    pub leaked: usize,
    /// Were stopped against the policy.
    pub blocked: usize,
    /// The opposite of what the policy wants, and no nwfilter does better.
    pub known_gaps: usize,
    /// Not proven.
    pub inconclusive: usize,
}

impl Counts {
    /// Counts the verdicts.
    pub fn of(verdicts: impl IntoIterator<Item = Verdict>) -> Self {
        let mut counts = Self::default();
        for verdict in verdicts {
            *match verdict {
                Verdict::Pass => &mut counts.passed,
                Verdict::Fail(Failure::Leak) => &mut counts.leaked,
                Verdict::Fail(Failure::Blocked) => &mut counts.blocked,
                Verdict::KnownGap => &mut counts.known_gaps,
                Verdict::Inconclusive => &mut counts.inconclusive,
            } += 1;
        }
        counts
    }

    /// Leaked and blocked.
    pub fn failed(self) -> usize {
        self.leaked + self.blocked
    }

    /// All of them.
    pub fn total(self) -> usize {
        self.passed + self.failed() + self.known_gaps + self.inconclusive
    }
}
