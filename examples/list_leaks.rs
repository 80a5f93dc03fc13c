//! Checks a filter against a policy and lists its leaks: the probes that the policy forbids
//! and the filter accepts. No guest runs; `lanfence check` does the same and says more.
//!
//! ```sh
//! cargo run --no-default-features --example list_leaks -- \
//!     lanfence.toml examples/no-out-traffic.xml
//! ```

use lanfence::check::probes::judge_all;
use lanfence::layout::Layout;
use lanfence::nwfilter::evaluate::Backend;
use lanfence::nwfilter::{FilterTree, ShippedFilters, Strictness};
use lanfence::policy::Policy;
use lanfence::verdict::{Failure, Verdict};
use std::error::Error;
use std::path::{Path, PathBuf};

/// The names of the probes that leak.
///
/// # Errors
/// A file that is no policy or no filter, a LAN without room for the test hosts, and
/// whatever makes libvirt refuse to bind the filter.
pub fn leaks(policy: &Path, filter: PathBuf) -> Result<Vec<String>, Box<dyn Error>> {
    let policy = Policy::read(policy)?;
    let layout = Layout::of(&policy)?;
    let shipped = ShippedFilters::installed();
    let tree = FilterTree::load(&[filter], None, Strictness::Strict, &shipped)?;
    let compiled = tree.compile(layout.guest.mac, &[], Backend::Ebtables)?;
    let judged = judge_all(&compiled, &policy, &layout).into_iter();
    let leaks = judged.filter(|judged| judged.verdict == Verdict::Fail(Failure::Leak));
    Ok(leaks.map(|judged| judged.probe.id).collect())
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
