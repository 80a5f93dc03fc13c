//! What holds of every catalogue, and the shipped policy's one in full.

use super::*;
use crate::frame::{Body, MAX_FRAME, MIN_FRAME, View};
use crate::policy::Dhcp;
use crate::probe::{
    Expect, Lookup, Origin, Point, Sighting, Stimulus, inbound_sentinels, sentinels,
};
use crate::probe::{Pass, SENTINEL};
use ipnet::{IpNet, Ipv4Net, Ipv6Net};
use proptest::prelude::*;
use rstest::rstest;
use std::collections::HashSet;
use std::fmt::Write as _;
use std::net::Ipv4Addr;

fn example() -> Policy {
    Policy {
        name: "lan-only".to_owned(),
        lan4: vec!["192.168.1.0/24".parse().unwrap()],
        lan6: vec!["fe80::/10".parse().unwrap()],
        gateway: Some(Ipv4Addr::new(192, 168, 1, 1)),
        link_local: true,
        dhcp: Dhcp {
            client: true,
            servers: vec![],
        },
        broadcast: true,
        groups4: vec!["224.0.0.0/4".parse().unwrap()],
        groups6: vec!["ff02::/16".parse().unwrap()],
        allow: vec![],
        fence: crate::policy::Fence::default(),
    }
}

fn layout() -> Layout {
    Layout::of(&example()).unwrap()
}

fn tag(pass: u8) -> impl Fn(u16) -> Tag {
    move |index| Tag {
        run: 0xdead_beef,
        pass,
        index,
    }
}

fn build(policy: &Policy, pass: Pass) -> Vec<Probe> {
    catalogue(policy, &layout(), tag(pass.number()))
}

fn frames(probe: &Probe) -> &[Vec<u8>] {
    match &probe.stimulus {
        Stimulus::Frames(frames) => frames,
        _ => &[],
    }
}

fn expectation(probes: &[Probe], id: &str) -> Expect {
    let found = probes.iter().find(|probe| probe.id == id);
    found
        .unwrap_or_else(|| panic!("{id} is in the catalogue"))
        .expect
}

#[test]
fn of_the_shipped_policy() {
    let mut text = String::new();
    for probe in build(&example(), Pass::Control) {
        let expect = match (probe.expect, probe.known_gap) {
            (_, Some(_)) => "known gap",
            (Expect::Pass, _) => "pass",
            (Expect::Drop, _) => "drop",
        };
        let received_at = format!("{:?}", probe.received_at);
        let _ = writeln!(
            text,
            "{:<38} {expect:<8} {received_at:<10} {}",
            probe.id, probe.summary
        );
    }
    insta::assert_snapshot!(text);
}

#[test]
fn ids_are_unique_and_name_their_row() {
    let probes = build(&example(), Pass::Control);
    let ids: HashSet<_> = probes.iter().map(|probe| &probe.id).collect();
    assert_eq!(ids.len(), probes.len());
    for probe in &probes {
        let (row, name) = probe.id.split_once('/').unwrap();
        assert_eq!(row, probe.group.slug());
        assert!(
            name.chars()
                .all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-')
        );
        assert!(
            probe.summary.len() <= 90 && !probe.summary.contains('\n'),
            "{}",
            probe.summary
        );
    }
}

#[test]
fn passes_differ_in_tags_only() {
    let plan = |pass| {
        build(&example(), pass)
            .into_iter()
            .map(|probe| {
                (
                    probe.id,
                    probe.summary,
                    probe.expect,
                    probe.origin,
                    probe.received_at,
                )
            })
            .collect::<Vec<_>>()
    };
    assert_eq!(plan(Pass::Control), plan(Pass::Filtered));
    assert_eq!(plan(Pass::Control), plan(Pass::LeakCheck));
    assert_eq!(plan(Pass::Control), plan(Pass::FirstFrame));
}

#[test]
fn frames_are_recognised_and_by_no_other_probe() {
    let probes = build(&example(), Pass::Control);
    for probe in &probes {
        for frame in frames(probe) {
            assert!(probe.sent.matches(frame), "{}", probe.id);
            for other in probes.iter().filter(|other| other.id != probe.id) {
                let taken = other.sent.matches(frame) || other.received.matches(frame);
                assert!(!taken, "{} is taken for {}", probe.id, other.id);
            }
        }
    }
}

