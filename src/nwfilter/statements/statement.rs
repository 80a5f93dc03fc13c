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

/// A statement of the policy. Every frame falls under exactly one, of its direction.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Statement {
    /// out/foreign-source-mac: The guest sends with its own MAC only.
    ForeignSourceMac,
    /// out/gateway-in-arp: The guest does not claim the router's address in ARP.
    GatewayInArp,
    /// out/foreign-arp: In ARP the guest claims addresses of the LAN only, with its own MAC, as Ethernet and IPv4 speak it.
    ForeignArp,
    /// out/arp-unspecified: In ARP the guest claims no address only when it asks.
    ArpUnspecified,
    /// out/other-rarp: Of RARP the guest sends QEMU's announcement only.
    OtherRarp,
    /// out/gateway-as-source: The guest does not send with the router's address.
    GatewayAsSource,
    /// out/dhcp-answers: The guest does not send to the port of DHCP clients.
    DhcpAnswers,
    /// out/dhcp-is-off: The guest does not ask for an address by DHCP where the policy has none.
    DhcpIsOff,
    /// out/unspecified-source4: Without an address the guest sends DHCP requests to everyone and IGMP only.
    UnspecifiedSource4,
    /// out/foreign-source4: The guest sends IPv4 from addresses of the LAN only.
    ForeignSource4,
    /// out/foreign-destination4: The guest sends IPv4 to the LAN, to what is allowed besides, to everyone and to allowed groups only.
    ForeignDestination4,
    /// out/group-to-one-mac4: A packet to an IPv4 group or to everyone does not go to the MAC of one host.
    GroupToOneMac4,
    /// out/other-ipv4: To hosts the guest speaks TCP, UDP and ICMP only, and to everyone, to groups and to DHCP servers elsewhere what is allowed there only.
    OtherIpv4,
    /// out/rogue-router: The guest sends no router advertisements and no redirects.
    RogueRouter,
    /// out/dhcp6-answers: The guest does not send to the port of DHCPv6 clients.
    Dhcp6Answers,
    /// out/unspecified-source6: Without an IPv6 address the guest sends ICMPv6 to the groups of its link only.
    UnspecifiedSource6,
    /// out/foreign-source6: The guest sends IPv6 from addresses of the LAN only.
    ForeignSource6,
    /// out/foreign-destination6: The guest sends IPv6 to the LAN, to what is allowed besides and to allowed groups only.
    ForeignDestination6,
    /// out/group-to-one-mac6: A packet to an IPv6 group does not go to the MAC of one host.
    GroupToOneMac6,
    /// out/other-ipv6: To hosts the guest speaks TCP, UDP and ICMPv6 only, and to groups what is allowed there only.
    OtherIpv6,
    /// out/other-ethertypes: The guest sends no frames of other EtherTypes: no tags, no tunnels.
    OtherEtherTypes,
    /// out/arp: The guest asks and answers by ARP.
    Arp,
    /// out/arp-probe: The guest asks by ARP whether an address is free.
    ArpProbe,
    /// out/announcement: QEMU announces the guest after a migration.
    Announcement,
    /// out/dhcp: The guest asks for an address by DHCP, and for a new lease.
    DhcpDiscover,
    /// out/dhcp-renew: The guest renews its lease at DHCP servers outside the LAN.
    DhcpRenew,
    /// out/hosts4: The guest reaches IPv4 hosts of the LAN by TCP, UDP and ICMP.
    Hosts4,
    /// out/allowed4: The guest reaches the IPv4 hosts that are allowed besides.
    Allowed4,
    /// out/broadcast: The guest sends UDP to everyone.
    Broadcast,
    /// out/groups4: The guest sends UDP to the allowed IPv4 groups.
    Groups4,
    /// out/igmp: The guest joins the allowed IPv4 groups.
    Igmp,
    /// out/hosts6: The guest reaches IPv6 hosts of the LAN by TCP, UDP and ICMPv6.
    Hosts6,
    /// out/allowed6: The guest reaches the IPv6 hosts that are allowed besides.
    Allowed6,
    /// out/neighbour-discovery: The guest finds its IPv6 neighbours and joins groups.
    NeighbourDiscovery,
    /// out/mld1: The guest joins groups by MLDv1.
    OldReports6,
    /// out/groups6: The guest sends UDP to the allowed IPv6 groups.
    Groups6,
    /// out/arp-operation: which other operations than request and reply an ARP frame with the guest's own addresses has.
    ArpOperation,
    /// out/arp-target: whether the guest may ask by ARP for addresses outside the LAN.
    ArpTarget,
    /// out/arp-to-group: whether ARP may go to the MAC of a group.
    ArpToGroup,
    /// out/source-choice4: with which other addresses of the LAN than those of a host, or than its own where that is given, the guest may send.
    SourceChoice4,
    /// out/link-local-to-lan4: whether the guest may send from 169.254.0.0/16 to other networks of the LAN, and to everyone.
    LinkLocalToLan4,
    /// out/icmp-routing: whether the guest may send ICMP redirects and router advertisements of IPv4.
    IcmpRouting,
    /// out/unicast-to-group-mac4: whether a packet to an IPv4 host may go to the MAC of a group or of everyone.
    UnicastToGroupMac4,
    /// out/group-mac4: to which MAC of a group a packet to an IPv4 group or to everyone goes, if it is of another kind.
    GroupMac4,
    /// out/other-to-groups4: whether the guest may send TCP and ICMP to everyone and to IPv4 groups.
    OtherToGroups4,
    /// out/igmp-source: from which address outside the LAN an IGMP report comes.
    IgmpSource,
    /// out/igmp-group: for which IPv4 groups that may not be sent to the guest sends IGMP reports.
    IgmpGroup,
    /// out/source-choice6: with which other IPv6 addresses of the LAN than its own, where that is given, the guest may send.
    SourceChoice6,
    /// out/across-scopes6: whether TCP and UDP pass between link-local and other IPv6 addresses of the LAN.
    AcrossScopes6,
    /// out/unicast-to-group-mac6: whether a packet to an IPv6 host may go to the MAC of a group.
    UnicastToGroupMac6,
    /// out/group-mac6: to which MAC of a group a packet to an IPv6 group goes, if it is of another kind.
    GroupMac6,
    /// out/other-to-groups6: whether the guest may send TCP, and ICMPv6 that is neither neighbour discovery nor for groups, to IPv6 groups.
    OtherToGroups6,
    /// out/unspecified-icmp6: which other ICMPv6 the guest may send before it has an address.
    UnspecifiedIcmp6,
    /// out/hidden-reports6: what else than a report hides behind the hop-by-hop header of a packet to ff02::16, the group of MLDv2 reports.
    HiddenReports6,
    /// out/extensions6: whether IPv6 packets with extension headers, and later fragments, pass where the same packets without them must.
    Extensions6,
    /// in/foreign-source4: IPv4 reaches the guest from the LAN and from what is allowed besides only.
    ForeignSource4In,
    /// in/unspecified-source4: From no IPv4 address only IGMP and DHCP requests come.
    UnspecifiedSource4In,
    /// in/dhcp-servers: DHCP servers outside the LAN send DHCP answers only.
    DhcpServersIn,
    /// in/foreign-source6: IPv6 reaches the guest from the LAN and from what is allowed besides only.
    ForeignSource6In,
    /// in/unspecified-source6: From no IPv6 address packets come to the groups of the link only.
    UnspecifiedSource6In,
    /// in/foreign-arp: Of ARP only what Ethernet and IPv4 speak reaches the guest.
    ForeignArpIn,
    /// in/other-ethertypes: No frames of other EtherTypes reach the guest.
    OtherEtherTypesIn,
    /// in/arp: Others ask the guest and answer it by ARP.
    ArpIn,
    /// in/hosts4: IPv4 hosts of the LAN reach the guest by TCP, UDP and ICMP.
    Hosts4In,
    /// in/allowed4: The IPv4 hosts that are allowed besides reach the guest.
    Allowed4In,
    /// in/broadcast: UDP that a host of the LAN sends to everyone reaches the guest.
    BroadcastIn,
    /// in/groups4: UDP that a host of the LAN sends to the allowed IPv4 groups reaches the guest.
    Groups4In,
    /// in/igmp: IGMP queries reach the guest.
    IgmpIn,
    /// in/dhcp-answers: Answers of DHCP servers outside the LAN reach the guest.
    DhcpAnswersIn,
    /// in/hosts6: IPv6 hosts of the LAN reach the guest by TCP, UDP and ICMPv6.
    Hosts6In,
    /// in/allowed6: The IPv6 hosts that are allowed besides reach the guest.
    Allowed6In,
    /// in/neighbour-discovery: Neighbour discovery, router advertisements and queries for IPv6 groups reach the guest.
    NeighbourDiscoveryIn,
    /// in/duplicate-address: Others ask whether the guest has the IPv6 address that they want.
    DuplicateAddressIn,
    /// in/groups6: UDP that a host of the LAN sends to the allowed IPv6 groups reaches the guest.
    Groups6In,
    /// in/arp-operation: which other operations than request and reply ARP to the guest has.
    ArpOperationIn,
    /// in/arp-sender: which address outside the LAN the sender of ARP to the guest claims.
    ArpSenderIn,
    /// in/rarp: whether RARP of others reaches the guest.
    RarpIn,
    /// in/other-mac: whether frames reach the guest that are for another host's MAC, or come from the guest's own.
    OtherMacIn,
    /// in/group-mac: whether a packet reaches the guest whose MAC is of another kind than its address.
    GroupMacIn,
    /// in/icmp-routing: whether ICMP redirects and router advertisements of IPv4 reach the guest.
    IcmpRoutingIn,
    /// in/other-protocols4: which protocols besides TCP, UDP and ICMP reach the guest from IPv4 hosts that may reach it.
    OtherProtocols4In,
    /// in/other-destinations4: to which other addresses than the guest's, everyone's and allowed groups packets of such IPv4 hosts go.
    OtherDestinations4In,
    /// in/unspecified-dhcp: whether DHCP requests of others, and IGMP from nobody to hosts, reach the guest.
    UnspecifiedDhcpIn,
    /// in/dhcp-is-off: whether packets to the port of DHCP clients reach a guest that uses no DHCP.
    DhcpIsOffIn,
    /// in/other-protocols6: which protocols besides TCP, UDP and ICMPv6 reach the guest from IPv6 hosts that may reach it.
    OtherProtocols6In,
    /// in/other-destinations6: to which other addresses than the guest's and allowed groups packets of such IPv6 hosts go.
    OtherDestinations6In,
    /// in/across-scopes6: whether TCP and UDP reach the guest between link-local and other IPv6 addresses of the LAN.
    AcrossScopes6In,
    /// in/unspecified-other6: what else than neighbour discovery comes from no IPv6 address to the groups of the link.
    UnspecifiedOther6In,
    /// in/extensions6: whether IPv6 packets with extension headers, and later fragments, reach the guest where the same packets without them must.
    Extensions6In,
}

