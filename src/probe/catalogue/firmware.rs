//! The probes of a boot firmware, which a script makes take a lease and fetch files.

use super::book::Book;
use super::rules;
use crate::frame::dhcp::message;
use crate::frame::{DhcpStep, Tag};
use crate::layout::Layout;
use crate::policy::Policy;
use crate::probe::Pass;
use crate::probe::{Group, Origin, Point, Probe, Sighting, Stimulus};
use std::net::{IpAddr, Ipv4Addr, SocketAddr};

/// UDP port of TFTP servers (RFC 1350).
pub const TFTP_PORT: u16 = 69;

/// TCP port of web servers (RFC 1945).
pub const HTTP_PORT: u16 = 80;

/// What a firmware's stack can show besides a lease and files by TFTP.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Shows {
    /// It fetches pages by HTTP.
    pub web: bool,
    /// It sends echo requests by itself.
    pub echo: bool,
    /// It speaks IPv6.
    pub ipv6: bool,
}

impl Shows {
    /// All that any stack can show.
    pub const ALL: Self = Self {
        web: true,
        echo: true,
        ipv6: true,
    };

    /// What one of the two can show.
    #[must_use]
    pub fn or(self, other: Self) -> Self {
        Self {
            web: self.web || other.web,
            echo: self.echo || other.echo,
            ipv6: self.ipv6 || other.ipv6,
        }
    }
}

/// The probes of a guest that is a boot firmware. `file` makes the name of the file
/// that the guest fetches in this pass: `lan` and `wan` by TFTP, and where its stack `shows` the web
/// `lan-web` by HTTP.
pub fn firmware_catalogue(
    policy: &Policy,
    layout: &Layout,
    shows: Shows,
    file: impl Fn(&str) -> String,
) -> Vec<Probe> {
    // Firmware cannot be made to send tags: file names take their place.
    let no_tag = |index| Tag {
        run: 0,
        pass: Pass::Control.number(),
        index,
    };
    let mut book = Book::new(policy, layout, &no_tag);
    add_lease(&mut book);
    add_tftp(&mut book, &file);
    if shows.web {
        add_http(&mut book, &file);
    }
    if shows.echo {
        add_echo(&mut book);
    }
    if shows.ipv6 {
        ipv6::add(&mut book);
    }
    book.finish()
}

fn add_lease(book: &mut Book<'_>) {
    let client = book.policy.dhcp.client;
    let (out, back) = (
        (Origin::Guest, Point::Gateway),
        (Origin::Gateway, Point::TapToGuest),
    );
    let steps = [
        (out, "discover", "DHCP discover", message::DISCOVER),
        (
            back,
            "offer",
            "DHCP offer reaches the guest",
            message::OFFER,
        ),
        (out, "request", "DHCP request", message::REQUEST),
        (back, "ack", "DHCP ack reaches the guest", message::ACK),
    ];
    // Where the policy stops DHCP, nobody answers the discover, and nothing follows it.
    let steps = steps.into_iter().take(if client { 4 } else { 1 });
    for ((origin, received_at), name, summary, message) in steps {
        let seen = Sighting::Dhcp {
            message,
            client: book.layout.guest.mac,
            to: None,
        };
        let stimulus = Stimulus::Dhcp(DhcpStep::Bind);
        let mut row = book.row(Group::Dhcp, client, received_at);
        row.from(origin).push(name, summary, stimulus, seen);
    }
}

/// UDP: the request is the probe.
fn add_tftp(book: &mut Book<'_>, file: &dyn Fn(&str) -> String) {
    let (policy, layout) = (book.policy, book.layout);
    let (guest, peer, wan) = (layout.guest.v4, layout.peer.v4, layout.wan4);
    let seen = |place: &str| Sighting::Tftp { name: file(place) };
    let message = |to: Ipv4Addr, payload: Vec<u8>| Stimulus::Udp {
        source_port: 0,
        to: SocketAddr::new(to.into(), TFTP_PORT),
        payload,
    };
    // What the firmware and the lab's server send, for whoever evaluates a filter.
    let fetch = |to: Ipv4Addr, place: &str| {
        let request = [b"\0\x01", file(place).as_bytes(), b"\0octet\0"].concat();
        message(to, request)
    };
    let block = |place: &str| [b"\0\x03\0\x01", file(place).as_bytes()].concat();
    let expect = rules::outbound(policy, guest, peer);
    let words = "TFTP request to a LAN host";
    book.row(Group::LanUnicast, expect, Point::Peer).push(
        "tftp-lan",
        words,
        fetch(peer, "lan"),
        seen("lan"),
    );
    let expect = rules::inbound(policy, peer);
    let words = "a LAN host's TFTP answer reaches the guest";
    book.row(Group::LanInbound, expect, Point::TapToGuest)
        .from(Origin::Peer)
        .push(
            "tftp-answer",
            words,
            message(guest, block("lan")),
            seen("lan"),
        );
    let expect = rules::outbound(policy, guest, wan);
    let words = "TFTP request to a WAN host";
    book.row(Group::WanIpv4, expect, Point::Wan).push(
        "tftp-wan",
        words,
        fetch(wan, "wan"),
        seen("wan"),
    );
}

