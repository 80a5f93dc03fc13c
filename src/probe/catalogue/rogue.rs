//! The guest as a DHCP server, as a router or as another host.

use super::book::{Book, Draft};
use super::control::{ALL_NODES, dhcpv6};
use super::lan::DISCARD;
use crate::frame::dhcp::{self, Message, MessageType, message};
use crate::frame::nd::{self, kind};
use crate::frame::{BROADCAST, Ext, Ip4, Ip6, Link, Mac, arp, ethertype, group_mac6, l4, protocol};
use crate::probe::{Group, Point};
use std::net::Ipv4Addr;

/// A MAC that no host in the lab has. The peer's or the router's would do as
/// well for the filter, but a bridge moves even a static entry to the port
/// where it sees the address as a source.
pub const FOREIGN: Mac = [0x02, 0x6c, 0x66, 0x00, 0x00, 0x99];

/// OSPF's protocol number (RFC 5340 section 2.5).
pub const OSPF: u8 = 89;

/// Adds the row.
pub fn add(book: &mut Book<'_>) {
    add_dhcp(book);
    add_router(book);
    add_arp(book);
    add_mac(book);
    add_open(book);
}

fn offer(d: &Draft<'_>, kind: MessageType) -> Vec<u8> {
    let me = d.layout.guest.v4;
    let address = Ipv4Addr::new(192, 0, 2, 99);
    Message::from_server(kind, FOREIGN, address, me).to_bytes(&d.bytes())
}

fn add_dhcp(book: &mut Book<'_>) {
    let layout = book.layout;
    let (from, to) = (dhcp::SERVER_PORT, dhcp::CLIENT_PORT);
    let mut row = book.row(Group::Rogue, false, Point::Peer);
    row.raw("dhcp-offer", "DHCP offer that the guest broadcasts", |d| {
        let packet = d
            .ip4(Ipv4Addr::BROADCAST)
            .udp(from, to, &offer(d, message::OFFER));
        d.link(BROADCAST).frame(ethertype::IPV4, &packet)
    });
    row.raw("dhcp-ack", "DHCP ack from the guest to a LAN host", |d| {
        d.to_peer4(&d.ip4(layout.peer.v4).udp(from, to, &offer(d, message::ACK)))
    });
    row.raw(
        "dhcp-odd-port",
        "DHCP ack from the guest, from a port that no server uses",
        |d| {
            d.to_peer4(
                &d.ip4(layout.peer.v4)
                    .udp(d.port, to, &offer(d, message::ACK)),
            )
        },
    );
    row.raw(
        "dhcpv6-odd-port",
        "DHCPv6 advertise from the guest, from a port that no server uses",
        |d| {
            d.to_peer6(
                &d.local6(layout.peer.link_local)
                    .udp(d.port, 546, &dhcpv6(2, d)),
            )
        },
    );
    row.raw(
        "dhcpv6-advertise",
        "DHCPv6 advertise from the guest to a LAN host",
        |d| {
            d.to_peer6(
                &d.local6(layout.peer.link_local)
                    .udp(547, 546, &dhcpv6(2, d)),
            )
        },
    );
}

fn add_router(book: &mut Book<'_>) {
    let (guest, peer) = (&book.layout.guest, &book.layout.peer);
    let (me, mac) = (guest.link_local, guest.mac);
    let mut row = book.row(Group::Rogue, false, Point::Peer);
    row.raw(
        "ra",
        "router advertisement from the guest to all nodes",
        |d| {
            let body = nd::router_advert(mac, d.tag);
            let packet = Ip6::new(me, ALL_NODES)
                .hops(255)
                .icmp(kind::ROUTER_ADVERT, 0, &body);
            d.link(group_mac6(ALL_NODES))
                .frame(ethertype::IPV6, &packet)
        },
    );
    row.raw(
        "ospf6",
        "OSPFv3 from the guest to the link's routers",
        |d| {
            let routers = "ff02::5".parse().expect("a constant");
            let packet = Ip6::new(me, routers).hops(1).packet(OSPF, &d.bytes());
            d.link(group_mac6(routers)).frame(ethertype::IPV6, &packet)
        },
    );
    row.raw(
        "redirect6",
        "IPv6 redirect from the guest to a LAN host",
        |d| {
            let body = nd::redirect(me, d.layout.wan6, mac, d.tag);
            d.to_peer6(
                &d.local6(peer.link_local)
                    .hops(255)
                    .icmp(kind::REDIRECT, 0, &body),
            )
        },
    );
}

