//! From a policy to one self-contained filter.
//!
//! The filter is a single list in the root chain, first match decides, and the
//! last rule drops every frame in both directions. One file therefore needs
//! one `nwfilter-define`, and no sub-chain can run off its end and accept
//! (which is what a sub-chain without an unconditional last rule does).
//!
//! Only layer-2 rules are used. libvirt's layer-3 rules see nothing but
//! untagged IP that br_netfilter hands to iptables, so they are blind to VLAN
//! tags, PPPoE and ARP, and do nothing at all where a sysctl is off. A layer-2
//! rule sees every frame, and an EtherType without a rule falls to the last one.
//!
//! Every address test comes in pairs: source and destination, so that no reply
//! of a LAN host can be steered to the WAN; a group address and the group MAC
//! that belongs to it, so that no multicast frame can be handed to the router.
//! Protocols are an allow-list (TCP, UDP, ICMP, IGMP), so that no tunnel to a
//! LAN host passes.
//!
//! Each rule costs libvirt a process (some 18 ms, measured), which is why
//! ARP targets and ARP opcodes are not tested: ARP is not routed. For the same
//! reason a guest with a link-local IPv4 address reaches link-local addresses
//! only.

use super::model::Filter;
use super::rules::{Match, Rules, host4, unspecified6};
use crate::policy::{LINK_LOCAL4, Policy};
use ipnet::{IpNet, Ipv4Net, Ipv6Net};
use std::net::Ipv4Addr;

const BROADCAST: &str = "ff:ff:ff:ff:ff:ff";
const ALL_ONES: &str = "ff:ff:ff:ff:ff:ff";
/// IPv4 groups live in the lower half of 01:00:5e (RFC 1112 section 6.4).
const GROUP4: (&str, &str) = ("01:00:5e:00:00:00", "ff:ff:ff:80:00:00");
/// IPv6 groups live in 33:33 (RFC 2464 section 7).
const GROUP6: (&str, &str) = ("33:33:00:00:00:00", "ff:ff:00:00:00:00");

/// Upper protocols between hosts of the LAN.
const UPPER4: [&str; 3] = ["tcp", "udp", "icmp"];
const UPPER6: [&str; 3] = ["tcp", "udp", "icmpv6"];

/// Namespace of the filters' UUIDs: version 5 of the name, so that defining a
/// changed filter again replaces it instead of failing on another UUID.
const NAMESPACE: uuid::Uuid = uuid::uuid!("6f1a2f0e-0d6c-5b8e-9b57-6c616e66656e");

/// The filter that the policy asks for; the same text for the same policy.
pub fn generate(policy: &Policy) -> Filter {
    let mut rules = Rules::default();
    // Nothing under a foreign address: replies would go elsewhere.
    rules.drop_out(Match::new("mac").not().with("srcmacaddr", "$MAC"));
    arp(&mut rules, policy);
    from_guest4(&mut rules, policy);
    from_guest6(&mut rules, policy);
    rarp(&mut rules);
    to_guest(&mut rules, policy);
    Filter {
        name: policy.name.clone(),
        chain: "root".into(),
        priority: None,
        uuid: Some(uuid::Uuid::new_v5(&NAMESPACE, policy.name.as_bytes()).to_string()),
        entries: rules.close(),
    }
}

/// IPv4 prefixes that the guest may have an address in.
fn sources4(policy: &Policy) -> Vec<Ipv4Net> {
    policy
        .lan4
        .iter()
        .copied()
        .chain(policy.link_local.then_some(LINK_LOCAL4))
        .collect()
}

fn arp(rules: &mut Rules, policy: &Policy) {
    if let Some(gateway) = policy.gateway {
        let claim = Match::new("arp")
            .with("arpsrcipaddr", gateway)
            .with("arpsrcipmask", 32);
        rules.drop_out(claim);
    }
    let unspecified = host4(Ipv4Addr::UNSPECIFIED);
    // Probes and announcements before an address is taken (RFC 5227) come from 0.0.0.0.
    for net in sources4(policy).into_iter().chain([unspecified]) {
        let own = Match::new("arp")
            .with("hwtype", 1)
            .with("protocoltype", "0x800")
            .with("arpsrcmacaddr", "$MAC")
            .with("arpsrcipaddr", net.network())
            .with("arpsrcipmask", net.prefix_len());
        rules.accept_out(own);
    }
}

