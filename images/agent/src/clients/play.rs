//! The client: one profile through the life of a lease.
//!
//! It differs from the systems it stands for in two ways: it asks again after half a second
//! where they wait for four, and it does not wait for others to object in ARP. The frames are
//! the same.

use super::message::{Facts, frame};
use super::profiles::{Claim, Profile, Sums};
use lanfence_frame::arp::{self, Arp};
use lanfence_frame::datagram::{Checksum, Datagram};
use lanfence_frame::dhcp::{CLIENT_PORT, Message, MessageType, message};
use lanfence_frame::{BROADCAST, Link, Mac};
use serde::{Deserialize, Serialize};
use std::io;
use std::net::Ipv4Addr;
use std::time::{Duration, Instant};

/// How long an answer is waited for before the client asks again.
const PATIENCE: Duration = Duration::from_millis(500);

/// How long the client listens on once it has refused an answer: the next one
/// would come from another server.
const AFTER_REFUSAL: Duration = Duration::from_millis(20);

/// Refused answers after which the client gives up: no better one will come.
const ENOUGH_REFUSALS: usize = 3;

/// Where frames go to and come from.
pub trait Wire {
    /// Sends one frame.
    ///
    /// # Errors
    /// When the frame cannot be sent, also for want of room within two seconds.
    fn send(&mut self, frame: &[u8]) -> io::Result<()>;

    /// The next frame from the network; none at the deadline.
    ///
    /// # Errors
    /// When the wire is gone.
    fn receive(&mut self, deadline: Instant) -> io::Result<Option<Arrived>>;
}

/// A frame from the network.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Arrived {
    /// The frame.
    pub frame: Vec<u8>,
    /// The kernel knows that the checksum was left to an offload.
    pub pending: bool,
}

/// A step in the life of a lease.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Step {
    /// From nothing to a lease.
    Bind,
    /// The lease renewed, unicast.
    Renew,
    /// More asked for with an address in hand.
    Inform,
    /// The lease given back.
    Release,
}

/// A step that was tried.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Taken {
    /// Which one.
    pub step: Step,
    /// Microseconds until it was done or given up.
    pub us: u64,
    /// Why it was not done; none when it was.
    pub failure: Option<String>,
}

/// What came of a profile.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Played {
    /// The profile's name.
    pub profile: String,
    /// The steps it took. Without a lease there is only the first.
    pub steps: Vec<Taken>,
    /// The address it had.
    pub address: Option<Ipv4Addr>,
    /// The server that gave it.
    pub server: Option<Ipv4Addr>,
    /// What the checksums of the answers were worth as it received them, in their order.
    pub heard: Vec<Checksum>,
    /// How many answers it threw away for their checksum.
    pub refused: usize,
}

impl Played {
    /// Whether every step it tried was done, and there is one.
    pub fn done(&self) -> bool {
        !self.steps.is_empty() && self.steps.iter().all(|taken| taken.failure.is_none())
    }

    /// Whether it failed because it threw answers away, not for want of one.
    pub fn refused_its_answer(&self) -> bool {
        !self.done() && self.refused > 0
    }
}

/// A profile to be played.
#[derive(Debug, Clone, Copy)]
pub struct Order {
    /// Which client.
    pub profile: &'static Profile,
    /// Its MAC address.
    pub mac: Mac,
    /// Transactions of its steps are counted from here, see [`xid`].
    pub xid: u32,
    /// When it gives up.
    pub deadline: Instant,
}

/// Steps that a client can take: it uses as many transactions.
const STEPS: u32 = 4;

/// The transaction of a step, so that a sensor can tell the steps apart.
pub fn xid(first: u32, step: Step) -> u32 {
    first.wrapping_add(step as u32)
}

/// The first transaction of the client at this place in a row of them.
pub fn nth(first: u32, place: u32) -> u32 {
    first.wrapping_add(place.wrapping_mul(STEPS))
}

/// Plays the profile: bind, then renew, inform and release where its system does. A step that fails
/// is part of the result.
///
/// # Errors
/// When the wire fails.
pub fn play(wire: &mut impl Wire, order: &Order) -> io::Result<Played> {
    let mut client = Client {
        wire,
        order: *order,
        lease: None,
        heard: Vec::new(),
        refused: 0,
        sent: 0,
    };
    let mut steps = Vec::new();
    for step in [Step::Bind, Step::Renew, Step::Inform, Step::Release] {
        let said = match step {
            Step::Bind => order.profile.discover,
            Step::Renew => order.profile.renew,
            Step::Inform => order.profile.inform,
            Step::Release => order.profile.release,
        };
        if said.is_empty() {
            continue;
        }
        let start = Instant::now();
        let failure = client.take(step)?.err();
        let us = u64::try_from(start.elapsed().as_micros()).unwrap_or(u64::MAX);
        steps.push(Taken { step, us, failure });
        if client.lease.is_none() {
            break;
        }
    }
    Ok(Played {
        profile: order.profile.name.to_owned(),
        steps,
        address: client.lease.map(|lease| lease.address),
        server: client.lease.map(|lease| lease.server),
        heard: client.heard,
        refused: client.refused,
    })
}