fn add_arp(book: &mut Book<'_>) {
    let (policy, layout) = (book.policy, book.layout);
    let (guest, peer) = (&layout.guest, &layout.peer);
    let mut row = book.row(Group::Rogue, false, Point::Peer);
    if let Some(router) = policy.gateway {
        row.raw(
            "arp-router-reply",
            "ARP reply that claims the router's address",
            |d| arp::reply((guest.mac, router), (peer.mac, peer.v4), &d.bytes()),
        );
        row.raw(
            "arp-router-announce",
            "ARP announcement of the router's address",
            |d| arp::request((guest.mac, router), router, &d.bytes()),
        );
        row.raw(
            "router-ipv4",
            "UDP to a LAN host from the router's address",
            |d| {
                let packet = Ip4::new(router, peer.v4).udp(d.port, DISCARD, &d.bytes());
                d.to_peer4(&packet)
            },
        );
    }
    row.raw(
        "arp-reply-nobody",
        "ARP reply without a sender address",
        |d| {
            let nobody = (guest.mac, Ipv4Addr::UNSPECIFIED);
            arp::reply(nobody, (peer.mac, peer.v4), &d.bytes())
        },
    );
    row.raw(
        "arp-foreign-mac",
        "ARP reply with another sender MAC in the body",
        |d| {
            let body = arp::Arp {
                operation: arp::op::REPLY,
                sender: (FOREIGN, guest.v4),
                target: (peer.mac, peer.v4),
            };
            arp::frame(d.link(peer.mac), body, &d.bytes())
        },
    );
    row.raw(
        "arp-foreign-address",
        "ARP reply that claims a WAN address",
        |d| arp::reply((guest.mac, layout.wan4), (peer.mac, peer.v4), &d.bytes()),
    );
    row.raw("rarp-request", "RARP request for another host", |d| {
        let body = arp::Arp {
            operation: arp::op::REVERSE_REQUEST,
            sender: (guest.mac, guest.v4),
            target: (FOREIGN, Ipv4Addr::UNSPECIFIED),
        };
        d.link(BROADCAST)
            .frame_with_trailer(ethertype::RARP, &body.to_bytes(), &d.bytes())
    });
}

fn add_mac(book: &mut Book<'_>) {
    let (guest, peer) = (&book.layout.guest, &book.layout.peer);
    let link = Link::new(FOREIGN, peer.mac);
    let mut row = book.row(Group::Rogue, false, Point::Peer);
    row.raw(
        "mac-ipv4",
        "UDP to a LAN host from another source MAC",
        |d| {
            link.frame(
                ethertype::IPV4,
                &d.ip4(peer.v4).udp(d.port, DISCARD, &d.bytes()),
            )
        },
    );
    row.raw(
        "mac-ipv6",
        "UDP over IPv6 to a LAN host from another source MAC",
        |d| {
            let packet = d.local6(peer.link_local).udp(d.port, DISCARD, &d.bytes());
            link.frame(ethertype::IPV6, &packet)
        },
    );
    row.raw("mac-arp", "ARP request from another source MAC", |d| {
        arp::request((FOREIGN, guest.v4), peer.v4, &d.bytes())
    });
}

/// Frames that nwfilter's layer-2 rules cannot tell from frames that must pass.
fn add_open(book: &mut Book<'_>) {
    let (guest, peer, router) = (&book.layout.guest, &book.layout.peer, &book.layout.gateway);
    let mut row = book.row(Group::Rogue, false, Point::Peer);
    row.known_gap(
        "nwfilter's layer-2 rules cannot match ICMP types: set \
         net.ipv4.conf.all.accept_redirects=0 on LAN hosts",
    )
    .raw(
        "redirect4",
        "ICMP redirect from the guest to a LAN host",
        |d| {
            let quoted = Ip4::new(peer.v4, d.layout.wan4).udp(d.port, DISCARD, &d.bytes());
            d.to_peer4(&d.ip4(peer.v4).icmp(5, 1, guest.v4.octets(), &quoted))
        },
    );
    row.known_gap(
        "nwfilter cannot read the target of a neighbour advertisement: pin the router's \
         neighbour entry on LAN hosts, or check `icmpv6 taddr` in an nft bridge rule",
    )
    .raw(
        "na-router",
        "neighbour advertisement that claims the router's address",
        |d| {
            let body = nd::advertise(router.link_local, guest.mac, true, d.tag);
            let ip = d.local6(peer.link_local).hops(255);
            d.to_peer6(&ip.icmp(kind::NEIGHBOUR_ADVERT, 0, &body))
        },
    );
    row.known_gap(
        "nwfilter cannot match fragments: receivers must ignore fragmented neighbour \
         discovery (RFC 6980, Linux does), or drop `exthdr frag exists` in an nft bridge rule",
    )
    .raws(
        "ra-fragments",
        "router advertisement split so that no part shows its type",
        ra_fragments,
    );
}

/// The first fragment ends inside destination options, the second has the message.
fn ra_fragments(d: &Draft<'_>) -> Vec<Vec<u8>> {
    let ip = d.local6(ALL_NODES).hops(255);
    let message = l4::icmp6(
        ip.ends(),
        kind::ROUTER_ADVERT,
        0,
        &nd::router_advert(d.layout.guest.mac, d.tag),
    );
    // Destination options of 24 bytes: next header ICMPv6, length 2, PadN over the tag.
    let mut options = vec![protocol::ICMPV6, 2, 1, 20];
    options.extend(d.bytes());
    options.extend([0; 4]);
    let part = |offset, more, payload: &[u8]| {
        let packet = ip
            .clone()
            .ext(Ext::Fragment { offset, more })
            .packet(60, payload);
        d.link(group_mac6(ALL_NODES))
            .frame(ethertype::IPV6, &packet)
    };
    vec![part(0, true, &options), part(3, false, &message)]
}
