//! What a probe comes to, as baselines say it.

use crate::verdict::{Failure, Verdict};
use serde::{Deserialize, Serialize};

/// What a probe of a cell comes to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Standing {
    /// As the policy wants it.
    Pass,
    /// The policy wants it stopped, and it got through.
    Leak,
    /// The policy wants it through, and it was stopped.
    Blocked,
    /// The opposite of what the policy wants, and no nwfilter does better.
    KnownGap,
    /// Not proven.
    Inconclusive,
    /// A mutant that nothing notices.
    Survived,
    /// A scenario that does not end as it must.
    Failed,
}

impl Standing {
    /// Whether it is proven that something is wrong that a filter can mend.
    pub fn is_failure(self) -> bool {
        matches!(
            self,
            Self::Leak | Self::Blocked | Self::Survived | Self::Failed
        )
    }

    /// The word for it, the same as in every report.
    pub fn word(self) -> &'static str {
        match self {
            Self::Pass => "pass",
            Self::Leak => "leak",
            Self::Blocked => "blocked",
            Self::KnownGap => "known-gap",
            Self::Inconclusive => "inconclusive",
            Self::Survived => "survived",
            Self::Failed => "failed",
        }
    }
}

impl From<Verdict> for Standing {
    fn from(verdict: Verdict) -> Self {
        match verdict {
            Verdict::Pass => Self::Pass,
            Verdict::Fail(Failure::Leak) => Self::Leak,
            Verdict::Fail(Failure::Blocked) => Self::Blocked,
            Verdict::KnownGap => Self::KnownGap,
            Verdict::Inconclusive => Self::Inconclusive,
        }
    }
}
