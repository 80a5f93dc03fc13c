//! A mutant and what became of it.

use crate::nwfilter::evaluate::{Evaluation, Way};
use crate::nwfilter::mutate::Mutant;
use crate::nwfilter::statements::Statement;
use crate::verdict::Exit;

/// What became of a mutant.
#[derive(Debug, Clone)]
pub enum Class {
    /// The verdict of a probe changes, and no statement of the policy.
    Probes,
    /// A statement of the policy is broken or kept otherwise, and no verdict changes.
    Statements,
    /// Both change.
    Both,
    /// It treats every frame as the original does.
    Equivalent,
    /// libvirt refuses it, in the words of the reader or the evaluator.
    Refused(String),
    /// It treats frames otherwise that the policy does not rule, by these statements, and
    /// no others.
    Indifferent(Vec<Statement>),
    /// It treats frames otherwise, such as this one, and nothing notices.
    Survived(Box<Example>),
    /// Nothing notices, and whether it treats frames otherwise is not known.
    Unproven(String),
}

impl Class {
    /// Its name in reports.
    pub const fn word(&self) -> &'static str {
        match self {
            Self::Probes => "probes",
            Self::Statements => "statements",
            Self::Both => "both",
            Self::Equivalent => "equivalent",
            Self::Indifferent(_) => "indifferent",
            Self::Refused(_) => "refused",
            Self::Survived(_) => "survived",
            Self::Unproven(_) => "unproven",
        }
    }
}

/// A frame that a mutant treats otherwise than the original.
#[derive(Debug, Clone)]
pub struct Example {
    /// The statement that rules it, where it has whole headers.
    pub statement: Option<Statement>,
    /// Which way it goes.
    pub way: Way,
    /// Its bytes.
    pub frame: Vec<u8>,
    /// What becomes of it, and what with the edit.
    pub outcomes: [Evaluation; 2],
}

/// A mutant with what became of it.
#[derive(Debug, Clone)]
pub struct Judged {
    /// The mutant.
    pub mutant: Mutant,
    /// What became of it.
    pub class: Class,
    /// Ids of the probes whose verdict changes.
    pub probes: Vec<String>,
    /// Statements of the policy that are broken or kept otherwise.
    pub statements: Vec<Statement>,
}

/// The mutants of a filter, judged.
#[derive(Debug)]
pub struct Mutants {
    /// Every mutant in document order.
    pub all: Vec<Judged>,
}

impl Mutants {
    /// What it comes to: a survivor fails.
    pub fn exit(&self) -> Exit {
        let has = |wanted: fn(&Class) -> bool| self.all.iter().any(|each| wanted(&each.class));
        if has(|class| matches!(class, Class::Survived(_))) {
            Exit::Fail
        } else if has(|class| matches!(class, Class::Unproven(_))) {
            Exit::Inconclusive
        } else {
            Exit::Pass
        }
    }
}
