//! From what is observed, and from what people accept of it by name, to a baseline.

use super::accept::Accept;
use super::compare::{Comparison, compare};
use super::date::Date;
use super::file::{Baseline, Entry};
use super::known::Known;
use super::observed::{CELL, LEAK_CHECK, Observed, Probe};
use super::standing::Standing;
use super::within::within;
use std::collections::BTreeMap;

/// Why a known gap is accepted unasked: a run without a baseline is green with it too.
const KNOWN_GAP: &str = "no nwfilter can do what the policy wants";

/// A baseline to write, and what became of what was asked.
#[derive(Debug)]
pub struct Blessed {
    /// The baseline.
    pub baseline: Baseline,
    /// Entries that were not there before, or that have another reason or day.
    pub accepted: Vec<(String, String)>,
    /// Entries that are there no more, since nothing is wrong or the probe is gone.
    pub dropped: Vec<(String, String)>,
    /// Globs that name nothing that is wrong.
    pub idle: Vec<String>,
    /// What the run still has that the new baseline does not accept.
    pub left: Comparison,
}

/// What is accepted where nothing was before.
fn fresh(observed: &Observed) -> Baseline {
    Baseline {
        subject: observed.subject.clone(),
        facts: observed.facts.clone(),
        cells: BTreeMap::new(),
        accepted: BTreeMap::new(),
    }
}

/// Makes a baseline of what is observed. What is as the policy wants it, and a known gap that was
/// not closed before, is taken as it is; an entry of the old baseline that is still so is kept;
/// whatever else is wrong or not proven is accepted only where `accepts` names it. A cell that
/// was not run, and what was good and is not accepted now, stays as it was.
///
/// The facts, from which suspects are told, become those of the run only where nothing is left
/// that the baseline does not accept: else what changed before would be told from the wrong ones.
pub fn bless(
    old: Option<&Baseline>,
    observed: &Observed,
    accepts: &[Accept],
    today: Date,
) -> Blessed {
    let start = old.cloned().unwrap_or_else(|| fresh(observed));
    let observed = &within(observed, &Known::baseline(&start, today));
    let mut new = Baseline {
        subject: observed.subject.clone(),
        ..start.clone()
    };
    let mut used = vec![false; accepts.len()];
    for (cell, probes) in &observed.cells {
        let is_judged = probes
            .keys()
            .any(|id| ![CELL, LEAK_CHECK].contains(&id.as_str()));
        if is_judged {
            // What is gone is gone with its entry.
            new.cells.insert(cell.clone(), BTreeMap::new());
            new.accepted
                .retain(|(of, id), _| of != cell || probes.contains_key(id));
        }
        for (id, probe) in probes {
            let named = accepts.iter().rposition(|accept| accept.names(cell, id));
            let named = named.filter(|_| needs_entry(probe));
            if let Some(at) = named {
                used[at] = true;
            }
            let accept = named.map(|at| &accepts[at]);
            one(&mut new, &start, (cell, id), probe, accept);
        }
    }
    let known = Known::baseline(&new, today);
    let left = compare(&known, observed);
    let changed = left.changes.is_empty();
    if changed {
        new.facts = observed.facts.clone();
    }
    let differs =
        |(name, entry): &(&(String, String), &Entry)| start.accepted.get(*name) != Some(*entry);
    let accepted = new.accepted.iter().filter(differs);
    let accepted = accepted.map(|(name, _)| name.clone()).collect();
    let dropped = start.accepted.keys();
    let dropped = dropped.filter(|name| !new.accepted.contains_key(*name));
    let idle = accepts.iter().zip(&used).filter(|(_, used)| !**used);
    Blessed {
        accepted,
        dropped: dropped.cloned().collect(),
        idle: idle.map(|(accept, _)| accept.glob().to_owned()).collect(),
        left,
        baseline: new,
    }
}

/// Whether a probe is otherwise than the policy wants it.
fn needs_entry(probe: &Probe) -> bool {
    probe.standing != Standing::Pass
}

/// Takes one probe of one cell over.
fn one(
    new: &mut Baseline,
    old: &Baseline,
    (cell, id): (&str, &str),
    probe: &Probe,
    accept: Option<&Accept>,
) {
    let name = (cell.to_owned(), id.to_owned());
    let is_own = [CELL, LEAK_CHECK].contains(&id);
    let is_found = new.subject.verb.is_found(id);
    let was = old.cells.get(cell);
    let was_there = was.is_some_and(|probes| is_own || probes.contains_key(id));
    let entry = old.accepted.get(&name);
    let is_same = entry.is_some_and(|entry| entry.standing == probe.standing);
    let gap = probe.standing == Standing::KnownGap && (!was_there || entry.is_some());
    let judged = |new: &mut Baseline, expect| {
        let probes = new.cells.entry(cell.to_owned()).or_default();
        if !is_own {
            probes.insert(id.to_owned(), expect);
        }
    };
    if let Some(accept) = accept {
        judged(new, probe.expect);
        let entry = Entry {
            standing: probe.standing,
            reason: accept.reason.clone(),
            expires: accept.expires,
        };
        new.accepted.insert(name, entry);
    } else if !needs_entry(probe) {
        if !is_found {
            judged(new, probe.expect);
        }
        new.accepted.remove(&name);
    } else if is_same {
        judged(new, probe.expect);
    } else if gap {
        judged(new, probe.expect);
        let entry = Entry {
            standing: Standing::KnownGap,
            reason: KNOWN_GAP.to_owned(),
            expires: None,
        };
        new.accepted.insert(name, entry);
    } else if was_there && !is_own {
        // What was known of it stays known.
        let expect = was.and_then(|probes| probes.get(id)).copied();
        judged(new, expect.unwrap_or(probe.expect));
    }
}
