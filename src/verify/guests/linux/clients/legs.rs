//! The way of a client's messages, leg by leg: where each must be seen leaving, and
//! where arriving.

use super::act::Part;
use crate::frame::arp::op;
use crate::frame::dhcp::{Message, MessageType, message};
use crate::frame::{Arp, Datagram};
use crate::probe::Point;
use crate::verdict::Observation;
use lanfence_agent::clients::{Played, Step};

/// What is on its way.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum What {
    /// A DHCP message.
    Dhcp(MessageType),
    /// The ARP question for the server, or its answer.
    Arp,
}

/// A message on its way.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Leg {
    step: Step,
    what: What,
    /// From the guest, else to it.
    out: bool,
}

impl Leg {
    /// In words: "the ACK of its renewal".
    pub fn name(self) -> String {
        let of = match self.step {
            Step::Bind => "",
            Step::Renew => " of its renewal",
            Step::Inform => " of its INFORM",
            Step::Release => " at its end",
        };
        let what = match self.what {
            What::Dhcp(kind) => kind.to_string(),
            What::Arp if self.out => "ARP question for the server".into(),
            What::Arp => "ARP answer of the server".into(),
        };
        format!("the {what}{of}")
    }

    /// Whether it is a message of the guest.
    pub fn is_from_guest(self) -> bool {
        self.out
    }

    /// Where it is seen leaving and arriving.
    fn ends(self) -> (Point, Point) {
        if self.out {
            (Point::TapFromGuest, Point::Gateway)
        } else {
            (Point::FromGateway, Point::TapToGuest)
        }
    }
}

/// The legs of the steps that a client took, in their order.
pub fn legs(played: &Played) -> Vec<Leg> {
    played
        .steps
        .iter()
        .flat_map(|taken| of(taken.step))
        .collect()
}

fn of(step: Step) -> Vec<Leg> {
    let leg = |what, out| Leg { step, what, out };
    let dhcp = |kind, out| leg(What::Dhcp(kind), out);
    match step {
        Step::Bind => vec![
            dhcp(message::DISCOVER, true),
            dhcp(message::OFFER, false),
            dhcp(message::REQUEST, true),
            dhcp(message::ACK, false),
        ],
        Step::Renew => vec![
            leg(What::Arp, true),
            leg(What::Arp, false),
            dhcp(message::REQUEST, true),
            dhcp(message::ACK, false),
        ],
        Step::Inform => vec![dhcp(message::INFORM, true), dhcp(message::ACK, false)],
        Step::Release => vec![dhcp(message::RELEASE, true)],
    }
}

impl Part<'_> {
    /// What the sensors say of a leg. The fields are those of any probe.
    pub fn leg(&self, leg: Leg) -> Observation {
        let (sent, received_at) = leg.ends();
        let at = |place| self.seen.sightings.any(place, |frame| self.is(leg, frame));
        Observation {
            sent: at(sent),
            arrived: at(received_at),
            escaped: false,
            bounded: if leg.out {
                self.seen.bounds.outbound
            } else {
                self.seen.bounds.from_gateway
            },
            sound: self.seen.fault.is_none(),
        }
    }

    fn is(&self, leg: Leg, frame: &[u8]) -> bool {
        match leg.what {
            What::Dhcp(kind) => {
                // The sum does not matter here: a message with a bad one has arrived.
                let message =
                    Datagram::read(frame, false).and_then(|it| Message::parse(it.payload));
                message.is_some_and(|it| it.kind == Some(kind) && self.is_mine(&it, leg.step))
            }
            What::Arp => Arp::read(frame).is_some_and(|arp| {
                let asks = arp.operation == op::REQUEST;
                let (guest, other) = if asks {
                    (arp.sender.0, arp.target.1)
                } else {
                    (arp.target.0, arp.sender.1)
                };
                asks == leg.out && guest == self.mac && Some(other) == self.server()
            }),
        }
    }
}
