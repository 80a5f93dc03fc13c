//! One frame through the chains.

use super::chains::{Layer2, Step, Sub};
use super::field::{Field, Fields};
use super::rule::{Rule, State};
use super::{Backend, Compiled, Origin, Way};
use crate::nwfilter::model::Action;

/// What becomes of a frame.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Decision {
    /// It passes.
    Accept,
    /// It is discarded.
    Drop,
    /// It hangs on something that is not modelled, in words.
    Undecided(String),
}

/// A decision and how it came about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Outcome {
    /// What becomes of the frame.
    pub decision: Decision,
    /// What happened to it, in order.
    pub trace: Vec<Event>,
}

/// Something that happened to a frame.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    /// The bridge itself never forwards frames to this group MAC.
    NotForwarded,
    /// There is no rule for this direction.
    Unfiltered,
    /// It entered a chain.
    Entered(String),
    /// A rule matched.
    Matched(Origin, Action),
    /// It ran off the end of a chain, where layer 2 accepts.
    RanOff(String),
    /// It ran off the end of a chain and goes on in the root chain.
    WentBack(String),
    /// A layer-3 rule matched.
    Matched3(Origin, Action),
    /// No layer-3 rule matched, which accepts.
    RanOff3,
    /// br_netfilter discards IP with a broken header.
    Malformed,
}

impl Event {
    /// The rule that it is about; none where it is about none.
    pub fn origin(&self) -> Option<&Origin> {
        match self {
            Self::Matched(origin, _) | Self::Matched3(origin, _) => Some(origin),
            _ => None,
        }
    }
}

/// Takes down what happens; nothing where only the decision counts.
trait Recorder {
    fn note(&mut self, event: impl FnOnce() -> Event);
}

impl Recorder for () {
    fn note(&mut self, _: impl FnOnce() -> Event) {}
}

impl Recorder for Vec<Event> {
    fn note(&mut self, event: impl FnOnce() -> Event) {
        self.push(event());
    }
}

/// How a chain ended.
enum End {
    Accepted,
    Dropped,
    Returned,
    Undecided(String),
}

/// What becomes of a frame, and why.
pub fn evaluate(filter: &Compiled, frame: &[u8], way: Way) -> Outcome {
    let mut trace = Vec::new();
    let decision = through(filter, frame, way, &mut trace);
    Outcome { decision, trace }
}

/// What becomes of a frame.
pub fn decide(filter: &Compiled, frame: &[u8], way: Way) -> Decision {
    match quickly(filter, frame, way) {
        Some(true) => Decision::Accept,
        Some(false) => Decision::Drop,
        None => through(filter, frame, way, &mut ()),
    }
}

/// The same by the definition alone, for the test that holds the fast way against it.
#[cfg(test)]
pub fn decide_slowly(filter: &Compiled, frame: &[u8], way: Way) -> Decision {
    through(filter, frame, way, &mut ())
}

/// Whether the frame passes; none where the definition must decide.
pub fn quickly(filter: &Compiled, frame: &[u8], way: Way) -> Option<bool> {
    let fields = Fields::read(frame)?;
    if never_forwarded(&fields) {
        return Some(false);
    }
    let layer3 = filter.bridge_nf() || filter.backend() == Backend::Nftables;
    let malformed = || filter.bridge_nf() && is_malformed(frame, &fields);
    filter
        .flat()
        .decide(&fields, way == Way::FromGuest, layer3, malformed)
}

fn through(filter: &Compiled, frame: &[u8], way: Way, trace: &mut impl Recorder) -> Decision {
    let Some(fields) = Fields::read(frame) else {
        return Decision::Undecided(format!(
            "{} bytes are less than an Ethernet header, which no NIC sends",
            frame.len()
        ));
    };
    if never_forwarded(&fields) {
        trace.note(|| Event::NotForwarded);
        return Decision::Drop;
    }
    match layer2(filter.layer2(way), &fields, trace) {
        Decision::Accept => {}
        other => return other,
    }
    if filter.bridge_nf() && is_malformed(frame, &fields) {
        trace.note(|| Event::Malformed);
        return Decision::Drop;
    }
    layer3(
        filter.layer3(way, fields.get(Field::EtherType)),
        &fields,
        trace,
    )
}

