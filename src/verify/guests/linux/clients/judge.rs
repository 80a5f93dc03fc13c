//! From what a client told and what the sensors saw of its messages to a verdict.

use super::act::Part;
use super::legs::{Leg, legs};
use crate::probe::{Expect, Group, Point};
use crate::report::model::ProbeResult;
use crate::verdict::{Outcome, Verdict, control_outcome, judge, reason};
use lanfence_agent::clients::{Played, Profile};

/// A client's outcome, with a note.
struct Found {
    outcome: Outcome,
    note: Option<String>,
    /// The message that did not arrive.
    stuck: Option<Leg>,
}

/// The verdict on one client; none where it refused its answers without the filter
/// already: that says something of the NIC and nothing of the filter, and the
/// report tells it.
pub fn result(profile: &Profile, control: &Part<'_>, filtered: &Part<'_>) -> Option<ProbeResult> {
    if control.played.is_some_and(Played::refused_its_answer) {
        return None;
    }
    let (without, with) = (found(control), found(filtered));
    let verdict = judge(Expect::Pass, false, without.outcome, with.outcome);
    let note = match verdict {
        Verdict::Inconclusive if without.outcome == Outcome::Delivered => with.note,
        Verdict::Inconclusive => without
            .note
            .map(|note| format!("without the filter, {note}")),
        Verdict::Fail(_) => with.note,
        Verdict::Pass | Verdict::KnownGap => None,
    };
    let unsaid =
        || (verdict == Verdict::Inconclusive).then(|| reason(without.outcome, with.outcome));
    Some(ProbeResult {
        id: format!("dhcp/client-{}", profile.name),
        group: Group::Dhcp,
        summary: format!(
            "the DHCP client of {} lives through a lease",
            profile.system
        ),
        expect: Expect::Pass,
        control: without.outcome,
        filtered: with.outcome,
        leak_check: None,
        first_frame: None,
        verdict,
        last_seen: with
            .stuck
            .filter(|leg| leg.is_from_guest())
            .map(|_| Point::TapFromGuest),
        seen: None,
        note: note.or_else(unsaid),
    })
}

/// Delivered when the client finished and every one of its messages arrived. Else
/// the first message that did not arrive decides.
fn found(part: &Part<'_>) -> Found {
    let Some(played) = part.played else {
        let why = part.seen.act.played.as_ref().err();
        return Found {
            outcome: Outcome::Unknown,
            note: why.map(|why| format!("the guest could not play it: {why}")),
            stuck: None,
        };
    };
    let legs = legs(played);
    let outcomes = legs
        .iter()
        .map(|leg| (*leg, control_outcome(part.leg(*leg))));
    let stuck = outcomes
        .into_iter()
        .find(|(_, outcome)| *outcome != Outcome::Delivered);
    match stuck {
        Some((leg, outcome)) => Found {
            outcome,
            note: Some(format!("{} was {}", leg.name(), words(outcome))),
            stuck: Some(leg),
        },
        None if played.done() => Found {
            outcome: Outcome::Delivered,
            note: None,
            stuck: None,
        },
        None => {
            let why = played
                .steps
                .iter()
                .find_map(|taken| taken.failure.as_deref());
            Found {
                outcome: Outcome::Unknown,
                note: Some(format!(
                    "every message arrived, and yet: {}",
                    why.unwrap_or("it took no step")
                )),
                stuck: None,
            }
        }
    }
}

fn words(outcome: Outcome) -> &'static str {
    match outcome {
        Outcome::Delivered => "delivered",
        Outcome::Dropped => "seen leaving and not arriving",
        Outcome::NeverSent => "not seen leaving",
        Outcome::Lost => "lost, and no sentinel sent after it arrived either",
        Outcome::Unknown => "not watched: a sensor died or lost packets",
    }
}

#[cfg(test)]
mod tests {
    use super::super::act::{Act, Seen};
    use super::*;
    use crate::frame::dhcp::{Message, message};
    use crate::frame::{Arp, Ip4, Link, Mac, ethertype};
    use crate::lab::{Direction, Sighted};
    use crate::layout::mac;
    use crate::verdict::Failure;
    use crate::verify::sentinels::Bounds;
    use crate::verify::watch::Sightings;
    use lanfence_agent::clients::{PROFILES, Step, Taken, nth, xid};
    use rstest::rstest;
    use std::net::Ipv4Addr;

