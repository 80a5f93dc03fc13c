//! From the parts of a foreign guest's life to a result for each kind of its traffic.

use super::ledger::{Ledger, Proof};
use super::traffic::Kind;
use crate::frame::dhcp::{MessageType, message};
use crate::guest::foreign::{Arp, Broadcast, Dhcp, Expectations, Wan};
use crate::layout::wan::WAN4;
use crate::policy::Policy;
use crate::probe::{Expect, Group};
use crate::report::model::ProbeResult;
use crate::verdict::{
    Failure, Observation, Outcome, Verdict, control_outcome, filtered_outcome, judge, reason,
};
use std::collections::BTreeSet;

/// What a part of the guest's life brought to light.
#[derive(Debug, Default)]
pub struct Part {
    /// What it sent, and where that arrived.
    pub ledger: Ledger,
    /// What absences are proven by.
    pub proof: Proof,
    /// Whether what the router sends reaches the guest's tap.
    pub from_gateway: bool,
    /// The lab's ping from the WAN: left the router, reached the guest's tap.
    pub ping: [bool; 2],
    /// Why the sensors are not to be trusted, if so.
    pub fault: Option<String>,
}

/// All parts of a cell.
#[derive(Debug, Clone, Copy)]
pub struct Parts<'a> {
    /// Without the filter.
    pub control: &'a Part,
    /// With the filter bound to the running guest.
    pub filtered: &'a Part,
    /// With the filter taken away again.
    pub leak_check: Option<&'a Part>,
    /// A fresh guest whose NIC had the filter before its first frame.
    pub first_frame: Option<&'a Part>,
}

/// A result before it is judged.
struct Row {
    id: String,
    group: Group,
    summary: String,
    expect: Expect,
    control: Outcome,
    filtered: Outcome,
    first_frame: Option<Outcome>,
    leak_check: Option<Outcome>,
}

/// The results: DHCP answers, every kind of traffic that the guest tried with
/// the filter, the lab's ping from the WAN, and what was expected and never seen.
pub fn rows(parts: &Parts<'_>, expect: Expectations, policy: &Policy) -> Vec<ProbeResult> {
    let mut rows = answers(parts, expect, policy);
    let kinds: BTreeSet<&Kind> = parts
        .runs()
        .flat_map(|run| run.ledger.kinds.keys())
        .collect();
    rows.extend(kinds.into_iter().filter_map(|kind| traffic(parts, kind)));
    rows.push(ping(parts, policy));
    rows.extend(missing(&rows, expect));
    rows.sort_by(|a, b| (a.group, &a.id).cmp(&(b.group, &b.id)));
    rows.into_iter().map(|row| row.judged(parts)).collect()
}

impl<'a> Parts<'a> {
    /// The parts with the filter.
    fn runs(&self) -> impl Iterator<Item = &'a Part> {
        [Some(self.filtered), self.first_frame]
            .into_iter()
            .flatten()
    }

    fn fault(&self) -> Option<String> {
        let all = [Some(self.control), Some(self.filtered), self.first_frame];
        all.into_iter()
            .flatten()
            .find_map(|part| part.fault.clone())
    }
}

/// One kind; none where the guest did not try it with the filter there.
fn traffic(parts: &Parts<'_>, kind: &Kind) -> Option<Row> {
    let accounts = || parts.runs().filter_map(|run| run.ledger.kinds.get(kind));
    let expect = accounts().find_map(|account| account.expect)?;
    let leak_check = parts.leak_check.filter(|leak_check| {
        let account = leak_check.ledger.kinds.get(kind);
        expect == Expect::Drop && account.is_some_and(super::ledger::Account::attempted)
    });
    let control = parts.control.ledger.control(kind, parts.control.proof);
    let filtered = parts.filtered.ledger.filtered(kind, parts.filtered.proof);
    let first_frame = parts
        .first_frame
        .map(|first_frame| first_frame.ledger.filtered(kind, first_frame.proof));
    if expect == Expect::Pass
        && control == Outcome::NeverSent
        && [Some(filtered), first_frame]
            .into_iter()
            .flatten()
            .all(|outcome| matches!(outcome, Outcome::Delivered | Outcome::NeverSent))
    {
        // It got through as it should; that it would have without the filter is no news.
        return None;
    }
    let told: Vec<String> = accounts().map(super::ledger::Account::told).collect();
    Some(Row {
        id: kind.id(),
        group: kind.group,
        summary: format!("with the filter it sent {}", told.join(", then ")),
        expect,
        control,
        filtered,
        first_frame,
        leak_check: leak_check.map(|leak_check| leak_check.ledger.control(kind, leak_check.proof)),
    })
}

/// The router's answers to the guest's DHCP client.
fn answers(parts: &Parts<'_>, expect: Expectations, policy: &Policy) -> Vec<Row> {
    // Without a client in the policy there is nothing to be answered.
    if !policy.dhcp.client {
        return Vec::new();
    }
    let steps = [
        (message::OFFER, "offer", "DHCP offer reaches the guest"),
        (message::ACK, "ack", "DHCP ack reaches the guest"),
    ];
    let wanted = |kind: MessageType| {
        let seen = parts.control.ledger.answers.contains_key(&kind);
        seen || (kind == message::ACK && expect.dhcp == Dhcp::Bound)
    };
    let row = |(kind, name, summary): (MessageType, &str, &str)| Row {
        id: format!("{}/{name}", Group::Dhcp.slug()),
        group: Group::Dhcp,
        summary: summary.into(),
        expect: Expect::Pass,
        control: parts.control.answer(kind),
        filtered: parts.filtered.answer(kind),
        first_frame: parts
            .first_frame
            .map(|first_frame| first_frame.answer(kind)),
        leak_check: None,
    };
    steps
        .into_iter()
        .filter(|step| wanted(step.0))
        .map(row)
        .collect()
}

