//! What differs, what that counts for, and what a later blessing makes of it.

use super::{LEAK, accept, blessed, day, observed, probe, red, set, today};
use crate::probe::Expect;
use crate::report::arbitrary;
use crate::report::baseline::{
    Baseline, CELL, Comparison, Date, Kind, Known, Observed, Standing, bless, compare,
};
use crate::report::examples;
use crate::report::model::{CellError, ErrorKind, Run, Skipped, Step, Verdict};
use crate::report::table::{Against, comparison};
use proptest::prelude::*;
use rstest::rstest;

fn compared(baseline: &Baseline, run: &Run, today: Date) -> Comparison {
    compare(&Known::baseline(baseline, today), &observed(run))
}

#[test]
fn the_blessed_run_is_as_before() {
    let found = compared(&blessed(), &red(), today());
    assert_eq!(found.changes, []);
    assert_eq!(found.suspects, []);
    assert_eq!(found.failing_as_before, 5);
    assert_eq!(found.conclusion(true).exit().code(), 0);
}

/// Changes that a run may show, each with the kind it is and the exit codes without and with
/// `--strict`.
fn changed(what: &str) -> Run {
    let mut run = red();
    match what {
        "a leak" => set(&mut run, 0, "wan-ipv4/udp-53", LEAK),
        "a block" => {
            let blocked = Verdict::Fail(crate::verdict::Failure::Blocked);
            set(&mut run, 1, "dhcp/discover", blocked);
        }
        "a fixed leak" => set(&mut run, 0, "wan-ipv6/udp-53", Verdict::Pass),
        "a closed gap" => set(&mut run, 0, "tunnels/lsrr", Verdict::Pass),
        "an unproven pass" => set(&mut run, 0, "wan-ipv4/udp-53", Verdict::Inconclusive),
        "an unproven leak" => set(&mut run, 0, "wan-ipv6/udp-53", Verdict::Inconclusive),
        "a probe gone" => drop(run.cells[0].probes.remove(0)),
        "a probe added" => {
            let mut more = run.cells[0].probes[0].clone();
            more.id = "dhcp/more".into();
            run.cells[0].probes.push(more);
        }
        "a leak added" => {
            let mut more = probe(&mut run, 0, "wan-ipv6/udp-53").clone();
            more.id = "wan-ipv6/more".into();
            run.cells[0].probes.push(more);
        }
        "another wish" => probe(&mut run, 0, "dhcp/discover").expect = Expect::Drop,
        "a cell not selected" => drop(run.cells.remove(1)),
        "a cell skipped" => {
            let name = run.cells.remove(1).name;
            let reason = "QEMU has no such NIC".into();
            run.skipped.push(Skipped { name, reason });
        }
        "a cell broken" => {
            run.cells[1].probes.clear();
            run.cells[1].leak_check = None;
            run.cells[1].error = Some(error(ErrorKind::Cell));
        }
        "a cell on an unfit host" => {
            run.cells[1].probes.clear();
            run.cells[1].error = Some(error(ErrorKind::Host));
        }
        "no leak check" => run.cells[1].leak_check = Some(false),
        "a flaky cell" => run.cells[1].flaky = Some("it passed on try 2".into()),
        "a cell added" => {
            let mut more = run.cells[0].clone();
            more.name = "linux/e1000".into();
            run.cells.push(more);
        }
        "nothing judged" => run.cells.clear(),
        _ => unreachable!("{what}"),
    }
    run
}

fn error(kind: ErrorKind) -> CellError {
    CellError {
        step: Step::Boot,
        message: "it did not boot".into(),
        kind,
    }
}

