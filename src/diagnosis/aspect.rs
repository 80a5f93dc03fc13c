//! What of a frame the policy minds: the fields that would have to hold something else.

use super::subject::Subject;
use crate::nwfilter::evaluate::field::Field;
use crate::nwfilter::evaluate::{CompiledRule, Way};
use std::collections::BTreeSet;

/// A part of a frame that a rule can test by itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Aspect {
    /// Source address.
    Source,
    /// Destination address.
    Destination,
    /// Source port.
    SourcePort,
    /// Destination port.
    DestinationPort,
    /// Type of an ICMP message.
    IcmpType,
    /// Protocol, with all that follows from it.
    Protocol,
    /// Source MAC.
    SourceMac,
    /// Destination MAC.
    DestinationMac,
    /// Address of the sender of ARP.
    ArpSender,
    /// Address of the target of ARP.
    ArpTarget,
    /// Operation of ARP.
    ArpOperation,
    /// All else in ARP.
    ArpBody,
}

impl Aspect {
    /// What is looked at by itself comes before what holds it.
    const ALL: [Self; 12] = [
        Self::Destination,
        Self::Source,
        Self::DestinationPort,
        Self::SourcePort,
        Self::IcmpType,
        Self::DestinationMac,
        Self::SourceMac,
        Self::ArpSender,
        Self::ArpTarget,
        Self::ArpOperation,
        Self::Protocol,
        Self::ArpBody,
    ];

    fn fields(self) -> &'static [Field] {
        use Field as F;
        match self {
            Self::Source => &[F::Src],
            Self::Destination => &[F::Dst],
            Self::SourcePort => &[F::SrcPort],
            Self::DestinationPort => &[F::DstPort],
            Self::IcmpType => &[F::IcmpType, F::IcmpCode],
            Self::Protocol => &[
                F::Protocol,
                F::NextHeader,
                F::SrcPort,
                F::DstPort,
                F::IcmpType,
                F::IcmpCode,
                F::TcpFlags,
            ],
            Self::SourceMac => &[F::SrcMac],
            Self::DestinationMac => &[F::DstMac],
            Self::ArpSender => &[F::ArpSrc, F::ArpSrcMac, F::ArpGratuitous],
            Self::ArpTarget => &[F::ArpDst, F::ArpDstMac, F::ArpGratuitous],
            Self::ArpOperation => &[F::ArpOperation],
            Self::ArpBody => &[
                F::ArpHardware,
                F::ArpProtocol,
                F::ArpOperation,
                F::ArpMacs,
                F::ArpSrcMac,
                F::ArpDstMac,
                F::ArpAddresses,
                F::ArpSrc,
                F::ArpDst,
                F::ArpGratuitous,
            ],
        }
    }

    /// In words.
    pub fn words(self) -> &'static str {
        match self {
            Self::Source => "source address",
            Self::Destination => "destination address",
            Self::SourcePort => "source port",
            Self::DestinationPort => "destination port",
            Self::IcmpType => "ICMP type",
            Self::Protocol => "protocol",
            Self::SourceMac => "source MAC",
            Self::DestinationMac => "destination MAC",
            Self::ArpSender => "sender of ARP",
            Self::ArpTarget => "target of ARP",
            Self::ArpOperation => "ARP operation",
            Self::ArpBody => "contents of ARP",
        }
    }

    /// The attribute that tests it and that of its mask, where it has one.
    pub fn masked_attribute(self) -> Option<(&'static str, &'static str)> {
        match self {
            Self::Source => Some(("srcipaddr", "srcipmask")),
            Self::Destination => Some(("dstipaddr", "dstipmask")),
            Self::SourceMac => Some(("srcmacaddr", "srcmacmask")),
            Self::DestinationMac => Some(("dstmacaddr", "dstmacmask")),
            Self::ArpSender => Some(("arpsrcipaddr", "arpsrcipmask")),
            Self::ArpTarget => Some(("arpdstipaddr", "arpdstipmask")),
            _ => None,
        }
    }

    /// Whether a rule looks at a part of it.
    fn is_tested_by(self, rule: &CompiledRule) -> bool {
        let mut tests = rule.matches.iter();
        tests.any(|test| self.fields().contains(&test.field) && test.set != test.field.all())
    }
}

/// What the policy minds in a frame.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Minded {
    /// Something that the rules look at, and take in too much of.
    Tested(Aspect),
    /// Things that they do not look at.
    Untested(Vec<Aspect>),
}

/// What of a forbidden frame the policy minds, as seen from the rules that let it pass: what, held
/// by another value, makes the policy not forbid the frame. One aspect by itself, or two at once
/// where no single one will do. Of several the one is taken that the rules do not look at, since
/// those frames can only be told apart by one more test. None where two will not do either.
pub fn minded(
    subject: &Subject<'_>,
    (frame, way): (&[u8], Way),
    rules: &[&CompiledRule],
) -> Option<Minded> {
    let is_tested = |aspect: &Aspect| rules.iter().any(|rule| aspect.is_tested_by(rule));
    let is_let = |fields: &[Field]| subject.rulings.is_let_with(frame, way, fields);
    let all = Aspect::ALL.iter().copied();
    let single: Vec<Aspect> = all
        .clone()
        .filter(|aspect| is_let(aspect.fields()))
        .collect();
    if let Some(found) = single.iter().find(|aspect| !is_tested(aspect)) {
        return Some(Minded::Untested(vec![*found]));
    }
    if let Some(found) = single.first() {
        return Some(Minded::Tested(*found));
    }
    let pairs = all
        .clone()
        .flat_map(|one| all.clone().map(move |other| [one, other]))
        .filter(|[one, other]| one < other);
    let mut pairs = pairs.filter(|[one, other]| is_let(&[one.fields(), other.fields()].concat()));
    let pair = pairs.next()?;
    let tested = pair.iter().find(|aspect| is_tested(aspect));
    Some(match tested {
        Some(found) => Minded::Tested(*found),
        None => Minded::Untested(pair.to_vec()),
    })
}

/// `the source address, the protocol and the source MAC`, or with `nor` for `and`.
pub fn list(aspects: &BTreeSet<Aspect>, word: &str) -> String {
    let words: Vec<String> = aspects
        .iter()
        .map(|aspect| format!("the {}", aspect.words()))
        .collect();
    match words.as_slice() {
        [] => String::new(),
        [one] => one.clone(),
        [first @ .., last] => format!("{} {word} {last}", first.join(", ")),
    }
}
