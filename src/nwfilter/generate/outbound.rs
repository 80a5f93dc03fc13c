//! What a guest may send.

use super::draft::{Draft, Macs, Rules, UNSPECIFIED4, UNSPECIFIED6};
use crate::nwfilter::vocabulary::Protocol;
use crate::nwfilter::vocabulary::RuleDirection::Out;
use crate::policy::{LINK_LOCAL4, Policy, is_link_local};
use ipnet::{IpNet, Ipv4Net, Ipv6Net};
use std::net::{Ipv4Addr, Ipv6Addr};

const DHCP_SERVER: u16 = 67;
const DHCP_CLIENT: u16 = 68;
const DHCPV6_CLIENT: u16 = 546;

/// `ICMPv6` types that only a router sends (RFC 4861).
const ROUTER_ADVERTISEMENT: &str = "134";
const REDIRECT: &str = "137";

/// What hosts of one family speak to each other.
const HOST4: &[&str] = &["tcp", "udp", "icmp"];
const HOST6: &[&str] = &["tcp", "udp", "icmpv6"];

/// The limited broadcast as a prefix.
const LIMITED: Ipv4Net = Ipv4Net::new_assert(Ipv4Addr::BROADCAST, 32);

/// All IPv4 groups.
const GROUPS4: Ipv4Net = Ipv4Net::new_assert(Ipv4Addr::new(224, 0, 0, 0), 4);

/// Groups of IPv4 that never leave the link; IGMP itself uses two of them.
const LOCAL_GROUPS4: Ipv4Net = Ipv4Net::new_assert(Ipv4Addr::new(224, 0, 0, 0), 24);

/// Groups of IPv6 that never leave the link; without them there is no IPv6 at all.
pub const LINK_GROUPS6: Ipv6Net =
    Ipv6Net::new_assert(Ipv6Addr::new(0xff02, 0, 0, 0, 0, 0, 0, 0), 16);

/// The group of `MLDv2` reports (RFC 3810 section 5.2.14). Only routers and switches listen to it.
const MLD_ROUTERS: Ipv6Net =
    Ipv6Net::new_assert(Ipv6Addr::new(0xff02, 0, 0, 0, 0, 0, 0, 0x16), 128);

/// The number of the hop-by-hop header, which every MLD message begins with.
const HOP_BY_HOP: &str = "0";

/// Appends the rules for frames from the guest.
pub fn rules(policy: &Policy, rules: &mut Rules) {
    let own = Draft::new(Protocol::Mac, "spoofed source MAC").with("srcmacaddr", "$MAC");
    let own = own.with("srcmacmask", "ff:ff:ff:ff:ff:ff");
    rules.drop(Out, own.negated());
    arp(policy, rules);
    rarp(rules);
    never4(policy, rules);
    dhcp(policy, rules);
    pairs4(policy, rules);
    broadcast(policy, rules);
    groups4(policy, rules);
    if !policy.lan6.is_empty() {
        never6(rules);
        groups6(policy, rules);
        pairs6(policy, rules);
    }
    allow(policy, rules);
    rules.drop_rest(Out);
}

/// IPv4 prefixes that a guest may have an address in.
fn sources4(policy: &Policy) -> impl Iterator<Item = Ipv4Net> {
    let link_local = policy.link_local.then_some(LINK_LOCAL4);
    policy.lan4.iter().copied().chain(link_local)
}

fn arp(policy: &Policy, rules: &mut Rules) {
    if let Some(gateway) = policy.gateway {
        let gateway = Draft::new(Protocol::Arp, "spoofed gateway").arp_sender(gateway.into());
        rules.drop(Out, gateway);
    }
    let own = |comment: &str| {
        let draft = Draft::new(Protocol::Arp, comment).ethernet_ipv4();
        draft.with("arpsrcmacaddr", "$MAC")
    };
    for net in sources4(policy) {
        rules.accept(Out, own("ARP").arp_sender(net));
    }
    // RFC 5227: is this address free?
    let probe = own("ARP probe").with("opcode", "Request");
    rules.accept(Out, probe.arp_sender(UNSPECIFIED4));
}