/// What the client was given.
#[derive(Debug, Clone, Copy)]
struct Lease {
    address: Ipv4Addr,
    server: Ipv4Addr,
    /// Whom a unicast to the server is handed to: the server or the router.
    hop: Ipv4Addr,
    hop_mac: Option<Mac>,
}

struct Client<'a, W> {
    wire: &'a mut W,
    order: Order,
    lease: Option<Lease>,
    heard: Vec<Checksum>,
    refused: usize,
    /// Messages sent.
    sent: u16,
}

/// A step's outcome: done, or why not. An error of the wire is an `io::Error` instead.
type Outcome = Result<(), String>;

impl<W: Wire> Client<'_, W> {
    fn take(&mut self, step: Step) -> io::Result<Outcome> {
        match (step, self.lease) {
            (Step::Bind, _) => self.bind(),
            (_, None) => Ok(Err("there is no lease".to_owned())),
            (Step::Renew, Some(lease)) => self.renew(lease),
            (Step::Inform, Some(lease)) => {
                let to = Destination::everybody(lease.address);
                let answer = self.ask(step, message::INFORM, &to, &[message::ACK])?;
                Ok(answer.map(drop))
            }
            (Step::Release, Some(lease)) => self.release(lease),
        }
    }

    fn bind(&mut self) -> io::Result<Outcome> {
        let step = Step::Bind;
        let nobody = Destination::everybody(Ipv4Addr::UNSPECIFIED);
        let offer = match self.ask(step, message::DISCOVER, &nobody, &[message::OFFER])? {
            Ok(offer) => offer,
            Err(why) => return Ok(Err(why)),
        };
        let Some(server) = offer.server else {
            return Ok(Err("the offer names no server".to_owned()));
        };
        let offered = Lease {
            address: offer.yours,
            server,
            hop: server,
            hop_mac: None,
        };
        let chosen = Destination {
            lease: Some(offered),
            ..nobody
        };
        let answer = match self.ask(
            step,
            message::REQUEST,
            &chosen,
            &[message::ACK, message::NAK],
        )? {
            Ok(answer) => answer,
            Err(why) => return Ok(Err(why)),
        };
        if answer.kind == Some(message::NAK) {
            return Ok(Err(format!("the server refused {}", offered.address)));
        }
        let hop = first_hop(&offered, &answer);
        self.lease = Some(Lease { hop, ..offered });
        self.claim(offered.address)?;
        Ok(Ok(()))
    }

    /// What the system says in ARP once it is bound.
    fn claim(&mut self, address: Ipv4Addr) -> io::Result<()> {
        let mac = self.order.mac;
        let claim = self.order.profile.claim;
        if claim == Claim::Probe {
            let probe = Arp::request((mac, Ipv4Addr::UNSPECIFIED), address);
            self.wire.send(&probe.to_frame())?;
        }
        if claim != Claim::Nothing {
            let announcement = Arp::request((mac, address), address);
            self.wire.send(&announcement.to_frame())?;
        }
        Ok(())
    }

    fn renew(&mut self, lease: Lease) -> io::Result<Outcome> {
        let to = match self.resolve(lease)? {
            Ok(mac) => Destination::server(lease, mac),
            Err(why) => return Ok(Err(why)),
        };
        let answer = self.ask(
            Step::Renew,
            message::REQUEST,
            &to,
            &[message::ACK, message::NAK],
        )?;
        Ok(answer.and_then(|answer| match answer.kind {
            Some(message::ACK) => Ok(()),
            _ => Err(format!("the server did not renew {}", lease.address)),
        }))
    }

    /// Nothing answers a release; whether it arrived is for a sensor to see.
    fn release(&mut self, lease: Lease) -> io::Result<Outcome> {
        let to = match self.resolve(lease)? {
            Ok(mac) => Destination::server(lease, mac),
            Err(why) => return Ok(Err(why)),
        };
        self.write(Step::Release, message::RELEASE, &to)?;
        Ok(Ok(()))
    }

    /// The MAC of whom unicasts to the server are handed to.
    fn resolve(&mut self, lease: Lease) -> io::Result<Result<Mac, String>> {
        if let Some(known) = lease.hop_mac {
            return Ok(Ok(known));
        }
        let question = Arp::request((self.order.mac, lease.address), lease.hop);
        while Instant::now() < self.order.deadline {
            self.wire.send(&question.to_frame())?;
            let until = self.order.deadline.min(Instant::now() + PATIENCE);
            while let Some(arrived) = self.wire.receive(until)? {
                self.answer_arp(&arrived.frame)?;
                if let Some(mac) = answer_to(&question, &arrived.frame) {
                    self.lease = Some(Lease {
                        hop_mac: Some(mac),
                        ..lease
                    });
                    return Ok(Ok(mac));
                }
            }
        }
        Ok(Err(format!("{} did not answer in ARP", lease.hop)))
    }

    /// Sends the message until one of the wanted answers is taken.
    fn ask(
        &mut self,
        step: Step,
        kind: MessageType,
        to: &Destination,
        wanted: &[MessageType],
    ) -> io::Result<Result<Message, String>> {
        let before = self.refused;
        while Instant::now() < self.order.deadline {
            self.write(step, kind, to)?;
            if let Some(answer) = self.await_answer(xid(self.order.xid, step), wanted)? {
                return Ok(Ok(answer));
            }
            if self.refused - before >= ENOUGH_REFUSALS {
                break;
            }
        }
        Ok(Err(match self.refused - before {
            0 => format!("no answer to its {kind}"),
            _ => format!("it refused every answer to its {kind}: the UDP checksum did not add up"),
        }))
    }

    fn write(&mut self, step: Step, kind: MessageType, to: &Destination) -> io::Result<()> {
        let profile = self.order.profile;
        let facts = Facts {
            mac: self.order.mac,
            xid: xid(self.order.xid, step),
            address: to.lease.map_or(to.from, |lease| lease.address),
            server: to.lease.map_or(Ipv4Addr::UNSPECIFIED, |lease| lease.server),
            bound: !to.from.is_unspecified(),
        };
        let way = (Link::new(self.order.mac, to.mac), (to.from, to.ip));
        let nth = self.sent;
        self.sent = nth.wrapping_add(1);
        self.wire.send(&frame(profile, kind, &facts, way, nth))
    }

    fn await_answer(&mut self, xid: u32, wanted: &[MessageType]) -> io::Result<Option<Message>> {
        let mut until = self.order.deadline.min(Instant::now() + PATIENCE);
        while let Some(arrived) = self.wire.receive(until)? {
            self.answer_arp(&arrived.frame)?;
            let Some((message, checksum)) = self.addressed_to_me(&arrived) else {
                continue;
            };
            let fits = message.kind.is_some_and(|kind| wanted.contains(&kind));
            if message.xid != xid || !fits {
                continue;
            }
            self.heard.push(checksum);
            if self.takes(checksum, arrived.pending) {
                return Ok(Some(message));
            }
            self.refused += 1;
            until = until.min(Instant::now() + AFTER_REFUSAL);
        }
        Ok(None)
    }

    fn takes(&self, checksum: Checksum, pending: bool) -> bool {
        match self.order.profile.sums {
            Sums::Strict => checksum.adds_up(),
            Sums::Trusting => checksum.adds_up() || pending,
            Sums::Careless => true,
        }
    }

    /// A server's message to this client in a frame that its NIC lets through.
    fn addressed_to_me(&self, arrived: &Arrived) -> Option<(Message, Checksum)> {
        let datagram = Datagram::read(&arrived.frame, arrived.pending)?;
        let mine = [self.order.mac, BROADCAST].contains(&datagram.link.dst);
        let message = Message::parse(datagram.payload)?;
        let fits = mine && datagram.to_port == CLIENT_PORT && message.client == self.order.mac;
        fits.then_some((message, datagram.checksum))
    }

    /// Answers who asks for the client's address: the server does before it renews.
    fn answer_arp(&mut self, frame: &[u8]) -> io::Result<()> {
        let (Some(question), Some(lease)) = (Arp::read(frame), self.lease) else {
            return Ok(());
        };
        let asked = question.operation == arp::op::REQUEST && question.target.1 == lease.address;
        if !asked || question.sender.1 == lease.address {
            return Ok(());
        }
        let answer = Arp::reply((self.order.mac, lease.address), question.sender);
        self.wire.send(&answer.to_frame())
    }
}

