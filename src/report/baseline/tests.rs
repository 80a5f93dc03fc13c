//! Baselines: read, written, compared and blessed.

mod comparing;
mod files;

use super::{Accept, Baseline, Date, Observed, bless};
use crate::report::examples;
use crate::report::model::{ProbeResult, Run, Verdict};
use crate::verdict::{Failure, Outcome};

fn day(text: &str) -> Date {
    text.parse().expect("a day")
}

fn today() -> Date {
    day("2026-06-01")
}

/// The example of a red run with two cells and few probes.
fn red() -> Run {
    let mut run = examples::red();
    for cell in &mut run.cells {
        cell.probes.retain(|probe| {
            [
                "dhcp/discover",
                "multicast/ssm-232",
                "wan-ipv4/udp-53",
                "wan-ipv6/udp-53",
                "tunnels/lsrr",
            ]
            .contains(&probe.id.as_str())
        });
    }
    run
}

fn observed(run: &Run) -> Observed {
    Observed::of(run, "run.json").expect("a run with a filter")
}

fn accept(glob: &str, reason: &str) -> Accept {
    Accept::new(glob, None, reason, None).expect("a good pattern")
}

/// All of the red run accepted.
fn blessed() -> Baseline {
    let accepts = [
        accept(
            "multicast/ssm-232",
            "source-specific multicast is not used here",
        ),
        accept("wan-ipv4/*", "the router stops it"),
        accept("wan-ipv6/*", "the LAN has no IPv6"),
    ];
    let done = bless(None, &observed(&red()), &accepts, today());
    assert_eq!(done.left.changes, []);
    done.baseline
}

fn probe<'a>(run: &'a mut Run, cell: usize, id: &str) -> &'a mut ProbeResult {
    let mut probes = run.cells[cell].probes.iter_mut();
    probes.find(|probe| probe.id == id).expect("the probe")
}

fn set(run: &mut Run, cell: usize, id: &str, verdict: Verdict) {
    let probe = probe(run, cell, id);
    probe.verdict = verdict;
    if verdict == Verdict::Inconclusive {
        probe.filtered = Outcome::Lost;
    }
}

const LEAK: Verdict = Verdict::Fail(Failure::Leak);
