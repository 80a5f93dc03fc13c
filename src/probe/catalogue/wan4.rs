//! IPv4 to a WAN host in every protocol that a guest could use.

use super::book::{Book, Draft, LATER};
use super::lan::DISCARD;
use super::rules;
use crate::frame::group::{self, igmp};
use crate::frame::l4::{self, flag};
use crate::frame::{BROADCAST, Ip4, dhcp, ethertype, names, options4, protocol};
use crate::probe::{Expect, Group, Point};
use std::net::Ipv4Addr;

/// Adds the row.
pub fn add(book: &mut Book<'_>) {
    add_stack(book);
    add_transport(book);
    add_protocols(book);
    add_headers(book);
    add_frames(book);
}

fn expect(book: &Book<'_>) -> Expect {
    rules::outbound(book.policy, book.layout.guest.v4, book.layout.wan4)
}

fn tag(draft: &Draft<'_>) -> Vec<u8> {
    draft.bytes().to_vec()
}

fn add_stack(book: &mut Book<'_>) {
    let wan = book.layout.wan4;
    let expect = expect(book);
    let mut row = book.row(Group::WanIpv4, expect, Point::Wan);
    row.udp(
        "udp-53",
        "DNS question to a WAN host",
        (wan, names::DNS_PORT),
        |d| names::question(d.tag.index, true, "lanfence.test", Some(d.tag)),
    );
    row.udp(
        "udp-123",
        "UDP to the NTP port of a WAN host",
        (wan, 123),
        tag,
    );
    row.udp(
        "udp-443",
        "UDP to the QUIC port of a WAN host",
        (wan, 443),
        tag,
    );
    row.tcp("tcp-443", "TCP to the HTTPS port of a WAN host", (wan, 443));
    row.ping("ping", "ping to a WAN host", wan);
}

fn add_transport(book: &mut Book<'_>) {
    let (policy, wan) = (book.policy, book.layout.wan4);
    let expect = expect(book);
    let mut row = book.row(Group::WanIpv4, expect, Point::Wan);
    row.raw("raw-udp", "raw UDP frame to a WAN host", |d| {
        d.to_router4(&d.inner4())
    });
    let flags = [
        ("raw-tcp-syn", "raw TCP SYN to a WAN host", flag::SYN),
        ("raw-tcp-ack", "raw TCP ACK to a WAN host", flag::ACK),
        ("raw-tcp-rst", "raw TCP RST to a WAN host", flag::RST),
    ];
    for (name, summary, flags) in flags {
        row.raw(name, summary, |d| {
            d.to_router4(&d.ip4(wan).tcp(d.port, 443, flags, &d.bytes()))
        });
    }
    row.raw("raw-echo", "raw echo request to a WAN host", |d| {
        d.to_router4(&d.ip4(wan).echo(&d.bytes()))
    });
    row.raw("raw-unreachable", "ICMP unreachable to a WAN host", |d| {
        let quoted = Ip4::new(wan, d.layout.guest.v4).udp(DISCARD, d.port, &d.bytes());
        d.to_router4(&d.ip4(wan).icmp(3, 3, [0; 4], &quoted))
    });
    let renew = policy.contains(wan) || policy.dhcp.servers.contains(&wan);
    row.expect(Expect::from(renew))
        .raw("dhcp-renew", "DHCP renewal to a WAN host", |d| {
            let guest = &d.layout.guest;
            let message = dhcp::Message {
                from: guest.v4,
                ..dhcp::Message::from_client(dhcp::message::REQUEST, guest.mac)
            };
            let body = message.to_bytes(&d.bytes());
            d.to_router4(&d.ip4(wan).udp(dhcp::CLIENT_PORT, dhcp::SERVER_PORT, &body))
        });
}

