//! What is to be changed, what stands in the way, and what the user should know.

use super::step::{Step, Target};

/// A plan; nothing of it has been done.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct Plan {
    /// The changes, in their order.
    pub steps: Vec<Step>,
    /// What stands in the way: with any, nothing is done.
    pub refusals: Vec<Refusal>,
    /// What the user should know, each with what to do.
    pub warnings: Vec<Refusal>,
    /// The running interfaces whose rules must be in the kernel afterwards.
    pub proven: Vec<Target>,
}

/// Something that is not as the user wants it, and what to do about it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    /// What it is.
    pub what: String,
    /// What to do.
    pub cure: String,
}

impl Plan {
    /// Adds what stands in the way.
    pub fn refuse(&mut self, what: impl Into<String>, cure: impl Into<String>) {
        let (what, cure) = (what.into(), cure.into());
        self.refusals.push(Refusal { what, cure });
    }

    /// Adds what the user should know.
    pub fn warn(&mut self, what: impl Into<String>, cure: impl Into<String>) {
        let (what, cure) = (what.into(), cure.into());
        self.warnings.push(Refusal { what, cure });
    }

    /// Adds a step, unless it is there.
    pub fn push(&mut self, step: Step) {
        if !self.steps.contains(&step) {
            self.steps.push(step);
        }
    }
}
