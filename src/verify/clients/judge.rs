//! From what a client told and what the sensors saw of its messages to a verdict.

use super::Part;
use super::legs::{Leg, legs};
use crate::probe::{Expect, Group, Point};
use crate::report::model::{Fate, ProbeResult, Verdict};
use crate::verify::judge::{control_fate, judge, reason};
use lanfence_agent::clients::Profile;

/// A client's fate, and what to know of it.
struct Found {
    fate: Fate,
    note: Option<String>,
    /// The message that did not arrive.
    stuck: Option<Leg>,
}

/// The verdict on one client; none where it refused its answers without the filter
/// already: that says something of the NIC and nothing of the filter, and the
/// report tells it.
pub fn result(profile: &Profile, control: &Part<'_>, filtered: &Part<'_>) -> Option<ProbeResult> {
    if control
        .played
        .is_some_and(|played| played.refused_its_answer())
    {
        return None;
    }
    let (without, with) = (found(control), found(filtered));
    let verdict = judge(Expect::Pass, false, without.fate, with.fate);
    let note = match verdict {
        Verdict::Inconclusive if without.fate == Fate::Delivered => with.note,
        Verdict::Inconclusive => without
            .note
            .map(|note| format!("without the filter, {note}")),
        Verdict::Fail(_) => with.note,
        Verdict::Pass | Verdict::Residual => None,
    };
    let unsaid = || (verdict == Verdict::Inconclusive).then(|| reason(without.fate, with.fate));
    Some(ProbeResult {
        id: format!("dhcp/client-{}", profile.name),
        group: Group::Dhcp,
        summary: format!(
            "the DHCP client of {} lives through a lease",
            profile.system
        ),
        expect: Expect::Pass,
        control: without.fate,
        filtered: with.fate,
        teeth: None,
        early: None,
        verdict,
        last_seen: with
            .stuck
            .filter(|leg| leg.is_from_guest())
            .map(|_| Point::TapFromGuest),
        note: note.or_else(unsaid),
    })
}

/// Delivered when the client came to its end and every message of it arrived. Else
/// the first message that did not arrive decides.
fn found(part: &Part<'_>) -> Found {
    let Some(played) = part.played else {
        let why = part.seen.act.played.as_ref().err();
        return Found {
            fate: Fate::Unknown,
            note: why.map(|why| format!("the guest could not play it: {why}")),
            stuck: None,
        };
    };
    let legs = legs(played);
    let fates = legs.iter().map(|leg| (*leg, control_fate(part.leg(*leg))));
    let stuck = fates.into_iter().find(|(_, fate)| *fate != Fate::Delivered);
    match stuck {
        Some((leg, fate)) => Found {
            fate,
            note: Some(format!("{} was {}", leg.name(), words(fate))),
            stuck: Some(leg),
        },
        None if played.done() => Found {
            fate: Fate::Delivered,
            note: None,
            stuck: None,
        },
        None => {
            let why = played
                .steps
                .iter()
                .find_map(|taken| taken.failure.as_deref());
            Found {
                fate: Fate::Unknown,
                note: Some(format!(
                    "every message arrived, and yet: {}",
                    why.unwrap_or("it took no step")
                )),
                stuck: None,
            }
        }
    }
}

fn words(fate: Fate) -> &'static str {
    match fate {
        Fate::Delivered => "delivered",
        Fate::Dropped => "seen leaving and not arriving",
        Fate::NeverSent => "not seen leaving",
        Fate::Lost => "lost, and no sentinel sent after it arrived either",
        Fate::Unknown => "not watched: a sensor died or lost packets",
    }
}
