//! DHCP from discover to release (RFC 2131). A real client takes the steps; several
//! probes watch the messages of each step.

use super::book::Book;
use super::rules;
use crate::frame::DhcpStep;
use crate::frame::dhcp::{self, Message, MessageType, message};
use crate::probe::{Group, Origin, Point, Sighting, Stimulus};
use std::net::Ipv4Addr;

/// One message of one step of the client.
struct Step {
    name: &'static str,
    summary: &'static str,
    asked: DhcpStep,
    message: MessageType,
    to: Option<Ipv4Addr>,
}

/// Adds the row.
pub fn add(book: &mut Book<'_>) {
    let client = book.policy.dhcp.client;
    for step in from_guest(book) {
        lease(book, Origin::Guest, client, Point::Gateway, &step);
    }
    for step in from_server(book) {
        lease(book, Origin::Gateway, client, Point::TapToGuest, &step);
    }
    add_remote_servers(book);
}

fn from_guest(book: &Book<'_>) -> Vec<Step> {
    let router = book.layout.gateway.v4;
    vec![
        Step {
            name: "discover",
            summary: "DHCP discover reaches the server",
            asked: DhcpStep::Bind,
            message: message::DISCOVER,
            to: Some(Ipv4Addr::BROADCAST),
        },
        Step {
            name: "request",
            summary: "DHCP request for the offered address",
            asked: DhcpStep::Bind,
            message: message::REQUEST,
            to: Some(Ipv4Addr::BROADCAST),
        },
        Step {
            name: "renew",
            summary: "DHCP renewal, unicast to the server",
            asked: DhcpStep::Renew,
            message: message::REQUEST,
            to: Some(router),
        },
        Step {
            name: "release",
            summary: "DHCP release, unicast to the server",
            asked: DhcpStep::Release,
            message: message::RELEASE,
            to: Some(router),
        },
    ]
}

fn from_server(book: &Book<'_>) -> Vec<Step> {
    vec![
        Step {
            name: "offer",
            summary: "DHCP offer reaches the guest",
            asked: DhcpStep::Bind,
            message: message::OFFER,
            to: None,
        },
        Step {
            name: "ack",
            summary: "DHCP ack reaches the guest: the lease is bound",
            asked: DhcpStep::Bind,
            message: message::ACK,
            to: None,
        },
        Step {
            name: "renew-ack",
            summary: "DHCP ack of a renewal reaches the guest",
            asked: DhcpStep::Renew,
            message: message::ACK,
            to: Some(book.layout.guest.v4),
        },
    ]
}

fn lease(book: &mut Book<'_>, origin: Origin, client: bool, received_at: Point, step: &Step) {
    let seen = Sighting::Dhcp {
        message: step.message,
        client: book.layout.guest.mac,
        to: step.to,
    };
    // Where the policy stops DHCP, the discover is dropped with the filter on: nobody
    // answers it, and the client sends nothing more.
    if !client && step.name != "discover" {
        return;
    }
    // Nor does a lease help where the lab's server is not of the LAN.
    let of_lan = book.policy.contains(book.layout.gateway.v4);
    let client = client && (of_lan || step.to == Some(Ipv4Addr::BROADCAST));
    book.row(Group::Dhcp, client, received_at)
        .from(origin)
        .push(step.name, step.summary, Stimulus::Dhcp(step.asked), seen);
}

/// Renewals at servers off the LAN, which a relay makes necessary.
fn add_remote_servers(book: &mut Book<'_>) {
    let (policy, layout) = (book.policy, book.layout);
    for (at, &server) in policy.dhcp.servers.iter().enumerate() {
        let received_at = rules::routed4(layout, server);
        book.row(Group::Dhcp, policy.dhcp.client, received_at).raw(
            &format!("renew-at-server-{}", at + 1),
            &format!("DHCP renewal at the server {server}, which is behind a relay"),
            |d| {
                let message = Message {
                    from: layout.guest.v4,
                    server: Some(server),
                    ..Message::from_client(message::REQUEST, layout.guest.mac)
                };
                let body = message.to_bytes(&d.bytes());
                let (from, to) = (dhcp::CLIENT_PORT, dhcp::SERVER_PORT);
                d.to_router4(&d.ip4(server).udp(from, to, &body))
            },
        );
    }
}
