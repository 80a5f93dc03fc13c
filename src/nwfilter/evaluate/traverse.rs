//! One frame through the chains.

use super::chains::{Layer2Chains, RootStep, SubChain};
use super::compiled::Compiled;
use super::field::{Field, Fields};
use super::parsed_frame::{HELD_BACK, ParsedFrame};
use super::rule::{CompiledRule, ConnectionState};
use super::tracking;
use super::way::Way;
use crate::nwfilter::model::RuleId;
use crate::nwfilter::vocabulary::Action;

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
pub struct Evaluation {
    /// What becomes of the frame.
    pub decision: Decision,
    /// What happened to it, in order.
    pub trace: Vec<TraceStep>,
}

/// Something that happened to a frame.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TraceStep {
    /// The bridge itself keeps it back, whatever is bound.
    NotForwarded,
    /// There is no rule for this direction.
    Unfiltered,
    /// It entered a chain.
    Entered(String),
    /// A rule matched.
    Matched(RuleId, Action),
    /// It ran off the end of a chain, where layer 2 accepts.
    RanOff(String),
    /// It ran off the end of a chain and goes on in the root chain.
    WentBack(String),
    /// A layer-3 rule matched.
    Matched3(RuleId, Action),
    /// A layer-3 rule looked into an SCTP or ICMP header that is cut, which discards.
    Cut(RuleId),
    /// No layer-3 rule matched, which accepts.
    RanOff3,
    /// br_netfilter discards IP with a broken header.
    Malformed,
}

impl TraceStep {
    /// The rule that it is about; none where it is about none.
    pub fn origin(&self) -> Option<&RuleId> {
        match self {
            Self::Matched(origin, _) | Self::Matched3(origin, _) => Some(origin),
            _ => None,
        }
    }
}

/// Takes down what happens; nothing where only the decision counts.
trait Recorder {
    fn note(&mut self, event: impl FnOnce() -> TraceStep);
}

impl Recorder for () {
    fn note(&mut self, _: impl FnOnce() -> TraceStep) {}
}

