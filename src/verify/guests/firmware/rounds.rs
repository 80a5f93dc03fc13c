//! The rounds of a guest as the sensor at its tap shows them.

use super::fetches::{end, ended_round};
use crate::frame::dhcp::message;
use crate::frame::{Mac, View, arp};
use crate::guest::Machine;
use crate::lab::{Direction, Lab, Sighted, Tftp};
use crate::probe::{Point, Sighting};
use crate::verify::VerifyError;
use crate::verify::watch::{Marks, Watch};
use std::cell::Cell;
use std::net::{IpAddr, Ipv4Addr};
use std::time::{Duration, Instant, SystemTime};

/// Longest wait for the end of the first round: firmware, iPXE, link, lease.
/// 4 s here, 15 s more where the driver negotiates the link.
const FIRST_ROUND: Duration = Duration::from_secs(60);

/// Longest wait for the guest's first frame: firmware, its start, the card's initialisation,
/// which takes 1 s here and 5 s where the driver negotiates the link first.
const FIRST_FRAME: Duration = Duration::from_secs(25);

/// How often it is checked that a guest which sends nothing still runs.
const LOOK: Duration = Duration::from_millis(500);

/// Longest round. With a filter that stops everything DHCP alone takes 10 s or
/// more (iPXE's own deadlines), and each fetch its whole patience.
const ROUND: Duration = Duration::from_secs(60);

/// Rounds that are looked at for one that is whole. It is the first; the second where a
/// busy machine let the guest's wait end before the filter had come or gone; more only
/// where the machine stood still.
const TRIES: usize = 4;

/// Number of the first round.
const FIRST: u32 = 1;

/// The rounds of one guest.
pub struct Rounds<'a> {
    lab: &'a Lab,
    /// What runs them, for messages.
    firmware: &'static str,
    run: u32,
    /// Gives the files that end a round.
    server: &'a Tftp,
    /// Where the sensors stood before the guest's first frame.
    began: Marks,
    /// The round that ended last.
    last: u32,
    /// The guest's, once a round has ended.
    address: Option<Ipv4Addr>,
}

/// Why a guest has not come to the end of its first round.
#[derive(Debug)]
pub enum Stuck {
    /// It sends, but not what ends a round: a filter may be in its way.
    Sends(VerifyError),
    /// It sends nothing, or something else is wrong.
    Dead(VerifyError),
}

impl From<Stuck> for VerifyError {
    fn from(stuck: Stuck) -> Self {
        match stuck {
            Stuck::Sends(error) | Stuck::Dead(error) => error,
        }
    }
}

