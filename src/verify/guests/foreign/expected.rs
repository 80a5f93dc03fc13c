//! What a manifest expects its guest to do, and what the guest has not done yet.

use super::ledger::Ledger;
use crate::guest::foreign::{Arp, Broadcast, Dhcp, Expectations, Wan};
use crate::probe::Group;

/// The first thing that the manifest expects and the guest has not done yet, in words. With
/// the filter it is to try again what it did in the control.
pub fn unmet(
    expect: Expectations,
    ledger: &Ledger,
    control: Option<&Ledger>,
) -> Option<&'static str> {
    let before = |group| control.is_none_or(|control| control.attempted(group));
    let tried = |group| !before(group) || ledger.attempted(group);
    let wan = match control {
        None => ledger.to_wan().any(|(_, account)| account.on_wan()),
        Some(_) => ledger.to_wan().any(|(_, account)| account.attempted()),
    };
    [
        (expect.dhcp == Dhcp::Bound && !ledger.is_bound(), "a lease"),
        (expect.arp == Arp::Seen && !tried(Group::Arp), "ARP"),
        (
            expect.broadcast == Broadcast::Seen && !tried(Group::Broadcast),
            "a broadcast",
        ),
        (expect.wan == Wan::Attempted && !wan, "a frame to the WAN"),
    ]
    .into_iter()
    .find_map(|(missing, what)| missing.then_some(what))
}

/// The last that was seen of the guest, in words.
pub fn last(ledger: &Ledger) -> String {
    match &ledger.last {
        Some(line) => format!("its last frame: {line} ({} frames in all)", ledger.sent),
        None => "no frame has left it".into(),
    }
}
