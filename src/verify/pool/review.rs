//! Whether a worker's report of a cell is whole and says what follows from what was seen. The
//! coordinator makes the catalogue itself, so that a worker that lost a part of it, or of its
//! results, cannot look green.

use crate::guest::{GuestKind, quirk};
use crate::layout::{Lan, Layout};
use crate::policy::Policy;
use crate::probe::{Pass, Probe, firmware_catalogue};
use crate::report::model::{Cell, Outcome, ProbeResult};
use crate::verify::assess::judged_again;
use crate::verify::catalogue;
use crate::verify::job::{CellPlan, Job};
use std::collections::HashSet;

/// Results of the DHCP clients of other systems, which come after the catalogue's.
const CLIENTS: &str = "dhcp/client-";

/// What is wrong with the report of a cell that a worker was given; none when all is well.
pub fn review(job: &Job, plan: &CellPlan, cell: &Cell) -> Option<String> {
    if (&cell.name, &cell.nic) != (&plan.name, &plan.nic) {
        return Some(format!(
            "was given {} and reported {}",
            plan.name, cell.name
        ));
    }
    let mut ids = HashSet::new();
    let twice = cell.probes.iter().find(|result| !ids.insert(&result.id));
    if let Some(result) = twice {
        return Some(format!("reported {} twice", result.id));
    }
    // What ended early, or was only to boot, lacks what it did not come to.
    if cell.error.is_some() || job.boot_only {
        return None;
    }
    let wanted = wanted(job, plan)?;
    let results = cell.probes.iter();
    let results: Vec<&ProbeResult> = results.filter(|it| !it.id.starts_with(CLIENTS)).collect();
    differs(&wanted, &results, cell.leak_check == Some(true))
}

/// The probes of a cell; none where the worker alone knows.
fn wanted(job: &Job, plan: &CellPlan) -> Option<Vec<Probe>> {
    let policy = Policy::parse(&job.policy, &job.policy_origin).ok()?;
    let lan = Lan::for_lab(&policy, job.address).ok()?;
    let lan = lan.with_guest_mac(job.mac);
    let layout: Layout = lan.layout(1, quirk(&plan.nic).mac_octet);
    match plan.guest {
        GuestKind::Linux | GuestKind::Tap => {
            Some(catalogue::probes(job, &policy, &layout, (0, Pass::Control)))
        }
        GuestKind::Ipxe
        | GuestKind::Grub
        | GuestKind::Uboot
        | GuestKind::Edk2
        | GuestKind::Edk2Pxe
        | GuestKind::Edk2Http => {
            let shows = plan.guest.shows();
            Some(firmware_catalogue(&policy, &layout, shows, str::to_owned))
        }
        GuestKind::Foreign(_) => None,
    }
}

/// What is wrong with the results; `leak_check` says that the cell claims to have passed it.
fn differs(wanted: &[Probe], results: &[&ProbeResult], leak_check: bool) -> Option<String> {
    if wanted.len() != results.len() {
        let (found, all) = (results.len(), wanted.len());
        return Some(format!("reported {found} results of {all}"));
    }
    let mut pairs = wanted.iter().zip(results);
    pairs.find_map(|(probe, result)| {
        let id = &result.id;
        if (&probe.id, probe.expect) != (id, result.expect) {
            return Some(format!("reported {id} in the place of {}", probe.id));
        }
        let proven = result.leak_check == Some(Outcome::Delivered);
        if leak_check && probe.in_leak_check() && !proven {
            return Some(format!("reported a leak check that {id} did not pass"));
        }
        let verdict = judged_again(result, probe.known_gap.is_some());
        (verdict != result.verdict).then(|| {
            let (said, word) = (result.verdict.word(), verdict.word());
            format!("reported {id} as {said}, and what was seen is {word}")
        })
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::model::Verdict;
    use crate::verdict::Failure;
    use crate::verify::{Cache, FilterUnderTest};
    use rstest::rstest;

    const POLICY: &str = include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/lanfence.toml"));

    /// A cell of the tap test in which all is well.
    fn green(job: &Job) -> Cell {
        let plan = CellPlan::tap();
        let result = |probe: Probe| ProbeResult {
            id: probe.id.clone(),
            group: probe.group,
            summary: String::new(),
            expect: probe.expect,
            control: Outcome::Delivered,
            filtered: match probe.expect {
                crate::probe::Expect::Pass => Outcome::Delivered,
                crate::probe::Expect::Drop => Outcome::Dropped,
            },
            leak_check: probe.in_leak_check().then_some(Outcome::Delivered),
            first_frame: None,
            verdict: Verdict::Pass,
            last_seen: None,
            seen: None,
            note: None,
        };
        let wanted = wanted(job, &plan).expect("a catalogue");
        Cell {
            probes: wanted.into_iter().map(result).collect(),
            leak_check: Some(true),
            ..plan.cell()
        }
    }

    #[rstest]
    #[case::whole(|_: &mut Cell| {}, None)]
    #[case::another_cell(|cell: &mut Cell| cell.name.push('2'), Some("was given tap/raw"))]
    #[case::a_result_less(|cell: &mut Cell| drop(cell.probes.pop()), Some("results of"))]
    #[case::a_result_twice(|cell: &mut Cell| cell.probes[1] = cell.probes[0].clone(), Some("twice"))]
    #[case::another_order(|cell: &mut Cell| cell.probes.swap(0, 1), Some("in the place of"))]
    #[case::a_leak_that_passes(|cell: &mut Cell| cell.probes[200].filtered = Outcome::Unknown, Some("what was seen is"))]
    #[case::a_leak_of_nothing(|cell: &mut Cell| cell.probes[200].verdict = Verdict::Fail(Failure::Leak), Some("as leak"))]
    #[case::no_leak_check(|cell: &mut Cell| cell.probes.iter_mut().for_each(|it| it.leak_check = None), Some("leak check"))]
    fn reports(#[case] spoil: fn(&mut Cell), #[case] words: Option<&str>) {
        let dir = tempfile::tempdir().expect("a directory");
        let cache = Cache::at(dir.path());
        let policy = Policy::parse(POLICY, "lanfence.toml").expect("a policy");
        let filter = FilterUnderTest::generated(&policy, "lanfence.toml");
        let job = Job::new((POLICY, "lanfence.toml"), &filter, &cache).expect("a job");
        let mut cell = green(&job);
        spoil(&mut cell);
        let problem = review(&job, &CellPlan::tap(), &cell);
        assert_eq!(problem.is_some(), words.is_some(), "{problem:?}");
        if let (Some(problem), Some(words)) = (problem, words) {
            assert!(problem.contains(words), "{problem}");
        }
    }
}
