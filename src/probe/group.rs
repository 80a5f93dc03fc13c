//! Rows of the table.

use super::{Expect, Group, Probe, Stimulus};

impl Group {
    /// All rows in the order of the table.
    pub const ALL: [Self; 15] = [
        Self::Dhcp,
        Self::LanUnicast,
        Self::Broadcast,
        Self::Multicast,
        Self::Arp,
        Self::Ipv6Control,
        Self::LanInbound,
        Self::WanIpv4,
        Self::WanIpv6,
        Self::WanEdges,
        Self::Tunnels,
        Self::Reflection,
        Self::Encapsulation,
        Self::Rogue,
        Self::WanInbound,
    ];

    /// The first part of the ids of its probes, and its name in JSON.
    pub const fn slug(self) -> &'static str {
        match self {
            Self::Dhcp => "dhcp",
            Self::LanUnicast => "lan-unicast",
            Self::Broadcast => "broadcast",
            Self::Multicast => "multicast",
            Self::Arp => "arp",
            Self::Ipv6Control => "ipv6-control",
            Self::LanInbound => "lan-inbound",
            Self::WanIpv4 => "wan-ipv4",
            Self::WanIpv6 => "wan-ipv6",
            Self::WanEdges => "wan-edges",
            Self::Tunnels => "tunnels",
            Self::Reflection => "reflection",
            Self::Encapsulation => "encapsulation",
            Self::Rogue => "rogue",
            Self::WanInbound => "wan-inbound",
        }
    }
}

impl Probe {
    /// Whether it says anything of a filter. One that knows its guest's address stops
    /// other addresses rightly.
    pub fn suits(&self, knows_guest: bool) -> bool {
        !(knows_guest && self.any_guest)
    }

    /// Whether the probe is sent once more after the filter was removed: it must be
    /// dropped, is no known gap, and needs no state in the guest.
    pub fn in_leak_check(&self) -> bool {
        let simple = match self.stimulus {
            Stimulus::Frames(_)
            | Stimulus::Udp { .. }
            | Stimulus::Ping { .. }
            | Stimulus::Tcp { .. } => true,
            Stimulus::Join { .. } | Stimulus::Dhcp(_) | Stimulus::Ssh => false,
        };
        simple && self.expect == Expect::Drop && self.known_gap.is_none()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slugs_are_the_names_in_json() {
        for group in Group::ALL {
            let json = serde_json::to_string(&group).unwrap();
            assert_eq!(json, format!("{:?}", group.slug()));
        }
    }
}
