//! From the outcomes of a cell's passes to a result for each probe.

use super::record::{FilteredRecord, PassRecord, TrialRecord};
use crate::probe::{Origin, Point, Probe};
use crate::report::model::{Points, ProbeResult, Seen};
use crate::verdict::{
    Observation, Outcome, Verdict, control_outcome, filtered_outcome, judge, reason,
};

/// Whether the trial has shown that it can see a leak; none when not reached.
pub fn leak_check(record: &TrialRecord, results: &[ProbeResult]) -> Option<bool> {
    record.bare_again().map(|_| leak_check_passed(results))
}

/// Turns what was seen into verdicts, in catalogue order. Where the filter was tried both
/// before the first frame and attached to a running guest, the worse verdict counts.
pub fn assess(record: &TrialRecord) -> Vec<ProbeResult> {
    let first = record
        .first_frame
        .as_ref()
        .map(|first_frame| &first_frame.record);
    let Some(first) = record.control.as_ref().or(first) else {
        return Vec::new();
    };
    let all = first.probes.iter().enumerate();
    all.map(|(index, probe)| result(record, index, probe))
        .collect()
}

/// The judgement of one pass with the filter.
struct Judged {
    verdict: Verdict,
    outcome: Outcome,
    note: Option<String>,
    last_seen: Option<Point>,
}

/// The result of the probe with this place in the catalogue.
fn result(record: &TrialRecord, index: usize, probe: &Probe) -> ProbeResult {
    let control = record.control.as_ref();
    let control_outcome = control.map_or(Outcome::Unknown, |control| {
        control_outcome(seen(control, probe))
    });
    let judged = |run: Option<&FilteredRecord>| {
        let own = run.map(|run| (run, &run.record.probes[index]));
        let outcome = own.map_or(Outcome::Unknown, |(run, probe)| {
            filtered_outcome(seen_filtered(run, probe), probe.expect)
        });
        let known_gap = probe.known_gap.is_some();
        let verdict = judge(probe.expect, known_gap, control_outcome, outcome);
        let fault = fault([control, run.map(|run| &run.record)], &probe.id);
        Judged {
            verdict,
            outcome,
            note: note(verdict, probe, control_outcome, outcome, fault),
            last_seen: if verdict == Verdict::Inconclusive && control_outcome != Outcome::Delivered
            {
                // Where it is lost without any filter is where to look.
                control.and_then(|control| control.sightings.last_seen(probe))
            } else {
                own.and_then(|(run, probe)| run.record.sightings.last_seen(probe))
            },
        }
    };
    let first_frame = record.first_frame.as_ref().map(|run| judged(Some(run)));
    let first_frame_outcome = first_frame.as_ref().map(|first_frame| first_frame.outcome);
    let attached = record
        .attached
        .as_ref()
        .map(|attached| judged(attached.filtered.as_ref()));
    let filtered = attached.as_ref().or(first_frame.as_ref());
    let filtered = filtered.map_or(Outcome::Unknown, |judged| judged.outcome);
    let worse = match (first_frame, attached) {
        (Some(first_frame), Some(attached)) => worse(first_frame, attached),
        (first_frame, attached) => first_frame.or(attached).unwrap_or_else(|| judged(None)),
    };
    let leak_check = record.bare_again().filter(|_| probe.in_leak_check());
    ProbeResult {
        id: probe.id.clone(),
        group: probe.group,
        summary: probe.summary.clone(),
        expect: probe.expect,
        control: control_outcome,
        filtered,
        leak_check: leak_check.and_then(|leak_check| leak_check_outcome(leak_check, &probe.id)),
        first_frame: first_frame_outcome,
        verdict: worse.verdict,
        last_seen: worse.last_seen,
        seen: Some(seen_in(record, index, probe)),
        note: worse.note,
    }
}

/// Where the frames of the probe with this place in the catalogue were seen.
fn seen_in(record: &TrialRecord, index: usize, probe: &Probe) -> Seen {
    // What came late behind the filter belongs to the pass that sent it.
    let with_filter = |run: &FilteredRecord| {
        let own = &run.record.probes[index];
        let in_time = run.record.sightings.points(own);
        if !run.late.came_late(own) {
            return in_time;
        }
        let late = run.late.points(own);
        Points::where_seen(|point| in_time.has(point) || late.has(point))
    };
    let attached = record.attached.as_ref();
    Seen {
        control: record.control.as_ref().map(|it| it.sightings.points(probe)),
        filtered: attached
            .and_then(|it| it.filtered.as_ref())
            .map(with_filter),
        first_frame: record.first_frame.as_ref().map(with_filter),
    }
}

