//! What a foreign guest sent in a part of its life, by kind, and where it arrived.

use super::traffic::{Judge, Judged, Kind, dhcp_answer};
use crate::frame::dhcp::MessageType;
use crate::frame::{Body, Mac, Tag, View, dhcp, summary};
use crate::lab::Sighted;
use crate::layout::mac;
use crate::probe::SENTINEL;
use crate::probe::{Expect, Group, Point};
use crate::verdict::{Observation, Outcome, control_outcome, filtered_outcome};
use crate::verify::watch::Sightings;
use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::net::{IpAddr, Ipv4Addr};

/// Whose ledger it is.
#[derive(Debug, Clone, Copy)]
pub struct Owner<'a> {
    /// Tells kinds of traffic apart.
    pub judge: Judge<'a>,
    /// The guest's MAC.
    pub mac: Mac,
    /// LAN addresses that are not the guest's: the lab's peer and router.
    pub others: [IpAddr; 4],
}

/// Whom a frame is sent to on the LAN.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum To {
    /// The LAN peer.
    Peer,
    /// The router.
    Gateway,
    /// A group or everybody.
    All,
    /// A MAC that no host of the lab has: the bridge floods it.
    Nobody,
}

impl To {
    fn of(frame: &[u8]) -> Self {
        match frame.get(..6) {
            Some(mac) if mac == mac::PEER => Self::Peer,
            Some(mac) if mac == mac::GATEWAY => Self::Gateway,
            Some([first, ..]) if first & 1 == 1 => Self::All,
            _ => Self::Nobody,
        }
    }
}

/// Frames of a kind to the same hosts.
#[derive(Debug, Clone, Default)]
struct Tally {
    /// When each left the guest, in nanoseconds since the epoch.
    sent: Vec<u64>,
    /// How often it was seen at the LAN peer and at the router's LAN side.
    seen: [usize; 2],
}

/// One kind of traffic.
#[derive(Debug, Clone, Default)]
pub struct Account {
    /// What the policy wants.
    pub expect: Option<Expect>,
    tallies: BTreeMap<To, Tally>,
    /// Seen at the WAN host.
    wan: usize,
    /// Where to, in words, a few.
    shown: BTreeSet<String>,
}

/// Most destinations that are named.
const SHOWN: usize = 3;

impl Account {
    /// Whether any left the guest.
    pub fn attempted(&self) -> bool {
        self.sent().next().is_some()
    }

    /// Whether any reached the WAN host.
    pub fn on_wan(&self) -> bool {
        self.wan > 0
    }

    /// How many frames left the guest, and where to.
    pub fn told(&self) -> String {
        let shown: Vec<&str> = self.shown.iter().map(String::as_str).collect();
        format!("{}× {}", self.sent().count(), shown.join("; "))
    }

    fn sent(&self) -> impl Iterator<Item = u64> {
        self.tallies
            .values()
            .flat_map(|tally| tally.sent.iter().copied())
    }

    /// Whether any was seen behind the filter.
    fn escaped(&self) -> bool {
        let on_lan = |tally: &Tally| tally.seen != [0; 2];
        self.wan > 0 || self.tallies.values().any(on_lan)
    }

    /// Whether all that left before the time arrived at the hosts they were sent to.
    fn arrived(&self, until: Option<u64>) -> bool {
        let complete = |(to, tally): (&To, &Tally)| {
            let bounded = tally
                .sent
                .iter()
                .filter(|at| until.is_none_or(|until| **at <= until));
            let [peer, gateway] = tally.seen;
            let there = match to {
                To::Peer => peer,
                To::Gateway => gateway,
                To::All => peer.min(gateway),
                To::Nobody => peer.max(gateway),
            };
            there >= bounded.count()
        };
        self.escaped() && self.tallies.iter().all(complete)
    }
}

/// Until when absences are proven, and by what.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Proof {
    /// What left the guest before this time, in nanoseconds since the epoch, has
    /// arrived at both LAN-side ports by now, or never will.
    pub until: Option<u64>,
    /// The path from the LAN to the WAN host works.
    pub wan: bool,
    /// No sensor died or lost a frame.
    pub sound: bool,
}

