//! The guest's own DHCP client, for the table of clients: what came of its lease without the filter
//! and with it, and what it makes of a server whose answers have unfinished checksums.

use super::unfinished;
use crate::frame::dhcp::{Message, MessageType, message};
use crate::frame::{Checksum, Datagram, Mac};
use crate::guest::GuestKind;
use crate::probe::Point;
use crate::report::model::{ClientRun, DhcpClient, DhcpClients};
use crate::verify::record::TrialRecord;
use crate::verify::watch::Sightings;
use lanfence_agent::clients::{PROFILES, Profile, Sums};
use std::time::Duration;

/// The profile that the guest of a cell is held against, which also names it.
fn profile(kind: &GuestKind, nic: &str) -> Option<&'static Profile> {
    let of_cell = |profile: &&Profile| profile.cell == format!("{kind}/{nic}");
    let of_kind = |profile: &&Profile| profile.cell.split('/').next() == Some(kind.word());
    let mut all = PROFILES.iter();
    all.find(of_cell).or_else(|| PROFILES.iter().find(of_kind))
}

/// The one client of the cell; none where its software has no profile or no pass was reached.
/// `expected` says whether the policy lets the guest have a lease.
pub fn conclude(
    (kind, nic): (&GuestKind, &str),
    record: &TrialRecord,
    mac: Mac,
    expected: bool,
    unfinished: Option<ClientRun>,
) -> Option<DhcpClients> {
    let profile = profile(kind, nic)?;
    let attached = record.attached.as_ref();
    let filtered = attached.and_then(|attached| attached.filtered.as_ref());
    let filtered = filtered.or(record.first_frame.as_ref());
    let filtered = filtered.map(|run| told(&run.record.sightings, mac));
    let client = DhcpClient {
        name: profile.name.into(),
        system: profile.system.into(),
        strict: profile.sums == Sums::Strict,
        real: true,
        control: told(&record.control.as_ref()?.sightings, mac),
        filtered: filtered.filter(|_| expected),
        unfinished,
    };
    Some(DhcpClients {
        clients: vec![client],
        vhost: Vec::new(),
    })
}

/// The server's first OFFER to the guest in the pass without the filter, for one more that differs
/// in its checksum only. None for software without a profile, of which nothing would be said.
pub fn offer((kind, nic): (&GuestKind, &str), record: &TrialRecord, mac: Mac) -> Option<Vec<u8>> {
    profile(kind, nic)?;
    let frames = record.control.as_ref()?.sightings.frames();
    let mut there = frames.filter(|(at, _)| *at == Point::TapToGuest);
    let is_offer = |frame: &[u8]| {
        unfinished::message(frame, mac).is_some_and(|it| it.kind == Some(message::OFFER))
    };
    there.find_map(|(_, seen)| is_offer(&seen.frame).then(|| seen.frame.clone()))
}

/// A DHCP message at the guest's tap.
#[derive(Debug, Clone, Copy)]
struct Said {
    at_ns: u64,
    kind: MessageType,
    /// Of the server, what its checksum was worth.
    answer: Option<Checksum>,
}

/// What came of the client in a pass.
fn told(sightings: &Sightings, mac: Mac) -> ClientRun {
    let mut said: Vec<Said> = sightings
        .frames()
        .filter_map(|(at, seen)| {
            let answers = match at {
                Point::TapFromGuest => false,
                Point::TapToGuest => true,
                _ => return None,
            };
            let datagram = Datagram::read(&seen.frame, seen.checksum_pending)?;
            let message = Message::parse(datagram.payload).filter(|it| it.client == mac)?;
            Some(Said {
                at_ns: seen.at_ns,
                kind: message.kind?,
                answer: answers.then_some(datagram.checksum),
            })
        })
        .collect();
    said.sort_by_key(|said| said.at_ns);
    run_of(&said)
}

/// An offer is taken by who then asks for it; an ACK by who does not ask again.
fn run_of(said: &[Said]) -> ClientRun {
    let first = |kind| said.iter().position(|said| said.kind == kind);
    let answers = |kind| said.iter().any(|said| said.kind == kind);
    let began = first(message::DISCOVER).map(|at| said[at].at_ns);
    let bound = first(message::ACK).filter(|_| answers(message::REQUEST));
    let took = |at: usize| {
        said[at]
            .at_ns
            .saturating_sub(began.unwrap_or(said[at].at_ns))
            / 1000
    };
    let at_tap = said.iter().filter_map(|said| said.answer).max();
    let again = |kind: MessageType, answer: MessageType| {
        let after = first(answer).map(|at| &said[at + 1..]);
        after.is_some_and(|rest| rest.iter().any(|said| said.kind == kind))
    };
    let offer_refused = !answers(message::REQUEST) && again(message::DISCOVER, message::OFFER);
    let ack_refused =
        again(message::REQUEST, message::ACK) && !again(message::DISCOVER, message::ACK);
    let refused = (offer_refused || ack_refused) && at_tap.is_some_and(|sum| !sum.adds_up());
    let failure = if refused {
        Some("it asked again after every answer: the UDP checksum did not add up".to_owned())
    } else if began.is_none() {
        Some("it sent no DISCOVER".to_owned())
    } else if let Some(took) = late(said).filter(|_| bound.is_none()) {
        let seconds = took.as_secs_f64();
        Some(format!(
            "the server's first answer came after {seconds:.1} s, when it asked no more"
        ))
    } else if bound.is_none() {
        let asked = if answers(message::REQUEST) {
            "REQUEST"
        } else {
            "DISCOVER"
        };
        Some(format!("no answer to its {asked} that it took"))
    } else {
        None
    };
    ClientRun {
        bound_us: bound.filter(|_| !refused).map(took),
        at_tap,
        failure,
        refused,
        ..ClientRun::default()
    }
}

