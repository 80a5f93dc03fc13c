//! What rows, places and outcomes are called in print.

use crate::probe::{Expect, Group, Point};

use crate::report::text::plural;
use crate::verdict::{Counts, Outcome};

/// A row's title, at most 28 characters.
pub fn title(group: Group) -> &'static str {
    match group {
        Group::Dhcp => "DHCP lease",
        Group::LanUnicast => "LAN unicast",
        Group::Broadcast => "broadcast",
        Group::Multicast => "multicast",
        Group::Arp => "ARP",
        Group::Ipv6Control => "IPv6 ND, MLD, RS",
        Group::LanInbound => "LAN to guest",
        Group::WanIpv4 => "WAN over IPv4",
        Group::WanIpv6 => "WAN over IPv6",
        Group::WanEdges => "WAN, edges of the LAN",
        Group::Tunnels => "tunnels",
        Group::Reflection => "reflection, spoofed source",
        Group::Encapsulation => "VLAN, PPPoE, SNAP, other",
        Group::Rogue => "rogue DHCP, RA, ARP",
        Group::WanInbound => "WAN to guest",
    }
}

/// The policy's wish in one word.
pub fn expected(expect: Expect) -> &'static str {
    match expect {
        Expect::Pass => "pass",
        Expect::Drop => "drop",
    }
}

/// `225 passed, 0 failed`: what CI systems look for, alone on the last line of a report.
pub fn passed_and_failed(counts: Counts) -> String {
    format!("{} passed, {} failed", counts.passed, counts.failed())
}

/// `9 known gaps open`: no nwfilter treats these frames as the policy wants.
pub fn known_gaps_open(known_gaps: usize) -> String {
    format!("{} open", plural(known_gaps, "known gap"))
}

/// Passed, failed, known gaps and inconclusive in one line.
pub fn sum(counts: Counts, known_gaps: usize) -> String {
    let mut parts = vec![passed_and_failed(counts)];
    if known_gaps > 0 {
        parts.push(known_gaps_open(known_gaps));
    }
    parts.push(format!("{} inconclusive", counts.inconclusive));
    parts.join(", ")
}

/// A place where frames are seen.
pub fn place(point: Point) -> &'static str {
    match point {
        Point::TapFromGuest => "the guest's tap, before the filter",
        Point::TapToGuest => "the guest's tap, behind the filter",
        Point::Peer | Point::FromPeer => "the LAN peer",
        Point::Gateway | Point::FromGateway => "the gateway's LAN side",
        Point::Wan | Point::FromWan => "the WAN",
    }
}

/// Why an outcome proves nothing; none for a delivery.
pub fn unproven(outcome: Outcome) -> Option<&'static str> {
    match outcome {
        Outcome::Delivered => None,
        Outcome::Dropped => Some("it was dropped"),
        Outcome::NeverSent => Some("it was not seen leaving its sender"),
        Outcome::Lost => {
            Some("it left and did not arrive, and neither did the sentinel sent after it")
        }
        Outcome::Unknown => Some("no sensor watched it"),
    }
}

/// What is said of probes that are not judged; none where all are.
pub fn left_out(ids: &[String]) -> Option<String> {
    let count = plural(ids.len(), "probe");
    (!ids.is_empty()).then(|| {
        format!(
            "{count} from other addresses of the LAN: this filter knows its guest's, and may stop others"
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn titles_are_short_and_tell_the_groups_apart() {
        let titles: BTreeSet<&str> = Group::ALL.into_iter().map(title).collect();
        assert_eq!(titles.len(), Group::ALL.len());
        assert!(titles.iter().all(|title| title.len() <= 28), "{titles:?}");
    }
}
