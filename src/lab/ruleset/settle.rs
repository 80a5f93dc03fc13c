//! Waiting until libvirt has made an end of changing rules.

use super::tool::{dump, dumps};
use super::{LabError, PRINTING};
use crate::lab::slowness::Slowness;
use crate::nwfilter::evaluate::Backend;
use std::time::{Duration, Instant};

/// From one look at the rules to the next.
const LOOK: Duration = Duration::from_millis(100);

/// How long the rules must stay the same. libvirt adds one every 15 ms or so while it makes them
/// (measured: docs/measurements.md#M13).
const QUIET: Duration = Duration::from_millis(400);

/// Longest wait for that.
const LONGEST: Duration = Duration::from_secs(15);

/// Waits until the rules of the caller's namespace have stayed the same for a while, or the time
/// is over. libvirt makes rules anew by itself after each DHCP answer where it learns addresses
/// from leases, and when they are taken away meanwhile it turns the interface off
/// (`virNWFilterInstantiateFilterLate` in its `nwfilter_gentech_driver.c`; measured:
/// docs/measurements.md#M51).
///
/// # Errors
/// When a tool cannot be started or fails.
pub async fn settled(backend: Backend, slowness: Slowness) -> Result<(), LabError> {
    let end = Instant::now() + slowness.stretch(LONGEST);
    let quiet = slowness.stretch(QUIET);
    let (mut last, mut since) = (all(backend)?, Instant::now());
    while since.elapsed() < quiet && Instant::now() < end {
        tokio::time::sleep(LOOK).await;
        let now = all(backend)?;
        if now != last {
            (last, since) = (now, Instant::now());
        }
    }
    Ok(())
}

/// All rules without counters.
fn all(backend: Backend) -> Result<String, LabError> {
    match backend {
        Backend::Nftables => dump("nft", &["--stateless", "list", "ruleset"]),
        Backend::Ebtables => {
            let [layer2, iptables, of_ip6] = dumps(PRINTING);
            Ok(rules(&layer2?) + &rules(&iptables?) + &rules(&of_ip6?))
        }
    }
}

/// The chains and rules of a dump, without its comments, which hold the time.
fn rules(dump: &str) -> String {
    let lines = dump.lines().filter(|line| !line.starts_with('#'));
    lines.fold(String::new(), |text, line| text + line + "\n")
}