#[test]
fn the_lookup_finds_what_each_sighting_matches() {
    let probes = build(&example(), Pass::Control);
    let lookup = Lookup::new(probes.iter().map(|probe| &probe.received));
    let marks = sentinels(&layout(), tag(SENTINEL));
    for frame in probes.iter().flat_map(frames).chain(&marks) {
        let asked = |(at, probe): (usize, &Probe)| probe.received.matches(frame).then_some(at);
        let each: Vec<_> = probes.iter().enumerate().filter_map(asked).collect();
        assert_eq!(lookup.hits(frame), each);
    }
    // Frames of the stack have no tag: a SYN and a question stand for them.
    let d =
        Draft::new(&layout(), tag(Pass::Control.number())(0)).ip4(Ipv4Addr::new(192, 168, 1, 10));
    for probe in &probes {
        let packet = match (&probe.stimulus, &probe.received) {
            (
                Stimulus::Tcp {
                    source_port, to, ..
                },
                _,
            ) if to.ip() == d.dst => d.tcp(*source_port, to.port(), 2, b""),
            (
                Stimulus::Udp {
                    source_port,
                    to,
                    payload,
                },
                Sighting::Dns { .. },
            ) => d.udp(*source_port, to.port(), payload),
            _ => continue,
        };
        let frame = crate::frame::Link::new([2; 6], [4; 6]).frame(0x0800, &packet);
        let found = lookup.hits(&frame);
        assert_eq!(
            found.iter().map(|at| &probes[*at].id).collect::<Vec<_>>(),
            [&probe.id]
        );
    }
}

#[test]
fn payloads_of_the_stack_hold_what_is_looked_for() {
    for probe in build(&example(), Pass::Control) {
        match (&probe.stimulus, &probe.sent) {
            (
                Stimulus::Udp { payload, .. } | Stimulus::Ping { payload, .. },
                Sighting::Tag(tag),
            ) => {
                assert_eq!(Tag::find(payload), Some(*tag), "{}", probe.id);
            }
            (Stimulus::Udp { payload, .. }, Sighting::Dns { name }) => {
                let asked = crate::frame::names::questioned(payload);
                assert_eq!(asked.as_deref(), Some(name.as_str()));
            }
            _ => {}
        }
    }
}

#[test]
fn no_frame_is_for_an_address_that_bridges_keep() {
    for probe in build(&example(), Pass::Control) {
        for frame in frames(&probe) {
            let reserved = frame[..5] == [1, 0x80, 0xc2, 0, 0] && (1..=15).contains(&frame[5]);
            assert!(!reserved, "{} never leaves the bridge", probe.id);
        }
    }
}

#[test]
fn no_frame_borrows_the_mac_of_a_lab_host() {
    let layout = layout();
    for probe in build(&example(), Pass::Control) {
        let own = match probe.origin {
            Origin::Guest => layout.guest.mac,
            Origin::Peer => layout.peer.mac,
            Origin::Gateway => layout.gateway.mac,
            Origin::Wan => continue,
        };
        for frame in frames(&probe) {
            let hosts = [layout.guest.mac, layout.peer.mac, layout.gateway.mac];
            let src = View::parse(frame).unwrap().src;
            assert!(src == own || !hosts.contains(&src), "{}", probe.id);
        }
    }
}

/// Length and every checksum of a frame, and of what a tunnel in it carries.
fn assert_sound(id: &str, frame: &[u8]) {
    let view = View::parse(frame).unwrap();
    let room = MAX_FRAME + 4 * view.tags.len();
    assert!(
        (MIN_FRAME..=room).contains(&frame.len()),
        "{id}: {} bytes",
        frame.len()
    );
    if let Body::V4(packet) = &view.body {
        assert!(packet.sum_ok, "{id}: bad IPv4 header checksum");
    }
    if let Some(upper) = view.upper() {
        assert_ne!(upper.sum_ok(), Some(false), "{id}: bad checksum");
    }
    let ip = matches!(view.body, Body::V4(_) | Body::V6(_));
    let claims_ip = matches!(view.kind, 0x0800 | 0x86dd);
    assert_eq!(ip, claims_ip, "{id}: an IP header that does not parse");
}