#[rstest]
#[case::a_leak("a leak", &[Kind::NewLeak], (1, 1))]
#[case::a_block("a block", &[Kind::NewBlock], (1, 1))]
#[case::a_fixed_leak("a fixed leak", &[Kind::Fixed], (0, 1))]
#[case::a_closed_gap("a closed gap", &[Kind::Fixed], (0, 1))]
#[case::an_unproven_pass("an unproven pass", &[Kind::NewlyInconclusive], (5, 5))]
#[case::an_unproven_leak("an unproven leak", &[Kind::NewlyInconclusive], (5, 5))]
#[case::a_probe_gone("a probe gone", &[Kind::Gone], (5, 5))]
#[case::a_probe_added("a probe added", &[Kind::Added], (0, 1))]
#[case::a_leak_added("a leak added", &[Kind::NewLeak], (1, 1))]
#[case::another_wish("another wish", &[Kind::OtherWish], (0, 1))]
#[case::a_cell_not_selected("a cell not selected", &[Kind::NotRun], (5, 5))]
#[case::a_cell_skipped("a cell skipped", &[Kind::NotRun], (5, 5))]
#[case::a_cell_broken("a cell broken", &[Kind::NotRun], (5, 5))]
#[case::an_unfit_host("a cell on an unfit host", &[Kind::NotRun], (3, 3))]
#[case::no_leak_check("no leak check", &[Kind::NewlyInconclusive], (5, 5))]
#[case::a_flaky_cell("a flaky cell", &[Kind::NewlyInconclusive], (5, 5))]
#[case::a_cell_added("a cell added", &[Kind::NewLeak, Kind::NewBlock, Kind::Added], (1, 1))]
#[case::nothing_judged("nothing judged", &[Kind::NotRun, Kind::NotRun], (5, 5))]
fn each_change_is_told_and_counts(
    #[case] what: &str,
    #[case] kinds: &[Kind],
    #[case] (code, strict): (u8, u8),
) {
    let found = compared(&blessed(), &changed(what), today());
    let told: Vec<Kind> = found.changes.iter().map(|change| change.kind).collect();
    assert_eq!(told, kinds, "{:?}", found.changes);
    assert_eq!(found.conclusion(false).exit().code(), code);
    // What is better fails only where the baseline is to say what is.
    assert_eq!(found.conclusion(true).exit().code(), strict);
}

#[test]
fn what_is_printed_of_changes() {
    let mut run = changed("a leak");
    set(&mut run, 0, "wan-ipv6/udp-53", Verdict::Pass);
    set(&mut run, 1, "tunnels/lsrr", Verdict::Inconclusive);
    run.cells[1].leak_check = Some(false);
    run.identity = Some(examples::identity("77"));
    run.filter.rules = 6;
    run.host.kernel = "6.12".into();
    run.host.qemu = String::new();
    let found = compared(&blessed(), &run, today());
    let against = Against {
        name: "b.toml",
        strict: false,
    };
    insta::assert_snapshot!(comparison(&found, against, false));
}

#[rstest]
#[case::on_its_last_day("2026-12-31", &[])]
#[case::a_day_later("2027-01-01", &[Kind::Expired; 2])]
fn an_entry_expires(#[case] today: &str, #[case] kinds: &[Kind]) {
    let expires = Some(day("2026-12-31"));
    let accept = crate::report::baseline::Accept::new("wan-ipv6/*", None, "for now", expires);
    let accepts = [accept.expect("a pattern")];
    let baseline = bless(
        Some(&blessed()),
        &observed(&red()),
        &accepts,
        super::today(),
    )
    .baseline;
    let found = compared(&baseline, &red(), day(today));
    let told: Vec<Kind> = found.changes.iter().map(|change| change.kind).collect();
    assert_eq!(told, kinds);
    let code = u8::from(!kinds.is_empty());
    assert_eq!(found.conclusion(false).exit().code(), code);
}

#[test]
fn what_is_not_proven_can_be_accepted_by_name_only() {
    let mut run = changed("an unproven pass");
    run.cells[1].probes.clear();
    run.cells[1].leak_check = None;
    run.cells[1].error = Some(error(ErrorKind::Cell));
    let unnamed = bless(Some(&blessed()), &observed(&run), &[], today());
    let left: Vec<Kind> = unnamed.left.changes.iter().map(|it| it.kind).collect();
    assert_eq!(left, [Kind::NewlyInconclusive, Kind::NotRun]);
    assert_eq!(unnamed.baseline.accepted, blessed().accepted);
    let accepts = [
        accept("wan-ipv4/udp-53", "the sensor is slow here"),
        accept(CELL, "this NIC does not boot here"),
    ];
    let named = bless(Some(&blessed()), &observed(&run), &accepts, today());
    assert_eq!(named.left.changes, []);
    let found = compared(&named.baseline, &run, today());
    assert_eq!(found.conclusion(false).exit().code(), 0);
    assert_eq!(found.unproven_as_before, 2);
    // An unfit host is never accepted.
    run.cells[1].error = Some(error(ErrorKind::Host));
    let found = compared(&named.baseline, &run, today());
    assert_eq!(found.conclusion(false).exit().code(), 3);
}

