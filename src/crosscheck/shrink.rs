//! The smallest case and the shortest frame over which the two still disagree.

use super::comparison::{
    Disputed, Mismatch, compare, disputed, unfiltered, with_bridge_nf, with_filter,
};
use super::model::{Model, compile};
use crate::lab::{LabError, Pair};
use crate::nwfilter::evaluate::Way;
use crate::nwfilter::{Entry, Filter, Rule};
use crate::random::Case;

/// Takes away whatever the mismatch does not need, with at most `budget` filters bound for
/// that; each takes some tenths of a second.
///
/// # Errors
/// When the lab breaks down.
pub fn shrink(
    pair: &mut Pair,
    mut case: Case,
    mut mismatch: Mismatch,
    model: Model,
    mut budget: usize,
) -> Result<(Case, Mismatch), LabError> {
    if is_unfiltered(&mismatch) {
        case.filters.clear();
        return Ok((case, mismatch));
    }
    loop {
        let mut shorter = None;
        for candidate in candidates(&case) {
            if budget == 0 {
                break;
            }
            budget -= 1;
            let frames = frames(&mismatch);
            let found = compare(pair, &candidate, model, &frames)?.mismatch;
            if let Some(found) = found.filter(|found| is_alike(found, &mismatch)) {
                shorter = Some((candidate, found));
                break;
            }
        }
        let Some(found) = shorter else { break };
        (case, mismatch) = found;
    }
    if let Mismatch::Frame(disputed) = &mismatch {
        mismatch = Mismatch::Frame(shorten(pair, &case, model, disputed)?);
    }
    Ok((case, mismatch))
}

fn is_unfiltered(mismatch: &Mismatch) -> bool {
    matches!(mismatch, Mismatch::Frame(disputed) if !disputed.filtered)
}

fn frames(mismatch: &Mismatch) -> Vec<Vec<u8>> {
    match mismatch {
        Mismatch::Frame(disputed) => vec![disputed.frame.clone()],
        Mismatch::Binding(..) => Vec::new(),
    }
}

/// Whether both disagree the same way round: another bug must not take this one's place.
fn is_alike(found: &Mismatch, wanted: &Mismatch) -> bool {
    match (found, wanted) {
        (Mismatch::Frame(a), Mismatch::Frame(b)) => {
            (a.way, a.filtered, a.passed) == (b.way, b.filtered, b.passed)
        }
        (Mismatch::Binding(a, _), Mismatch::Binding(b, _)) => a.is_some() == b.is_some(),
        _ => false,
    }
}

/// Cases with one thing less, the largest things first.
fn candidates(case: &Case) -> Vec<Case> {
    let mut out = Vec::new();
    for at in 0..case.filters.len().saturating_sub(1) {
        out.push(without_filter(case, at));
    }
    for (filter, parent) in case.filters.iter().enumerate() {
        for at in 0..parent.entries.len() {
            out.push(with(case, filter, |filter| {
                filter.entries.remove(at);
            }));
        }
    }
    for (filter, parent) in case.filters.iter().enumerate() {
        for at in 0..parent.entries.len() {
            match &parent.entries[at] {
                Entry::Reference(reference) if !reference.parameters.is_empty() => {
                    out.push(with(case, filter, |filter| {
                        if let Entry::Reference(reference) = &mut filter.entries[at] {
                            reference.parameters.clear();
                        }
                    }));
                }
                Entry::Reference(_) => {}
                Entry::Rule(rule) => {
                    let rules = simpler(rule).into_iter();
                    out.extend(rules.map(|rule| {
                        with(case, filter, |filter| {
                            filter.entries[at] = Entry::Rule(rule.clone());
                        })
                    }));
                }
            }
        }
        if parent.priority.is_some() {
            out.push(with(case, filter, |filter| filter.priority = None));
        }
        if parent.chain != "root" {
            out.push(with(case, filter, |filter| {
                filter.chain = "root".into();
                filter.priority = None;
            }));
        }
    }
    for at in 0..case.parameters.len() {
        let mut case = case.clone();
        case.parameters.remove(at);
        out.push(case);
    }
    out.into_iter().map(Case::pruned).collect()
}

fn without_filter(case: &Case, at: usize) -> Case {
    let mut case = case.clone();
    let gone = case.filters.remove(at);
    for filter in &mut case.filters {
        filter.entries.retain(
            |entry| !matches!(entry, Entry::Reference(reference) if reference.filter == gone.name),
        );
    }
    case
}

fn with(case: &Case, at: usize, change: impl FnOnce(&mut Filter)) -> Case {
    let mut case = case.clone();
    change(&mut case.filters[at]);
    case
}

/// The rule with one thing less.
fn simpler(rule: &Rule) -> Vec<Rule> {
    let mut out = Vec::new();
    for element in 0..rule.elements.len() {
        let mut less = rule.clone();
        less.elements.remove(element);
        out.push(less);
        for attribute in 0..rule.elements[element].attributes.len() {
            let mut less = rule.clone();
            less.elements[element].attributes.remove(attribute);
            out.push(less);
        }
        if !rule.elements[element].positive {
            let mut less = rule.clone();
            less.elements[element].positive = true;
            out.push(less);
        }
    }
    if rule.priority.is_some() {
        let mut less = rule.clone();
        less.priority = None;
        out.push(less);
    }
    if !rule.statematch {
        let mut less = rule.clone();
        less.statematch = true;
        out.push(less);
    }
    out
}

/// The frame cut as short as it can be, then every byte behind its addresses
/// zero that can be, all under one binding.
fn shorten(
    pair: &mut Pair,
    case: &Case,
    model: Model,
    found: &Disputed,
) -> Result<Disputed, LabError> {
    let Ok(compiled) = compile(case, model) else {
        return Ok(found.clone());
    };
    let compiled = with_bridge_nf(compiled, found.bridge_nf);
    let open = unfiltered(found.bridge_nf);
    // Frames that the bridge itself keeps back would show nothing.
    let smaller = |pair: &mut Pair, frame: &[u8]| -> Result<bool, LabError> {
        let passed = pair.carry(found.way == Way::FromGuest, frame)?;
        let same = passed == found.passed;
        let crosses = disputed(&open, frame, found.way, true) == Some(false);
        Ok(same && crosses && disputed(&compiled, frame, found.way, passed) == Some(true))
    };
    let mut frame = found.frame.clone();
    with_filter(pair, case, |pair, _| {
        for length in 14..frame.len() {
            if smaller(pair, &frame[..length])? {
                frame.truncate(length);
                break;
            }
        }
        for at in 14..frame.len() {
            let byte = std::mem::take(&mut frame[at]);
            if byte != 0 && !smaller(pair, &frame)? {
                frame[at] = byte;
            }
        }
        Ok(())
    })?;
    Ok(Disputed {
        frame,
        ..found.clone()
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::random::Random;
    use crate::random::case;

    fn weight(case: &Case) -> usize {
        let text: String = case.filters.iter().map(crate::nwfilter::write).collect();
        text.len() + case.parameters.len()
    }

    #[test]
    fn every_candidate_is_smaller_or_plainer_and_there_is_an_end() {
        for number in 0..100 {
            let mut case = case(&mut Random::of(9, number));
            // Always taking the first candidate ends with a filter without anything.
            for step in 0.. {
                assert!(step < 200, "no end: {case:?}");
                let Some(next) = candidates(&case).into_iter().next() else {
                    break;
                };
                assert_ne!(next, case);
                case = next;
            }
            assert!(case.filters.iter().all(|filter| filter.entries.is_empty()));
            assert!(weight(&case) < 60, "{case:?}");
        }
    }
}
