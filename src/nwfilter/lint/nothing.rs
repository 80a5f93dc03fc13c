//! Rules that no frame can match.

use super::instances::Instance;
use crate::nwfilter::evaluate::Match;
use crate::nwfilter::evaluate::field::Field;
use crate::nwfilter::reach::FrameKind;

/// Why no frame matches a rule, whatever stands before it; none where other lints say it, or
/// where something of it is not modelled.
pub fn reason(instances: &[Instance<'_>], kinds: &[FrameKind]) -> Option<String> {
    if instances
        .iter()
        .any(|instance| instance.rule.undecided.is_some())
    {
        return None;
    }
    let first = instances.first()?;
    let tests = &first.rule.matches;
    let culprit = (0..tests.len()).rev().find(|at| {
        let others: Vec<Match> = [&tests[..*at], &tests[at + 1..]].concat();
        first.is_possible(&others, kinds)
    });
    let Some(test) = culprit.map(|at| &tests[at]) else {
        return Some("its attributes exclude each other".to_owned());
    };
    let reason = match test.field {
        // What `chain-of-another-protocol` and `vlan-encap` are about, and an extension header
        // of IPv6, which libvirt's nftables back end matches.
        Field::EtherType | Field::VlanEncap | Field::Protocol => return None,
        Field::SrcMac => "a bridge takes no frame from the MAC of a group or of nobody",
        Field::DstMac => "a bridge does not forward frames to this MAC",
        Field::TcpFlags => "the flags have some that their mask leaves out",
        Field::Src if test.set.is_empty() => "it has no source address",
        Field::Dst if test.set.is_empty() => "it has no destination address",
        Field::ArpGratuitous => {
            "a gratuitous message names one address twice, which its addresses exclude"
        }
        field if is_none(test) => match field {
            Field::Src => "match='no' leaves it no source address",
            Field::Dst => "match='no' leaves it no destination address",
            Field::ArpSrc => "match='no' leaves it no address of a sender",
            Field::ArpDst => "match='no' leaves it no address of a target",
            Field::SrcPort => "match='no' leaves it no source port",
            Field::DstPort => "match='no' leaves it no destination port",
            _ => "match='no' leaves it no value",
        },
        _ => "its attributes exclude each other",
    };
    Some(reason.to_owned())
}

/// Whether a test lets nothing pass that a frame can have. IPv4 uses the lowest 2^32 addresses.
fn is_none(test: &Match) -> bool {
    let first = test.set.first();
    let is_address = matches!(test.field, Field::Src | Field::Dst);
    first.is_none_or(|first| is_address && first > u128::from(u32::MAX))
}