fn from_guest4(rules: &mut Rules, policy: &Policy) {
    // A DHCP server's answers, whoever they are for.
    rules.drop_out(Match::new("ip").protocol("udp").source_port(67));
    dhcp4(rules, policy);
    for (source, destination) in pairs4(policy) {
        for upper in UPPER4 {
            let neighbour = Match::new("ip").sent_by(source).toward(destination);
            rules.accept_out(neighbour.protocol(upper));
        }
    }
    groups4(rules, policy);
    for host in outside4(policy) {
        for (source, upper) in product(&policy.lan4, &UPPER4) {
            let outside = Match::new("ip").sent_by(source).toward(host);
            rules.accept_out(outside.protocol(upper));
        }
    }
}

fn dhcp4(rules: &mut Rules, policy: &Policy) {
    let client = |found: Match| found.protocol("udp").source_port(68).target_port(67);
    if policy.dhcp.client {
        let discover = Match::new("ip")
            .group_mac(BROADCAST, ALL_ONES)
            .sent_by(host4(Ipv4Addr::UNSPECIFIED))
            .toward(host4(Ipv4Addr::BROADCAST));
        rules.accept_out(client(discover));
    }
    for server in &policy.dhcp.servers {
        for source in &policy.lan4 {
            let renew = Match::new("ip").sent_by(*source).toward(host4(*server));
            rules.accept_out(client(renew));
        }
    }
}

/// Broadcast and multicast, each tied to its MAC.
fn groups4(rules: &mut Rules, policy: &Policy) {
    for source in sources4(policy) {
        if policy.broadcast {
            let everyone = Match::new("ip")
                .group_mac(BROADCAST, ALL_ONES)
                .sent_by(source)
                .toward(host4(Ipv4Addr::BROADCAST));
            rules.accept_out(everyone.protocol("udp"));
        }
        for group in &policy.groups4 {
            let group = in_group4().sent_by(source).toward(*group);
            rules.accept_out(group.protocol("udp"));
        }
    }
    if !policy.groups4.is_empty() {
        // Reports may come from 0.0.0.0 (RFC 3376 section 4.2.13) and nobody answers their
        // sender, so the source is not tested.
        let all = Ipv4Net::new_assert(Ipv4Addr::new(224, 0, 0, 0), 4);
        rules.accept_out(in_group4().toward(all).protocol("igmp"));
    }
}

fn in_group4() -> Match {
    Match::new("ip").group_mac(GROUP4.0, GROUP4.1)
}

fn in_group6() -> Match {
    Match::new("ipv6").group_mac(GROUP6.0, GROUP6.1)
}

/// Who may talk to whom: each LAN prefix to each; link-local to itself, and
/// from the LAN to hosts that have nothing else (RFC 3927 section 2.6.2).
fn pairs4(policy: &Policy) -> Vec<(Ipv4Net, Ipv4Net)> {
    let mut pairs = product(&policy.lan4, &sources4(policy));
    if policy.link_local {
        pairs.push((LINK_LOCAL4, LINK_LOCAL4));
    }
    pairs
}

/// Every pair of the two, the first varying slowest.
fn product<A: Copy, B: Copy>(first: &[A], second: &[B]) -> Vec<(A, B)> {
    let pairs = |a: &A| {
        let a = *a;
        second.iter().map(move |b| (a, *b))
    };
    first.iter().flat_map(pairs).collect()
}

fn outside4(policy: &Policy) -> impl Iterator<Item = Ipv4Net> {
    policy.allow.iter().filter_map(|net| match net {
        IpNet::V4(net) => Some(*net),
        IpNet::V6(_) => None,
    })
}

fn outside6(policy: &Policy) -> impl Iterator<Item = Ipv6Net> {
    policy.allow.iter().filter_map(|net| match net {
        IpNet::V4(_) => None,
        IpNet::V6(net) => Some(*net),
    })
}

fn from_guest6(rules: &mut Rules, policy: &Policy) {
    if policy.lan6.is_empty() {
        return;
    }
    // Router advertisement and redirect (RFC 4861) would make the guest a router.
    for kind in [134, 137] {
        rules.drop_out(Match::new("ipv6").protocol("icmpv6").with("type", kind));
    }
    rules.drop_out(Match::new("ipv6").protocol("udp").source_port(547));
    // Address detection and early MLD reports come from ::. The protocol is
    // not tested: MLD stands behind a hop-by-hop header, which libvirt's nftables
    // backend does not look past, and ff02 never leaves the link.
    let link = Ipv6Net::new_assert("ff02::".parse().expect("a constant"), 16);
    rules.accept_out(in_group6().sent_by(unspecified6()).toward(link));
    for (source, group) in product(&policy.lan6, &policy.groups6) {
        rules.accept_out(in_group6().sent_by(source).toward(group));
    }
    for (source, destination) in product(&policy.lan6, &policy.lan6) {
        // Across prefixes hosts speak neighbour discovery, and little else.
        let upper: &[&str] = if source == destination {
            &UPPER6
        } else {
            &["icmpv6"]
        };
        for upper in upper {
            let neighbour = Match::new("ipv6").sent_by(source).toward(destination);
            rules.accept_out(neighbour.protocol(upper));
        }
    }
    for host in outside6(policy) {
        for (source, upper) in product(&policy.lan6, &UPPER6) {
            let outside = Match::new("ipv6").sent_by(source).toward(host);
            rules.accept_out(outside.protocol(upper));
        }
    }
}

