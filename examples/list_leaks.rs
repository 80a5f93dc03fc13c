//! Checks a filter against a policy and lists its leaks: the probes that the policy forbids
//! and the filter accepts. No guest runs; `lanfence check` does the same and says more.
//!
//! ```sh
//! cargo run --no-default-features --example list_leaks -- \
//!     lanfence.toml examples/no-out-traffic.xml
//! ```

use lanfence::layout::Layout;
use lanfence::nwfilter::evaluate::{Backend, Decision, Way};
use lanfence::nwfilter::{FilterTree, ShippedFilters, Strictness};
use lanfence::policy::Policy;
use lanfence::probe::{Expect, Pass, catalogue};
use std::error::Error;
use std::path::{Path, PathBuf};

/// The names of the probes that leak.
pub fn leaks(policy: &Path, filter: PathBuf) -> Result<Vec<String>, Box<dyn Error>> {
    let policy = Policy::read(policy)?;
    let hosts = Layout::of(&policy)?;
    let shipped = ShippedFilters::default();
    let tree = FilterTree::load(&[filter], None, Strictness::Strict, &shipped)?;
    let compiled = tree.compile(hosts.guest.mac, &[], Backend::default())?;
    let tag = |index| Pass::Filtered.tag(0, index);
    let mut leaks = Vec::new();
    for probe in catalogue(&policy, &hosts, tag) {
        // No nwfilter can stop what is a known gap.
        if probe.expect == Expect::Pass || probe.known_gap.is_some() {
            continue;
        }
        let way = if probe.is_from_guest() {
            Way::FromGuest
        } else {
            Way::ToGuest
        };
        let frames = probe.wire(&hosts).frames;
        let mut forbidden = frames.iter().filter(|frame| probe.sent.matches(frame));
        if forbidden.any(|frame| compiled.evaluate(frame, way).decision == Decision::Accept) {
            leaks.push(probe.id);
        }
    }
    Ok(leaks)
}

fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = std::env::args().skip(1);
    let (Some(policy), Some(filter)) = (arguments.next(), arguments.next()) else {
        return Err("usage: list_leaks POLICY.toml FILTER.xml".into());
    };
    let leaks = leaks(Path::new(&policy), filter.into())?;
    for probe in &leaks {
        println!("{probe}");
    }
    println!("{} leaks", leaks.len());
    Ok(())
}
