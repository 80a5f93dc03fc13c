//! The words for what became of a probe and for the judgement on it.

use serde::{Deserialize, Serialize};

/// What became of a probe in one pass, decided by sensors or by the evaluator.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Outcome {
    /// Seen where it must arrive.
    Delivered,
    /// Sent, not arrived anywhere, and a sentinel sent after it on the same path arrived.
    Dropped,
    /// Not seen where it starts.
    NeverSent,
    /// Sent, not arrived, and no sentinel arrived either.
    Lost,
    /// A sensor died, dropped frames or was never armed, or the step was not reached; or the
    /// frame hangs on what the evaluator does not model.
    Unknown,
}

impl Outcome {
    /// The word for it in reports.
    pub fn word(self) -> &'static str {
        match self {
            Self::Delivered => "delivered",
            Self::Dropped => "dropped",
            Self::NeverSent => "never-sent",
            Self::Lost => "lost",
            Self::Unknown => "unknown",
        }
    }
}

/// Why a verdict is red.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Failure {
    /// The policy wants it stopped and it got out.
    Leak,
    /// The policy wants it through and it was stopped.
    Blocked,
}

/// The judgement on a probe.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "verdict", content = "why", rename_all = "kebab-case")]
pub enum Verdict {
    /// Control delivered, filtered outcome as expected.
    Pass,
    /// Control delivered, filtered outcome the opposite.
    Fail(Failure),
    /// The opposite of what the policy wants happened, and no nwfilter does better.
    KnownGap,
    /// Not proven.
    Inconclusive,
}

impl Verdict {
    /// The word for it in files: one token, the same in every report.
    pub fn word(self) -> &'static str {
        match self {
            Self::Pass => "pass",
            Self::Fail(Failure::Leak) => "leak",
            Self::Fail(Failure::Blocked) => "blocked",
            Self::KnownGap => "known-gap",
            Self::Inconclusive => "inconclusive",
        }
    }
}