/// QEMU tells the switches after a migration where the guest is now. The type of the protocol
/// is not tested: libvirt's nftables rules look for it in the wrong place
/// (docs/libvirt-bugs.md#B26), and ebtables demands IPv4 wherever it compares addresses.
fn rarp(rules: &mut Rules) {
    let announce = Draft::new(Protocol::Rarp, "QEMU announces the guest")
        .target_macs(Macs::Broadcast)
        .with("hwtype", "1")
        .with("opcode", "Request_Reverse")
        .with("arpsrcmacaddr", "$MAC")
        .with("arpdstmacaddr", "$MAC")
        .arp_sender(UNSPECIFIED4)
        .arp_target(UNSPECIFIED4);
    rules.accept(Out, announce);
}

fn never4(policy: &Policy, rules: &mut Rules) {
    if let Some(gateway) = policy.gateway {
        let gateway = Ipv4Net::from(gateway);
        let spoof = Draft::new(Protocol::Ip, "spoofed gateway").source_net(gateway);
        rules.drop(Out, spoof);
    }
    let answer = Draft::new(Protocol::Ip, "rogue DHCP server").protocol("udp");
    rules.drop(Out, answer.target_port(DHCP_CLIENT));
}

fn dhcp(policy: &Policy, rules: &mut Rules) {
    if !policy.dhcp.client {
        let ask = Draft::new(Protocol::Ip, "DHCP is off").protocol("udp");
        return rules.drop(Out, ask.target_port(DHCP_SERVER));
    }
    let ask = |comment: &str| {
        let draft = Draft::new(Protocol::Ip, comment).protocol("udp");
        draft.source_port(DHCP_CLIENT).target_port(DHCP_SERVER)
    };
    let discover = ask("DHCP").source_net(UNSPECIFIED4);
    rules.accept(
        Out,
        discover.target_net(LIMITED).target_macs(Macs::Broadcast),
    );
    for &net in &policy.lan4 {
        if !policy.broadcast {
            // A client whose server doesn't answer asks everyone (RFC 2131 section 4.4.5).
            let rebind = ask("DHCP rebind").source_net(net);
            rules.accept(Out, rebind.target_net(LIMITED).target_macs(Macs::Broadcast));
        }
        for &server in &policy.dhcp.servers {
            let renew = ask("DHCP renew").source_net(net);
            rules.accept(Out, renew.target_net(Ipv4Net::from(server)));
        }
    }
}

fn pairs4(policy: &Policy, rules: &mut Rules) {
    for &from in &policy.lan4 {
        for &to in &policy.lan4 {
            hosts(rules, from.into(), to.into(), HOST4);
        }
    }
    if !policy.link_local {
        return;
    }
    let link_local = IpNet::from(LINK_LOCAL4);
    hosts(rules, link_local, link_local, HOST4);
    for &from in &policy.lan4 {
        hosts(rules, from.into(), link_local, HOST4);
    }
}

fn hosts(rules: &mut Rules, from: IpNet, to: IpNet, protocols: &[&str]) {
    for protocol in protocols {
        let draft = Draft::ip(from, "hosts").protocol(protocol);
        rules.accept(Out, draft.source_net(from).target_net(to));
    }
}

fn broadcast(policy: &Policy, rules: &mut Rules) {
    if !policy.broadcast {
        return;
    }
    for &from in &policy.lan4 {
        let draft = Draft::new(Protocol::Ip, "limited broadcast").protocol("udp");
        let draft = draft.source_net(from).target_net(LIMITED);
        rules.accept(Out, draft.target_macs(Macs::Broadcast));
    }
}