/// How long after the first question the first answer came, where nothing was said to any.
fn late(said: &[Said]) -> Option<Duration> {
    let answer = said.iter().position(|said| said.answer.is_some())?;
    let silent = said[answer..].iter().all(|said| said.answer.is_some());
    let asked = said.first().filter(|_| silent)?;
    Some(Duration::from_nanos(said[answer].at_ns - asked.at_ns)).filter(|took| *took > LATE)
}

/// What comes sooner may find a NIC that is not awake yet.
const LATE: Duration = Duration::from_secs(1);

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    const SUM: [Checksum; 2] = [Checksum::Complete, Checksum::Partial];

    fn talk(text: &str, sum: Checksum) -> Vec<Said> {
        let word = |(at, word): (usize, &str)| {
            let (kind, answers) = match word {
                "discover" => (message::DISCOVER, false),
                "offer" => (message::OFFER, true),
                "request" => (message::REQUEST, false),
                _ => (message::ACK, true),
            };
            Said {
                at_ns: 1_000_000 * (at as u64 + 1),
                kind,
                answer: answers.then_some(sum),
            }
        };
        text.split_whitespace().enumerate().map(word).collect()
    }

    #[test]
    fn a_server_that_answers_when_nobody_asks_any_more_is_late() {
        let mut said = talk("discover discover offer offer", SUM[0]);
        let words = |said: &[Said]| run_of(said).failure.unwrap_or_default();
        assert!(words(&said).starts_with("no answer"), "in time");
        said[2].at_ns += 6_000_000_000;
        said[3].at_ns += 6_000_000_000;
        assert!(words(&said).contains("first answer came after 6.0 s"));
        said.extend(talk("request", SUM[0]));
        assert!(words(&said).starts_with("no answer"), "it was taken");
    }

    #[rstest]
    #[case::a_lease("discover offer request ack", SUM[0], Some(3000), None, false)]
    #[case::a_careless_client("discover offer request ack", SUM[1], Some(3000), None, false)]
    #[case::a_nic_that_wakes_late("discover offer discover offer request ack", SUM[0], Some(5000), None, false)]
    #[case::two_rounds("discover offer request ack discover offer request ack", SUM[1], Some(3000), None, false)]
    #[case::refused("discover offer discover offer", SUM[1], None, Some("checksum"), true)]
    #[case::refused_at_last("discover offer request ack request ack", SUM[1], None, Some("checksum"), true)]
    #[case::deaf("discover offer discover offer", SUM[0], None, Some("DISCOVER that"), false)]
    #[case::stopped("discover discover", SUM[0], None, Some("DISCOVER that"), false)]
    #[case::stopped_later("discover offer request request", SUM[0], None, Some("REQUEST that"), false)]
    #[case::silent("", SUM[0], None, Some("no DISCOVER"), false)]
    fn what_is_said_tells_what_came_of_it(
        #[case] text: &str,
        #[case] sum: Checksum,
        #[case] bound_us: Option<u64>,
        #[case] why: Option<&str>,
        #[case] refused: bool,
    ) {
        let run = run_of(&talk(text, sum));
        assert_eq!((run.bound_us, run.refused), (bound_us, refused), "{run:?}");
        assert_eq!(run.failure.is_some(), why.is_some(), "{run:?}");
        assert!(
            run.failure
                .is_none_or(|it| it.contains(why.unwrap_or_default()))
        );
    }

    #[test]
    fn firmwares_have_a_profile() {
        for kind in [GuestKind::Ipxe, GuestKind::Grub, GuestKind::Uboot] {
            let found = profile(&kind, "rtl8139").expect("one of its kind");
            assert!(found.cell.starts_with(kind.word()), "{}", found.cell);
        }
        let malta = profile(&GuestKind::Uboot, "pcnet").expect("its own");
        assert_eq!(malta.name, "u-boot-malta");
    }
}
