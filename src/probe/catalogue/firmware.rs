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

/// The probes of a guest that is a boot firmware. `file` makes the name of the
/// file that the guest fetches at the place, `lan` or `wan`, in this phase.
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

fn add_fetches(book: &mut Book<'_>, file: &dyn Fn(&str) -> String) {
    let (policy, scene) = (book.policy, book.scene);
    let (guest, peer, wan) = (scene.guest.v4, scene.peer.v4, scene.wan4);
    let datagram = |to: Ipv4Addr, port, name: &str| Stimulus::Udp {
        source_port: 0,
        to: SocketAddr::new(to.into(), port),
        payload: name.as_bytes().to_vec(),
    };
    let lan = file("lan");
    let seen = Sighting::Tftp { name: lan.clone() };
    book.row(
        Group::LanUnicast,
        rules::outbound(policy, guest, peer),
        Point::Peer,
    )
    .push(
        "tftp-lan",
        "TFTP request to a LAN host",
        datagram(peer, TFTP_PORT, &lan),
        seen.clone(),
    );
    book.row(
        Group::LanInbound,
        rules::inbound(policy, peer),
        Point::TapToGuest,
    )
    .from(Origin::Peer)
    .push(
        "tftp-answer",
        "a LAN host's TFTP answer reaches the guest",
        datagram(guest, 0, &lan),
        seen,
    );
    let name = file("wan");
    book.row(
        Group::WanIpv4,
        rules::outbound(policy, guest, wan),
        Point::Wan,
    )
    .push(
        "tftp-wan",
        "TFTP request to a WAN host",
        datagram(wan, TFTP_PORT, &name),
        Sighting::Tftp { name },
    );
}
