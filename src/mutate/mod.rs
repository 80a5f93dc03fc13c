//! Whether the check of a filter would notice a slip of the hand: every mutant of the
//! filter is judged by the probes and by the exact sets, as [`check`](crate::check) does
//! it with the filter itself.
//!
//! A mutant that neither notices has survived, if it treats any frame otherwise than the
//! original: something could break in the filter and no test would tell.

mod figures;
mod judged;

pub use figures::{Figures, Score};
pub use judged::{Class, Judged, Mutants};

use crate::check::probes::{Trial, trials};
use crate::check::usual;
use crate::layout::Layout;
use crate::nwfilter::FilterTree;
use crate::nwfilter::TreeError;
use crate::nwfilter::evaluate::field::Field;
use crate::nwfilter::evaluate::{Backend, Compiled};
use crate::nwfilter::mutate::{Mutant, mutants};
use crate::nwfilter::reach::{TrafficClass, classes, differences};
use crate::policy::Policy;
use crate::verdict::Verdict;

/// How a filter is bound.
#[derive(Debug, Clone, Copy)]
pub struct Binding<'a> {
    /// Parameters of the interface's reference.
    pub parameters: &'a [(String, String)],
    /// Back end of libvirt that translates the filters.
    pub backend: Backend,
}

/// Judges every mutant of a tree.
///
/// # Errors
/// When libvirt would refuse the filter itself.
pub fn mutate(
    tree: &FilterTree,
    policy: &Policy,
    layout: &Layout,
    binding: Binding<'_>,
) -> Result<Mutants, TreeError> {
    let judge = Judge::of(tree, policy, layout, binding)?;
    let mutants = mutants(tree).into_iter().map(|mutant| judge.judged(mutant));
    Ok(Mutants {
        all: mutants.collect(),
    })
}

/// What mutants are held against.
struct Judge<'a> {
    tree: &'a FilterTree,
    policy: &'a Policy,
    layout: &'a Layout,
    binding: Binding<'a>,
    original: Compiled,
    trials: Vec<Trial>,
    verdicts: Vec<Verdict>,
    sets: Vec<TrafficClass>,
    usual: Vec<(Field, u128)>,
}

impl<'a> Judge<'a> {
    fn of(
        tree: &'a FilterTree,
        policy: &'a Policy,
        layout: &'a Layout,
        binding: Binding<'a>,
    ) -> Result<Self, TreeError> {
        let original = tree.compile(layout.guest.mac, binding.parameters, binding.backend)?;
        let trials = trials(policy, layout, binding.backend);
        let usual = usual(layout);
        Ok(Self {
            verdicts: trials
                .iter()
                .map(|trial| trial.verdict(&original))
                .collect(),
            sets: classes(&original, policy, &usual),
            tree,
            policy,
            layout,
            binding,
            original,
            trials,
            usual,
        })
    }

    fn judged(&self, mutant: Mutant) -> Judged {
        let (class, probes, sets) = match self.compiled(&mutant) {
            Ok(compiled) => self.held_against(&compiled),
            Err(why) => (Class::Refused(why), Vec::new(), Vec::new()),
        };
        Judged {
            mutant,
            class,
            probes,
            sets,
        }
    }

    fn compiled(&self, mutant: &Mutant) -> Result<Compiled, String> {
        if let Some(refusal) = mutant.refusal(self.tree) {
            return Err(refusal.to_string());
        }
        let Binding {
            parameters,
            backend,
        } = self.binding;
        let tree = mutant.apply(self.tree);
        tree.compile(self.layout.guest.mac, parameters, backend)
            .map_err(|error| error.to_string())
    }

    fn held_against(&self, mutant: &Compiled) -> (Class, Vec<String>, Vec<&'static str>) {
        if mutant.chains() == self.original.chains() {
            return (Class::Equivalent, Vec::new(), Vec::new());
        }
        let verdicts = self.trials.iter().zip(&self.verdicts);
        let changed = verdicts.filter(|(trial, was)| is_other(trial.verdict(mutant), **was));
        let probes: Vec<String> = changed.map(|(trial, _)| trial.probe.id.clone()).collect();
        let now = classes(mutant, self.policy, &self.usual);
        let changed = now.iter().zip(&self.sets);
        let changed = changed.filter(|(now, was)| differs(now, was));
        let sets: Vec<&str> = changed.map(|(now, _)| now.name).collect();
        let class = match (probes.is_empty(), sets.is_empty()) {
            (false, false) => Class::Both,
            (false, true) => Class::Probes,
            (true, false) => Class::Sets,
            (true, true) => self.unnoticed(mutant),
        };
        (class, probes, sets)
    }

    fn unnoticed(&self, mutant: &Compiled) -> Class {
        let found = differences(&self.original, mutant, &self.usual);
        match (found.differences.into_iter().next(), found.inexact) {
            (Some(difference), _) => Class::Survived(Box::new(difference)),
            (None, Some(why)) => Class::Unproven(why),
            (None, None) => Class::Equivalent,
        }
    }
}

/// Whether a verdict counts for something else than before. That a known gap is closed
/// is no finding of a check.
fn is_other(now: Verdict, was: Verdict) -> bool {
    let of = |verdict| match verdict {
        Verdict::KnownGap => Verdict::Pass,
        other => other,
    };
    of(now) != of(was)
}

/// Whether a check finds something else about a set.
fn differs(now: &TrafficClass, was: &TrafficClass) -> bool {
    (&now.leaked, &now.blocked, now.inexact.is_some())
        != (&was.leaked, &was.blocked, was.inexact.is_some())
}

#[cfg(test)]
mod tests;
