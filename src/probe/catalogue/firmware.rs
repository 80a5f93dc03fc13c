//! The probes of a boot firmware, which a script makes take a lease and fetch files.

use super::book::Book;
use super::rules;
use crate::frame::dhcp::message;
use crate::frame::{DhcpStep, Tag};
use crate::layout::Layout;
use crate::policy::Policy;
use crate::probe::Pass;
use crate::probe::{Group, Origin, Point, Probe, Sighting, Stimulus};
use std::net::{Ipv4Addr, SocketAddr};

/// UDP port of TFTP servers (RFC 1350).
pub const TFTP_PORT: u16 = 69;

/// TCP port of web servers (RFC 1945).
pub const HTTP_PORT: u16 = 80;

/// The probes of a guest that is a boot firmware. `file` makes the name of the file
/// that the guest fetches in this pass: `lan` and `wan` by TFTP, and where it `has_web_client`
/// `lan-web` by HTTP.
pub fn firmware_catalogue(
    policy: &Policy,
    layout: &Layout,
    has_web_client: bool,
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
    if has_web_client {
        add_http(&mut book, &file);
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
