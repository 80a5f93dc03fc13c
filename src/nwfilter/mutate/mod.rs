//! Mutants of filters: the same filters with one edit, as a slip of the hand makes it.
//!
//! Only filters that were given are edited, not those that libvirt ships. An edit
//! keeps to the words of the language, but libvirt may refuse the result: who judges
//! a mutant asks [`Mutant::refusal`] and compiles it.
//!
//! ```
//! use lanfence::nwfilter::mutate::mutants;
//! use lanfence::nwfilter::{FilterTree, read};
//!
//! let text = "<filter name='no-arp'><rule action='drop' direction='out'><arp/></rule></filter>";
//! let tree = FilterTree::generated(read(text, "no-arp.xml")?);
//! let deleted = &mutants(&tree)[0];
//! assert_eq!(deleted.to_string(), "rule 1 of no-arp: delete the rule");
//! assert_eq!(deleted.apply(&tree).rule_count(), 0);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod edit;
mod elements;
mod references;
mod rules;
mod values;

use super::model::{Entry, Filter, RuleId};
use super::read::{ReadError, read};
use super::tree::FilterTree;
use super::write::write;
use edit::{Change, Edit};
use std::fmt;

pub use edit::Operator;

/// A filter of a tree with one edit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mutant {
    /// What kind of edit.
    pub operator: Operator,
    /// The filter that is edited.
    pub filter: String,
    /// The rule that is edited; none where it is the filter or a reference.
    pub rule: Option<RuleId>,
    /// The edit in words.
    pub edit: String,
    /// Position of the filter in the tree.
    at: usize,
    change: Change,
}

impl fmt::Display for Mutant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.rule {
            Some(rule) => write!(f, "{rule}: {}", self.edit),
            None => write!(f, "filter {}: {}", self.filter, self.edit),
        }
    }
}

impl Mutant {
    fn of(edit: Edit, at: usize, filter: &Filter, rule: Option<RuleId>) -> Self {
        Self {
            operator: edit.operator,
            filter: filter.name.clone(),
            rule,
            edit: edit.words,
            at,
            change: edit.change,
        }
    }

    /// The tree with the edit made.
    ///
    /// # Panics
    /// On another tree than that which the mutant was made of.
    #[must_use]
    pub fn apply(&self, tree: &FilterTree) -> FilterTree {
        let mut tree = tree.clone();
        self.change.make(&mut tree.filters[self.at]);
        tree
    }

    /// Why libvirt would not take the edited filter for what it says; none where it does.
    /// Only what was edited is looked at.
    ///
    /// # Panics
    /// On another tree than that which the mutant was made of.
    pub fn refusal(&self, tree: &FilterTree) -> Option<ReadError> {
        let entries = match &self.change {
            Change::Replace(_, entry) => vec![entry.clone()],
            Change::Remove(_) | Change::Exchange(..) | Change::ExchangePriorities(..) => {
                return None;
            }
            Change::Chain(_) | Change::ChainPriority(_) => Vec::new(),
        };
        let mut filter = Filter {
            entries,
            ..tree.filters[self.at].clone()
        };
        if let Change::Chain(_) | Change::ChainPriority(_) = self.change {
            self.change.make(&mut filter);
        }
        read(&write(&filter), &filter.name).err()
    }
}

/// Every mutant of the filters of a tree that were given, in document order. The same
/// tree always has the same mutants.
pub fn mutants(tree: &FilterTree) -> Vec<Mutant> {
    let mut out = Vec::new();
    for (at, filter) in tree.filters.iter().enumerate() {
        if tree.is_shipped(&filter.name) {
            continue;
        }
        let mut number = 0;
        for (place, entry) in filter.entries.iter().enumerate() {
            let rule = matches!(entry, Entry::Rule(_)).then(|| {
                number += 1;
                RuleId {
                    filter: filter.name.clone(),
                    rule: number,
                }
            });
            let edits = match entry {
                Entry::Rule(rule) => rules::edits(filter, place, rule),
                Entry::Reference(reference) => references::edits(tree, filter, place, reference),
            };
            out.extend(
                edits
                    .into_iter()
                    .map(|edit| Mutant::of(edit, at, filter, rule.clone())),
            );
        }
        let edits = references::chain_edits(tree, filter);
        out.extend(
            edits
                .into_iter()
                .map(|edit| Mutant::of(edit, at, filter, None)),
        );
    }
    out
}

#[cfg(test)]
mod tests;
