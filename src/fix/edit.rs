//! Edits of a filter's rules, and the filter that some of them make.

use crate::nwfilter::vocabulary::ROOT;
use crate::nwfilter::{Entry, Filter, Rule};

/// Where a new rule stands among the entries of the filter as it was.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Anchor {
    /// Directly before an entry.
    Before(usize),
    /// Behind an entry, and behind what was put there before.
    After(usize),
    /// In a filter that has no entry.
    Alone,
}

/// One edit. Entries are numbered from 0 in document order, as they were.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Edit {
    /// The filter becomes one of the root chain, which sees every frame.
    ToRoot,
    /// A rule or a reference goes.
    Remove(usize),
    /// A rule becomes another.
    Replace(usize, Rule),
    /// A rule is added.
    Insert(Anchor, Rule),
}

impl Edit {
    /// Whether it takes something of the user's away.
    pub fn is_removal(&self) -> bool {
        matches!(self, Self::Remove(_))
    }
}

/// A part of the filter that the edits make.
#[derive(Debug, Clone, Copy)]
pub enum Piece<'a> {
    /// An entry as it was.
    Kept(usize),
    /// An entry that goes.
    Gone(usize),
    /// A rule that becomes another.
    Changed(usize, &'a Rule),
    /// A new rule, with where it stands.
    New(Anchor, &'a Rule),
}

/// The filter piece by piece, in document order.
pub fn pieces<'a>(filter: &Filter, edits: &'a [Edit]) -> Vec<Piece<'a>> {
    let inserted = |wanted: Anchor| {
        edits.iter().filter_map(move |edit| match edit {
            Edit::Insert(anchor, rule) if *anchor == wanted => Some(Piece::New(wanted, rule)),
            _ => None,
        })
    };
    let mut out: Vec<Piece<'_>> = inserted(Anchor::Alone).collect();
    for at in 0..filter.entries.len() {
        out.extend(inserted(Anchor::Before(at)));
        let changed = edits.iter().find_map(|edit| match edit {
            Edit::Remove(place) if *place == at => Some(Piece::Gone(at)),
            Edit::Replace(place, rule) if *place == at => Some(Piece::Changed(at, rule)),
            _ => None,
        });
        out.push(changed.unwrap_or(Piece::Kept(at)));
        out.extend(inserted(Anchor::After(at)));
    }
    out
}

/// The filter with the edits made.
pub fn applied(filter: &Filter, edits: &[Edit]) -> Filter {
    let entries = pieces(filter, edits).into_iter();
    let entries = entries.filter_map(|piece| match piece {
        Piece::Kept(at) => Some(filter.entries[at].clone()),
        Piece::Gone(_) => None,
        Piece::Changed(_, rule) | Piece::New(_, rule) => Some(Entry::Rule(rule.clone())),
    });
    let mut out = Filter {
        entries: entries.collect(),
        ..filter.clone()
    };
    if edits.contains(&Edit::ToRoot) {
        ROOT.clone_into(&mut out.chain);
        // It has no effect there.
        out.priority = None;
    }
    out
}

/// The edits that lead from one filter to another which a single slip tells apart: nothing was
/// moved but what changed places. None where the head of the filter differs.
pub fn between(from: &Filter, to: &Filter) -> Option<Vec<Edit>> {
    if (&from.chain, from.priority) != (&to.chain, to.priority) {
        return None;
    }
    let (old, new) = (&from.entries, &to.entries);
    if old.len() == new.len() + 1 {
        let same = old.iter().zip(new).take_while(|(a, b)| a == b).count();
        return (old[same + 1..] == new[same..]).then(|| vec![Edit::Remove(same)]);
    }
    if old.len() != new.len() {
        return None;
    }
    let mut edits = Vec::new();
    for (at, (before, after)) in old.iter().zip(new).enumerate() {
        match (before, after) {
            _ if before == after => {}
            (Entry::Rule(_), Entry::Rule(rule)) => edits.push(Edit::Replace(at, rule.clone())),
            _ => return None,
        }
    }
    Some(edits)
}
