use super::*;
use crate::frame::{BROADCAST, Ip4, Link, ethertype};
use crate::lab::Direction;
use crate::policy::Policy;
use rstest::rstest;

const ME: Mac = mac::guest(1, None);
const MINE: Ipv4Addr = Ipv4Addr::new(192, 168, 1, 77);
const LAN: Ipv4Addr = Ipv4Addr::new(192, 168, 1, 10);
const WAN: Ipv4Addr = Ipv4Addr::new(203, 0, 113, 10);

const TAP: Point = Point::TapFromGuest;
const PEER: Point = Point::Peer;
const GATEWAY: Point = Point::Gateway;
const FAR: Point = Point::Wan;

fn to(mac: Mac, address: Ipv4Addr, port: u16) -> Vec<u8> {
    Link::new(ME, mac).frame(
        ethertype::IPV4,
        &Ip4::new(MINE, address).udp(4000, port, b"x"),
    )
}

fn ntp() -> Vec<u8> {
    to(mac::GATEWAY, WAN, 123)
}

fn names() -> Vec<u8> {
    to(BROADCAST, [192, 168, 1, 255].into(), 137)
}

/// Both of the lab's hosts hear of it.
fn hello(at: u64) -> Vec<(Point, Vec<u8>, u64)> {
    let frame = to(BROADCAST, [192, 168, 1, 255].into(), 7);
    [TAP, PEER, GATEWAY]
        .map(|place| (place, frame.clone(), at))
        .to_vec()
}

fn read(frames: Vec<(Point, Vec<u8>, u64)>) -> Ledger {
    let mut sightings = Sightings::default();
    for (place, frame, at_ns) in frames {
        let direction = Direction::In;
        let seen = Sighted {
            direction,
            at_ns,
            checksum_pending: false,
            frame,
        };
        sightings.add(place, seen);
    }
    let policy = Policy::example();
    let gateway = Ipv4Addr::new(192, 168, 1, 1);
    let owner = Owner {
        judge: Judge {
            policy: &policy,
            lan4: "192.168.1.0/24".parse().unwrap(),
            gateway,
        },
        mac: ME,
        others: [
            gateway.into(),
            LAN.into(),
            "fe80::1".parse().unwrap(),
            "fe80::a".parse().unwrap(),
        ],
    };
    Ledger::read(&owner, &sightings)
}

fn kind(id: &str) -> Kind {
    let group = if id == "udp" {
        Group::WanIpv4
    } else {
        Group::Broadcast
    };
    Kind {
        group,
        name: id.into(),
    }
}

fn proof(ledger: &Ledger) -> Proof {
    Proof {
        until: ledger.proven(),
        wan: true,
        sound: true,
    }
}

#[rstest]
#[case::stopped(&[TAP], Outcome::Dropped)]
#[case::seen_by_the_router(&[TAP, GATEWAY], Outcome::Delivered)]
#[case::seen_by_another_host(&[TAP, PEER], Outcome::Delivered)]
#[case::seen_far_away(&[TAP, FAR], Outcome::Delivered)]
#[case::seen_only_behind_the_filter(&[GATEWAY], Outcome::Delivered)]
#[case::not_sent(&[], Outcome::NeverSent)]
fn what_must_be_stopped(#[case] places: &[Point], #[case] expected: Outcome) {
    let mut frames: Vec<_> = places.iter().map(|place| (*place, ntp(), 10)).collect();
    frames.extend(hello(20));
    let ledger = read(frames);
    assert_eq!(ledger.filtered(&kind("udp"), proof(&ledger)), expected);
}

#[test]
fn a_wan_frame_is_delivered_without_the_filter_at_the_far_side_only() {
    let way = [TAP, GATEWAY, FAR].map(|place| (place, ntp(), 10));
    let outcome = |count: usize| {
        let ledger = read(way[..count].iter().cloned().chain(hello(20)).collect());
        ledger.control(&kind("udp"), proof(&ledger))
    };
    assert_eq!(
        [outcome(2), outcome(3)],
        [Outcome::Dropped, Outcome::Delivered]
    );
}