/// Group addresses that bridges keep to themselves (IEEE 802.1D 7.12.6), but
/// for that of the spanning tree, which Linux forwards where it runs none.
fn never_forwarded(fields: &Fields) -> bool {
    (0x0180_c200_0001..=0x0180_c200_000f).contains(&fields.get(Field::DstMac))
}

fn layer2(layer: &Layer2, fields: &Fields, trace: &mut impl Recorder) -> Decision {
    let Some(root) = &layer.root else {
        trace.note(|| Event::Unfiltered);
        return Decision::Accept;
    };
    if let Some(why) = order_matters(layer, root, fields) {
        return Decision::Undecided(why);
    }
    walk(layer, root, fields, trace, None)
}

/// Equal priorities are entered in random order; where a frame enters several
/// of them and the order changes its fate, there is no one answer.
fn order_matters(layer: &Layer2, root: &[Step], fields: &Fields) -> Option<String> {
    for group in &layer.tied {
        let entered = group
            .iter()
            .copied()
            .filter(|at| enters(&layer.subs[*at], fields));
        let entered: Vec<usize> = entered.collect();
        let [first, .., last] = entered.as_slice() else {
            continue;
        };
        let forward = walk(layer, root, fields, &mut (), None);
        let backward = walk(layer, root, fields, &mut (), Some((*first, *last)));
        if entered.len() > 2 || forward != backward {
            let names = entered.iter().map(|at| layer.subs[*at].name.as_str());
            return Some(format!(
                "libvirt enters the chains {} in random order, since their priorities are equal",
                names.collect::<Vec<_>>().join(" and ")
            ));
        }
    }
    None
}

fn enters(sub: &Sub, fields: &Fields) -> bool {
    sub.guard
        .as_ref()
        .is_none_or(|guard| guard.set.contains(fields.get(guard.field)))
}

/// Through the root chain, with two jumps exchanged where `swapped` says so.
fn walk(
    layer: &Layer2,
    root: &[Step],
    fields: &Fields,
    trace: &mut impl Recorder,
    swapped: Option<(usize, usize)>,
) -> Decision {
    for step in root {
        let end = match step {
            Step::Rule(rule) => apply(rule, fields, trace),
            Step::Jump(at) => {
                let at = match swapped {
                    Some((a, b)) if *at == a => b,
                    Some((a, b)) if *at == b => a,
                    _ => *at,
                };
                enter(&layer.subs[at], layer.end_accepts, fields, trace)
            }
        };
        match (end, step) {
            // A return from the root chain leaves libvirt's rules.
            (Some(End::Accepted), _) | (Some(End::Returned), Step::Rule(_)) => {
                return Decision::Accept;
            }
            (Some(End::Dropped), _) => return Decision::Drop,
            (Some(End::Undecided(why)), _) => return Decision::Undecided(why),
            (Some(End::Returned), Step::Jump(_)) | (None, _) => {}
        }
    }
    trace.note(|| Event::RanOff("root".to_owned()));
    Decision::Accept
}

fn enter(sub: &Sub, end_accepts: bool, fields: &Fields, trace: &mut impl Recorder) -> Option<End> {
    if !enters(sub, fields) {
        return None;
    }
    trace.note(|| Event::Entered(sub.name.clone()));
    for rule in &sub.rules {
        if let Some(end) = apply(rule, fields, trace) {
            return Some(end);
        }
    }
    if !end_accepts {
        trace.note(|| Event::WentBack(sub.name.clone()));
        return None;
    }
    // ebtables' policy for a user's chain: it does not go back to the root (measured).
    trace.note(|| Event::RanOff(sub.name.clone()));
    Some(End::Accepted)
}

