//! From the outcomes of a cell's phases to a result for each probe.

use super::judge::{Seen, control_fate, filtered_fate, judge, reason};
use super::phase::{Bounds, Outcome};
use super::watch::Sightings;
use crate::probe::{Origin, Probe};
use crate::report::model::{Fate, ProbeResult, Verdict};

/// A filtered run and what was seen after its end.
pub type Filtered = (Outcome, Sightings);

/// Turns what was seen into verdicts, in catalogue order.
pub fn assess(
    control: &Outcome,
    filtered: Option<&Filtered>,
    teeth: Option<&Outcome>,
) -> Vec<ProbeResult> {
    let later = teeth
        .filter(|teeth| teeth.fault.is_none())
        .map(|teeth| teeth.bounds)
        .unwrap_or_default();
    let results = control.probes.iter().enumerate().map(|(index, probe)| {
        let control_fate = control_fate(seen(control, probe));
        let (filtered_fate, last_seen) = match filtered {
            None => (Fate::Unknown, None),
            Some((filtered, late)) => {
                let probe = &filtered.probes[index];
                let seen = seen_filtered(filtered, late, probe, later);
                (
                    filtered_fate(seen, probe.expect),
                    filtered.sightings.last_seen(probe),
                )
            }
        };
        let residual = probe.residual.is_some();
        let verdict = judge(probe.expect, residual, control_fate, filtered_fate);
        let fault = fault(control, filtered.map(|(outcome, _)| outcome), &probe.id);
        ProbeResult {
            id: probe.id.clone(),
            group: probe.group,
            summary: probe.summary.clone(),
            expect: probe.expect,
            control: control_fate,
            filtered: filtered_fate,
            teeth: teeth.and_then(|teeth| teeth_fate(teeth, &probe.id)),
            verdict,
            last_seen,
            note: note(verdict, probe, control_fate, filtered_fate, fault),
        }
    });
    results.collect()
}

/// Whether every probe that was sent without the filter again arrived; none were no proof.
pub fn has_teeth(probes: &[ProbeResult]) -> bool {
    let mut fates = probes.iter().filter_map(|probe| probe.teeth).peekable();
    fates.peek().is_some() && fates.all(|fate| fate == Fate::Delivered)
}

/// Whether the probes leave nothing to explain.
pub fn is_green(probes: &[ProbeResult]) -> bool {
    probes
        .iter()
        .all(|probe| matches!(probe.verdict, Verdict::Pass | Verdict::Residual))
}

/// Why a probe proves nothing: a broken sensor, or a sender that could not send it.
fn fault(control: &Outcome, filtered: Option<&Outcome>, id: &str) -> Option<String> {
    let faults = [Some(control), filtered].into_iter().flatten();
    let fault = faults.clone().find_map(|outcome| outcome.fault.clone());
    fault.or_else(|| {
        let mut refusals = faults.filter_map(|outcome| outcome.refused.get(id));
        let why = refusals.next()?;
        Some(format!("its sender could not send it: {why}"))
    })
}

fn seen(outcome: &Outcome, probe: &Probe) -> Seen {
    let (arrived, completed) = (outcome.sightings.arrived(probe), outcome.completed(probe));
    // An exchange that broke off after its first frame had arrived counts as
    // sent only if the answer was heard leaving the guest.
    let began = !arrived || completed || outcome.answered(probe);
    Seen {
        near: outcome.sightings.near(probe) && began,
        arrived: arrived && completed,
        escaped: outcome.sightings.escaped(probe),
        bounded: outcome.bounds.cover(probe),
        sound: outcome.fault.is_none(),
    }
}

/// The same with what came after the filtered run: sentinels that were sent
/// once the filter was gone bound it too, and frames that come late belong to it.
fn seen_filtered(outcome: &Outcome, late: &Sightings, probe: &Probe, later: Bounds) -> Seen {
    let seen = seen(outcome, probe);
    let came_late = late.came_late(probe);
    // The kernel shows the sensor what a guest sends and asks the filter in one
    // go, so what is late there has passed it. What was on its way to the guest
    // may have waited until the filter was gone, and proves nothing.
    let passed = came_late && probe.origin == Origin::Guest;
    Seen {
        arrived: seen.arrived || (passed && late.arrived(probe)),
        escaped: seen.escaped || passed,
        bounded: (seen.bounded || later.cover(probe)) && !came_late,
        ..seen
    }
}

fn teeth_fate(teeth: &Outcome, id: &str) -> Option<Fate> {
    let probe = teeth.probes.iter().find(|probe| probe.id == id)?;
    Some(control_fate(seen(teeth, probe)))
}

fn note(
    verdict: Verdict,
    probe: &Probe,
    control: Fate,
    filtered: Fate,
    fault: Option<String>,
) -> Option<String> {
    match verdict {
        Verdict::Residual => probe.residual.map(str::to_owned),
        Verdict::Inconclusive => Some(fault.unwrap_or_else(|| reason(control, filtered))),
        Verdict::Pass | Verdict::Fail(_) => None,
    }
}
