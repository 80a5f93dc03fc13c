//! Edits of references and of a filter's chain.

use super::edit::{Change, Edit, Operator};
use crate::nwfilter::model::{Entry, Filter, FilterRef};
use crate::nwfilter::tree::FilterTree;
use crate::nwfilter::vocabulary::ROOT;
use std::collections::BTreeSet;

/// Every edit of a reference.
pub fn edits(tree: &FilterTree, filter: &Filter, place: usize, reference: &FilterRef) -> Vec<Edit> {
    let to = &reference.filter;
    let words = format!("delete the reference to {to}");
    let mut out = vec![Edit::new(Operator::Reference, words, Change::Remove(place))];
    for other in &tree.filters {
        if other.name == *to || other.name == filter.name {
            continue;
        }
        let words = format!("refer to {} instead of {to}", other.name);
        let reference = FilterRef {
            filter: other.name.clone(),
            ..reference.clone()
        };
        let change = Change::Replace(place, Entry::Reference(reference));
        out.push(Edit::new(Operator::Reference, words, change));
    }
    for (at, (name, value)) in reference.parameters.iter().enumerate() {
        let words = format!("delete the parameter {name}={value} of the reference to {to}");
        let mut reference = reference.clone();
        reference.parameters.remove(at);
        let change = Change::Replace(place, Entry::Reference(reference));
        out.push(Edit::new(Operator::Parameter, words, change));
    }
    out
}

/// Another chain out of those that the tree has, and the chain before and behind each
/// other chain.
pub fn chain_edits(tree: &FilterTree, filter: &Filter) -> Vec<Edit> {
    // The top filter of a tree with one chain only has nowhere to go.
    let chains: BTreeSet<&str> = tree
        .filters
        .iter()
        .map(|filter| filter.chain.as_str())
        .collect();
    if filter.rule_count() == 0 {
        return Vec::new();
    }
    let others = chains.iter().filter(|chain| **chain != filter.chain);
    let mut out: Vec<Edit> = others
        .map(|chain| {
            let words = format!("chain {chain} instead of {}", filter.chain);
            Edit::new(Operator::Chain, words, Change::Chain((*chain).to_owned()))
        })
        .collect();
    if filter.in_root() {
        return out;
    }
    let own = filter.chain_priority();
    let others = tree
        .filters
        .iter()
        .filter(|other| other.chain != filter.chain);
    let around = others.flat_map(|other| {
        let priority = if other.chain == ROOT {
            0
        } else {
            other.chain_priority()
        };
        [priority - 1, priority + 1]
    });
    let wanted: BTreeSet<i16> = around
        .chain([-1000, 1000])
        .filter(|priority| *priority != own && (-1000..=1000).contains(priority))
        .collect();
    for priority in wanted {
        let words = format!("chain priority {priority} instead of {own}");
        out.push(Edit::new(
            Operator::Chain,
            words,
            Change::ChainPriority(priority),
        ));
    }
    out
}