    const MAC: Mac = mac::guest(1, None);
    const ROUTER: Mac = mac::GATEWAY;
    const SERVER: Ipv4Addr = Ipv4Addr::new(192, 168, 1, 1);
    const GUEST: Ipv4Addr = Ipv4Addr::new(192, 168, 1, 11);
    const XID: u32 = 0x5000;
    /// A client without an INFORM, not the first of the table.
    const PLACE: usize = 2;

    const OUT: [Point; 2] = [Point::TapFromGuest, Point::Gateway];
    const IN: [Point; 2] = [Point::FromGateway, Point::TapToGuest];

    /// The frames of a whole life, in order, with the two places of each.
    fn lifetime() -> Vec<(Vec<u8>, [Point; 2])> {
        let first = nth(XID, u32::try_from(PLACE).unwrap());
        let dhcp = |kind, step: Step, out: bool| {
            let message = Message {
                xid: xid(first, step),
                ..Message::from_client(kind, MAC)
            };
            let (from, to, ports) = if out {
                (MAC, ROUTER, (68, 67))
            } else {
                (ROUTER, MAC, (67, 68))
            };
            let packet = Ip4::new(GUEST, SERVER).udp(ports.0, ports.1, &message.to_bytes(b""));
            let frame = Link::new(from, to).frame(ethertype::IPV4, &packet);
            (frame, if out { OUT } else { IN })
        };
        let question = Arp::request((MAC, GUEST), SERVER);
        let answer = Arp::reply((ROUTER, SERVER), (MAC, GUEST));
        vec![
            dhcp(message::DISCOVER, Step::Bind, true),
            dhcp(message::OFFER, Step::Bind, false),
            dhcp(message::REQUEST, Step::Bind, true),
            dhcp(message::ACK, Step::Bind, false),
            (question.to_frame(), OUT),
            (answer.to_frame(), IN),
            dhcp(message::REQUEST, Step::Renew, true),
            dhcp(message::ACK, Step::Renew, false),
            dhcp(message::RELEASE, Step::Release, true),
        ]
    }

    /// An act in which everything was seen up to this frame, and that frame only at its
    /// start; `usize::MAX` for a whole one.
    fn seen_until(stuck: usize, bounds: Bounds) -> Seen {
        let mut sightings = Sightings::default();
        for (at, (frame, places)) in lifetime()
            .into_iter()
            .enumerate()
            .take(stuck.saturating_add(1))
        {
            let seen = if at == stuck {
                &places[..1]
            } else {
                &places[..]
            };
            for place in seen {
                let sighted = Sighted {
                    direction: Direction::In,
                    at_ns: 0,
                    checksum_pending: false,
                    frame: frame.clone(),
                };
                sightings.add(*place, sighted);
            }
        }
        let step = |step, fails: bool| Taken {
            step,
            us: 1,
            failure: fails.then(|| "no answer".to_owned()),
        };
        let mut steps = vec![step(Step::Bind, stuck < 4)];
        if stuck >= 4 {
            steps.push(step(Step::Renew, stuck < 8));
            steps.push(step(Step::Release, false));
        }
        let played = Played {
            profile: PROFILES[PLACE].name.into(),
            steps,
            address: Some(GUEST),
            server: Some(SERVER),
            heard: Vec::new(),
            refused: 0,
        };
        Seen {
            act: Act {
                played: Ok(vec![played; PROFILES.len()]),
                xid: XID,
                marks: [0; 4],
            },
            sightings,
            bounds,
            fault: None,
        }
    }

    fn verdict(control: &Seen, filtered: &Seen) -> ProbeResult {
        let place = u32::try_from(PLACE).unwrap();
        let parts = (control.part(place, MAC), filtered.part(place, MAC));
        result(&PROFILES[PLACE], &parts.0, &parts.1).expect("a verdict")
    }

