//! Whether a filter keeps the policy: what `check` asks of it, quickest questions first.

use super::edit::{Edit, applied};
use crate::check::Expectations;
use crate::check::learning::LearningPhase;
use crate::layout::Layout;
use crate::nwfilter::evaluate::Backend;
use crate::nwfilter::learning::Bound;
use crate::nwfilter::statements::Held;
use crate::nwfilter::{Filter, FilterTree, read, write};
use crate::verdict::{Conclusion, Verdict};
use std::cell::Cell;

/// How the filter is bound.
#[derive(Debug, Clone, Copy)]
pub struct Binding<'a> {
    /// The hosts, with the guest's MAC and address.
    pub layout: &'a Layout,
    /// What the policy expects of every filter of this guest.
    pub expectations: &'a Expectations,
    /// Parameters of the interface's reference.
    pub parameters: &'a [(String, String)],
    /// Back end of libvirt that translates the filters.
    pub backend: Backend,
}

/// Asks whether edits are enough.
pub struct Proof<'a> {
    tree: &'a FilterTree,
    /// Position of the filter that is edited.
    at: usize,
    binding: Binding<'a>,
    /// The probe that failed last, which most filters that are tried fail too.
    suspect: Cell<usize>,
    /// How often it was asked.
    asked: Cell<usize>,
}

impl<'a> Proof<'a> {
    /// Of the filter at this position of a tree.
    pub fn of(tree: &'a FilterTree, at: usize, binding: Binding<'a>) -> Self {
        Self {
            tree,
            at,
            binding,
            suspect: Cell::new(0),
            asked: Cell::new(0),
        }
    }

    /// How many filters were tried.
    pub fn asked(&self) -> usize {
        self.asked.get()
    }

    /// The filter before any edit.
    pub fn filter(&self) -> &'a Filter {
        &self.tree.filters[self.at]
    }

    /// Whether the policy is proven of the filter with these edits, and libvirt takes it.
    pub fn holds(&self, edits: &[Edit]) -> bool {
        self.asked.set(self.asked.get() + 1);
        let filter = applied(self.filter(), edits);
        // Some of what the model can say libvirt refuses to define.
        if read(&write(&filter), &filter.name).is_err() {
            return false;
        }
        let mut tree = self.tree.clone();
        tree.filters[self.at] = filter;
        self.is_proven(&tree)
    }

    fn is_proven(&self, tree: &FilterTree) -> bool {
        let Binding {
            layout,
            expectations,
            parameters,
            backend,
        } = self.binding;
        let guest = &layout.guest;
        let Ok(bound) = tree.bind(guest.mac, guest.v4, parameters, backend) else {
            return false;
        };
        self.passes(&bound)
            && expectations
                .rulings()
                .hold(&bound.filter)
                .iter()
                .all(Held::is_proven)
            && LearningPhase::of(&bound, expectations.trials())
                .is_none_or(|phase| phase.conclusion() == Conclusion::Pass)
    }

    /// Whether every probe passes, or is a known gap.
    fn passes(&self, bound: &Bound) -> bool {
        let trials = self.binding.expectations.trials();
        let is_good = |at: usize| {
            let verdict = trials[at].verdict(&bound.filter);
            matches!(verdict, Verdict::Pass | Verdict::KnownGap)
        };
        if !trials.is_empty() && !is_good(self.suspect.get()) {
            return false;
        }
        match (0..trials.len()).find(|at| !is_good(*at)) {
            None => true,
            Some(at) => {
                self.suspect.set(at);
                false
            }
        }
    }
}
