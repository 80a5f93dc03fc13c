//! Under what frames are gathered, and what is gathered.

use super::aspect::Aspect;
use super::decider::Decider;
use std::collections::BTreeSet;

/// What tells one cause from another.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Key {
    /// What decides, and what is wrong with it.
    Decided(Decider, Fault),
    /// The evaluator does not explain it.
    Unexplained(String),
}

/// What is wrong with what decides.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Fault {
    /// The rule looks at what the policy minds, and takes in too much of it.
    TooWide(Aspect),
    /// The rule does not look at what the policy minds.
    Untested,
    /// It matches every frame, and no rule before it lets pass what the policy requires.
    NothingBefore,
    /// It does what it should not.
    Itself,
}

/// What is gathered under one key.
#[derive(Debug, Default)]
pub struct Group {
    /// Ids of probes.
    pub probes: Vec<String>,
    /// Ids of statements.
    pub statements: Vec<String>,
    /// What the policy minds.
    pub aspects: BTreeSet<Aspect>,
    /// What the policy says, each sentence once.
    pub sentences: Vec<String>,
}