#[rstest]
#[case::everywhere(&[TAP, PEER, GATEWAY], Outcome::Delivered)]
#[case::one_host_only(&[TAP, PEER], Outcome::Dropped)]
#[case::nowhere(&[TAP], Outcome::Dropped)]
#[case::one_of_two(&[TAP, TAP, PEER, GATEWAY], Outcome::Dropped)]
fn a_broadcast_must_reach_everybody(#[case] places: &[Point], #[case] expected: Outcome) {
    let mut frames: Vec<_> = places.iter().map(|place| (*place, names(), 10)).collect();
    frames.extend(hello(20));
    let ledger = read(frames);
    assert_eq!(ledger.filtered(&kind("udp-137"), proof(&ledger)), expected);
}

#[rstest]
#[case::later(5, Outcome::NeverSent)]
#[case::earlier(20, Outcome::Dropped)]
fn only_what_came_before_a_frame_that_arrived_is_proven_absent(
    #[case] hello_at: u64,
    #[case] expected: Outcome,
) {
    let frames = [vec![(TAP, ntp(), 10)], hello(hello_at)].concat();
    let ledger = read(frames);
    assert_eq!(ledger.filtered(&kind("udp"), proof(&ledger)), expected);
}

#[test]
fn one_port_alone_bounds_nothing() {
    let ledger = read([vec![(TAP, ntp(), 10)], hello(20)[..2].to_vec()].concat());
    assert_eq!(ledger.proven(), None);
    assert_eq!(ledger.filtered(&kind("udp"), proof(&ledger)), Outcome::Lost);
}

#[test]
fn a_guest_that_is_not_heard_any_more_may_have_sent_anything() {
    let ledger = read(Vec::new());
    assert_eq!(
        ledger.filtered(&kind("udp"), proof(&ledger)),
        Outcome::Unknown
    );
}

#[rstest]
#[case::broken_sensor(Proof { sound: false, until: Some(99), wan: true }, Outcome::Unknown)]
#[case::no_way_to_the_far_side(Proof { sound: true, until: Some(99), wan: false }, Outcome::Lost)]
fn a_stop_needs_the_whole_proof(#[case] proof: Proof, #[case] expected: Outcome) {
    let ledger = read([vec![(TAP, ntp(), 10)], hello(20)].concat());
    assert_eq!(ledger.filtered(&kind("udp"), proof), expected);
}

#[test]
fn the_labs_own_hosts_are_not_the_guest() {
    let packet = Ip4::new(LAN, WAN).udp(4000, 123, b"x");
    let frame = Link::new(mac::PEER, mac::GATEWAY).frame(ethertype::IPV4, &packet);
    let ledger = read(vec![(GATEWAY, frame.clone(), 1), (FAR, frame, 1)]);
    assert!(ledger.kinds.is_empty());
}

#[test]
fn a_frame_that_borrows_the_peers_mac_is_still_the_guests() {
    let packet = Ip4::new(MINE, WAN).udp(4000, 123, b"x");
    let frame = Link::new(mac::PEER, mac::GATEWAY).frame(ethertype::IPV4, &packet);
    let ledger = read(vec![(TAP, frame.clone(), 1), (GATEWAY, frame, 1)]);
    let outcome = ledger.filtered(&kind("udp"), proof(&ledger));
    assert_eq!(outcome, Outcome::Delivered);
}

#[test]
fn a_lease_tells_the_address_and_that_it_was_heard() {
    let body = dhcp::Message {
        yours: MINE,
        ..dhcp::Message::from_client(dhcp::message::ACK, ME)
    };
    let packet = Ip4::new([192, 168, 1, 1].into(), MINE).udp(67, 68, &body.to_bytes(&[]));
    let frame = Link::new(mac::GATEWAY, ME).frame(ethertype::IPV4, &packet);
    let sent = read(vec![(Point::FromGateway, frame.clone(), 1)]);
    assert_eq!((sent.is_bound(), sent.address), (false, Some(MINE)));
    let heard = read(vec![(Point::TapToGuest, frame, 2)]);
    assert!(heard.is_bound());
}