impl<'a> Rounds<'a> {
    /// Waits for the first round with an end.
    ///
    /// # Errors
    /// [`Stuck`], which tells a guest that sends from one that is dead.
    pub async fn first(
        lab: &'a Lab,
        machine: &Machine,
        (firmware, run): (&'static str, u32),
        server: &'a Tftp,
        began: Marks,
    ) -> Result<Self, Stuck> {
        let mut rounds = Self::unended(lab, (firmware, run), server, began);
        let watch = rounds.watch(machine);
        rounds.first_frame(machine).await.map_err(Stuck::Dead)?;
        let longest = lab.slowness.stretch(FIRST_ROUND);
        let last = rounds.end_of_round(&watch, machine, longest, 0).await;
        rounds.last = last.map_err(Stuck::Sends)?;
        let frames = machine.tap.since(0);
        let mut ends = from_guest(&frames).filter(|seen| ended_round(&seen.frame, run).is_some());
        let address = ends.next().and_then(|seen| source(&seen.frame));
        let nobody = || Stuck::Dead(VerifyError::NoFirmwareAddress { firmware });
        rounds.address = Some(address.ok_or_else(nobody)?);
        Ok(rounds)
    }

    /// Waits for the guest's first frame.
    async fn first_frame(&self, machine: &Machine) -> Result<(), VerifyError> {
        let longest = self.lab.slowness.stretch(FIRST_FRAME);
        let end = Instant::now() + longest;
        while from_guest(&machine.tap.since(0)).next().is_none() {
            self.is_alive(machine)?;
            if Instant::now() > end {
                return Err(VerifyError::SilentFirmware {
                    firmware: self.firmware,
                    seconds: longest.as_secs(),
                    console: machine.console_ends(),
                });
            }
            let look = end.min(Instant::now() + LOOK);
            let watch = self.watch(machine).afresh();
            watch.wait_for(Point::TapFromGuest, look, |_| true).await;
        }
        Ok(())
    }

    /// Whether it has not ended by itself.
    fn is_alive(&self, machine: &Machine) -> Result<(), VerifyError> {
        machine.halted().map_or(Ok(()), |why| {
            Err(VerifyError::EndedFirmware {
                firmware: self.firmware,
                why,
                console: machine.console_ends(),
            })
        })
    }

    /// The first round as far as it has come: nothing shows that it has ended.
    pub fn unended(
        lab: &'a Lab,
        (firmware, run): (&'static str, u32),
        server: &'a Tftp,
        began: Marks,
    ) -> Self {
        Self {
            lab,
            firmware,
            run,
            server,
            began,
            last: FIRST,
            address: None,
        }
    }

    /// The guest's address, which it has once a round has ended.
    pub fn address(&self) -> Option<Ipv4Addr> {
        self.address
    }

    /// The first round, and what was seen since the guest's first frame.
    pub fn seen_first<'b>(&'b self, machine: &'b Machine) -> (u32, Watch<'b>) {
        (self.last, self.watch(machine))
    }

    /// Lets the guest go on to its next round, of which nothing is judged.
    pub fn go_on(&self) {
        self.server.let_go(&end(self.run, self.last));
    }

    /// Lets the guest go on to its next round and waits for the end of one that
    /// began later than now, when filter and guest are as they are to be judged.
    /// What was seen before is left out.
    ///
    /// # Errors
    /// [`VerifyError::EndlessRound`] or [`VerifyError::NoFreshRound`].
    pub async fn next<'b>(
        &'b mut self,
        machine: &'b Machine,
    ) -> Result<(u32, Watch<'b>), VerifyError> {
        let (now, guest) = (now_ns(), machine.interface().mac);
        // A guest whose wait has ended has gone through rounds that count for nothing.
        let over = machine.tap.since(0);
        let ended = from_guest(&over).filter_map(|seen| ended_round(&seen.frame, self.run));
        self.last = ended.max().map_or(self.last, |round| round.max(self.last));
        for _ in 0..TRIES {
            self.server.let_go(&end(self.run, self.last));
            let watch = self.watch(machine);
            let longest = self.lab.slowness.stretch(ROUND);
            let least = self.last + 1;
            self.last = self.end_of_round(&watch, machine, longest, least).await?;
            let frames = machine.tap.since(0);
            let began = beginning(&frames, self.run, self.last, guest);
            if began.is_some_and(|began| began > now) {
                return Ok((self.last, self.watch(machine).later_than(now)));
            }
        }
        Err(VerifyError::NoFreshRound {
            firmware: self.firmware,
            tries: TRIES,
        })
    }

    /// Waits until the guest asks for the last file of a round, of this one or a
    /// later one; its number.
    async fn end_of_round(
        &self,
        watch: &Watch<'_>,
        machine: &Machine,
        longest: Duration,
        least: u32,
    ) -> Result<u32, VerifyError> {
        let found = Cell::new(None);
        let is_end = |frame: &[u8]| {
            let round = ended_round(frame, self.run).filter(|round| least <= *round);
            found.set(round.or(found.get()));
            round.is_some()
        };
        let end = Instant::now() + longest;
        while found.get().is_none() && Instant::now() < end {
            let look = end.min(Instant::now() + LOOK);
            let place = Point::TapFromGuest;
            if !watch.wait_for(place, look, is_end).await {
                self.is_alive(machine)?;
            }
        }
        found.get().ok_or_else(|| VerifyError::EndlessRound {
            firmware: self.firmware,
            seconds: longest.as_secs(),
            console: machine.console_ends(),
        })
    }

    fn watch<'b>(&self, machine: &'b Machine) -> Watch<'b>
    where
        'a: 'b,
    {
        Watch::resume(self.lab, &machine.tap, self.began)
    }
}

/// The kernel stamps frames by the same clock.
fn now_ns() -> u64 {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
    since.map_or(0, |since| {
        u64::try_from(since.as_nanos()).unwrap_or(u64::MAX)
    })
}