    #[test]
    fn the_frames_are_those_that_the_legs_look_for() {
        assert_eq!(PROFILES[PLACE].inform, &[] as &[u8]);
        let whole = seen_until(usize::MAX, Bounds::ALL);
        let part = whole.part(u32::try_from(PLACE).unwrap(), MAC);
        let legs = legs(part.played.unwrap());
        assert_eq!(legs.len(), lifetime().len());
        assert!(legs.iter().all(|leg| part.leg(*leg).arrived));
        // Another client's transactions are not taken for this one's.
        let other = whole.part(0, MAC);
        assert!(legs.iter().any(|leg| !other.leg(*leg).sent));
    }

    #[rstest]
    #[case::discover(0, "the DISCOVER was seen leaving and not arriving", true)]
    #[case::offer(1, "the OFFER was seen leaving and not arriving", false)]
    #[case::ack(3, "the ACK was seen leaving and not arriving", false)]
    #[case::arp(
        4,
        "the ARP question for the server of its renewal was seen leaving and not arriving",
        true
    )]
    #[case::renewal(
        6,
        "the REQUEST of its renewal was seen leaving and not arriving",
        true
    )]
    #[case::release(8, "the RELEASE at its end was seen leaving and not arriving", true)]
    fn what_the_filter_stops_is_named(#[case] at: usize, #[case] note: &str, #[case] out: bool) {
        let control = seen_until(usize::MAX, Bounds::ALL);
        let got = verdict(&control, &seen_until(at, Bounds::ALL));
        assert_eq!(got.verdict, Verdict::Fail(Failure::Blocked));
        assert_eq!(got.note.as_deref(), Some(note));
        assert_eq!(got.last_seen, out.then_some(Point::TapFromGuest));
    }

    #[test]
    fn a_whole_life_passes() {
        let whole = seen_until(usize::MAX, Bounds::ALL);
        let got = verdict(&whole, &seen_until(usize::MAX, Bounds::ALL));
        assert_eq!((got.verdict, got.note), (Verdict::Pass, None));
        assert_eq!(got.id, format!("dhcp/client-{}", PROFILES[PLACE].name));
    }

    #[rstest]
    #[case::no_sentinel(seen_until(0, Bounds::default()), "lost, and no sentinel")]
    #[case::dead_sensor(Seen { fault: Some("dead".into()), ..seen_until(1, Bounds::ALL) }, "not watched")]
    #[case::could_not_play(Seen { act: Act { played: Err("no socket".into()), xid: XID, marks: [0; 4] }, ..seen_until(9, Bounds::ALL) }, "could not play it: no socket")]
    fn what_is_not_proven_is_inconclusive(#[case] filtered: Seen, #[case] words: &str) {
        let got = verdict(&seen_until(usize::MAX, Bounds::ALL), &filtered);
        assert_eq!(got.verdict, Verdict::Inconclusive);
        let note = got.note.expect("a reason");
        assert!(note.contains(words), "{note}");
    }

    #[test]
    fn nothing_is_proven_where_the_control_failed() {
        let got = verdict(&seen_until(1, Bounds::ALL), &seen_until(1, Bounds::ALL));
        assert_eq!(got.verdict, Verdict::Inconclusive);
        let note = got.note.expect("a reason");
        assert!(
            note.starts_with("without the filter, the OFFER was"),
            "{note}"
        );
    }

    #[test]
    fn a_client_that_gives_up_though_all_arrived_is_not_the_filters_fault() {
        let mut filtered = seen_until(usize::MAX, Bounds::ALL);
        for played in filtered.act.played.as_mut().unwrap() {
            played.steps[1].failure = Some("no answer to its REQUEST".into());
        }
        let got = verdict(&seen_until(usize::MAX, Bounds::ALL), &filtered);
        assert_eq!(got.verdict, Verdict::Inconclusive);
        assert!(got.note.unwrap().contains("every message arrived"));
    }

    #[test]
    fn a_refusal_is_the_nics_and_no_verdict_on_the_filter() {
        let mut control = seen_until(1, Bounds::ALL);
        for played in control.act.played.as_mut().unwrap() {
            played.refused = 3;
        }
        let filtered = seen_until(1, Bounds::ALL);
        let place = u32::try_from(PLACE).unwrap();
        let parts = (control.part(place, MAC), filtered.part(place, MAC));
        assert!(result(&PROFILES[PLACE], &parts.0, &parts.1).is_none());
        assert!(parts.0.run().refused);
    }
}