/// How a layer-2 rule ends the chain; none where the next rule decides.
fn apply(rule: &Rule, fields: &Fields, trace: &mut impl Recorder) -> Option<End> {
    if !rule.matches(fields) {
        return None;
    }
    if let Some(why) = &rule.undecided {
        return Some(End::Undecided(format!("{}: {why}", rule.origin)));
    }
    trace.note(|| Event::Matched(rule.origin.clone(), rule.action));
    match rule.action {
        Action::Accept => Some(End::Accepted),
        Action::Drop | Action::Reject => Some(End::Dropped),
        Action::Return => Some(End::Returned),
        Action::Continue => None,
    }
}

fn layer3(rules: &[Rule], fields: &Fields, trace: &mut impl Recorder) -> Decision {
    if rules.is_empty() {
        return Decision::Accept;
    }
    if fields.fragment {
        return Decision::Undecided(
            "layer-3 rules see a fragment only once the packet is put together again".to_owned(),
        );
    }
    for rule in rules.iter().filter(|rule| rule.matches(fields)) {
        if rule.state != State::Any && !may_start(fields) {
            return Decision::Undecided(format!(
                "{} asks for the connection's state, and the frame does not start one",
                rule.origin
            ));
        }
        if rule.state == State::Known {
            continue;
        }
        if let Some(why) = &rule.undecided {
            return Decision::Undecided(format!("{}: {why}", rule.origin));
        }
        trace.note(|| Event::Matched3(rule.origin.clone(), rule.action));
        if rule.action == Action::Continue {
            continue;
        }
        return match rule.action {
            Action::Drop | Action::Reject => Decision::Drop,
            Action::Accept | Action::Return | Action::Continue => Decision::Accept,
        };
    }
    trace.note(|| Event::RanOff3);
    Decision::Accept
}

/// Whether connection tracking takes the frame for the start of a connection.
pub fn may_start(fields: &Fields) -> bool {
    const FIN_SYN_RST_ACK: u128 = 0x17;
    match fields.get(Field::Protocol) {
        // A bare ACK of an unknown connection counts as new (measured).
        6 => matches!(fields.get(Field::TcpFlags) & FIN_SYN_RST_ACK, 0x02 | 0x10),
        1 => matches!(fields.get(Field::IcmpType), 8 | 13 | 15 | 17),
        58 => fields.get(Field::IcmpType) == 128,
        _ => true,
    }
}

/// Whether br_netfilter throws the packet away before iptables sees it.
fn is_malformed(frame: &[u8], fields: &Fields) -> bool {
    let packet = &frame[14..];
    let total = |at: usize| {
        let bytes = packet.get(at..at + 2);
        bytes.map_or(0, |bytes| {
            usize::from(u16::from_be_bytes([bytes[0], bytes[1]]))
        })
    };
    match fields.get(Field::EtherType) {
        0x0800 => {
            let Some(first) = packet.first().filter(|_| packet.len() >= 20) else {
                return true;
            };
            let header = usize::from(first & 0x0f) * 4;
            let length = total(2);
            first >> 4 != 4
                || header < 20
                || length < header
                || length > packet.len()
                || ones_complement_sum(&packet[..header]) != 0xffff
        }
        0x86dd => {
            let version = packet.first().map(|first| first >> 4);
            version != Some(6) || packet.len() < 40 || total(4) + 40 > packet.len()
        }
        _ => false,
    }
}

fn ones_complement_sum(header: &[u8]) -> u32 {
    let words = header
        .chunks_exact(2)
        .map(|word| u32::from(u16::from_be_bytes([word[0], word[1]])));
    let mut sum: u32 = words.sum();
    while sum > 0xffff {
        sum = (sum & 0xffff) + (sum >> 16);
    }
    sum
}