impl Part {
    /// What became of the router's answer.
    fn answer(&self, kind: MessageType) -> Outcome {
        let [sent, heard] = self.ledger.answers.get(&kind).copied().unwrap_or_default();
        let seen = Observation {
            sent: sent > 0,
            arrived: heard > 0,
            escaped: false,
            bounded: self.from_gateway,
            sound: self.proof.sound,
        };
        filtered_outcome(seen, Expect::Pass)
    }

    /// What became of the ping from the WAN.
    fn ping(&self) -> Outcome {
        let [sent, arrived] = self.ping;
        control_outcome(Observation {
            sent,
            arrived,
            escaped: arrived,
            bounded: self.from_gateway,
            sound: self.proof.sound,
        })
    }
}

/// Whatever a guest sends by itself, this is always tried: the lab sends it.
fn ping(parts: &Parts<'_>, policy: &Policy) -> Row {
    Row {
        id: format!("{}/ping", Group::WanInbound.slug()),
        group: Group::WanInbound,
        summary: format!("ping from {WAN4} to the guest"),
        expect: policy.may_send_to(WAN4).into(),
        control: parts.control.ping(),
        filtered: parts.filtered.ping(),
        first_frame: parts.first_frame.map(Part::ping),
        leak_check: parts.leak_check.map(Part::ping),
    }
}

/// What the manifest expects and the guest did not try with the filter there.
fn missing(rows: &[Row], expect: Expectations) -> Vec<Row> {
    let tried = |groups: &[Group]| {
        let row = |row: &Row| groups.contains(&row.group) && !row.id.ends_with("allowed");
        rows.iter().any(row)
    };
    let wants = [
        (expect.arp == Arp::Seen, &[Group::Arp][..], "ARP"),
        (
            expect.broadcast == Broadcast::Seen,
            &[Group::Broadcast],
            "a broadcast",
        ),
        (
            expect.wan == Wan::Attempted,
            &[Group::WanIpv4, Group::WanIpv6],
            "a frame to the WAN",
        ),
    ];
    let row = |groups: &[Group], what: &str| Row {
        id: format!("{}/expected", groups[0].slug()),
        group: groups[0],
        summary: format!("the manifest expects {what} of the guest"),
        expect: (groups[0] != Group::WanIpv4).into(),
        control: Outcome::NeverSent,
        filtered: Outcome::NeverSent,
        first_frame: None,
        leak_check: None,
    };
    wants
        .into_iter()
        .filter(|(wanted, groups, _)| *wanted && !tried(groups))
        .map(|(_, groups, what)| row(groups, what))
        .collect()
}

impl Row {
    fn judged(self, parts: &Parts<'_>) -> ProbeResult {
        // A frame that arrives once the filter is gone shows the same as the control does.
        let later = self.expect == Expect::Drop && self.leak_check == Some(Outcome::Delivered);
        let control = if later {
            Outcome::Delivered
        } else {
            self.control
        };
        let outcomes: Vec<Outcome> = [Some(self.filtered), self.first_frame]
            .into_iter()
            .flatten()
            .collect();
        let verdict = settle(self.expect, control, &outcomes);
        let note = (verdict == Verdict::Inconclusive).then(|| {
            let bad = |outcome: &&Outcome| {
                judge(self.expect, false, control, **outcome) == Verdict::Inconclusive
            };
            let outcome = outcomes
                .iter()
                .filter(bad)
                .find(|outcome| **outcome != Outcome::NeverSent);
            let why = || reason(control, *outcome.unwrap_or(&Outcome::NeverSent));
            parts.fault().unwrap_or_else(why)
        });
        ProbeResult {
            id: self.id,
            group: self.group,
            summary: self.summary,
            expect: self.expect,
            control: self.control,
            filtered: self.filtered,
            leak_check: self.leak_check,
            first_frame: self.first_frame,
            verdict,
            last_seen: None,
            seen: None,
            note,
        }
    }
}

/// The verdict over both ways in which the filter comes: attached to the running guest, and
/// there before the first frame. A guest does not repeat everything in each, so one of them
/// may prove a kind alone; but wherever something was tried, its outcome must be right.
fn settle(expect: Expect, control: Outcome, outcomes: &[Outcome]) -> Verdict {
    let verdicts = || {
        outcomes
            .iter()
            .map(|outcome| judge(expect, false, control, *outcome))
    };
    let failed = [Failure::Leak, Failure::Blocked].map(Verdict::Fail);
    if let Some(failed) = failed
        .into_iter()
        .find(|fail| verdicts().any(|one| one == *fail))
    {
        return failed;
    }
    let mut tried = outcomes
        .iter()
        .filter(|outcome| **outcome != Outcome::NeverSent)
        .peekable();
    let proven = tried.peek().is_some()
        && tried.all(|outcome| judge(expect, false, control, *outcome) == Verdict::Pass);
    if proven {
        Verdict::Pass
    } else {
        Verdict::Inconclusive
    }
}

#[cfg(test)]
mod tests;