#[rstest]
#[case::control(Pass::Control)]
#[case::filtered(Pass::Filtered)]
#[case::early(Pass::FirstFrame)]
fn frames_are_sound(#[case] pass: Pass) {
    for probe in build(&example(), pass) {
        for frame in frames(&probe) {
            assert_sound(&probe.id, frame);
        }
    }
    let marks = [
        sentinels(&layout(), tag(SENTINEL)),
        inbound_sentinels(&layout(), tag(SENTINEL)),
    ];
    for frame in marks.iter().flatten() {
        assert_sound("sentinel", frame);
    }
}

#[test]
fn sentinels_are_tagged_and_no_probe_matches_them() {
    let probes = build(&example(), Pass::Filtered);
    let outbound = sentinels(&layout(), tag(SENTINEL));
    let inbound = inbound_sentinels(&layout(), tag(SENTINEL));
    for frames in [&outbound, &inbound] {
        for (index, frame) in (0..).zip(frames) {
            assert_eq!(Tag::find(frame), Some(tag(SENTINEL)(index)));
            let taken = probes.iter().find(|probe| probe.received.matches(frame));
            assert_eq!(taken.map(|probe| &probe.id), None);
        }
    }
}

/// Source ports of a probe's own choice.
fn source_ports(probe: &Probe) -> Vec<u16> {
    match &probe.stimulus {
        Stimulus::Udp { source_port, .. } | Stimulus::Tcp { source_port, .. } => vec![*source_port],
        Stimulus::Frames(frames) => frames
            .iter()
            .filter_map(|frame| View::parse(frame)?.upper()?.ports())
            .map(|(from, _)| from)
            .filter(|port| *port > 1024)
            .collect(),
        _ => vec![],
    }
}

#[rstest]
#[case::low(0)]
#[case::turned_around_the_end(9_999)]
#[case::high(u32::MAX)]
fn no_source_port_is_used_twice(#[case] run: u32) {
    let mut used = HashSet::new();
    for pass in [Pass::Control, Pass::Filtered, Pass::LeakCheck] {
        let probes = catalogue(&example(), &layout(), |index| pass.tag(run, index));
        for probe in probes {
            let ports: HashSet<_> = source_ports(&probe).into_iter().collect();
            assert!(ports.len() <= 1, "{}", probe.id);
            for port in ports {
                assert!((20_000..60_000).contains(&port), "{}: {port}", probe.id);
                assert!(used.insert(port), "{}: {port} was used before", probe.id);
            }
        }
    }
}

#[test]
fn every_row_has_probes_and_a_leak_check_where_it_drops() {
    let probes = build(&example(), Pass::Control);
    for group in crate::probe::Group::ALL {
        let mut row = probes
            .iter()
            .filter(|probe| probe.group == group)
            .peekable();
        assert!(row.peek().is_some(), "{group:?}");
    }
    let order: Vec<_> = crate::probe::Group::ALL.into_iter().collect();
    let rank = |probe: &Probe| order.iter().position(|group| *group == probe.group);
    assert!(
        probes.is_sorted_by_key(rank),
        "probes come in the table's order, row by row"
    );
    let known_gaps = probes.iter().filter(|probe| probe.known_gap.is_some());
    for probe in known_gaps {
        assert_eq!(
            (probe.expect, probe.in_leak_check()),
            (Expect::Drop, false),
            "{}",
            probe.id
        );
    }
    assert!(probes.iter().filter(|probe| probe.in_leak_check()).count() > 100);
}

