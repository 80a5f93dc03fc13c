//! From the outcomes of a cell's phases to a result for each probe.

use super::judge::{Seen, control_fate, filtered_fate, judge, reason};
use super::phase::{Bounds, Outcome};
use super::trial::Runs;
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

impl From<Outcome> for Filtered {
    /// A run that is not over: nothing has come after it yet.
    fn from(outcome: Outcome) -> Self {
        Self {
            outcome,
            late: Sightings::default(),
            later: Bounds::default(),
        }
    }
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

/// Turns what was seen into verdicts, in catalogue order. Where the filter came in
/// both orders, the verdict is the worse one.
pub fn assess(runs: &Runs) -> Vec<ProbeResult> {
    let first = runs.early.as_ref().map(|early| &early.outcome);
    let Some(first) = runs.control.as_ref().or(first) else {
        return Vec::new();
    };
    let all = first.probes.iter().enumerate();
    all.map(|(index, probe)| result(runs, index, probe))
        .collect()
}

/// What is to be said of one run with the filter.
struct Judged {
    verdict: Verdict,
    fate: Fate,
    note: Option<String>,
    last_seen: Option<Point>,
}

/// The result of the probe with this place in the catalogue.
fn result(runs: &Runs, index: usize, probe: &Probe) -> ProbeResult {
    let control = runs.control.as_ref();
    let control_fate = control.map_or(Fate::Unknown, |control| control_fate(seen(control, probe)));
    let judged = |run: Option<&Filtered>| {
        let fate = run.map_or(Fate::Unknown, |run| run.fate(index));
        let residual = probe.residual.is_some();
        let verdict = judge(probe.expect, residual, control_fate, fate);
        let fault = fault([control, run.map(|run| &run.outcome)], &probe.id);
        Judged {
            verdict,
            fate,
            note: note(verdict, probe, control_fate, fate, fault),
            last_seen: if verdict == Verdict::Inconclusive && control_fate != Fate::Delivered {
                // Where it is lost without any filter is where to look.
                control.and_then(|control| control.sightings.last_seen(probe))
            } else {
                run.and_then(|run| run.last_seen(index))
            },
        }
    };
    let early = runs.early.as_ref().map(|run| judged(Some(run)));
    let early_fate = early.as_ref().map(|early| early.fate);
    let live = runs
        .live
        .as_ref()
        .map(|live| judged(live.filtered.as_ref()));
    let filtered = live.as_ref().or(early.as_ref());
    let filtered = filtered.map_or(Fate::Unknown, |judged| judged.fate);
    let worse = match (early, live) {
        (Some(early), Some(live)) => worse(early, live),
        (early, live) => early.or(live).unwrap_or_else(|| judged(None)),
    };
    let teeth = runs.bare_again().filter(|_| probe.wants_teeth());
    ProbeResult {
        id: probe.id.clone(),
        group: probe.group,
        summary: probe.summary.clone(),
        expect: probe.expect,
        control: control_fate,
        filtered,
        teeth: teeth.and_then(|teeth| teeth_fate(teeth, &probe.id)),
        early: early_fate,
        verdict: worse.verdict,
        last_seen: worse.last_seen,
        note: worse.note,
    }
}

/// The worse one of both orders, which says so where it was the early run's alone.
fn worse(early: Judged, live: Judged) -> Judged {
    if gravity(early.verdict) <= gravity(live.verdict) {
        return live;
    }
    let more = early.note.map(|note| format!(": {note}"));
    let note = Some(format!("{ONLY_EARLY}{}", more.unwrap_or_default()));
    Judged { note, ..early }
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
fn fault(runs: [Option<&Outcome>; 2], id: &str) -> Option<String> {
    let faults = runs.into_iter().flatten();
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

#[cfg(test)]
mod tests {
    use super::super::VerifyError;
    use super::super::trial::Live;
    use super::super::watch::Place;
    use super::*;
    use crate::frame::{Phase, Tag};
    use crate::lab::{Direction, Sighted};
    use crate::probe::{Expect, Group, Sighting, Stimulus};
    use crate::report::model::Failure;
    use rstest::rstest;
    use std::collections::HashMap;

    fn tag(phase: Phase) -> Tag {
        let (run, index) = (1, 7);
        Tag { run, phase, index }
    }

    /// A run of one probe for the WAN that must be stopped.
    fn outcome(phase: Phase, places: &[Place]) -> Outcome {
        let sighting = Sighting::Tag(tag(phase));
        let probe = Probe {
            id: "wan-ipv4/x".into(),
            group: Group::WanIpv4,
            summary: String::new(),
            expect: Expect::Drop,
            residual: None,
            origin: Origin::Guest,
            stimulus: Stimulus::Frames(Vec::new()),
            near: sighting.clone(),
            near_at: Point::TapFromGuest,
            far: sighting,
            far_at: Point::Wan,
        };
        let mut sightings = Sightings::default();
        for place in places {
            let seen = Sighted {
                direction: Direction::In,
                at_ns: 0,
                checksum_pending: false,
                frame: [&[0; 60][..], &tag(phase).to_bytes()].concat(),
            };
            sightings.add(*place, seen);
        }
        Outcome {
            probes: vec![probe],
            sightings,
            end: [0; 4],
            bounds: Bounds::ALL,
            fault: None,
            dhcp: Vec::new(),
            refused: HashMap::new(),
            ssh: None,
        }
    }

    const SENT: &[Place] = &[Place::At(Point::TapFromGuest)];
    const THROUGH: &[Place] = &[Place::At(Point::TapFromGuest), Place::At(Point::Wan)];
    const LEAK: Verdict = Verdict::Fail(Failure::Leak);

    fn early(places: &[Place], control: Option<&[Place]>) -> Runs {
        Runs {
            early: Some(outcome(Phase::Early, places).into()),
            control: control.map(|places| outcome(Phase::Control, places)),
            stopped: control
                .is_none()
                .then(|| VerifyError::Cell("it broke".into())),
            ..Runs::default()
        }
    }

    #[rstest]
    #[case::stopped(SENT, Some(THROUGH), Verdict::Pass, Some(true))]
    #[case::through(THROUGH, Some(THROUGH), LEAK, Some(true))]
    #[case::never_sent(&[], Some(THROUGH), Verdict::Inconclusive, Some(true))]
    #[case::stopped_without_the_filter_too(SENT, Some(SENT), Verdict::Inconclusive, Some(false))]
    #[case::a_leak_and_no_control(THROUGH, None, LEAK, None)]
    #[case::stopped_and_no_control(SENT, None, Verdict::Inconclusive, None)]
    fn the_filter_from_the_start_and_then_none(
        #[case] with: &[Place],
        #[case] without: Option<&[Place]>,
        #[case] verdict: Verdict,
        #[case] teeth: Option<bool>,
    ) {
        let runs = early(with, without);
        let results = runs.results();
        assert_eq!(results[0].verdict, verdict);
        assert_eq!(results[0].early, Some(results[0].filtered));
        assert_eq!(runs.has_teeth(&results), teeth);
    }

    #[rstest]
    #[case::both_hold(SENT, SENT, Verdict::Pass, None)]
    #[case::only_early(THROUGH, SENT, LEAK, Some(ONLY_EARLY))]
    #[case::only_live(SENT, THROUGH, LEAK, None)]
    fn of_both_orders_the_worse_counts(
        #[case] from_the_start: &[Place],
        #[case] put_on_later: &[Place],
        #[case] verdict: Verdict,
        #[case] note: Option<&str>,
    ) {
        let live = Live {
            filtered: Some(outcome(Phase::Filtered, put_on_later).into()),
            teeth: Some(outcome(Phase::Teeth, THROUGH)),
        };
        let runs = Runs {
            live: Some(live),
            ..early(from_the_start, Some(THROUGH))
        };
        let results = runs.results();
        assert_eq!(results[0].verdict, verdict);
        assert_eq!(results[0].note.as_deref(), note);
    }

    #[test]
    fn a_live_run_that_broke_off_is_no_proof() {
        let runs = Runs {
            live: Some(Live::default()),
            ..early(SENT, Some(THROUGH))
        };
        let results = runs.results();
        assert_eq!(results[0].verdict, Verdict::Inconclusive);
        assert_eq!(runs.has_teeth(&results), None);
    }
}