impl Recorder for Vec<TraceStep> {
    fn note(&mut self, event: impl FnOnce() -> TraceStep) {
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

impl Compiled {
    /// What becomes of a frame, and why.
    pub fn evaluate(&self, frame: &[u8], way: Way) -> Evaluation {
        let mut trace = Vec::new();
        let decision = through(self, frame, way, &mut trace);
        Evaluation { decision, trace }
    }

    /// What becomes of a frame.
    pub fn decide(&self, frame: &[u8], way: Way) -> Decision {
        match quickly(self, frame, way) {
            Some(true) => Decision::Accept,
            Some(false) => Decision::Drop,
            None => through(self, frame, way, &mut ()),
        }
    }
}

/// The same by the definition alone, for the test that holds the fast way against it.
#[cfg(test)]
pub fn decide_slowly(filter: &Compiled, frame: &[u8], way: Way) -> Decision {
    through(filter, frame, way, &mut ())
}

/// Whether the frame passes; none where the definition must decide.
pub fn quickly(filter: &Compiled, frame: &[u8], way: Way) -> Option<bool> {
    let seen = ParsedFrame::parse(frame, way, filter.surroundings())?;
    if seen.kept_back {
        return Some(false);
    }
    if seen.open.is_some() {
        return None;
    }
    let fast_path = filter.fast_path();
    fast_path.decide(&seen, way == Way::FromGuest, filter.applies_layer3())
}

fn through(filter: &Compiled, frame: &[u8], way: Way, trace: &mut impl Recorder) -> Decision {
    let Some(seen) = ParsedFrame::parse(frame, way, filter.surroundings()) else {
        return Decision::Undecided(format!(
            "{} bytes are less than an Ethernet header, which no NIC sends",
            frame.len()
        ));
    };
    if seen.kept_back {
        trace.note(|| TraceStep::NotForwarded);
        return Decision::Drop;
    }
    if seen.malformed && way == Way::ToGuest {
        trace.note(|| TraceStep::Malformed);
        return Decision::Drop;
    }
    if let Some(why) = seen.open {
        return Decision::Undecided(why.to_owned());
    }
    match layer2(filter.layer2(way), &seen.layer2, trace) {
        Decision::Accept => {}
        other => return other,
    }
    if seen.malformed {
        trace.note(|| TraceStep::Malformed);
        return Decision::Drop;
    }
    let kind = seen.layer2.get(Field::EtherType);
    if seen.layer2.fragment && filter.tracks(kind) {
        return Decision::Undecided(HELD_BACK.to_owned());
    }
    let rules = filter.layer3(way, kind);
    if rules.is_empty() {
        return Decision::Accept;
    }
    layer3(rules, seen.packet, &seen.layer3(), trace)
}

fn layer2(layer: &Layer2Chains, fields: &Fields, trace: &mut impl Recorder) -> Decision {
    let Some(root) = &layer.root else {
        trace.note(|| TraceStep::Unfiltered);
        return Decision::Accept;
    };
    if let Some(why) = order_matters(layer, root, fields) {
        return Decision::Undecided(why);
    }
    walk(layer, root, fields, trace, None)
}

/// Equal priorities are entered in random order; where a frame enters several
/// of them and the order changes the decision, there is no one answer.
fn order_matters(layer: &Layer2Chains, root: &[RootStep], fields: &Fields) -> Option<String> {
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

fn enters(sub: &SubChain, fields: &Fields) -> bool {
    sub.guard
        .as_ref()
        .is_none_or(|guard| guard.set.contains(fields.get(guard.field)))
}

/// Through the root chain, with two jumps exchanged where `swapped` says so.
fn walk(
    layer: &Layer2Chains,
    root: &[RootStep],
    fields: &Fields,
    trace: &mut impl Recorder,
    swapped: Option<(usize, usize)>,
) -> Decision {
    for step in root {
        let end = match step {
            RootStep::Rule(rule) => apply(rule, fields, trace),
            RootStep::Jump(at) => {
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
            (Some(End::Accepted), _) | (Some(End::Returned), RootStep::Rule(_)) => {
                return Decision::Accept;
            }
            (Some(End::Dropped), _) => return Decision::Drop,
            (Some(End::Undecided(why)), _) => return Decision::Undecided(why),
            (Some(End::Returned), RootStep::Jump(_)) | (None, _) => {}
        }
    }
    trace.note(|| TraceStep::RanOff("root".to_owned()));
    Decision::Accept
}

fn enter(
    sub: &SubChain,
    end_accepts: bool,
    fields: &Fields,
    trace: &mut impl Recorder,
) -> Option<End> {
    if !enters(sub, fields) {
        return None;
    }
    trace.note(|| TraceStep::Entered(sub.name.clone()));
    for rule in &sub.rules {
        if let Some(end) = apply(rule, fields, trace) {
            return Some(end);
        }
    }
    if !end_accepts {
        trace.note(|| TraceStep::WentBack(sub.name.clone()));
        return None;
    }
    // ebtables' policy for a user's chain: it does not go back to the root (measured:
    // docs/measurements.md#M1).
    trace.note(|| TraceStep::RanOff(sub.name.clone()));
    Some(End::Accepted)
}

/// How a layer-2 rule ends the chain; none where the next rule decides.
fn apply(rule: &CompiledRule, fields: &Fields, trace: &mut impl Recorder) -> Option<End> {
    if !rule.is_match(fields) {
        return None;
    }
    if let Some(why) = &rule.undecided {
        return Some(End::Undecided(format!("{}: {why}", rule.origin)));
    }
    trace.note(|| TraceStep::Matched(rule.origin.clone(), rule.action));
    match rule.action {
        Action::Accept => Some(End::Accepted),
        Action::Drop | Action::Reject => Some(End::Dropped),
        Action::Return => Some(End::Returned),
        Action::Continue => None,
    }
}

fn layer3(
    rules: &[CompiledRule],
    frame: &[u8],
    fields: &Fields,
    trace: &mut impl Recorder,
) -> Decision {
    for rule in rules {
        if fields.cut_upper && rule.looks_into_cut(fields) {
            trace.note(|| TraceStep::Cut(rule.origin.clone()));
            return Decision::Drop;
        }
        if !rule.is_match(fields) {
            continue;
        }
        if rule.state != ConnectionState::Any && !tracking::may_start(frame, fields) {
            return Decision::Undecided(format!(
                "{} asks for the connection's state, and the frame does not start one",
                rule.origin
            ));
        }
        if rule.state == ConnectionState::Known {
            continue;
        }
        if let Some(why) = &rule.undecided {
            return Decision::Undecided(format!("{}: {why}", rule.origin));
        }
        trace.note(|| TraceStep::Matched3(rule.origin.clone(), rule.action));
        if rule.action == Action::Continue {
            continue;
        }
        return match rule.action {
            Action::Drop | Action::Reject => Decision::Drop,
            Action::Accept | Action::Return | Action::Continue => Decision::Accept,
        };
    }
    trace.note(|| TraceStep::RanOff3);
    Decision::Accept
}
