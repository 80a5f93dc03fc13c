//! What a boot firmware can do by a script: take a lease and fetch files.

use super::book::Book;
use super::rules;
use crate::frame::dhcp::message;
use crate::frame::{Phase, Tag};
use crate::policy::Policy;
use crate::probe::{Group, Origin, Point, Probe, Scene, Sighting, Stimulus};
use lanfence_agent::DhcpStep;
use std::net::{Ipv4Addr, SocketAddr};

/// UDP port of TFTP servers (RFC 1350).
pub const TFTP_PORT: u16 = 69;

/// TCP port of web servers (RFC 1945).
pub const HTTP_PORT: u16 = 80;

/// The probes of a guest that is a boot firmware. `file` makes the name of the file
/// that the guest fetches in this phase: `lan` and `wan` by TFTP, `lan-web` by HTTP.
pub fn firmware_catalogue(
    policy: &Policy,
    scene: &Scene,
    file: impl Fn(&str) -> String,
) -> Vec<Probe> {
    // Firmware cannot be made to send tags: file names take their place.
    let no_tag = |index| Tag {
        run: 0,
        phase: Phase::Control,
        index,
    };
    let mut book = Book::new(policy, scene, &no_tag);
    add_lease(&mut book);
    add_fetches(&mut book, &file);
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
    // Without a client in the policy the rest is missing for want of an answer.
    let steps = steps.into_iter().take(if client { 4 } else { 1 });
    for ((origin, far), name, summary, message) in steps {
        let seen = Sighting::Dhcp {
            message,
            client: book.scene.guest.mac,
            to: None,
        };
        let stimulus = Stimulus::Dhcp(DhcpStep::Bind);
        let mut row = book.row(Group::Dhcp, client, far);
        row.from(origin).push(name, summary, stimulus, seen);
    }
}

/// The two protocols in which files are fetched.
fn add_fetches(book: &mut Book<'_>, file: &dyn Fn(&str) -> String) {
    let (policy, scene) = (book.policy, book.scene);
    let (guest, peer, wan) = (scene.guest.v4, scene.peer.v4, scene.wan4);
    let lan = rules::outbound(policy, guest, peer);
    let tftp = |place: &str| Sighting::Tftp { name: file(place) };
    let request = |to: Ipv4Addr| Stimulus::Udp {
        source_port: 0,
        to: SocketAddr::new(to.into(), TFTP_PORT),
        payload: Vec::new(),
    };
    let web = |place: &str| Sighting::Http { name: file(place) };
    let connect = |to: Ipv4Addr| Stimulus::Tcp {
        source_port: 0,
        to: SocketAddr::new(to.into(), HTTP_PORT),
        payload: Vec::new(),
    };
    let syn = |to: Ipv4Addr| Sighting::TcpSyn {
        to: to.into(),
        port: HTTP_PORT,
        source_port: None,
    };
    let mut row = book.row(Group::LanUnicast, lan, Point::Peer);
    row.push(
        "tftp-lan",
        "TFTP request to a LAN host",
        request(peer),
        tftp("lan"),
    );
    row.push(
        "http-connect",
        "TCP SYN to a LAN host's web server",
        connect(peer),
        syn(peer),
    );
    row.push(
        "http-lan",
        "HTTP request to a LAN host",
        connect(peer),
        web("lan-web"),
    );
    let inbound = rules::inbound(policy, peer);
    let mut row = book.row(Group::LanInbound, inbound, Point::TapToGuest);
    let mut row = row.from(Origin::Peer);
    row.push(
        "tftp-answer",
        "a LAN host's TFTP answer reaches the guest",
        request(guest),
        tftp("lan"),
    );
    row.push(
        "http-answer",
        "a LAN host's HTTP answer reaches the guest",
        connect(guest),
        web("lan-web"),
    );
    let beyond = rules::outbound(policy, guest, wan);
    let mut row = book.row(Group::WanIpv4, beyond, Point::Wan);
    row.push(
        "tftp-wan",
        "TFTP request to a WAN host",
        request(wan),
        tftp("wan"),
    );
    row.push(
        "http-wan",
        "TCP SYN to a WAN host's web server",
        connect(wan),
        syn(wan),
    );
}
