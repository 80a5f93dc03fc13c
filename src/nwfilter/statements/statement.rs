//! What a policy says, sentence by sentence.

use crate::nwfilter::evaluate::{Backend, Way};

/// What a statement says of its frames.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Ruling {
    /// They must pass.
    Required,
    /// They must be stopped.
    Forbidden,
    /// The policy does not rule them: a filter may do either.
    Open,
}

/// Identifier, ruling and sentence.
type Row = (Statement, &'static str, Ruling, &'static str);

/// Makes the enum and the table of one list.
macro_rules! statements {
    ($($name:ident $id:literal $ruling:ident $sentence:literal,)*) => {
        /// A statement of the policy. Every frame with whole headers falls under exactly one of
        /// its direction.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub enum Statement {
            $(#[doc = $sentence] $name,)*
        }

        /// All of them, in the order of the enum.
        const TABLE: &[Row] = &[$((Statement::$name, $id, Ruling::$ruling, $sentence),)*];
    };
}

statements! {
    ForeignSourceMac "out/foreign-source-mac" Forbidden
        "The guest sends with its own MAC only.",
    GatewayInArp "out/gateway-in-arp" Forbidden
        "The guest does not claim the router's address in ARP.",
    ForeignArp "out/foreign-arp" Forbidden
        "In ARP the guest claims addresses of the LAN only, with its own MAC, as Ethernet and \
         IPv4 speak it.",
    ArpUnspecified "out/arp-unspecified" Forbidden
        "In ARP the guest claims no address only when it asks.",
    OtherRarp "out/other-rarp" Forbidden
        "Of RARP the guest sends QEMU's announcement only.",
    GatewayAsSource "out/gateway-as-source" Forbidden
        "The guest does not send with the router's address.",
    DhcpAnswers "out/dhcp-answers" Forbidden
        "The guest does not send to the port of DHCP clients.",
    DhcpIsOff "out/dhcp-is-off" Forbidden
        "The guest does not ask for an address by DHCP where the policy has none.",
    UnspecifiedSource4 "out/unspecified-source4" Forbidden
        "Without an address the guest sends DHCP requests to everyone and IGMP only.",
    ForeignSource4 "out/foreign-source4" Forbidden
        "The guest sends IPv4 from addresses of the LAN only.",
    ForeignDestination4 "out/foreign-destination4" Forbidden
        "The guest sends IPv4 to the LAN, to what is allowed besides, to everyone and to allowed \
         groups only.",
    GroupToOneMac4 "out/group-to-one-mac4" Forbidden
        "A packet to an IPv4 group or to everyone does not go to the MAC of one host.",
    OtherIpv4 "out/other-ipv4" Forbidden
        "To hosts the guest speaks TCP, UDP and ICMP only, and to everyone, to groups and to \
         DHCP servers elsewhere what is allowed there only.",
    RogueRouter "out/rogue-router" Forbidden
        "The guest sends no router advertisements and no redirects.",
    Dhcp6Answers "out/dhcp6-answers" Forbidden
        "The guest does not send to the port of DHCPv6 clients.",
    UnspecifiedSource6 "out/unspecified-source6" Forbidden
        "Without an IPv6 address the guest sends ICMPv6 to the groups of its link only.",
    ForeignSource6 "out/foreign-source6" Forbidden
        "The guest sends IPv6 from addresses of the LAN only.",
    ForeignDestination6 "out/foreign-destination6" Forbidden
        "The guest sends IPv6 to the LAN, to what is allowed besides and to allowed groups only.",
    GroupToOneMac6 "out/group-to-one-mac6" Forbidden
        "A packet to an IPv6 group does not go to the MAC of one host.",
    OtherIpv6 "out/other-ipv6" Forbidden
        "To hosts the guest speaks TCP, UDP and ICMPv6 only, and to groups what is allowed there \
         only.",
    OtherEtherTypes "out/other-ethertypes" Forbidden
        "The guest sends no frames of other EtherTypes: no tags, no tunnels.",
    Arp "out/arp" Required
        "The guest asks and answers by ARP.",
    ArpProbe "out/arp-probe" Required
        "The guest asks by ARP whether an address is free.",
    Announcement "out/announcement" Required
        "QEMU announces the guest after a migration.",
    DhcpDiscover "out/dhcp" Required
        "The guest asks for an address by DHCP, and for a new lease.",
    DhcpRenew "out/dhcp-renew" Required
        "The guest renews its lease at DHCP servers outside the LAN.",
    Hosts4 "out/hosts4" Required
        "The guest reaches IPv4 hosts of the LAN by TCP, UDP and ICMP.",
    Allowed4 "out/allowed4" Required
        "The guest reaches the IPv4 hosts that are allowed besides.",
    Broadcast "out/broadcast" Required
        "The guest sends UDP to everyone.",
    Groups4 "out/groups4" Required
        "The guest sends UDP to the allowed IPv4 groups.",
    Igmp "out/igmp" Required
        "The guest joins the allowed IPv4 groups.",
    Hosts6 "out/hosts6" Required
        "The guest reaches IPv6 hosts of the LAN by TCP, UDP and ICMPv6.",
    Allowed6 "out/allowed6" Required
        "The guest reaches the IPv6 hosts that are allowed besides.",
    NeighbourDiscovery "out/neighbour-discovery" Required
        "The guest finds its IPv6 neighbours and joins groups.",
    OldReports6 "out/mld1" Required
        "The guest joins groups by MLDv1.",
    Groups6 "out/groups6" Required
        "The guest sends UDP to the allowed IPv6 groups.",
    ArpOperation "out/arp-operation" Open
        "which other operations than request and reply an ARP frame with the guest's own \
         addresses has",
    ArpTarget "out/arp-target" Open
        "whether the guest may ask by ARP for addresses outside the LAN",
    ArpToGroup "out/arp-to-group" Open
        "whether ARP may go to the MAC of a group",
    SourceChoice4 "out/source-choice4" Open
        "with which other addresses of the LAN than those of a host, or than its own where that \
         is given, the guest may send",
    LinkLocalToLan4 "out/link-local-to-lan4" Open
        "whether the guest may send from 169.254.0.0/16 to other networks of the LAN, and to \
         everyone",
    IcmpRouting "out/icmp-routing" Open
        "whether the guest may send ICMP redirects and router advertisements of IPv4",
    UnicastToGroupMac4 "out/unicast-to-group-mac4" Open
        "whether a packet to an IPv4 host may go to the MAC of a group or of everyone",
    GroupMac4 "out/group-mac4" Open
        "to which MAC of a group a packet to an IPv4 group or to everyone goes, if it is of \
         another kind",
    OtherToGroups4 "out/other-to-groups4" Open
        "whether the guest may send TCP and ICMP to everyone and to IPv4 groups",
    IgmpSource "out/igmp-source" Open
        "from which address outside the LAN an IGMP report comes",
    IgmpGroup "out/igmp-group" Open
        "for which IPv4 groups that may not be sent to the guest sends IGMP reports",
    SourceChoice6 "out/source-choice6" Open
        "with which other IPv6 addresses of the LAN than its own, where that is given, the guest \
         may send",
    AcrossScopes6 "out/across-scopes6" Open
        "whether TCP and UDP pass between link-local and other IPv6 addresses of the LAN",
    UnicastToGroupMac6 "out/unicast-to-group-mac6" Open
        "whether a packet to an IPv6 host may go to the MAC of a group",
    GroupMac6 "out/group-mac6" Open
        "to which MAC of a group a packet to an IPv6 group goes, if it is of another kind",
    OtherToGroups6 "out/other-to-groups6" Open
        "whether the guest may send TCP, and ICMPv6 that is neither neighbour discovery nor for \
         groups, to IPv6 groups",
    UnspecifiedIcmp6 "out/unspecified-icmp6" Open
        "which other ICMPv6 the guest may send before it has an address",
    HiddenReports6 "out/hidden-reports6" Open
        "what else than a report hides behind the hop-by-hop header of a packet to ff02::16, the \
         group of MLDv2 reports",
    Extensions6 "out/extensions6" Open
        "whether IPv6 packets with extension headers, and later fragments, pass where the same \
         packets without them must",
    ForeignSource4In "in/foreign-source4" Forbidden
        "IPv4 reaches the guest from the LAN and from what is allowed besides only.",
    UnspecifiedSource4In "in/unspecified-source4" Forbidden
        "From no IPv4 address only IGMP and DHCP requests come.",
    DhcpServersIn "in/dhcp-servers" Forbidden
        "DHCP servers outside the LAN send DHCP answers only.",
    ForeignSource6In "in/foreign-source6" Forbidden
        "IPv6 reaches the guest from the LAN and from what is allowed besides only.",
    UnspecifiedSource6In "in/unspecified-source6" Forbidden
        "From no IPv6 address packets come to the groups of the link only.",
    ForeignArpIn "in/foreign-arp" Forbidden
        "Of ARP only what Ethernet and IPv4 speak reaches the guest.",
    OtherEtherTypesIn "in/other-ethertypes" Forbidden
        "No frames of other EtherTypes reach the guest.",
    ArpIn "in/arp" Required
        "Others ask the guest and answer it by ARP.",
    Hosts4In "in/hosts4" Required
        "IPv4 hosts of the LAN reach the guest by TCP, UDP and ICMP.",
    Allowed4In "in/allowed4" Required
        "The IPv4 hosts that are allowed besides reach the guest.",
    BroadcastIn "in/broadcast" Required
        "UDP that a host of the LAN sends to everyone reaches the guest.",
    Groups4In "in/groups4" Required
        "UDP that a host of the LAN sends to IPv4 groups reaches the guest.",
    IgmpIn "in/igmp" Required
        "IGMP queries reach the guest.",
    DhcpAnswersIn "in/dhcp-answers" Required
        "Answers of DHCP servers outside the LAN reach the guest.",
    Hosts6In "in/hosts6" Required
        "IPv6 hosts of the LAN reach the guest by TCP, UDP and ICMPv6.",
    Allowed6In "in/allowed6" Required
        "The IPv6 hosts that are allowed besides reach the guest.",
    NeighbourDiscoveryIn "in/neighbour-discovery" Required
        "Neighbour discovery, router advertisements and queries for IPv6 groups reach the guest.",
    DuplicateAddressIn "in/duplicate-address" Required
        "Others ask whether the guest has the IPv6 address that they want.",
    Groups6In "in/groups6" Required
        "UDP that a host of the LAN sends to IPv6 groups of the link, and to allowed ones, \
         reaches the guest.",
    ArpOperationIn "in/arp-operation" Open
        "which other operations than request and reply ARP to the guest has",
    ArpSenderIn "in/arp-sender" Open
        "which address outside the LAN the sender of ARP to the guest claims",
    RarpIn "in/rarp" Open
        "whether RARP of others reaches the guest",
    OtherMacIn "in/other-mac" Open
        "whether frames reach the guest that are for another host's MAC, or come from the \
         guest's own",
    GroupMacIn "in/group-mac" Open
        "whether a packet reaches the guest whose MAC is of another kind than its address",
    IcmpRoutingIn "in/icmp-routing" Open
        "whether ICMP redirects and router advertisements of IPv4 reach the guest",
    OtherProtocols4In "in/other-protocols4" Open
        "which protocols besides TCP, UDP and ICMP reach the guest from IPv4 hosts that may \
         reach it",
    OtherDestinations4In "in/other-destinations4" Open
        "to which other addresses than the guest's, everyone's and allowed groups packets of \
         such IPv4 hosts go",
    UnspecifiedDhcpIn "in/unspecified-dhcp" Open
        "whether DHCP requests of others, and IGMP from nobody to hosts, reach the guest",
    DhcpIsOffIn "in/dhcp-is-off" Open
        "whether packets to the port of DHCP clients reach a guest that uses no DHCP",
    OtherProtocols6In "in/other-protocols6" Open
        "which protocols besides TCP, UDP and ICMPv6 reach the guest from IPv6 hosts that may \
         reach it",
    OtherDestinations6In "in/other-destinations6" Open
        "to which other addresses than the guest's and allowed groups packets of such IPv6 hosts \
         go",
    AcrossScopes6In "in/across-scopes6" Open
        "whether TCP and UDP reach the guest between link-local and other IPv6 addresses of the \
         LAN",
    UnspecifiedOther6In "in/unspecified-other6" Open
        "what else than neighbour discovery comes from no IPv6 address to the groups of the link",
    Extensions6In "in/extensions6" Open
        "whether IPv6 packets with extension headers, and later fragments, reach the guest where \
         the same packets without them must",
}

