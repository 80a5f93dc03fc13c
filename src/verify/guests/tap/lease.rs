//! A DHCP client made of frames (RFC 2131 4.4), for a guest that is not there.

use super::responder::Responder;
use crate::frame::dhcp::{self, Message, MessageType, message};
use crate::frame::{BROADCAST, DhcpStep, Ip4, Link, Mac, ethertype};
use crate::lab::{Slowness, Tap};
use crate::layout::Host;
use std::net::Ipv4Addr;
use std::time::Duration;
use tokio::time::Instant;

/// Longest wait for a server's answer; dnsmasq takes milliseconds.
const ANSWER: Duration = Duration::from_millis(1500);

/// A question is asked again after this.
const AGAIN: Duration = Duration::from_millis(400);

/// A granted lease.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Lease {
    address: Ipv4Addr,
    server: Ipv4Addr,
}

/// The client between its steps.
#[derive(Debug)]
pub struct Client {
    mac: Mac,
    /// Whom a bound client writes to directly.
    router: Mac,
    xid: u32,
    lease: Option<Lease>,
    slowness: Slowness,
}

impl Client {
    /// A client without a lease, on a machine of this slowness. Its transactions are counted from
    /// the number.
    pub fn new(mac: Mac, router: &Host, slowness: Slowness, xid: u32) -> Self {
        Self {
            mac,
            router: router.mac,
            xid,
            lease: None,
            slowness,
        }
    }

    /// The address that it has.
    pub fn address(&self) -> Option<Ipv4Addr> {
        self.lease.map(|lease| lease.address)
    }

    /// Takes a step; whether it was completed.
    pub async fn step(&mut self, step: DhcpStep, tap: &Tap, responder: &mut Responder) -> bool {
        self.xid = self.xid.wrapping_add(1);
        match step {
            DhcpStep::Bind => self.bind(tap, responder).await,
            DhcpStep::Renew => self.renew(tap, responder).await,
            DhcpStep::Release => self.release(tap),
        }
    }

    async fn bind(&mut self, tap: &Tap, responder: &mut Responder) -> bool {
        self.lease = None;
        let discover = self.broadcast(self.message(message::DISCOVER));
        let offer = self.ask(tap, responder, &discover, message::OFFER).await;
        let Some((offer, server)) = offer.and_then(|offer| Some((offer, offer.server?))) else {
            return false;
        };
        let request = self.broadcast(Message {
            server: Some(server),
            requested: Some(offer.yours),
            ..self.message(message::REQUEST)
        });
        let ack = self.ask(tap, responder, &request, message::ACK).await;
        self.lease = ack.map(|ack| Lease {
            address: ack.yours,
            server,
        });
        self.lease.is_some()
    }

    async fn renew(&mut self, tap: &Tap, responder: &mut Responder) -> bool {
        let Some(request) = self.direct(message::REQUEST) else {
            return false;
        };
        let ack = self.ask(tap, responder, &request, message::ACK).await;
        ack.is_some()
    }

    /// Nobody answers a release.
    fn release(&mut self, tap: &Tap) -> bool {
        let sent = self.direct(message::RELEASE);
        self.lease = None;
        sent.is_some_and(|frame| tap.write(&frame).is_ok())
    }

    /// Sends a question, again where nobody answers, until the deadline.
    async fn ask(
        &self,
        tap: &Tap,
        responder: &mut Responder,
        question: &[u8],
        wanted: MessageType,
    ) -> Option<Message> {
        let end = Instant::now() + self.slowness.stretch(ANSWER);
        while Instant::now() < end {
            tap.write(question).ok()?;
            let again = (Instant::now() + self.slowness.stretch(AGAIN)).min(end);
            while let Ok(Some(heard)) =
                tokio::time::timeout_at(again, responder.leases.recv()).await
            {
                let ours = heard.xid == self.xid && heard.client == self.mac;
                if ours && heard.kind == Some(wanted) {
                    return Some(heard);
                }
            }
        }
        None
    }

    fn message(&self, kind: MessageType) -> Message {
        Message {
            xid: self.xid,
            ..Message::from_client(kind, self.mac)
        }
    }

    fn broadcast(&self, message: Message) -> Vec<u8> {
        let ends = Ip4::new(Ipv4Addr::UNSPECIFIED, Ipv4Addr::BROADCAST);
        self.frame(BROADCAST, &ends, &message)
    }

    /// A bound client's message to its server; none without a lease.
    fn direct(&self, kind: MessageType) -> Option<Vec<u8>> {
        let lease = self.lease?;
        let message = Message {
            from: lease.address,
            server: (kind == message::RELEASE).then_some(lease.server),
            ..self.message(kind)
        };
        let ends = Ip4::new(lease.address, lease.server);
        Some(self.frame(self.router, &ends, &message))
    }

    fn frame(&self, to: Mac, ends: &Ip4, message: &Message) -> Vec<u8> {
        let packet = ends.udp(dhcp::CLIENT_PORT, dhcp::SERVER_PORT, &message.to_bytes(b""));
        Link::new(self.mac, to).frame(ethertype::IPV4, &packet)
    }
}
