//! From the outcomes of a cell's phases to a result for each probe.

use super::judge::{Seen, control_fate, filtered_fate, judge, reason};
use super::phase::{Bounds, Outcome};
use super::watch::Sightings;
use crate::probe::{Origin, Point, Probe};
use crate::report::model::{Fate, ProbeResult, Verdict};

/// A run with the filter.
#[derive(Debug)]
pub struct Filtered {
    /// What it brought to light.
    pub outcome: Outcome,
    /// What was seen after its end.
    pub late: Sightings,
    /// What the sentinels prove that were sent when the filter was gone.
    pub later: Bounds,
}

impl Filtered {
    fn fate(&self, index: usize) -> Fate {
        let probe = &self.outcome.probes[index];
        filtered_fate(seen_filtered(self, probe), probe.expect)
    }

    fn last_seen(&self, index: usize) -> Option<Point> {
        let probe = &self.outcome.probes[index];
        self.outcome.sightings.last_seen(probe)
    }
}

/// Turns what was seen into verdicts, in catalogue order. With an early run, the
/// verdict is the worse one of the two orders in which guest and filter can come.
pub fn assess(
    control: &Outcome,
    filtered: Option<&Filtered>,
    teeth: Option<&Outcome>,
    early: Option<&Filtered>,
) -> Vec<ProbeResult> {
    let results = control.probes.iter().enumerate().map(|(index, probe)| {
        let control_fate = control_fate(seen(control, probe));
        let residual = probe.residual.is_some();
        let judged = |run: Option<&Filtered>| {
            let fate = run.map_or(Fate::Unknown, |run| run.fate(index));
            let verdict = judge(probe.expect, residual, control_fate, fate);
            let fault = fault(control, run.map(|run| &run.outcome), &probe.id);
            let note = note(verdict, probe, control_fate, fate, fault);
            let last_seen = run.and_then(|run| run.last_seen(index));
            (verdict, fate, note, last_seen)
        };
        let (mut verdict, filtered_fate, mut note, mut last_seen) = judged(filtered);
        let early = early.map(|early| judged(Some(early)));
        let early_fate = early.as_ref().map(|early| early.1);
        if let Some(early) = early.filter(|early| gravity(early.0) > gravity(verdict)) {
            let more = early.2.map(|note| format!(": {note}")).unwrap_or_default();
            (verdict, last_seen) = (early.0, early.3);
            note = Some(format!("{ONLY_EARLY}{more}"));
        }
        ProbeResult {
            id: probe.id.clone(),
            group: probe.group,
            summary: probe.summary.clone(),
            expect: probe.expect,
            control: control_fate,
            filtered: filtered_fate,
            teeth: teeth.and_then(|teeth| teeth_fate(teeth, &probe.id)),
            early: early_fate,
            verdict,
            last_seen,
            note,
        }
    });
    results.collect()
}

/// What is said of a verdict that the filtered run alone would not have come to.
const ONLY_EARLY: &str = "with a fresh guest whose NIC had the filter before its first frame";

/// How bad a verdict is.
fn gravity(verdict: Verdict) -> u8 {
    match verdict {
        Verdict::Pass => 0,
        Verdict::Residual => 1,
        Verdict::Inconclusive => 2,
        Verdict::Fail(_) => 3,
    }
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
fn seen_filtered(run: &Filtered, probe: &Probe) -> Seen {
    let Filtered {
        outcome,
        late,
        later,
    } = run;
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