/// What was seen.
#[derive(Debug, Default)]
pub struct Ledger {
    /// By kind; frames that have none are left out.
    pub kinds: BTreeMap<Kind, Account>,
    /// The router's DHCP answers by message type: sent, and seen at the guest's tap.
    pub answers: BTreeMap<MessageType, [usize; 2]>,
    /// The guest's IPv4 address as its lease or its frames tell.
    pub address: Option<Ipv4Addr>,
    /// The last frame that it sent.
    pub last: Option<String>,
    /// Frames that left it, of any kind and none.
    pub sent: usize,
    /// Until when what left it is known to have arrived, by port: peer, router.
    arrived: [Option<u64>; 2],
}

impl Ledger {
    /// Reads what the sensors saw.
    pub fn read(owner: &Owner<'_>, sightings: &Sightings) -> Self {
        let mut ledger = Self::default();
        let mut frames: Vec<(Point, &Sighted)> = sightings.frames().collect();
        frames.sort_by_key(|(_, seen)| seen.at_ns);
        let mut sent: BTreeMap<&[u8], Vec<u64>> = BTreeMap::new();
        let mut sources = HashSet::new();
        for (place, seen) in &frames {
            if *place == Point::TapFromGuest {
                sent.entry(&seen.frame).or_default().push(seen.at_ns);
                sources.extend(source(&seen.frame));
            }
        }
        for other in owner.others {
            sources.remove(&other);
        }
        for (place, seen) in &frames {
            let port = match place {
                Point::Peer => 0,
                Point::Gateway => 1,
                Point::Wan => 2,
                _ => {
                    ledger.note(owner, *place, seen);
                    continue;
                }
            };
            let mine = match port {
                2 => source(&seen.frame).is_some_and(|source| sources.contains(&source)),
                _ => is_from_guest(&seen.frame) || sent.contains_key(seen.frame.as_slice()),
            };
            if !mine {
                continue;
            }
            if let Some(arrived) = ledger.arrived.get_mut(port) {
                let left = sent.get(seen.frame.as_slice());
                let left = left.and_then(|times| times.iter().rfind(|at| **at <= seen.at_ns));
                *arrived = (*arrived).max(left.copied());
            }
            if let Some((kind, expect)) = judged(owner, &seen.frame) {
                let account = ledger.kinds.entry(kind).or_default();
                account.expect = Some(expect);
                let tally = account.tallies.entry(To::of(&seen.frame)).or_default();
                match tally.seen.get_mut(port) {
                    Some(count) => *count += 1,
                    // The router has sent it on from a MAC of its own to another.
                    None => account.wan += 1,
                }
            }
        }
        ledger
    }

    /// Takes in a frame at the guest's tap or leaving the router.
    fn note(&mut self, owner: &Owner<'_>, place: Point, seen: &Sighted) {
        match place {
            Point::TapFromGuest => self.sent(owner, seen),
            Point::TapToGuest => self.answer(owner, seen, 1),
            Point::FromGateway => self.answer(owner, seen, 0),
            _ => {}
        }
    }

    fn sent(&mut self, owner: &Owner<'_>, seen: &Sighted) {
        self.sent += 1;
        let line = summary(&seen.frame);
        if self.address.is_none() {
            self.address = own_address(owner, &seen.frame);
        }
        if let Some((kind, expect)) = judged(owner, &seen.frame) {
            let account = self.kinds.entry(kind).or_default();
            account.expect = Some(expect);
            let tally = account.tallies.entry(To::of(&seen.frame)).or_default();
            tally.sent.push(seen.at_ns);
            if account.shown.len() < SHOWN {
                account.shown.insert(line.clone());
            }
        }
        self.last = Some(line);
    }

    fn answer(&mut self, owner: &Owner<'_>, seen: &Sighted, at: usize) {
        let Some(message) = dhcp_answer(&seen.frame, owner.mac) else {
            return;
        };
        if let Some(kind) = message.kind {
            self.answers.entry(kind).or_default()[at] += 1;
        }
        if message.kind == Some(dhcp::message::ACK) && !message.yours.is_unspecified() {
            self.address = Some(message.yours);
        }
    }