/// Identifier, ruling and sentence.
type Row = (Statement, &'static str, Ruling, &'static str);

/// All of them, in the order of the enum.
const TABLE: [Row; 89] = {
    use Ruling::{Forbidden, Open, Required};
    [
        (
            Statement::ForeignSourceMac,
            "out/foreign-source-mac",
            Forbidden,
            "The guest sends with its own MAC only.",
        ),
        (
            Statement::GatewayInArp,
            "out/gateway-in-arp",
            Forbidden,
            "The guest does not claim the router's address in ARP.",
        ),
        (
            Statement::ForeignArp,
            "out/foreign-arp",
            Forbidden,
            "In ARP the guest claims addresses of the LAN only, with its own MAC, as Ethernet and IPv4 speak it.",
        ),
        (
            Statement::ArpUnspecified,
            "out/arp-unspecified",
            Forbidden,
            "In ARP the guest claims no address only when it asks.",
        ),
        (
            Statement::OtherRarp,
            "out/other-rarp",
            Forbidden,
            "Of RARP the guest sends QEMU's announcement only.",
        ),
        (
            Statement::GatewayAsSource,
            "out/gateway-as-source",
            Forbidden,
            "The guest does not send with the router's address.",
        ),
        (
            Statement::DhcpAnswers,
            "out/dhcp-answers",
            Forbidden,
            "The guest does not send to the port of DHCP clients.",
        ),
        (
            Statement::DhcpIsOff,
            "out/dhcp-is-off",
            Forbidden,
            "The guest does not ask for an address by DHCP where the policy has none.",
        ),
        (
            Statement::UnspecifiedSource4,
            "out/unspecified-source4",
            Forbidden,
            "Without an address the guest sends DHCP requests to everyone and IGMP only.",
        ),
        (
            Statement::ForeignSource4,
            "out/foreign-source4",
            Forbidden,
            "The guest sends IPv4 from addresses of the LAN only.",
        ),
        (
            Statement::ForeignDestination4,
            "out/foreign-destination4",
            Forbidden,
            "The guest sends IPv4 to the LAN, to what is allowed besides, to everyone and to allowed groups only.",
        ),
        (
            Statement::GroupToOneMac4,
            "out/group-to-one-mac4",
            Forbidden,
            "A packet to an IPv4 group or to everyone does not go to the MAC of one host.",
        ),
        (
            Statement::OtherIpv4,
            "out/other-ipv4",
            Forbidden,
            "To hosts the guest speaks TCP, UDP and ICMP only, and to everyone, to groups and to DHCP servers elsewhere what is allowed there only.",
        ),
        (
            Statement::RogueRouter,
            "out/rogue-router",
            Forbidden,
            "The guest sends no router advertisements and no redirects.",
        ),
        (
            Statement::Dhcp6Answers,
            "out/dhcp6-answers",
            Forbidden,
            "The guest does not send to the port of DHCPv6 clients.",
        ),
        (
            Statement::UnspecifiedSource6,
            "out/unspecified-source6",
            Forbidden,
            "Without an IPv6 address the guest sends ICMPv6 to the groups of its link only.",
        ),
        (
            Statement::ForeignSource6,
            "out/foreign-source6",
            Forbidden,
            "The guest sends IPv6 from addresses of the LAN only.",
        ),
        (
            Statement::ForeignDestination6,
            "out/foreign-destination6",
            Forbidden,
            "The guest sends IPv6 to the LAN, to what is allowed besides and to allowed groups only.",
        ),
        (
            Statement::GroupToOneMac6,
            "out/group-to-one-mac6",
            Forbidden,
            "A packet to an IPv6 group does not go to the MAC of one host.",
        ),
        (
            Statement::OtherIpv6,
            "out/other-ipv6",
            Forbidden,
            "To hosts the guest speaks TCP, UDP and ICMPv6 only, and to groups what is allowed there only.",
        ),
        (
            Statement::OtherEtherTypes,
            "out/other-ethertypes",
            Forbidden,
            "The guest sends no frames of other EtherTypes: no tags, no tunnels.",
        ),
        (
            Statement::Arp,
            "out/arp",
            Required,
            "The guest asks and answers by ARP.",
        ),
        (
            Statement::ArpProbe,
            "out/arp-probe",
            Required,
            "The guest asks by ARP whether an address is free.",
        ),
        (
            Statement::Announcement,
            "out/announcement",
            Required,
            "QEMU announces the guest after a migration.",
        ),
        (
            Statement::DhcpDiscover,
            "out/dhcp",
            Required,
            "The guest asks for an address by DHCP, and for a new lease.",
        ),
        (
            Statement::DhcpRenew,
            "out/dhcp-renew",
            Required,
            "The guest renews its lease at DHCP servers outside the LAN.",
        ),
        (
            Statement::Hosts4,
            "out/hosts4",
            Required,
            "The guest reaches IPv4 hosts of the LAN by TCP, UDP and ICMP.",
        ),
        (
            Statement::Allowed4,
            "out/allowed4",
            Required,
            "The guest reaches the IPv4 hosts that are allowed besides.",
        ),
        (
            Statement::Broadcast,
            "out/broadcast",
            Required,
            "The guest sends UDP to everyone.",
        ),
        (
            Statement::Groups4,
            "out/groups4",
            Required,
            "The guest sends UDP to the allowed IPv4 groups.",
        ),
        (
            Statement::Igmp,
            "out/igmp",
            Required,
            "The guest joins the allowed IPv4 groups.",
        ),
        (
            Statement::Hosts6,
            "out/hosts6",
            Required,
            "The guest reaches IPv6 hosts of the LAN by TCP, UDP and ICMPv6.",
        ),
        (
            Statement::Allowed6,
            "out/allowed6",
            Required,
            "The guest reaches the IPv6 hosts that are allowed besides.",
        ),
        (
            Statement::NeighbourDiscovery,
            "out/neighbour-discovery",
            Required,
            "The guest finds its IPv6 neighbours and joins groups.",
        ),
        (
            Statement::OldReports6,
            "out/mld1",
            Required,
            "The guest joins groups by MLDv1.",
        ),
        (
            Statement::Groups6,
            "out/groups6",
            Required,
            "The guest sends UDP to the allowed IPv6 groups.",
        ),
        (
            Statement::ArpOperation,
            "out/arp-operation",
            Open,
            "which other operations than request and reply an ARP frame with the guest's own addresses has",
        ),
        (
            Statement::ArpTarget,
            "out/arp-target",
            Open,
            "whether the guest may ask by ARP for addresses outside the LAN",
        ),
        (
            Statement::ArpToGroup,
            "out/arp-to-group",
            Open,
            "whether ARP may go to the MAC of a group",
        ),
        (
            Statement::SourceChoice4,
            "out/source-choice4",
            Open,
            "with which other addresses of the LAN than those of a host, or than its own where that is given, the guest may send",
        ),
        (
            Statement::LinkLocalToLan4,
            "out/link-local-to-lan4",
            Open,
            "whether the guest may send from 169.254.0.0/16 to other networks of the LAN, and to everyone",
        ),
        (
            Statement::IcmpRouting,
            "out/icmp-routing",
            Open,
            "whether the guest may send ICMP redirects and router advertisements of IPv4",
        ),
        (
            Statement::UnicastToGroupMac4,
            "out/unicast-to-group-mac4",
            Open,
            "whether a packet to an IPv4 host may go to the MAC of a group or of everyone",
        ),
        (
            Statement::GroupMac4,
            "out/group-mac4",
            Open,
            "to which MAC of a group a packet to an IPv4 group or to everyone goes, if it is of another kind",
        ),
        (
            Statement::OtherToGroups4,
            "out/other-to-groups4",
            Open,
            "whether the guest may send TCP and ICMP to everyone and to IPv4 groups",
        ),
        (
            Statement::IgmpSource,
            "out/igmp-source",
            Open,
            "from which address outside the LAN an IGMP report comes",
        ),
        (
            Statement::IgmpGroup,
            "out/igmp-group",
            Open,
            "for which IPv4 groups that may not be sent to the guest sends IGMP reports",
        ),
        (
            Statement::SourceChoice6,
            "out/source-choice6",
            Open,
            "with which other IPv6 addresses of the LAN than its own, where that is given, the guest may send",
        ),
        (
            Statement::AcrossScopes6,
            "out/across-scopes6",
            Open,
            "whether TCP and UDP pass between link-local and other IPv6 addresses of the LAN",
        ),
        (
            Statement::UnicastToGroupMac6,
            "out/unicast-to-group-mac6",
            Open,
            "whether a packet to an IPv6 host may go to the MAC of a group",
        ),
        (
            Statement::GroupMac6,
            "out/group-mac6",
            Open,
            "to which MAC of a group a packet to an IPv6 group goes, if it is of another kind",
        ),
        (
            Statement::OtherToGroups6,
            "out/other-to-groups6",
            Open,
            "whether the guest may send TCP, and ICMPv6 that is neither neighbour discovery nor for groups, to IPv6 groups",
        ),
        (
            Statement::UnspecifiedIcmp6,
            "out/unspecified-icmp6",
            Open,
            "which other ICMPv6 the guest may send before it has an address",
        ),
        (
            Statement::HiddenReports6,
            "out/hidden-reports6",
            Open,
            "what else than a report hides behind the hop-by-hop header of a packet to ff02::16, the group of MLDv2 reports",
        ),
        (
            Statement::Extensions6,
            "out/extensions6",
            Open,
            "whether IPv6 packets with extension headers, and later fragments, pass where the same packets without them must",
        ),
        (
            Statement::ForeignSource4In,
            "in/foreign-source4",
            Forbidden,
            "IPv4 reaches the guest from the LAN and from what is allowed besides only.",
        ),
        (
            Statement::UnspecifiedSource4In,
            "in/unspecified-source4",
            Forbidden,
            "From no IPv4 address only IGMP and DHCP requests come.",
        ),
        (
            Statement::DhcpServersIn,
            "in/dhcp-servers",
            Forbidden,
            "DHCP servers outside the LAN send DHCP answers only.",
        ),
        (
            Statement::ForeignSource6In,
            "in/foreign-source6",
            Forbidden,
            "IPv6 reaches the guest from the LAN and from what is allowed besides only.",
        ),
        (
            Statement::UnspecifiedSource6In,
            "in/unspecified-source6",
            Forbidden,
            "From no IPv6 address packets come to the groups of the link only.",
        ),
        (
            Statement::ForeignArpIn,
            "in/foreign-arp",
            Forbidden,
            "Of ARP only what Ethernet and IPv4 speak reaches the guest.",
        ),
        (
            Statement::OtherEtherTypesIn,
            "in/other-ethertypes",
            Forbidden,
            "No frames of other EtherTypes reach the guest.",
        ),
        (
            Statement::ArpIn,
            "in/arp",
            Required,
            "Others ask the guest and answer it by ARP.",
        ),
        (
            Statement::Hosts4In,
            "in/hosts4",
            Required,
            "IPv4 hosts of the LAN reach the guest by TCP, UDP and ICMP.",
        ),
        (
            Statement::Allowed4In,
            "in/allowed4",
            Required,
            "The IPv4 hosts that are allowed besides reach the guest.",
        ),
        (
            Statement::BroadcastIn,
            "in/broadcast",
            Required,
            "UDP that a host of the LAN sends to everyone reaches the guest.",
        ),
        (
            Statement::Groups4In,
            "in/groups4",
            Required,
            "UDP that a host of the LAN sends to the allowed IPv4 groups reaches the guest.",
        ),
        (
            Statement::IgmpIn,
            "in/igmp",
            Required,
            "IGMP queries reach the guest.",
        ),
        (
            Statement::DhcpAnswersIn,
            "in/dhcp-answers",
            Required,
            "Answers of DHCP servers outside the LAN reach the guest.",
        ),
        (
            Statement::Hosts6In,
            "in/hosts6",
            Required,
            "IPv6 hosts of the LAN reach the guest by TCP, UDP and ICMPv6.",
        ),
        (
            Statement::Allowed6In,
            "in/allowed6",
            Required,
            "The IPv6 hosts that are allowed besides reach the guest.",
        ),
        (
            Statement::NeighbourDiscoveryIn,
            "in/neighbour-discovery",
            Required,
            "Neighbour discovery, router advertisements and queries for IPv6 groups reach the guest.",
        ),
        (
            Statement::DuplicateAddressIn,
            "in/duplicate-address",
            Required,
            "Others ask whether the guest has the IPv6 address that they want.",
        ),
        (
            Statement::Groups6In,
            "in/groups6",
            Required,
            "UDP that a host of the LAN sends to the allowed IPv6 groups reaches the guest.",
        ),
        (
            Statement::ArpOperationIn,
            "in/arp-operation",
            Open,
            "which other operations than request and reply ARP to the guest has",
        ),
        (
            Statement::ArpSenderIn,
            "in/arp-sender",
            Open,
            "which address outside the LAN the sender of ARP to the guest claims",
        ),
        (
            Statement::RarpIn,
            "in/rarp",
            Open,
            "whether RARP of others reaches the guest",
        ),
        (
            Statement::OtherMacIn,
            "in/other-mac",
            Open,
            "whether frames reach the guest that are for another host's MAC, or come from the guest's own",
        ),
        (
            Statement::GroupMacIn,
            "in/group-mac",
            Open,
            "whether a packet reaches the guest whose MAC is of another kind than its address",
        ),
        (
            Statement::IcmpRoutingIn,
            "in/icmp-routing",
            Open,
            "whether ICMP redirects and router advertisements of IPv4 reach the guest",
        ),
        (
            Statement::OtherProtocols4In,
            "in/other-protocols4",
            Open,
            "which protocols besides TCP, UDP and ICMP reach the guest from IPv4 hosts that may reach it",
        ),
        (
            Statement::OtherDestinations4In,
            "in/other-destinations4",
            Open,
            "to which other addresses than the guest's, everyone's and allowed groups packets of such IPv4 hosts go",
        ),
        (
            Statement::UnspecifiedDhcpIn,
            "in/unspecified-dhcp",
            Open,
            "whether DHCP requests of others, and IGMP from nobody to hosts, reach the guest",
        ),
        (
            Statement::DhcpIsOffIn,
            "in/dhcp-is-off",
            Open,
            "whether packets to the port of DHCP clients reach a guest that uses no DHCP",
        ),
        (
            Statement::OtherProtocols6In,
            "in/other-protocols6",
            Open,
            "which protocols besides TCP, UDP and ICMPv6 reach the guest from IPv6 hosts that may reach it",
        ),
        (
            Statement::OtherDestinations6In,
            "in/other-destinations6",
            Open,
            "to which other addresses than the guest's and allowed groups packets of such IPv6 hosts go",
        ),
        (
            Statement::AcrossScopes6In,
            "in/across-scopes6",
            Open,
            "whether TCP and UDP reach the guest between link-local and other IPv6 addresses of the LAN",
        ),
        (
            Statement::UnspecifiedOther6In,
            "in/unspecified-other6",
            Open,
            "what else than neighbour discovery comes from no IPv6 address to the groups of the link",
        ),
        (
            Statement::Extensions6In,
            "in/extensions6",
            Open,
            "whether IPv6 packets with extension headers, and later fragments, reach the guest where the same packets without them must",
        ),
    ]
};

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
    fn the_table_has_the_order_of_the_enum() {
        for (at, statement) in Statement::all().enumerate() {
            assert_eq!(statement as usize, at, "{statement:?}");
        }
    }

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
