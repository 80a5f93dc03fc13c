//! Whether a worker's report of a cell is whole and says what follows from what was seen. The
//! coordinator makes the catalogue itself, so that a worker that lost a part of it, or of its
//! results, cannot look green.

use crate::guest::{GuestKind, quirk};
use crate::layout::{Lan, Layout};
use crate::nwfilter::learning::given_address;
use crate::policy::Policy;
use crate::probe::{Pass, Probe, firmware_catalogue};
use crate::report::model::{Cell, ProbeResult};
use crate::verify::assess::{judged_again, leak_check_passed};
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
    differs(&wanted, &results).or_else(|| {
        let passed = leak_check_passed(&cell.probes);
        let claims = cell.leak_check == Some(true);
        (claims && !passed).then(|| "reported a leak check that was not passed".into())
    })
}

/// The probes of a cell; none where the worker alone knows.
fn wanted(job: &Job, plan: &CellPlan) -> Option<Vec<Probe>> {
    let policy = Policy::parse(&job.policy, &job.policy_origin).ok()?;
    let lan = Lan::for_lab(&policy, given_address(&job.parameters)).ok()?;
    let layout: Layout = lan.layout(1, quirk(&plan.nic).mac_octet);
    match plan.guest {
        GuestKind::Linux | GuestKind::Tap => {
            Some(catalogue::probes(job, &policy, &layout, (0, Pass::Control)))
        }
        GuestKind::Ipxe => Some(firmware_catalogue(&policy, &layout, str::to_owned)),
        GuestKind::Foreign(_) => None,
    }
}

fn differs(wanted: &[Probe], results: &[&ProbeResult]) -> Option<String> {
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
        if probe.in_leak_check() != result.leak_check.is_some() && result.leak_check.is_some() {
            return Some(format!("reported a leak check of {id}"));
        }
        let verdict = judged_again(result, probe.known_gap.is_some());
        (verdict != result.verdict).then(|| {
            let (said, word) = (result.verdict.word(), verdict.word());
            format!("reported {id} as {said}, and what was seen is {word}")
        })
    })
}