/// Builds the payload of an IP protocol.
type Payload = fn(&Draft<'_>) -> Vec<u8>;

const PROTOCOLS: &[(&str, &str, u8, Payload)] = &[
    ("sctp", "SCTP to a WAN host", protocol::SCTP, |d| {
        l4::sctp_data(d.port, 80, &d.bytes())
    }),
    (
        "udplite",
        "UDP-Lite to a WAN host",
        protocol::UDPLITE,
        |d| l4::udplite(d.ip4(d.layout.wan4).ends(), d.port, 53, &d.bytes()),
    ),
    ("dccp", "DCCP to a WAN host", protocol::DCCP, |d| {
        l4::dccp_request(d.ip4(d.layout.wan4).ends(), d.port, 80, &d.bytes())
    }),
    ("igmp", "IGMP report to a WAN host", protocol::IGMP, |d| {
        group::igmp_message(
            igmp::REPORT_V2,
            0,
            Ipv4Addr::new(239, 255, 77, 50),
            &d.bytes(),
        )
    }),
    ("ipip", "IPv4 in IPv4 to a WAN host", protocol::IPIP, |d| {
        d.inner4()
    }),
    ("gre", "GRE to a WAN host", protocol::GRE, |d| {
        l4::gre(ethertype::IPV4, &d.inner4())
    }),
    ("esp", "ESP to a WAN host", protocol::ESP, |d| {
        l4::esp(&d.bytes())
    }),
];

fn add_protocols(book: &mut Book<'_>) {
    let wan = book.layout.wan4;
    // A host that is allowed is allowed TCP, UDP and ICMP, not tunnels.
    let mut row = book.row(Group::WanIpv4, false, Point::Wan);
    for &(name, summary, number, payload) in PROTOCOLS {
        row.raw(name, summary, |d| {
            d.to_router4(&d.ip4(wan).packet(number, &payload(d)))
        });
    }
}

fn add_headers(book: &mut Book<'_>) {
    let wan = book.layout.wan4;
    let expect = expect(book);
    let mut row = book.row(Group::WanIpv4, expect, Point::Wan);
    row.raw("first-fragment", "first fragment to a WAN host", |d| {
        fragments(d, wan).0
    });
    row.raw("later-fragment", "later fragment to a WAN host", |d| {
        fragments(d, wan).1
    });
    row.raw(
        "record-route",
        "UDP with the record-route option to a WAN host",
        |d| {
            let ip = d.ip4(wan).options(options4::record_route(3));
            d.to_router4(&ip.udp(d.port, DISCARD, &d.bytes()))
        },
    );
    // The router answers this one with time exceeded.
    row.at(Point::Gateway)
        .raw("ttl-1", "UDP with TTL 1 to a WAN host", |d| {
            d.to_router4(&d.ip4(wan).ttl(1).udp(d.port, 33434, &d.bytes()))
        });
}

fn fragments(d: &Draft<'_>, to: Ipv4Addr) -> (Vec<u8>, Vec<u8>) {
    let ip = d.ip4(to);
    let datagram = l4::udp(ip.ends(), d.port, DISCARD, &d.long_payload());
    let (first, later) = Draft::halves(&datagram);
    (
        d.to_router4(&ip.clone().fragment(0, true).packet(protocol::UDP, &first)),
        d.to_router4(&ip.fragment(LATER, false).packet(protocol::UDP, &later)),
    )
}

/// A WAN packet in frames that are not for the router alone.
fn add_frames(book: &mut Book<'_>) {
    let expect = expect(book);
    let mut row = book.row(Group::WanIpv4, expect, Point::Gateway);
    row.raw(
        "broadcast-mac",
        "UDP to a WAN host in a broadcast frame",
        |d| d.link(BROADCAST).frame(ethertype::IPV4, &d.inner4()),
    );
    row.at(Point::Peer).raw(
        "by-way-of-peer",
        "UDP to a WAN host in a frame for a LAN host, as if that were a router",
        |d| d.to_peer4(&d.inner4()),
    );
}