/// QEMU announces a migrated guest with a RARP request about itself.
fn rarp(rules: &mut Rules) {
    let announce = Match::new("rarp")
        .group_mac(BROADCAST, ALL_ONES)
        .with("opcode", "Request_Reverse")
        .with("arpsrcmacaddr", "$MAC")
        .with("arpdstmacaddr", "$MAC");
    rules.accept_out(announce);
}

fn to_guest(rules: &mut Rules, policy: &Policy) {
    rules.accept_in(Match::new("arp"));
    for source in sources4(policy).into_iter().chain(outside4(policy)) {
        rules.accept_in(Match::new("ip").sent_by(source));
    }
    for server in &policy.dhcp.servers {
        let answer = Match::new("ip").sent_by(host4(*server)).protocol("udp");
        rules.accept_in(answer.source_port(67).target_port(68));
    }
    // Switches without an address of their own ask for groups from 0.0.0.0.
    let querier = Match::new("ip").sent_by(host4(Ipv4Addr::UNSPECIFIED));
    rules.accept_in(querier.protocol("igmp"));
    if policy.lan6.is_empty() {
        return;
    }
    let inside = policy.lan6.iter().copied().chain([unspecified6()]);
    for source in inside.chain(outside6(policy)) {
        rules.accept_in(Match::new("ipv6").sent_by(source));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::nwfilter::{Action, Direction, read, write};

    fn text(policy: &Policy) -> String {
        write(&generate(policy))
    }

    #[test]
    fn the_shipped_example() {
        insta::assert_snapshot!(text(&Policy::example()));
    }

    #[test]
    fn few_rules() {
        // Some 22 ms a rule and 0.15 s besides (measured on a busy machine) must
        // stay under 0.9 s; the last rule stands for two.
        assert!(generate(&Policy::example()).rule_count() < 32);
    }

    #[test]
    fn two_lans_outside_hosts_and_a_distant_server() {
        let text_of = "[lan]\nprefixes = [\"10.1.0.0/16\", \"10.2.0.0/16\", \"fe80::/10\", \"fd00:1::/64\"]\n\
                       [dhcp]\nservers = [\"10.9.0.1\"]\n[allow]\nhosts = [\"203.0.113.5/32\", \"2001:db8::5/128\"]\n";
        insta::assert_snapshot!(text(&Policy::parse(text_of, "test").unwrap()));
    }

    #[test]
    fn link_local_addresses() {
        let text_of = "[lan]\nprefixes = [\"192.168.1.0/24\"]\nlink-local = true\n";
        insta::assert_snapshot!(text(&Policy::parse(text_of, "test").unwrap()));
    }

    #[test]
    fn ipv4_only_without_broadcast_and_groups() {
        let text_of = "[lan]\nprefixes = [\"10.1.0.0/16\"]\n[dhcp]\nclient = false\n[broadcast]\nlimited = false\n[multicast]\ngroups = []\n";
        insta::assert_snapshot!(text(&Policy::parse(text_of, "test").unwrap()));
    }

    #[test]
    fn what_is_written_reads_back() {
        let filter = generate(&Policy::example());
        assert_eq!(read(&write(&filter), "generated").unwrap(), filter);
    }

    #[test]
    fn priorities_are_unique_positive_and_end_with_a_drop() {
        let filter = generate(&Policy::example());
        let priorities: Vec<i16> = filter.rules().filter_map(|rule| rule.priority).collect();
        assert!(priorities.windows(2).all(|pair| pair[0] < pair[1]) && priorities[0] >= 0);
        let last = filter.rules().last().unwrap();
        assert_eq!(
            (last.action, last.direction, last.elements.len()),
            (Action::Drop, Direction::InOut, 0)
        );
    }
}