/// What the guest sent: not what QEMU sends in its name when it has been restored.
fn from_guest(frames: &[Sighted]) -> impl Iterator<Item = &Sighted> {
    let sent = |seen: &&Sighted| seen.direction == Direction::In && !arp::is_reverse(&seen.frame);
    frames.iter().filter(sent)
}

/// When the guest began a round, by the stamp of the round's first frame: the
/// first DHCP discover after it asked for the end of the round before.
fn beginning(frames: &[Sighted], run: u32, round: u32, guest: Mac) -> Option<u64> {
    let discover = Sighting::Dhcp {
        message: message::DISCOVER,
        client: guest,
        to: None,
    };
    let mut sent = from_guest(frames);
    sent.find(|seen| ended_round(&seen.frame, run) == Some(round - 1))?;
    sent.find(|seen| discover.matches(&seen.frame))
        .map(|seen| seen.at_ns)
}

/// The IPv4 source of a frame.
fn source(frame: &[u8]) -> Option<Ipv4Addr> {
    match View::parse(frame)?.upper()?.src {
        IpAddr::V4(source) => Some(source),
        IpAddr::V6(_) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::super::fetches::tests::request;
    use super::*;
    use crate::frame::{Ip4, Link, dhcp, ethertype};
    use rstest::rstest;

    const GUEST: Mac = [2, 0, 0, 0, 0, 2];

    fn seen(direction: Direction, at_ns: u64, frame: Vec<u8>) -> Sighted {
        Sighted {
            direction,
            at_ns,
            checksum_pending: false,
            frame,
        }
    }

    fn end_of(round: u32, at_ns: u64) -> Sighted {
        seen(Direction::In, at_ns, request(&end(10, round)))
    }

    fn dhcp(kind: dhcp::MessageType, at_ns: u64) -> Sighted {
        let link = Link::new(GUEST, [0xff; 6]);
        let ip = Ip4::new(Ipv4Addr::UNSPECIFIED, Ipv4Addr::BROADCAST);
        let message = dhcp::Message::from_client(kind, GUEST).to_bytes(&[]);
        let datagram = ip.udp(dhcp::CLIENT_PORT, dhcp::SERVER_PORT, &message);
        seen(Direction::In, at_ns, link.frame(ethertype::IPV4, &datagram))
    }

    #[rstest]
    #[case::after_the_end(vec![end_of(1, 1), dhcp(message::DISCOVER, 3)], Some(3))]
    #[case::the_end_was_asked_for_twice(
        vec![end_of(1, 1), end_of(1, 2), dhcp(message::DISCOVER, 3)],
        Some(3)
    )]
    #[case::a_discover_was_repeated(
        vec![end_of(1, 1), dhcp(message::DISCOVER, 3), dhcp(message::DISCOVER, 4)],
        Some(3)
    )]
    #[case::of_the_round_before(vec![dhcp(message::DISCOVER, 1), end_of(1, 2)], None)]
    #[case::no_discover(vec![end_of(1, 1), dhcp(message::REQUEST, 2)], None)]
    #[case::the_end_was_not_seen(vec![dhcp(message::DISCOVER, 1), end_of(2, 2)], None)]
    fn a_round_begins_with_a_discover(#[case] frames: Vec<Sighted>, #[case] expected: Option<u64>) {
        assert_eq!(beginning(&frames, 10, 2, GUEST), expected);
    }

    #[test]
    fn what_comes_to_the_guest_begins_no_round() {
        let mut frames = vec![end_of(1, 1), dhcp(message::DISCOVER, 2)];
        frames[1].direction = Direction::Out;
        assert_eq!(beginning(&frames, 10, 2, GUEST), None);
    }

    #[test]
    fn what_qemu_announces_is_not_the_guests() {
        let frames = [
            seen(Direction::In, 1, arp::qemu_announce(GUEST, &[])),
            dhcp(message::DISCOVER, 2),
        ];
        let sent: Vec<u64> = from_guest(&frames).map(|seen| seen.at_ns).collect();
        assert_eq!(sent, [2]);
    }

    #[test]
    fn the_address_is_the_source_of_what_the_guest_sends() {
        let address = source(&request("0a-end-1"));
        assert_eq!(address, Some(Ipv4Addr::new(10, 0, 0, 7)));
    }
}