#[test]
fn blessing_takes_over_what_is_better_and_never_what_is_worse() {
    let mut run = changed("a leak");
    set(&mut run, 1, "wan-ipv6/udp-53", Verdict::Pass);
    run.identity = Some(examples::identity("77"));
    let done = bless(Some(&blessed()), &observed(&run), &[], today());
    let name = |cell: &str, probe: &str| (cell.to_owned(), probe.to_owned());
    assert_eq!(done.dropped, [name("linux/virtio", "wan-ipv6/udp-53")]);
    assert_eq!(done.accepted, []);
    let again = compared(&done.baseline, &run, today());
    let told: Vec<Kind> = again.changes.iter().map(|change| change.kind).collect();
    assert_eq!(told, [Kind::NewLeak]);
    assert_eq!(again.changes[0].before, Some(Standing::Pass));
    // The filter is still told as the suspect.
    assert_eq!(again.suspects.len(), 1, "{:?}", again.suspects);
    let accepts = [accept("wan-ipv4/udp-53", "it is meant")];
    let done = bless(Some(&done.baseline), &observed(&run), &accepts, today());
    let again = compared(&done.baseline, &run, today());
    assert_eq!((again.changes, again.suspects), (vec![], vec![]));
    // Who accepted the rest, and why, has not changed.
    let kept = name("linux/pcnet", "multicast/ssm-232");
    assert_eq!(done.baseline.accepted[&kept], blessed().accepted[&kept]);
}

#[test]
fn a_name_that_accepts_nothing_is_told() {
    let accepts = [accept("dhcp/*", "it is slow")];
    let done = bless(None, &observed(&red()), &accepts, today());
    assert_eq!(done.idle, ["dhcp/*"]);
}

#[test]
fn another_partition_is_no_lost_cell() {
    let mut run = red();
    run.matrix = run.cells.iter().map(|cell| cell.name.clone()).collect();
    run.cells.remove(1);
    let found = compared(&blessed(), &run, today());
    assert_eq!((found.changes, found.elsewhere), (vec![], 1));
}

#[test]
fn two_runs_are_compared_without_a_baseline() {
    let known = Known::run(&observed(&red()));
    let found = compare(&known, &observed(&changed("a leak")));
    let told: Vec<Kind> = found.changes.iter().map(|change| change.kind).collect();
    assert_eq!(told, [Kind::NewLeak]);
    let back = compare(
        &Known::run(&observed(&changed("a leak"))),
        &observed(&red()),
    );
    assert_eq!(back.changes[0].kind, Kind::Fixed);
    assert_eq!(back.conclusion(false).exit().code(), 0);
}

/// Whether everything that stands in a run is good or accepted, and nothing of the baseline is
/// missing, told in another way than the comparison does it.
fn is_covered(baseline: &Baseline, now: &Observed, today: Date) -> bool {
    let good = |cell: &String, id: &String, standing: Standing| {
        let entry = baseline.accepted.get(&(cell.clone(), id.clone()));
        let is_accepted =
            entry.is_some_and(|entry| entry.standing == standing && !entry.has_expired(today));
        let had_gap = entry.is_some_and(|entry| entry.standing != Standing::Pass);
        let was_there = baseline
            .cells
            .get(cell)
            .is_some_and(|it| it.contains_key(id));
        match standing {
            Standing::Pass => true,
            Standing::KnownGap => {
                is_accepted
                    || had_gap && entry.map(|it| it.standing) != Some(Standing::KnownGap)
                    || !was_there
            }
            _ => is_accepted,
        }
    };
    let all_good = now.cells.iter().all(|(cell, probes)| {
        probes
            .iter()
            .all(|(id, probe)| good(cell, id, probe.standing))
    });
    let all_there = baseline.cells.iter().all(|(cell, probes)| {
        let broken = |id: &str| {
            let entry = baseline.accepted.get(&(cell.clone(), id.to_owned()));
            entry.is_some_and(|entry| !entry.has_expired(today))
        };
        now.cells
            .get(cell)
            .is_some_and(|now| probes.keys().all(|id| now.contains_key(id)) || broken(CELL))
    });
    all_good && all_there
}

proptest! {
    #[test]
    fn nothing_is_as_before_that_is_not(
        mut first in arbitrary::run(),
        mut second in arbitrary::run(),
        mixed in 0_usize..3,
        day in 1_u8..28,
    ) {
        for run in [&mut first, &mut second] {
            run.filter.name = Some("f".into());
            run.identity = Some(examples::identity("5f"));
        }
        if mixed > 0 {
            second.cells.truncate(mixed - 1);
            second.cells.extend(first.cells.iter().skip(mixed - 1).cloned());
        }
        let today = super::day(&format!("2026-03-{day:02}"));
        let rows: Vec<String> = observed(&first).cells.values().flat_map(|it| it.keys().cloned()).collect();
        let expires = Some(super::day("2026-03-14"));
        let accepts = rows.iter().filter_map(|id| {
            super::super::Accept::new(&glob::Pattern::escape(id), None, "because", expires).ok()
        });
        let accepts: Vec<_> = accepts.collect();
        let baseline = bless(None, &observed(&first), &accepts, today).baseline;
        let now = observed(&second);
        let found = compare(&Known::baseline(&baseline, today), &now);
        if found.conclusion(false).exit().code() == 0 {
            prop_assert!(is_covered(&baseline, &now, today), "{:?}", found.changes);
        }
    }
}