fn groups4(policy: &Policy, rules: &mut Rules) {
    let mut reported = policy.groups4.clone();
    let covered = |group: &Ipv4Net| group.contains(&LOCAL_GROUPS4);
    if !reported.is_empty() && !reported.iter().any(covered) {
        // Reports go to the group, or to all routers: 224.0.0.2 and 224.0.0.22.
        reported.retain(|group| !LOCAL_GROUPS4.contains(group));
        reported.push(LOCAL_GROUPS4);
    }
    for group in reported {
        debug_assert!(GROUPS4.contains(&group), "the policy checks it");
        let draft = Draft::new(Protocol::Ip, "IGMP").protocol("igmp");
        rules.accept(Out, draft.target_net(group).target_macs(Macs::Groups4));
    }
    for from in sources4(policy) {
        for &group in &policy.groups4 {
            let draft = Draft::new(Protocol::Ip, "multicast").protocol("udp");
            let draft = draft.source_net(from).target_net(group);
            rules.accept(Out, draft.target_macs(Macs::Groups4));
        }
    }
}

fn never6(rules: &mut Rules) {
    for (kind, comment) in [
        (ROUTER_ADVERTISEMENT, "rogue router advertisement"),
        (REDIRECT, "rogue redirect"),
    ] {
        let draft = Draft::new(Protocol::Ipv6, comment).protocol("icmpv6");
        rules.drop(Out, draft.with("type", kind));
    }
    let answer = Draft::new(Protocol::Ipv6, "rogue DHCPv6 server").protocol("udp");
    rules.drop(Out, answer.target_port(DHCPV6_CLIENT));
}

fn groups6(policy: &Policy, rules: &mut Rules) {
    let group = |comment: &str, protocol: &str, from: Ipv6Net, to: Ipv6Net| {
        let draft = Draft::new(Protocol::Ipv6, comment).protocol(protocol);
        draft
            .source_net(from)
            .target_net(to)
            .target_macs(Macs::Groups6)
    };
    // ebtables looks past the hop-by-hop header, nftables stops at it. Any message may hide
    // behind one there, so that no group that hosts listen to may be named here, and the source
    // must be an address of MLD (RFC 3810 section 5.2.13).
    let reporters = policy.lan6.iter().copied().filter(is_link_local);
    for from in std::iter::once(UNSPECIFIED6).chain(reporters) {
        rules.accept(Out, group("MLDv2 report", HOP_BY_HOP, from, MLD_ROUTERS));
    }
    let control = "neighbour discovery, MLD";
    rules.accept(Out, group(control, "icmpv6", UNSPECIFIED6, LINK_GROUPS6));
    for &from in &policy.lan6 {
        rules.accept(Out, group(control, "icmpv6", from, LINK_GROUPS6));
        for &to in &policy.groups6 {
            rules.accept(Out, group("multicast", "udp", from, to));
            if !LINK_GROUPS6.contains(&to) {
                // MLDv1 reports go to the group itself (RFC 2710 section 4).
                rules.accept(Out, group("MLD", "icmpv6", from, to));
            }
        }
    }
}

fn pairs6(policy: &Policy, rules: &mut Rules) {
    for from in &policy.lan6 {
        for to in &policy.lan6 {
            // Between link-local and other addresses there is neighbour discovery only.
            let same = is_link_local(from) == is_link_local(to);
            let protocols = if same { HOST6 } else { &["icmpv6"] };
            hosts(rules, (*from).into(), (*to).into(), protocols);
        }
    }
}

fn allow(policy: &Policy, rules: &mut Rules) {
    for &to in &policy.allow {
        match to {
            IpNet::V4(_) => {
                for &from in &policy.lan4 {
                    hosts(rules, from.into(), to, HOST4);
                }
            }
            IpNet::V6(_) => {
                for from in policy.lan6.iter().filter(|net| !is_link_local(net)) {
                    hosts(rules, (*from).into(), to, HOST6);
                }
            }
        }
    }
}
