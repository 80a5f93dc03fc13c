//! A mutant and what became of it.

use crate::nwfilter::mutate::Mutant;
use crate::nwfilter::reach::Difference;
use crate::verdict::Exit;

/// What became of a mutant.
#[derive(Debug, Clone)]
pub enum Class {
    /// The verdict of a probe changes, and no exact set.
    Probes,
    /// An exact set changes, and no verdict of a probe.
    Sets,
    /// Both change.
    Both,
    /// It treats every frame as the original does.
    Equivalent,
    /// libvirt refuses it, in the words of the reader or the evaluator.
    Refused(String),
    /// It treats frames otherwise, such as these, and nothing notices.
    Survived(Box<Difference>),
    /// Nothing notices, and whether it treats frames otherwise is not known.
    Unproven(String),
}

impl Class {
    /// Its name in reports.
    pub const fn word(&self) -> &'static str {
        match self {
            Self::Probes => "probes",
            Self::Sets => "sets",
            Self::Both => "both",
            Self::Equivalent => "equivalent",
            Self::Refused(_) => "refused",
            Self::Survived(_) => "survived",
            Self::Unproven(_) => "unproven",
        }
    }
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
    /// Names of the exact sets that change.
    pub sets: Vec<&'static str>,
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
