//! The search for few edits that prove the policy.

use super::align;
use super::edit::{Edit, between};
use super::proof::Proof;
use crate::nwfilter::mutate::mutants;
use crate::nwfilter::{Entry, Filter, FilterTree, Rule};

/// Edits that prove the policy, none of which can be left out; none where even the generated
/// filter in its place does not prove it.
pub fn edits(proof: &Proof<'_>, tree: &FilterTree, generated: &Filter) -> Option<Vec<Edit>> {
    let filter = proof.filter();
    let all = align::edits(filter, generated);
    if !proof.holds(&all) {
        return None;
    }
    let mut few = smaller(proof, all);
    if few.len() > 1 {
        few = slip(proof, tree).unwrap_or(few);
    }
    // What is brought nearer may make another edit needless.
    loop {
        let nearer = smaller(proof, refined(proof, few.clone()));
        if nearer == few {
            return Some(few);
        }
        few = nearer;
    }
}

/// Leaves out every edit that is not needed, those first that take something away.
fn smaller(proof: &Proof<'_>, mut edits: Vec<Edit>) -> Vec<Edit> {
    let rank = |edit: &Edit| match edit {
        Edit::Remove(_) => 0,
        Edit::Replace(..) => 1,
        Edit::ToRoot => 2,
        Edit::Insert(..) => 3,
    };
    for wanted in [0, 1, 2, 3] {
        let mut at = 0;
        while at < edits.len() {
            if rank(&edits[at]) == wanted {
                let mut fewer = edits.clone();
                fewer.remove(at);
                if proof.holds(&fewer) {
                    edits = fewer;
                    continue;
                }
            }
            at += 1;
        }
    }
    edits
}

/// The first edit of one rule, as a slip of the hand makes them, that is enough.
fn slip(proof: &Proof<'_>, tree: &FilterTree) -> Option<Vec<Edit>> {
    let filter = proof.filter();
    let own = mutants(tree).into_iter();
    let mut own = own.filter(|mutant| mutant.filter == filter.name);
    own.find_map(|mutant| {
        let changed = mutant.apply(tree);
        let mut filters = changed.filters.iter();
        let changed = filters.find(|other| other.name == filter.name)?;
        let edits = between(filter, changed)?;
        (!edits.is_empty() && proof.holds(&edits)).then_some(edits)
    })
}

/// Changed rules as near as may be to what they were.
fn refined(proof: &Proof<'_>, mut edits: Vec<Edit>) -> Vec<Edit> {
    for at in 0..edits.len() {
        let Edit::Replace(place, changed) = &edits[at] else {
            continue;
        };
        let (place, mut best) = (*place, changed.clone());
        let Entry::Rule(own) = &proof.filter().entries[place] else {
            continue;
        };
        for part in parts(own, &best) {
            let Some(nearer) = with_own(own, &best, &part) else {
                continue;
            };
            let mut tried = edits.clone();
            tried[at] = Edit::Replace(place, nearer.clone());
            if proof.holds(&tried) {
                edits = tried;
                best = nearer;
            }
        }
    }
    edits
}

/// A part of a rule that can be left as it was.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Part {
    Action,
    Direction,
    /// Attributes that belong together: an address with its mask, the ends of a range.
    Attributes(String),
}

/// What an attribute shares with those that it belongs to.
fn stem(name: &str) -> String {
    ["mask", "addr", "start", "end", "from", "to"]
        .iter()
        .fold(name.to_owned(), |stem, ending| {
            stem.strip_suffix(ending).map(str::to_owned).unwrap_or(stem)
        })
}

fn parts(own: &Rule, changed: &Rule) -> Vec<Part> {
    let mut out = Vec::new();
    if own.action != changed.action {
        out.push(Part::Action);
    }
    if own.direction != changed.direction {
        out.push(Part::Direction);
    }
    let ([one], [two]) = (own.elements.as_slice(), changed.elements.as_slice()) else {
        return out;
    };
    for (name, _) in one.attributes.iter().chain(&two.attributes) {
        let part = Part::Attributes(stem(name));
        if name != "comment" && !out.contains(&part) {
            out.push(part);
        }
    }
    out
}

/// The changed rule with one part as it was; none where that is no difference.
fn with_own(own: &Rule, changed: &Rule, part: &Part) -> Option<Rule> {
    let mut out = changed.clone();
    match part {
        Part::Action => out.action = own.action,
        Part::Direction => out.direction = own.direction,
        Part::Attributes(wanted) => {
            let [was] = own.elements.as_slice() else {
                return None;
            };
            let [now] = out.elements.as_mut_slice() else {
                return None;
            };
            if was.protocol != now.protocol || was.positive != now.positive {
                return None;
            }
            let of_part = |(name, _): &(String, String)| stem(name) == *wanted;
            let was: Vec<_> = was
                .attributes
                .iter()
                .filter(|it| of_part(it))
                .cloned()
                .collect();
            now.attributes.retain(|it| !of_part(it));
            now.attributes.extend(was);
        }
    }
    (out != *changed).then_some(out)
}
