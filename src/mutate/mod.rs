//! Whether the check of a filter would notice a slip of the hand: every mutant of the
//! filter is judged by the probes and by the policy's statements over all frames, as
//! [`check`](crate::check) does it with the filter itself.
//!
//! A mutant that neither notices has survived, if it treats a frame otherwise than the
//! original that the policy rules: something could break in the filter and no test would
//! tell.

mod figures;
mod judged;
#[cfg(test)]
mod tests;

pub use figures::{Figures, Score};
pub use judged::{Class, Example, Judged, Mutants};

use crate::check::probes::Trial;
use crate::check::{Expectations, usual};
use crate::layout::Layout;
use crate::nwfilter::evaluate::field::Field;
use crate::nwfilter::evaluate::{Backend, Compiled};
use crate::nwfilter::mutate::{Mutant, mutants};
use crate::nwfilter::reach::differences;
use crate::nwfilter::statements::{Held, Ruling, Statement};
use crate::nwfilter::{FilterTree, TreeError};
use crate::policy::Policy;
use crate::verdict::Verdict;
use std::net::IpAddr;

/// How a filter is bound.
#[derive(Debug, Clone, Copy)]
pub struct Binding<'a> {
    /// Parameters of the interface's reference.
    pub parameters: &'a [(String, String)],
    /// The guest's addresses, where they are known.
    pub own: &'a [IpAddr],
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

/// A tree as the guest's interface gets it, once libvirt has learnt what it can.
fn bound(tree: &FilterTree, layout: &Layout, binding: Binding<'_>) -> Result<Compiled, TreeError> {
    let guest = &layout.guest;
    let bound = tree.bind(guest.mac, guest.v4, binding.parameters, binding.backend)?;
    Ok(bound.filter)
}

/// What mutants are held against.
struct Judge<'a> {
    tree: &'a FilterTree,
    layout: &'a Layout,
    binding: Binding<'a>,
    original: Compiled,
    expectations: Expectations,
    verdicts: Vec<Verdict>,
    statements: Vec<Held>,
    usual: Vec<(Field, u128)>,
}

impl<'a> Judge<'a> {
    fn of(
        tree: &'a FilterTree,
        policy: &Policy,
        layout: &'a Layout,
        binding: Binding<'a>,
    ) -> Result<Self, TreeError> {
        let original = bound(tree, layout, binding)?;
        let expectations = Expectations::of(policy, layout, binding.own, binding.backend);
        let trials = expectations.trials().iter();
        Ok(Self {
            verdicts: trials.map(|trial| trial.verdict(&original)).collect(),
            statements: expectations.rulings().hold(&original),
            usual: usual(layout),
            expectations,
            tree,
            layout,
            binding,
            original,
        })
    }

    fn judged(&self, mutant: Mutant) -> Judged {
        let (class, probes, statements) = match self.compiled(&mutant) {
            Ok(compiled) => self.held_against(&compiled),
            Err(why) => (Class::Refused(why), Vec::new(), Vec::new()),
        };
        Judged {
            mutant,
            class,
            probes,
            statements,
        }
    }

    fn compiled(&self, mutant: &Mutant) -> Result<Compiled, String> {
        if let Some(refusal) = mutant.refusal(self.tree) {
            return Err(refusal.to_string());
        }
        let tree = mutant.apply(self.tree);
        bound(&tree, self.layout, self.binding).map_err(|error| error.to_string())
    }

    fn held_against(&self, mutant: &Compiled) -> (Class, Vec<String>, Vec<Statement>) {
        if mutant.chains() == self.original.chains() {
            return (Class::Equivalent, Vec::new(), Vec::new());
        }
        let changed = |(trial, was): &(&Trial, &Verdict)| is_other(trial.verdict(mutant), **was);
        let verdicts = self.expectations.trials().iter().zip(&self.verdicts);
        let changed = verdicts.filter(changed);
        let probes: Vec<String> = changed.map(|(trial, _)| trial.probe.id.clone()).collect();
        let now = self.expectations.rulings().hold(mutant);
        let changed = now.iter().zip(&self.statements);
        let changed = changed.filter(|(now, was)| findings(now) != findings(was));
        let statements: Vec<Statement> = changed.map(|(now, _)| now.statement).collect();
        let class = match (probes.is_empty(), statements.is_empty()) {
            (false, false) => Class::Both,
            (false, true) => Class::Probes,
            (true, false) => Class::Statements,
            (true, true) => self.unnoticed(mutant),
        };
        (class, probes, statements)
    }

    fn unnoticed(&self, mutant: &Compiled) -> Class {
        let found = differences(&self.original, mutant, &self.usual);
        let Some(difference) = found.differences.into_iter().next() else {
            return found.inexact.map_or(Class::Equivalent, Class::Unproven);
        };
        let rulings = self.expectations.rulings();
        let differing = rulings.differences(&self.original, mutant);
        let is_open = |statement: &Statement| statement.ruling() == Ruling::Open;
        let statements: Vec<Statement> = differing.iter().map(|each| each.statement).collect();
        if !statements.is_empty() && statements.iter().all(is_open) && found.inexact.is_none() {
            return Class::Indifferent(statements);
        }
        let ruled = differing.into_iter().find(|each| !is_open(&each.statement));
        let (statement, way, frame) = match ruled {
            Some(each) => (Some(each.statement), each.statement.way(), each.frame),
            None => (None, difference.way, difference.frame),
        };
        let outcomes = [&self.original, mutant].map(|filter| filter.evaluate(&frame, way));
        Class::Survived(Box::new(Example {
            statement,
            way,
            frame,
            outcomes,
        }))
    }
}

/// What a check finds about a statement: the kinds of frames that break it, and what it
/// could not find out.
fn findings(held: &Held) -> (Vec<&'static str>, bool) {
    let kinds = held.wrong.iter().map(|wrong| wrong.kind);
    (kinds.collect(), held.inexact.is_some())
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