/// TCP: where the SYN is stopped there will be no request.
fn add_http(book: &mut Book<'_>, file: &dyn Fn(&str) -> String) {
    let (policy, layout) = (book.policy, book.layout);
    let (guest, peer, wan) = (layout.guest.v4, layout.peer.v4, layout.wan4);
    let seen = || Sighting::Http {
        name: file("lan-web"),
    };
    let fetch = |to: Ipv4Addr| Stimulus::Tcp {
        source_port: 0,
        to: SocketAddr::new(to.into(), HTTP_PORT),
        payload: Vec::new(),
    };
    let syn = |to: Ipv4Addr| Sighting::TcpSyn {
        to: to.into(),
        port: HTTP_PORT,
        source_port: None,
    };
    let expect = rules::outbound(policy, guest, peer);
    let mut row = book.row(Group::LanUnicast, expect, Point::Peer);
    let words = "TCP SYN to a LAN host's web server";
    row.push("http-connect", words, fetch(peer), syn(peer));
    row.push(
        "http-lan",
        "HTTP request to a LAN host",
        fetch(peer),
        seen(),
    );
    let expect = rules::inbound(policy, peer);
    let words = "a LAN host's HTTP answer reaches the guest";
    book.row(Group::LanInbound, expect, Point::TapToGuest)
        .from(Origin::Peer)
        .push("http-answer", words, fetch(guest), seen());
    let expect = rules::outbound(policy, guest, wan);
    let words = "TCP SYN to a WAN host's web server";
    book.row(Group::WanIpv4, expect, Point::Wan)
        .push("http-wan", words, fetch(wan), syn(wan));
}

/// ICMP: the stack numbers its echo requests as it likes, so they are told by their ends.
fn add_echo(book: &mut Book<'_>) {
    let (policy, layout) = (book.policy, book.layout);
    let (guest, peer, wan) = (layout.guest.v4, layout.peer.v4, layout.wan4);
    let expect = rules::outbound(policy, guest, peer);
    let words = "the firmware's ping to a LAN host";
    book.row(Group::LanUnicast, expect, Point::Peer).push(
        "echo-lan",
        words,
        ping(peer),
        asked(guest, peer),
    );
    let expect = rules::inbound(policy, peer);
    let words = "a LAN host's echo reply reaches the firmware";
    book.row(Group::LanInbound, expect, Point::TapToGuest)
        .from(Origin::Peer)
        .push("echo-answer", words, ping(guest), answered(peer, guest));
    let expect = rules::outbound(policy, guest, wan);
    let words = "the firmware's ping to a WAN host";
    book.row(Group::WanIpv4, expect, Point::Wan).push(
        "echo-wan",
        words,
        ping(wan),
        asked(guest, wan),
    );
}

/// An echo request, for whoever evaluates a filter.
fn ping(to: impl Into<IpAddr>) -> Stimulus {
    Stimulus::Ping {
        to: to.into(),
        payload: Vec::new(),
    }
}

fn asked(from: impl Into<IpAddr>, to: impl Into<IpAddr>) -> Sighting {
    Sighting::Echo {
        from: from.into(),
        to: to.into(),
        answer: false,
    }
}

fn answered(from: impl Into<IpAddr>, to: impl Into<IpAddr>) -> Sighting {
    Sighting::Echo {
        from: from.into(),
        to: to.into(),
        answer: true,
    }
}

/// IPv6 of a stack that makes its link-local address by itself and is given another one and a
/// router. Its router solicitations and multicast go to groups of the link, which no router
/// forwards: what could leak is what it sends to hosts.
mod ipv6 {
    use super::{answered, asked, ping, rules};
    use crate::frame::group::{mld, mld1_body};
    use crate::frame::nd::{kind, solicit};
    use crate::frame::{Ext, Ip6, Link, Tag, ethertype, group_mac6, solicited_node};
    use crate::layout::Host;
    use crate::probe::catalogue::book::Book;
    use crate::probe::{Group, Origin, Pass, Point, Sighting, Stimulus};
    use std::net::Ipv6Addr;

