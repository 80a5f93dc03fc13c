//! What decides about a frame: a rule, the end of a chain, or that nothing looks at it.

use crate::nwfilter::RuleId;
use crate::nwfilter::evaluate::field::Field;
use crate::nwfilter::evaluate::{Compiled, CompiledRule, Evaluation, RootStep, TraceStep, Way};
use crate::nwfilter::vocabulary::{Action, ROOT};

/// A class of frames by the word that a filter has for them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum FrameClass {
    /// IPv4.
    V4,
    /// IPv6.
    V6,
    /// ARP.
    Arp,
    /// Whatever else.
    Other,
}

impl FrameClass {
    /// That of a frame.
    pub fn of(frame: &[u8]) -> Self {
        match ether_type(frame) {
            0x0800 => Self::V4,
            0x86dd => Self::V6,
            0x0806 => Self::Arp,
            _ => Self::Other,
        }
    }
}

fn ether_type(frame: &[u8]) -> u128 {
    match frame.get(12..14) {
        Some([high, low]) => u16::from_be_bytes([*high, *low]).into(),
        _ => 0,
    }
}

/// What decides about a frame.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Decider {
    /// A rule.
    Rule(RuleId),
    /// No rule of a chain matches, and libvirt accepts at its end.
    ChainEnd {
        /// The chain; none where it is that of layer 3.
        chain: Option<String>,
        /// The frames.
        class: FrameClass,
        /// Whether they go to the guest.
        inbound: bool,
    },
    /// No rule is for frames of this class.
    Unseen {
        /// The frames.
        class: FrameClass,
        /// Whether they go to the guest.
        inbound: bool,
        /// The chains that are for other frames; empty where rules of the root chain are.
        chains: Vec<String>,
    },
    /// No rule is for this direction.
    Unfiltered {
        /// Whether it is that to the guest.
        inbound: bool,
    },
    /// Bridge and `br_netfilter`, whatever the rules are.
    Kernel,
}

impl Decider {
    /// What decided about a frame.
    pub fn of(filter: &Compiled, (frame, way): (&[u8], Way), evaluation: &Evaluation) -> Self {
        let mut steps = evaluation.trace.iter().rev().peekable();
        if let Some(TraceStep::NotForwarded | TraceStep::Malformed) = steps.peek() {
            return Self::Kernel;
        }
        // Where layer 3 ends without a word, what let the frame come there decides.
        let silent = steps.next_if(|step| **step == TraceStep::RanOff3).is_some();
        let found = steps.find_map(|step| match step {
            TraceStep::Matched(_, Action::Continue) | TraceStep::Matched3(_, Action::Continue) => {
                None
            }
            TraceStep::Matched(id, _) | TraceStep::Matched3(id, _) | TraceStep::Cut(id) => {
                Some(Self::Rule(id.clone()))
            }
            TraceStep::RanOff(chain) => Some(end(filter, (frame, way), Some(chain))),
            TraceStep::Unfiltered if silent => Some(end(filter, (frame, way), None)),
            TraceStep::Unfiltered => Some(unfiltered(filter, (frame, way))),
            _ => None,
        });
        found.unwrap_or(Self::Kernel)
    }
}

fn end(filter: &Compiled, (frame, way): (&[u8], Way), chain: Option<&String>) -> Decider {
    let (class, inbound) = (FrameClass::of(frame), way == Way::ToGuest);
    if is_seen(filter, way, ether_type(frame)) {
        let chain = chain.cloned();
        return Decider::ChainEnd {
            chain,
            class,
            inbound,
        };
    }
    let layer = filter.layer2(way);
    let root = layer.root.iter().flatten();
    let has_rules = root
        .clone()
        .any(|step| matches!(step, RootStep::Rule(rule) if rule.action != Action::Continue));
    let chains = if has_rules {
        Vec::new()
    } else {
        layer.subs.iter().map(|sub| sub.name.clone()).collect()
    };
    Decider::Unseen {
        class,
        inbound,
        chains,
    }
}

fn unfiltered(filter: &Compiled, (frame, way): (&[u8], Way)) -> Decider {
    let mut kinds = [0x0800, 0x86dd].into_iter();
    if kinds.any(|kind| !filter.layer3(way, kind).is_empty()) {
        return end(filter, (frame, way), None);
    }
    Decider::Unfiltered {
        inbound: way == Way::ToGuest,
    }
}

/// Whether any rule can match a frame of this EtherType.
fn is_seen(filter: &Compiled, way: Way, kind: u128) -> bool {
    let can = |rule: &CompiledRule| {
        let mut tests = rule.matches.iter();
        tests.all(|test| test.field != Field::EtherType || test.set.contains(kind))
    };
    let layer = filter.layer2(way);
    let mut root = layer.root.iter().flatten();
    let in_root = root.any(|step| matches!(step, RootStep::Rule(rule) if can(rule)));
    let mut subs = layer.subs.iter();
    let in_subs = subs.any(|sub| {
        let enters = sub
            .guard
            .as_ref()
            .is_none_or(|guard| guard.field != Field::EtherType || guard.set.contains(kind));
        enters && sub.rules.iter().any(can)
    });
    in_root || in_subs || !filter.layer3(way, kind).is_empty()
}

/// The rules that libvirt makes of one rule, which a frame that goes this way may match.
pub fn compiled<'f>(
    filter: &'f Compiled,
    (frame, way): (&[u8], Way),
    id: &RuleId,
) -> Vec<&'f CompiledRule> {
    let layer3 = filter.layer3(way, ether_type(frame)).iter();
    let all = filter.layer2(way).rules().chain(layer3);
    all.filter(|rule| rule.origin == *id).collect()
}

/// How a chain is called.
pub fn chain_words(chain: Option<&str>) -> String {
    match chain {
        Some(ROOT) => "the root chain".to_owned(),
        Some(chain) => format!("the chain {chain}"),
        None => "layer 3".to_owned(),
    }
}
