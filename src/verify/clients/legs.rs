//! The way of a client's messages, leg by leg: where each must be seen leaving, and
//! where arriving.

use super::Part;
use crate::probe::Point;
use crate::verify::judge;
use crate::verify::watch::Place;
use lanfence_agent::clients::{Kind, Message, Played, Step, read_arp, read_udp};

/// All steps of a client.
pub const STEPS: [Step; 4] = [Step::Bind, Step::Renew, Step::Inform, Step::Release];

/// What is on its way.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum What {
    /// A DHCP message.
    Dhcp(Kind),
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
    /// In words: "the ACK of its renew".
    pub fn name(self) -> String {
        let of = match self.step {
            Step::Bind => "",
            Step::Renew => " of its renewal",
            Step::Inform => " of its INFORM",
            Step::Release => " at its end",
        };
        let what = match self.what {
            What::Dhcp(kind) => format!("{kind:?}").to_uppercase(),
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
    fn ends(self) -> (Place, Place) {
        if self.out {
            (Place::At(Point::TapFromGuest), Place::At(Point::Gateway))
        } else {
            (Place::GatewayOut, Place::At(Point::TapToGuest))
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
            dhcp(Kind::Discover, true),
            dhcp(Kind::Offer, false),
            dhcp(Kind::Request, true),
            dhcp(Kind::Ack, false),
        ],
        Step::Renew => vec![
            leg(What::Arp, true),
            leg(What::Arp, false),
            dhcp(Kind::Request, true),
            dhcp(Kind::Ack, false),
        ],
        Step::Inform => vec![dhcp(Kind::Inform, true), dhcp(Kind::Ack, false)],
        Step::Release => vec![dhcp(Kind::Release, true)],
    }
}

impl Part<'_> {
    /// What the sensors say of a leg. The fields are those of any probe.
    pub fn leg(&self, leg: Leg) -> judge::Observation {
        let (sent, received_at) = leg.ends();
        let at = |place| self.seen.sightings.any(place, |frame| self.is(leg, frame));
        judge::Observation {
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
                let message = read_udp(frame, false).and_then(|it| Message::read(it.payload));
                message.is_some_and(|it| it.kind == kind && self.is_mine(&it, leg.step))
            }
            What::Arp => read_arp(frame).is_some_and(|arp| {
                let (guest, other) = if arp.reply {
                    (arp.target_mac, arp.sender)
                } else {
                    (arp.sender_mac, arp.target)
                };
                arp.reply != leg.out && guest == self.mac && Some(other) == self.server()
            }),
        }
    }
}