    /// Whether the guest heard that its lease is granted.
    pub fn is_bound(&self) -> bool {
        let heard = self.answers.get(&dhcp::message::ACK);
        heard.is_some_and(|[_, heard]| *heard > 0)
    }

    /// Whether a frame of the group left the guest.
    pub fn attempted(&self, group: Group) -> bool {
        let mut kinds = self.kinds.iter();
        kinds.any(|(kind, account)| kind.group == group && account.attempted())
    }

    /// Kinds that the policy wants stopped and that are bound for the WAN.
    pub fn to_wan(&self) -> impl Iterator<Item = (&Kind, &Account)> {
        let kinds = self.kinds.iter();
        kinds.filter(|(kind, account)| kind.is_wan() && account.expect == Some(Expect::Drop))
    }

    /// Until when absences on the LAN are proven by frames that arrived.
    pub fn proven(&self) -> Option<u64> {
        let [peer, gateway] = self.arrived;
        Some(peer?.min(gateway?))
    }

    /// What became of a kind without the filter.
    pub fn control(&self, kind: &Kind, proof: Proof) -> Outcome {
        let Some(account) = self.kinds.get(kind) else {
            return self.nothing(proof);
        };
        let arrived = match account.expect {
            Some(Expect::Drop) if kind.is_wan() => account.on_wan(),
            Some(Expect::Drop) => account.escaped(),
            _ => account.arrived(proof.until),
        };
        control_outcome(Self::seen(kind, account, arrived, proof))
    }

    /// What became of a kind with the filter.
    pub fn filtered(&self, kind: &Kind, proof: Proof) -> Outcome {
        let Some(account) = self.kinds.get(kind) else {
            return self.nothing(proof);
        };
        let expect = account.expect.unwrap_or(Expect::Drop);
        let arrived = match expect {
            Expect::Drop => account.escaped(),
            Expect::Pass => account.arrived(proof.until),
        };
        filtered_outcome(Self::seen(kind, account, arrived, proof), expect)
    }

    /// The outcome of what was not seen at all. It takes a proof that the guest could still be
    /// heard.
    fn nothing(&self, proof: Proof) -> Outcome {
        match proof.until.or(self.proven()) {
            Some(_) if proof.sound => Outcome::NeverSent,
            _ => Outcome::Unknown,
        }
    }

    fn seen(kind: &Kind, account: &Account, arrived: bool, proof: Proof) -> Observation {
        // The part of the guest's life that is judged ends with the last proof: what
        // left it later may still be under way.
        let inside = |at: u64| proof.until.is_none_or(|until| at <= until);
        Observation {
            sent: account.sent().any(inside),
            arrived,
            escaped: arrived,
            bounded: proof.until.is_some() && (proof.wan || !kind.is_wan()),
            sound: proof.sound,
        }
    }
}

/// Whether a frame on the LAN comes from neither of the lab's hosts.
fn is_from_guest(frame: &[u8]) -> bool {
    let source = frame.get(6..12);
    source != Some(&mac::PEER) && source != Some(&mac::GATEWAY)
}

/// The kind of a frame. What a sentinel of the lab has the guest send on the LAN
/// has none: it comes at the lab's time, not at the guest's.
fn judged(owner: &Owner<'_>, frame: &[u8]) -> Option<Judged> {
    let (kind, expect) = owner.judge.kind(frame)?;
    let echo = Tag::find(frame).is_some_and(|tag| tag.pass == SENTINEL);
    (!echo || kind.is_wan()).then_some((kind, expect))
}

fn source(frame: &[u8]) -> Option<IpAddr> {
    View::parse(frame)?.upper().map(|upper| upper.src)
}

/// The guest's address as one of its frames shows it, where that is on the LAN.
fn own_address(owner: &Owner<'_>, frame: &[u8]) -> Option<Ipv4Addr> {
    let view = View::parse(frame)?;
    let address = match view.body {
        Body::Arp(body) => body.sender.1,
        Body::V4(packet) => packet.src,
        _ => return None,
    };
    let hosts = !owner.others.contains(&address.into()) && owner.judge.lan4.contains(&address);
    hosts.then_some(address)
}

#[cfg(test)]
mod tests;