/// The worse one of both, with a note where only the first-frame pass had it.
fn worse(first_frame: Judged, attached: Judged) -> Judged {
    if gravity(first_frame.verdict) <= gravity(attached.verdict) {
        return attached;
    }
    let more = first_frame.note.map(|note| format!(": {note}"));
    let note = Some(format!("{ONLY_FIRST_FRAME}{}", more.unwrap_or_default()));
    Judged {
        note,
        ..first_frame
    }
}

/// The note on a verdict that the filtered pass alone would not have come to.
const ONLY_FIRST_FRAME: &str = "with a fresh guest whose NIC had the filter before its first frame";

/// How bad a verdict is.
fn gravity(verdict: Verdict) -> u8 {
    match verdict {
        Verdict::Pass => 0,
        Verdict::KnownGap => 1,
        Verdict::Inconclusive => 2,
        Verdict::Fail(_) => 3,
    }
}

/// The verdict that follows from the outcomes of a result, the worse one where the filter was
/// tried in two ways.
pub fn judged_again(result: &ProbeResult, known_gap: bool) -> Verdict {
    let judged = |outcome| judge(result.expect, known_gap, result.control, outcome);
    let filtered = judged(result.filtered);
    match result.first_frame.map(judged) {
        Some(first_frame) if gravity(first_frame) > gravity(filtered) => first_frame,
        _ => filtered,
    }
}

/// Whether every probe that was sent without the filter again arrived; none were no proof.
pub fn leak_check_passed(probes: &[ProbeResult]) -> bool {
    let mut outcomes = probes
        .iter()
        .filter_map(|probe| probe.leak_check)
        .peekable();
    outcomes.peek().is_some() && outcomes.all(|outcome| outcome == Outcome::Delivered)
}

/// Whether the probes leave nothing to explain.
pub fn is_green(probes: &[ProbeResult]) -> bool {
    probes
        .iter()
        .all(|probe| matches!(probe.verdict, Verdict::Pass | Verdict::KnownGap))
}

/// Why a probe proves nothing: a broken sensor, or a sender that could not send it.
fn fault(passes: [Option<&PassRecord>; 2], id: &str) -> Option<String> {
    let faults = passes.into_iter().flatten();
    let fault = faults.clone().find_map(|record| record.fault.clone());
    fault.or_else(|| {
        let mut refusals = faults.filter_map(|record| record.refused.get(id));
        let why = refusals.next()?;
        Some(format!("its sender could not send it: {why}"))
    })
}

fn seen(record: &PassRecord, probe: &Probe) -> Observation {
    let (arrived, completed) = (record.sightings.arrived(probe), record.completed(probe));
    // An exchange that broke off after its first frame had arrived counts as
    // sent only if the answer was heard leaving the guest.
    let began = !arrived || completed || record.answered(probe);
    let sent = record.sightings.sent(probe);
    let in_order = record.order.is_kept(&record.sightings, probe);
    Observation {
        sent: sent && began,
        // What arrives proves nothing of a frame that was not sent as it was meant.
        arrived: arrived && completed && sent,
        escaped: record.sightings.escaped(probe),
        bounded: record.bounds.cover(probe) && in_order,
        sound: record.fault.is_none(),
    }
}

/// The same with what came after the filtered run: sentinels that were sent
/// once the filter was gone bound it too, and frames that come late belong to it.
fn seen_filtered(run: &FilteredRecord, probe: &Probe) -> Observation {
    let FilteredRecord {
        record,
        late,
        later,
    } = run;
    let seen = seen(record, probe);
    let came_late = late.came_late(probe);
    let in_order = record.order.is_kept(&record.sightings, probe);
    // The kernel shows the sensor what a guest sends and asks the filter in one
    // go, so what is late there has passed it. What was on its way to the guest
    // may have waited until the filter was gone, and proves nothing.
    let passed = came_late && probe.origin == Origin::Guest;
    Observation {
        arrived: seen.arrived || (passed && late.arrived(probe)),
        escaped: seen.escaped || passed,
        bounded: record.bounds.or_later(*later).cover(probe) && in_order && !came_late,
        ..seen
    }
}

fn leak_check_outcome(leak_check: &PassRecord, id: &str) -> Option<Outcome> {
    let probe = leak_check.probes.iter().find(|probe| probe.id == id)?;
    Some(control_outcome(seen(leak_check, probe)))
}