/// Who answered the question, if the frame is an answer to it.
fn answer_to(question: &Arp, frame: &[u8]) -> Option<Mac> {
    let answer = Arp::read(frame)?;
    let fits = answer.operation == arp::op::REPLY
        && answer.sender.1 == question.target.1
        && answer.target.0 == question.sender.0;
    fits.then_some(answer.sender.0)
}

/// The server itself when it is on the lease's own network, else the router.
fn first_hop(lease: &Lease, answer: &Message) -> Ipv4Addr {
    let mask = answer.mask.unwrap_or(Ipv4Addr::BROADCAST).to_bits();
    if (lease.address.to_bits() ^ lease.server.to_bits()) & mask == 0 {
        return lease.server;
    }
    answer.router.unwrap_or(lease.server)
}

/// Whom a message goes to and what it speaks of.
#[derive(Debug, Clone, Copy)]
struct Destination {
    mac: Mac,
    ip: Ipv4Addr,
    /// The client's address; unspecified while it has none.
    from: Ipv4Addr,
    lease: Option<Lease>,
}

impl Destination {
    fn everybody(from: Ipv4Addr) -> Self {
        Self {
            mac: BROADCAST,
            ip: Ipv4Addr::BROADCAST,
            from,
            lease: None,
        }
    }

    fn server(lease: Lease, mac: Mac) -> Self {
        Self {
            mac,
            ip: lease.server,
            from: lease.address,
            lease: Some(lease),
        }
    }
}

#[cfg(test)]
#[path = "play_tests.rs"]
mod tests;
