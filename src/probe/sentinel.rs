//! Sentinels: frames sent after the probes, which take the same way. When one of them has
//! arrived, a probe that was sent before it and is not there was dropped, since neither a
//! tap nor a bridge reorders the frames of one sender; until then the probe may be late.

use super::catalogue::{Draft, source_port};
use crate::frame::dhcp::{self, Message, message};
use crate::frame::{
    BROADCAST, Ip4, Ip6, Link, Mac, Tag, arp, ethertype, group_mac4, group_mac6, names, nd,
    solicited_node,
};
use crate::layout::{Host, Layout};
use std::net::Ipv4Addr;

/// RFC 863.
const DISCARD: u16 = 9;
/// Builds one sentinel.
type Build<'a> = &'a dyn Fn(&Draft<'_>) -> Vec<u8>;

/// RFC 6762 section 3.
const MDNS: Ipv4Addr = Ipv4Addr::new(224, 0, 0, 251);

/// Sentinels from the guest: ARP, UDP, a broadcast, a DHCP discover, mDNS and neighbour
/// solicitations. They differ so much that a filter under which the LAN can be used lets at
/// least one of them pass to the peer and one to the router. `tag_of` makes the tag of
/// the frame at an index; the tag's pass must be [`SENTINEL`](super::SENTINEL).
pub fn sentinels(layout: &Layout, tag_of: impl Fn(u16) -> Tag) -> Vec<Vec<u8>> {
    let (guest, peer, router) = (&layout.guest, &layout.peer, &layout.gateway);
    let builders: &[Build<'_>] = &[
        &|d| arp::request((guest.mac, guest.v4), peer.v4, &d.bytes()),
        &|d| arp::request((guest.mac, guest.v4), router.v4, &d.bytes()),
        &|d| datagram(guest, peer.mac, peer.v4, d),
        &|d| datagram(guest, router.mac, router.v4, d),
        &|d| datagram(guest, BROADCAST, layout.lan4.broadcast(), d),
        &|d| discover(guest.mac, d),
        &|d| mdns(guest, d),
        &|d| neighbour_solicit(guest, peer, d),
        &|d| neighbour_solicit(guest, router, d),
    ];
    numbered(layout, tag_of, builders)
}

/// The same from the LAN peer to the guest.
pub fn inbound_sentinels(layout: &Layout, tag_of: impl Fn(u16) -> Tag) -> Vec<Vec<u8>> {
    let (guest, peer) = (&layout.guest, &layout.peer);
    let builders: &[Build<'_>] = &[
        &|d| arp::request((peer.mac, peer.v4), guest.v4, &d.bytes()),
        &|d| datagram(peer, guest.mac, guest.v4, d),
        &|d| {
            let packet = Ip4::new(peer.v4, guest.v4).echo(&d.bytes());
            Link::new(peer.mac, guest.mac).frame(ethertype::IPV4, &packet)
        },
        &|d| datagram(peer, BROADCAST, layout.lan4.broadcast(), d),
        &|d| dhcp_reply(guest, peer, d),
        &|d| mdns(peer, d),
        &|d| neighbour_solicit(peer, guest, d),
    ];
    numbered(layout, tag_of, builders)
}

fn numbered(layout: &Layout, tag_of: impl Fn(u16) -> Tag, builders: &[Build<'_>]) -> Vec<Vec<u8>> {
    (0..)
        .zip(builders)
        .map(|(index, build)| build(&Draft::new(layout, tag_of(index))))
        .collect()
}

fn datagram(from: &Host, mac: Mac, to: Ipv4Addr, d: &Draft<'_>) -> Vec<u8> {
    let packet = Ip4::new(from.v4, to).udp(source_port(d.tag), DISCARD, &d.bytes());
    Link::new(from.mac, mac).frame(ethertype::IPV4, &packet)
}

/// A DHCP discover without option 53, the message type. A filter sees the ports and
/// addresses of DHCP. A DHCP server sees a BOOTP client (RFC 1534 section 2), and the lab's
/// is told to ignore those, since their leases never end. No sighting of the real
/// client's discover matches it.
fn discover(mac: Mac, d: &Draft<'_>) -> Vec<u8> {
    let message = Message {
        kind: None,
        ..Message::from_client(message::DISCOVER, mac)
    };
    let body = message.to_bytes(&d.bytes());
    let ip = Ip4::new(Ipv4Addr::UNSPECIFIED, Ipv4Addr::BROADCAST);
    let packet = ip.udp(dhcp::CLIENT_PORT, dhcp::SERVER_PORT, &body);
    Link::new(mac, BROADCAST).frame(ethertype::IPV4, &packet)
}

/// A DHCP offer for a client and a transaction that do not exist.
fn dhcp_reply(guest: &Host, peer: &Host, d: &Draft<'_>) -> Vec<u8> {
    let message = Message::from_server(message::OFFER, peer.mac, guest.v4, peer.v4);
    let body = message.to_bytes(&d.bytes());
    let packet = Ip4::new(peer.v4, guest.v4).udp(dhcp::SERVER_PORT, dhcp::CLIENT_PORT, &body);
    Link::new(peer.mac, guest.mac).frame(ethertype::IPV4, &packet)
}

fn mdns(from: &Host, d: &Draft<'_>) -> Vec<u8> {
    let question = names::question(0, false, "lanfence.local", Some(d.tag));
    let ip = Ip4::new(from.v4, MDNS).ttl(255);
    let packet = ip.udp(source_port(d.tag), names::MDNS_PORT, &question);
    Link::new(from.mac, group_mac4(MDNS)).frame(ethertype::IPV4, &packet)
}

fn neighbour_solicit(from: &Host, to: &Host, d: &Draft<'_>) -> Vec<u8> {
    let group = solicited_node(to.link_local);
    let body = nd::solicit(to.link_local, Some(from.mac), d.tag);
    let ip = Ip6::new(from.link_local, group).hops(255);
    let packet = ip.icmp(nd::kind::NEIGHBOUR_SOLICIT, 0, &body);
    Link::new(from.mac, group_mac6(group)).frame(ethertype::IPV6, &packet)
}