fn note(
    verdict: Verdict,
    probe: &Probe,
    control: Outcome,
    filtered: Outcome,
    fault: Option<String>,
) -> Option<String> {
    match verdict {
        Verdict::KnownGap => probe.known_gap.map(str::to_owned),
        Verdict::Inconclusive => Some(fault.unwrap_or_else(|| reason(control, filtered))),
        Verdict::Pass | Verdict::Fail(_) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::super::VerifyError;
    use super::super::record::AttachedRecord;
    use super::super::sentinels::{Bounds, Order};
    use super::super::watch::Sightings;
    use super::*;
    use crate::frame::Tag;
    use crate::lab::{Direction, Sighted};
    use crate::probe::{Expect, Group, Pass, Sighting, Stimulus};
    use crate::verdict::Failure;
    use rstest::rstest;
    use std::collections::HashMap;

    fn tag(pass: Pass) -> Tag {
        let (run, index) = (1, 7);
        pass.tag(run, index)
    }

    /// A run of one probe for the WAN that must be stopped.
    fn outcome(pass: Pass, places: &[Point]) -> PassRecord {
        let sighting = Sighting::Tag(tag(pass));
        let probe = Probe {
            id: "wan-ipv4/x".into(),
            group: Group::WanIpv4,
            summary: String::new(),
            expect: Expect::Drop,
            known_gap: None,
            any_guest: false,
            origin: Origin::Guest,
            stimulus: Stimulus::Frames(Vec::new()),
            sent: sighting.clone(),
            received: sighting,
            received_at: Point::Wan,
        };
        let mut sightings = Sightings::default();
        for place in places {
            let seen = Sighted {
                direction: Direction::In,
                at_ns: 0,
                checksum_pending: false,
                frame: [&[0; 60][..], &tag(pass).to_bytes()].concat(),
            };
            sightings.add(*place, seen);
        }
        PassRecord {
            probes: vec![probe],
            sightings,
            end: [0; 4],
            bounds: Bounds::ALL,
            order: Order::default(),
            fault: None,
            dhcp: Vec::new(),
            refused: HashMap::new(),
            ssh: None,
            sent_again: Vec::new(),
            learning: None,
        }
    }

    const SENT: &[Point] = &[Point::TapFromGuest];
    const THROUGH: &[Point] = &[Point::TapFromGuest, Point::Wan];
    const LEAK: Verdict = Verdict::Fail(Failure::Leak);

    fn first_frame(places: &[Point], control: Option<&[Point]>) -> TrialRecord {
        TrialRecord {
            first_frame: Some(outcome(Pass::FirstFrame, places).into()),
            control: control.map(|places| outcome(Pass::Control, places)),
            stopped: control
                .is_none()
                .then_some(VerifyError::NoFirmwareAddress { firmware: "iPXE" }),
            ..TrialRecord::default()
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
        #[case] with: &[Point],
        #[case] without: Option<&[Point]>,
        #[case] verdict: Verdict,
        #[case] leak_check: Option<bool>,
    ) {
        let record = first_frame(with, without);
        let results = assess(&record);
        assert_eq!(results[0].verdict, verdict);
        assert_eq!(results[0].first_frame, Some(results[0].filtered));
        assert_eq!(super::leak_check(&record, &results), leak_check);
    }

    #[rstest]
    #[case::both_hold(SENT, SENT, Verdict::Pass, None)]
    #[case::only_before_the_first_frame(THROUGH, SENT, LEAK, Some(ONLY_FIRST_FRAME))]
    #[case::only_attached(SENT, THROUGH, LEAK, None)]
    fn of_both_the_worse_counts(
        #[case] from_the_start: &[Point],
        #[case] put_on_later: &[Point],
        #[case] verdict: Verdict,
        #[case] note: Option<&str>,
    ) {
        let attached = AttachedRecord {
            filtered: Some(outcome(Pass::Filtered, put_on_later).into()),
            leak_check: Some(outcome(Pass::LeakCheck, THROUGH)),
        };
        let record = TrialRecord {
            attached: Some(attached),
            ..first_frame(from_the_start, Some(THROUGH))
        };
        let results = assess(&record);
        assert_eq!(results[0].verdict, verdict);
        assert_eq!(results[0].note.as_deref(), note);
    }

    #[test]
    fn an_attached_run_that_broke_off_is_no_proof() {
        let record = TrialRecord {
            attached: Some(AttachedRecord::default()),
            ..first_frame(SENT, Some(THROUGH))
        };
        let results = assess(&record);
        assert_eq!(results[0].verdict, Verdict::Inconclusive);
        assert_eq!(super::leak_check(&record, &results), None);
    }
}