    /// Adds the probes.
    pub(super) fn add(book: &mut Book<'_>) {
        let (policy, layout) = (book.policy, book.layout);
        let (guest, peer) = (&layout.guest, &layout.peer);
        // From `::` until the address is its own, and so without an address that a policy names.
        let expect = !policy.lan6.is_empty();
        let mut row = book.row(Group::Ipv6Control, expect, Point::Peer);
        let words = "the firmware looks whether its address is taken";
        let seen = Sighting::Dad { target: guest.v6 };
        row.push("own-dad", words, Stimulus::Frames(vec![dad(guest)]), seen);
        // Its first report may be from `::` or not: where those differ nothing is proven.
        if rules::nd(policy, layout) && !policy.lan6.is_empty() {
            let words = "the firmware reports that it listens to its address's group";
            let group = solicited_node(guest.v6);
            let stimulus = Stimulus::Frames(vec![report(guest, group)]);
            row.push("own-mld", words, stimulus, Sighting::Mld { group });
        }
        add_echo(book, (guest.link_local, peer.link_local));
        let (own, wan) = (guest.v6, layout.wan6);
        let expect = rules::outbound(policy, own, wan);
        let words = "the firmware's ping to an IPv6 WAN host";
        book.row(Group::WanIpv6, expect, Point::Wan).push(
            "echo-wan",
            words,
            ping(wan),
            asked(own, wan),
        );
    }

    /// Between link-local addresses.
    fn add_echo(book: &mut Book<'_>, (guest, peer): (Ipv6Addr, Ipv6Addr)) {
        let policy = book.policy;
        let expect = rules::outbound(policy, guest, peer);
        let words = "the firmware's ping to a LAN host, link-local";
        book.row(Group::LanUnicast, expect, Point::Peer).push(
            "echo6-lan",
            words,
            ping(peer),
            asked(guest, peer),
        );
        let expect = rules::inbound(policy, peer);
        let words = "a LAN host's link-local echo reply reaches the firmware";
        book.row(Group::LanInbound, expect, Point::TapToGuest)
            .from(Origin::Peer)
            .push("echo6-answer", words, ping(guest), answered(peer, guest));
    }

    /// Duplicate address detection (RFC 4862 section 5.4.2).
    fn dad(guest: &Host) -> Vec<u8> {
        let tag = Tag {
            run: 0,
            pass: Pass::Control.number(),
            index: 0,
        };
        let group = solicited_node(guest.v6);
        let packet = Ip6::new(Ipv6Addr::UNSPECIFIED, group).hops(255).icmp(
            kind::NEIGHBOUR_SOLICIT,
            0,
            &solicit(guest.v6, None, tag),
        );
        Link::new(guest.mac, group_mac6(group)).frame(ethertype::IPV6, &packet)
    }

    /// A report of version 1, with hop limit 1 and router alert (RFC 2710 section 3).
    fn report(guest: &Host, group: Ipv6Addr) -> Vec<u8> {
        let packet = Ip6::new(guest.link_local, group)
            .hops(1)
            .ext(Ext::router_alert())
            .icmp(mld::REPORT_V1, 0, &mld1_body(group, b""));
        Link::new(guest.mac, group_mac6(group)).frame(ethertype::IPV6, &packet)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Whoever judges a filter without a lab takes these frames for the firmware's.
    #[test]
    fn what_stands_for_the_firmwares_frames_is_recognised() {
        let policy = Policy::example();
        let layout = Layout::of(&policy).expect("the example has room");
        for probe in firmware_catalogue(&policy, &layout, Shows::ALL, str::to_owned) {
            let wire = probe.wire(&layout);
            let is_answer = probe.origin == Origin::Peer && probe.id.contains("echo");
            let is_page = matches!(probe.sent, Sighting::Http { .. });
            let seen = wire.frames.iter().any(|frame| probe.sent.matches(frame));
            assert_eq!(seen, !is_answer && !is_page, "{}", probe.id);
        }
    }

    #[test]
    fn a_stack_is_asked_for_nothing_that_it_cannot_show() {
        let policy = Policy::example();
        let layout = Layout::of(&policy).expect("the example has room");
        let ids = |shows| {
            let probes = firmware_catalogue(&policy, &layout, shows, str::to_owned);
            let ids = probes.into_iter().map(|probe| probe.id);
            ids.collect::<Vec<String>>().join(" ")
        };
        let none = Shows {
            web: false,
            echo: false,
            ipv6: false,
        };
        let least = ids(none);
        assert!(
            !least.contains("http") && !least.contains("echo"),
            "{least}"
        );
        let most = ids(Shows::ALL);
        for id in [
            "wan-ipv4/echo-wan",
            "wan-ipv6/echo-wan",
            "ipv6-control/own-dad",
        ] {
            assert!(most.contains(id) && !least.contains(id), "{id} in {most}");
        }
        assert_eq!(none.or(Shows::ALL), Shows::ALL);
    }
}
