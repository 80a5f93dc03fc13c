//! IPv6 to a WAN host in every protocol that a guest could use.

use super::book::{Book, Draft, LATER};
use super::lan::DISCARD;
use super::rules;
use crate::frame::l4::{self, flag};
use crate::frame::{Ext, Ip6, names, protocol};
use crate::probe::{Expect, Group, Point};

/// Adds the row.
pub fn add(book: &mut Book<'_>) {
    add_stack(book);
    add_transport(book);
    add_protocols(book);
    add_headers(book);
    add_frames(book);
}

fn expect(book: &Book<'_>) -> Expect {
    rules::outbound(book.policy, book.layout.guest.v6, book.layout.wan6)
}

fn tag(draft: &Draft<'_>) -> Vec<u8> {
    draft.bytes().to_vec()
}

fn add_stack(book: &mut Book<'_>) {
    let wan = book.layout.wan6;
    let expect = expect(book);
    let mut row = book.row(Group::WanIpv6, expect, Point::Wan);
    row.udp(
        "udp-53",
        "DNS question to an IPv6 WAN host",
        (wan, names::DNS_PORT),
        |d| names::question(d.tag.index, true, "lanfence.test", Some(d.tag)),
    );
    row.udp(
        "udp-443",
        "UDP to the QUIC port of an IPv6 WAN host",
        (wan, 443),
        tag,
    );
    row.tcp(
        "tcp-443",
        "TCP to the HTTPS port of an IPv6 WAN host",
        (wan, 443),
    );
    row.ping("ping", "ping to an IPv6 WAN host", wan);
}

fn add_transport(book: &mut Book<'_>) {
    let wan = book.layout.wan6;
    let expect = expect(book);
    let mut row = book.row(Group::WanIpv6, expect, Point::Wan);
    row.raw("raw-udp", "raw UDP frame to an IPv6 WAN host", |d| {
        d.to_router6(&d.inner6())
    });
    let flags = [("raw-tcp-syn", "raw TCP SYN to an IPv6 WAN host", flag::SYN)];
    for (name, summary, flags) in flags {
        row.raw(name, summary, |d| {
            d.to_router6(&d.ip6(wan).tcp(d.port, 443, flags, &d.bytes()))
        });
    }
    row.raw("raw-echo", "raw echo request to an IPv6 WAN host", |d| {
        d.to_router6(&d.ip6(wan).echo(&d.bytes()))
    });
    row.raw(
        "raw-unreachable",
        "ICMPv6 unreachable to an IPv6 WAN host",
        |d| {
            let quoted = Ip6::new(wan, d.layout.guest.v6).udp(DISCARD, d.port, &d.bytes());
            d.to_router6(&d.ip6(wan).icmp(1, 4, &[&[0; 4][..], &quoted].concat()))
        },
    );
}

/// Builds the payload behind the IPv6 header.
type Payload = fn(&Draft<'_>) -> Vec<u8>;

const PROTOCOLS: &[(&str, &str, u8, Payload)] = &[
    ("sctp", "SCTP to an IPv6 WAN host", protocol::SCTP, |d| {
        l4::sctp_data(d.port, 80, &d.bytes())
    }),
    (
        "4in6",
        "IPv4 in IPv6 to an IPv6 WAN host",
        protocol::IPIP,
        |d| d.inner4(),
    ),
    (
        "6in6",
        "IPv6 in IPv6 to an IPv6 WAN host",
        protocol::IPV6,
        |d| d.inner6(),
    ),
    (
        "no-next-header",
        "IPv6 packet with \"no next header\" and a payload to a WAN host",
        59,
        |d| d.bytes().to_vec(),
    ),
];

fn add_protocols(book: &mut Book<'_>) {
    let wan = book.layout.wan6;
    let mut row = book.row(Group::WanIpv6, false, Point::Wan);
    for &(name, summary, number, payload) in PROTOCOLS {
        row.raw(name, summary, |d| {
            d.to_router6(&d.ip6(wan).packet(number, &payload(d)))
        });
    }
}

fn add_headers(book: &mut Book<'_>) {
    let (layout, wan) = (book.layout, book.layout.wan6);
    let expect = expect(book);
    let mut row = book.row(Group::WanIpv6, expect, Point::Wan);
    row.raw(
        "first-fragment",
        "first fragment to an IPv6 WAN host",
        |d| fragments(d).0,
    );
    row.raw(
        "later-fragment",
        "later fragment to an IPv6 WAN host",
        |d| fragments(d).1,
    );
    let extensions = [
        (
            "hop-by-hop",
            "UDP behind hop-by-hop options to an IPv6 WAN host",
            Ext::HopByHop(vec![]),
        ),
        (
            "routing-header",
            "UDP behind a spent routing header to an IPv6 WAN host",
            Ext::Routing {
                kind: 4,
                left: 0,
                next: wan,
            },
        ),
    ];
    for (name, summary, ext) in extensions {
        row.raw(name, summary, |d| {
            let ip = d.ip6(wan).ext(ext);
            d.to_router6(&ip.udp(d.port, DISCARD, &d.bytes()))
        });
    }
    // The router answers these two itself: time exceeded, beyond scope.
    let mut row = row.at(Point::Gateway);
    row.raw(
        "hop-limit-1",
        "UDP with hop limit 1 to an IPv6 WAN host",
        |d| d.to_router6(&d.ip6(wan).hops(1).udp(d.port, 33434, &d.bytes())),
    );
    let local = rules::outbound(row.policy(), layout.guest.link_local, wan);
    row.expect(local).raw(
        "from-link-local",
        "UDP from the link-local address to an IPv6 WAN host",
        |d| d.to_router6(&d.local6(wan).udp(d.port, DISCARD, &d.bytes())),
    );
}

fn fragments(d: &Draft<'_>) -> (Vec<u8>, Vec<u8>) {
    let ip = d.ip6(d.layout.wan6);
    let datagram = l4::udp(ip.ends(), d.port, DISCARD, &d.long_payload());
    let (first, later) = Draft::halves(&datagram);
    let part = |offset, more| ip.clone().ext(Ext::Fragment { offset, more });
    (
        d.to_router6(&part(0, true).packet(protocol::UDP, &first)),
        d.to_router6(&part(LATER, false).packet(protocol::UDP, &later)),
    )
}

fn add_frames(book: &mut Book<'_>) {
    let expect = expect(book);
    let mut row = book.row(Group::WanIpv6, expect, Point::Gateway);
    row.at(Point::Peer).raw(
        "by-way-of-peer",
        "UDP to an IPv6 WAN host in a frame for a LAN host, as if that were a router",
        |d| d.to_peer6(&d.inner6()),
    );
}