#[rstest]
#[case::prefix6("lan-unicast/udp6-prefix", |p: &mut Policy| p.lan6.push("2001:db8:1::/64".parse().unwrap()), Expect::Pass)]
#[case::no_broadcast("broadcast/limited", |p: &mut Policy| p.broadcast = false, Expect::Drop)]
#[case::no_groups("multicast/block-225", |p: &mut Policy| p.groups4 = vec!["239.0.0.0/8".parse().unwrap()], Expect::Drop)]
#[case::no_dhcp("dhcp/discover", |p: &mut Policy| p.dhcp.client = false, Expect::Drop)]
#[case::no_ipv6("ipv6-control/ns-peer", |p: &mut Policy| p.lan6.clear(), Expect::Drop)]
#[case::no_link_local4("arp/link-local", |p: &mut Policy| p.link_local = false, Expect::Drop)]
#[case::wide_lan("wan-edges/net-192-168-0", |p: &mut Policy| p.lan4 = vec!["192.168.0.0/16".parse().unwrap()], Expect::Pass)]
#[case::allowed_host("wan-ipv4/udp-53", |p: &mut Policy| p.allow.push("203.0.113.10/32".parse().unwrap()), Expect::Pass)]
#[case::allowed_net("lan-unicast/allowed-1", |p: &mut Policy| p.allow.push("198.51.100.0/24".parse().unwrap()), Expect::Pass)]
#[case::other_lan("lan-unicast/other-lan-1", |p: &mut Policy| p.lan4.push("10.0.0.0/8".parse().unwrap()), Expect::Pass)]
#[case::beside_allowed("wan-edges/above-allowed-1", |p: &mut Policy| p.allow.push("198.51.100.0/24".parse().unwrap()), Expect::Drop)]
#[case::dhcp_server("dhcp/renew-at-server-1", |p: &mut Policy| p.dhcp.servers.push(Ipv4Addr::new(10, 0, 0, 1)), Expect::Pass)]
fn expectations_follow_the_policy(
    #[case] id: &str,
    #[case] change: fn(&mut Policy),
    #[case] expected: Expect,
) {
    let mut policy = example();
    change(&mut policy);
    let probes = build(&policy, Pass::Control);
    assert_eq!(expectation(&probes, id), expected);
    let original = build(&example(), Pass::Control);
    if let Some(before) = original.iter().find(|probe| probe.id == id) {
        assert_ne!(before.expect, expected, "the change makes no difference");
    }
}

#[test]
fn an_allowed_host_is_no_source_for_the_guest() {
    let policy = Policy {
        allow: vec!["203.0.113.10/32".parse().unwrap()],
        ..example()
    };
    let probes = build(&policy, Pass::Control);
    assert_eq!(expectation(&probes, "reflection/echo-peer"), Expect::Drop);
    assert_eq!(expectation(&probes, "wan-inbound/udp"), Expect::Pass);
}

#[test]
fn without_link_local_the_router_probe_is_no_known_gap() {
    let policy = Policy {
        link_local: false,
        ..example()
    };
    let probes = build(&policy, Pass::Control);
    let probe = probes
        .iter()
        .find(|probe| probe.id == "wan-edges/link-local-via-router")
        .unwrap();
    assert!(probe.known_gap.is_none() && probe.in_leak_check());
    assert_eq!(probe.received_at, Point::Wan);
}

prop_compose! {
    fn net4()(bits: u32, length in 0..=32_u8) -> Ipv4Net {
        Ipv4Net::new(bits.into(), length).unwrap().trunc()
    }
}

prop_compose! {
    fn net6()(bits: u128, length in 0..=128_u8) -> Ipv6Net {
        Ipv6Net::new(bits.into(), length).unwrap().trunc()
    }
}

prop_compose! {
    fn any_policy()(
        lan4 in prop::collection::vec(net4(), 0..4),
        lan6 in prop::collection::vec(net6(), 0..3),
        groups4 in prop::collection::vec(net4(), 0..3),
        allow in prop::collection::vec(prop_oneof![net4().prop_map(IpNet::V4), net6().prop_map(IpNet::V6)], 0..3),
        servers in prop::collection::vec(any::<u32>().prop_map(Ipv4Addr::from), 0..3),
        flags: [bool; 4],
    ) -> Policy {
        let [link_local, broadcast, client, gateway] = flags;
        let base = example();
        let dhcp = Dhcp { client, servers };
        let gateway = base.gateway.filter(|_| gateway);
        Policy { lan4, lan6, gateway, link_local, dhcp, broadcast, groups4, allow, ..base }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn any_policy_gives_a_sound_catalogue(policy in any_policy()) {
        let probes = build(&policy, Pass::Control);
        let ids: HashSet<_> = probes.iter().map(|probe| &probe.id).collect();
        prop_assert_eq!(ids.len(), probes.len());
        for probe in &probes {
            for frame in frames(probe) {
                assert_sound(&probe.id, frame);
                prop_assert!(probe.sent.matches(frame));
            }
        }
    }
}