impl Statement {
    /// Every statement: what the guest sends, then what reaches it.
    pub fn all() -> impl Iterator<Item = Self> {
        TABLE.iter().map(|(statement, ..)| *statement)
    }

    fn row(self) -> &'static Row {
        &TABLE[self as usize]
    }

    /// Its identifier: `out/foreign-source-mac` …; it stays for ever.
    pub fn id(self) -> &'static str {
        self.row().1
    }

    /// What it says of its frames.
    pub fn ruling(self) -> Ruling {
        self.row().2
    }

    /// Whether a filter of this back end is held against it. libvirt's nftables rules cannot tell
    /// `MLDv1` reports from forged router advertisements: a known gap, which has a probe.
    pub fn is_ruled(self, backend: Backend) -> bool {
        let gap = self == Self::OldReports6 && backend == Backend::Nftables;
        self.ruling() != Ruling::Open && !gap
    }

    /// Which way its frames go.
    pub fn way(self) -> Way {
        if self.id().starts_with("out/") {
            Way::FromGuest
        } else {
            Way::ToGuest
        }
    }

    /// What it says, as a sentence.
    pub fn sentence(self) -> String {
        match self.row() {
            (_, _, Ruling::Open, what) => format!("The policy does not rule this: {what}."),
            (.., sentence) => (*sentence).to_owned(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn identifiers_are_unique_and_tell_the_direction() {
        let ids: BTreeSet<&str> = Statement::all().map(Statement::id).collect();
        assert_eq!(ids.len(), Statement::all().count());
        for statement in Statement::all() {
            let from_guest = statement.id().starts_with("out/");
            assert!(
                from_guest || statement.id().starts_with("in/"),
                "{statement:?}"
            );
        }
    }
}
