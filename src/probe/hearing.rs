//! Frames that show that a sensor hears frames of every kind.
//!
//! A filter lets few kinds of frames pass, so with a filter a sensor behind it may hear only
//! those, and whether it is deaf to the others cannot be seen. These go between hosts that no
//! filter stands between.

use crate::frame::{Ip4, Ip6, Link, Tag, VlanTag, arp, ethertype, link};
use crate::layout::{Host, Layout};
use std::net::{Ipv4Addr, Ipv6Addr};

/// An EtherType for experiments (IEEE 802 9.2.3).
const EXPERIMENT: u16 = 0x88b5;

/// Any number but those with a meaning of their own.
const VLAN: u16 = 7;

/// RFC 863.
const DISCARD: u16 = 9;

/// The service access point of SNAP and NetWare are taken; this one is for tests (IEEE 802.2).
const TEST_SAP: u8 = 0x42;

/// Bytes of a payload that fills most of a frame.
const LARGE: usize = 1200;

/// A frame and the word for its kind.
pub type Heard = (&'static str, Vec<u8>);

/// One frame of each kind from a host of the LAN to another, each with its tag. Nobody answers
/// them: a host drops what comes to its loopback addresses from outside (RFC 1122 3.2.1.3).
pub fn hearing(from: &Host, to: &Host, tag_of: impl Fn(u16) -> Tag) -> Vec<Heard> {
    let to_it = Link::new(from.mac, to.mac);
    // Longer than the shortest frame: a bridge with br_netfilter takes padding off.
    let tag = |index| [&tag_of(index).to_bytes()[..], &[0; 16]].concat();
    let v4 = |payload: &[u8]| Ip4::new(from.v4, Ipv4Addr::LOCALHOST).udp(DISCARD, DISCARD, payload);
    let v6 = |payload: &[u8]| Ip6::new(from.v6, Ipv6Addr::LOCALHOST).udp(DISCARD, DISCARD, payload);
    let tagged = |kind, index| {
        let tags = [VlanTag::new(kind, VLAN)];
        to_it.stacked(&tags, ethertype::IPV4, &v4(&tag(index)))
    };
    let large = [&tag(6)[..], &[0; LARGE]].concat();
    vec![
        (
            "ARP",
            arp::reply((from.mac, from.v4), (to.mac, to.v4), &tag(0)),
        ),
        ("IPv4", to_it.frame(ethertype::IPV4, &v4(&tag(1)))),
        ("IPv6", to_it.frame(ethertype::IPV6, &v6(&tag(2)))),
        ("802.1Q", tagged(ethertype::VLAN, 3)),
        ("802.1ad", tagged(ethertype::QINQ, 4)),
        ("other", to_it.frame(EXPERIMENT, &tag(5))),
        ("large", to_it.frame(ethertype::IPV4, &v4(&large))),
        ("LLC", to_it.length_frame(&link::llc(TEST_SAP, &tag(7)))),
    ]
}

/// One packet of each family from the LAN peer to the WAN host, through the router.
pub fn wan_hearing(layout: &Layout, tag_of: impl Fn(u16) -> Tag) -> Vec<Heard> {
    let peer = &layout.peer;
    let link = Link::new(peer.mac, layout.gateway.mac);
    let v4 = Ip4::new(peer.v4, layout.wan4).udp(DISCARD, DISCARD, &tag_of(0).to_bytes());
    let v6 = Ip6::new(peer.v6, layout.wan6).udp(DISCARD, DISCARD, &tag_of(1).to_bytes());
    vec![
        ("IPv4", link.frame(ethertype::IPV4, &v4)),
        ("IPv6", link.frame(ethertype::IPV6, &v6)),
    ]
}
