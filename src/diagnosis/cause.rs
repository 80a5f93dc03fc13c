//! A cause as data.

use crate::verdict::Failure;
use serde::{Deserialize, Serialize};
use std::cmp::Reverse;

/// A rule that a cause is about.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CausingRule {
    /// The filter.
    pub filter: String,
    /// The number of the rule in it, from 1.
    pub rule: usize,
    /// `drop out <ip dstipaddr='…'/>`.
    pub text: String,
}

/// Where a cause stands in the files of the filter.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CausePlace {
    /// The file.
    pub file: String,
    /// Line, from 1.
    pub line: usize,
    /// Column in characters, from 1.
    pub column: usize,
}

/// One reason of leaks or blocks.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Cause {
    /// Whether its frames get out, or are stopped.
    pub failure: Failure,
    /// Whether the evaluator explains what was observed; else the text says why it does not.
    pub explained: bool,
    /// What is the matter, in the filter's own terms.
    pub text: String,
    /// The rule that decides; none where no rule does.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rule: Option<CausingRule>,
    /// Where to look; none where the filter has no file.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub place: Option<CausePlace>,
    /// Ids of the probes that it is the cause of, in the catalogue's order.
    pub probes: Vec<String>,
    /// Ids of the policy's statements with frames that it is the cause of; empty where only
    /// probes were looked at.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub statements: Vec<String>,
}

impl Cause {
    /// `FILE:LINE:COLUMN`; none where the filter has no file.
    pub fn place_text(&self) -> Option<String> {
        let place = self.place.as_ref()?;
        Some(format!("{}:{}:{}", place.file, place.line, place.column))
    }

    /// Whether it is the same cause as another.
    pub(super) fn is_same(&self, other: &Self) -> bool {
        let key = |cause: &Self| (cause.failure, cause.explained);
        key(self) == key(other)
            && (&self.text, &self.rule, &self.place) == (&other.text, &other.rule, &other.place)
    }
}

/// Joins the causes of two parts of one run: what both have is one cause with the probes of both.
pub fn join(ours: &mut Vec<Cause>, theirs: Vec<Cause>) {
    for cause in theirs {
        let Some(own) = ours.iter_mut().find(|own| own.is_same(&cause)) else {
            ours.push(cause);
            continue;
        };
        for id in cause.probes {
            if !own.probes.contains(&id) {
                own.probes.push(id);
            }
        }
    }
    sort(ours);
}

/// Leaks first; of either first what has the most probes.
pub fn sort(causes: &mut [Cause]) {
    let rank = |cause: &Cause| {
        let blocks = cause.failure == Failure::Blocked;
        (
            blocks,
            Reverse(cause.probes.len()),
            Reverse(cause.statements.len()),
        )
    };
    causes.sort_by(|a, b| rank(a).cmp(&rank(b)).then_with(|| a.text.cmp(&b.text)));
}
