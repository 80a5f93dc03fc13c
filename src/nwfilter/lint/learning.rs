//! What gets out while libvirt learns the guest's address.

use super::finding::{Finding, Severity};
use crate::frame::{Mac, summary};
use crate::nwfilter::evaluate::field::Field;
use crate::nwfilter::evaluate::{Compiled, Decision, Way};
use crate::nwfilter::intervals::IntervalSet;
use crate::nwfilter::model::{Filter, RuleId};
use crate::nwfilter::reach::{Dimension, Region, frame_kinds, visit, witness};
use crate::nwfilter::vocabulary::variables;
use std::net::Ipv4Addr;
use std::ops::ControlFlow;

/// Most rules that are held against parts.
const BUDGET: usize = 100_000;

/// An address far away and another than the guest's (RFC 5737), and the MAC of a router.
const FAR: u128 = 0xc000_0201;
const OTHER: u128 = 0xc633_6407;
const ROUTER: u128 = 0x5254_0000_0001;

/// What is said of a filter whose address libvirt learns from the guest's first frames. `compiled`
/// is the filter with an example for it.
pub fn lets_out(
    filters: &[Filter],
    compiled: &Compiled,
    mac: Mac,
    address: Option<Ipv4Addr>,
) -> Option<Finding> {
    let frame = example(compiled, mac, address)?;
    let origin = first_use(filters, variables::IP);
    let message = format!(
        "nothing gives $IP: libvirt learns it from the guest's first frames (CTRL_IP_LEARNING=any, its default), and until then none of the rules is in force. IPv4 to any address and ARP for any pass, such as {}, which the filter drops; give IP on the interface, or let libvirt wait for a lease there with CTRL_IP_LEARNING=dhcp",
        summary(&frame)
    );
    Some(Finding {
        lint: "learning-lets-out",
        severity: Severity::Warning,
        filter: origin.filter.clone(),
        rule: Some(origin),
        position: None,
        message,
    })
}

/// A frame that passes while libvirt learns, IPv4 from the guest's MAC, and that the filter
/// drops; from the guest's address where there is such a one.
fn example(compiled: &Compiled, mac: Mac, address: Option<Ipv4Addr>) -> Option<Vec<u8>> {
    let own = mac
        .iter()
        .fold(0, |all, octet| all << 8 | u128::from(*octet));
    let source = address.map(|address| u128::from(u32::from(address)));
    let usual: Vec<(Field, u128)> = [
        (Field::DstMac, Some(ROUTER)),
        (Field::Src, source),
        (Field::Src, Some(OTHER)),
        (Field::Dst, Some(FAR)),
        (Field::SrcPort, Some(40_000)),
        (Field::DstPort, Some(443)),
        (Field::TcpFlags, Some(2)),
    ]
    .into_iter()
    .filter_map(|(field, value)| Some((field, value?)))
    .collect();
    let kinds = frame_kinds().into_iter();
    let kinds: Vec<_> = kinds
        .filter(|kind| kind.dimension == Dimension::V4)
        .collect();
    let mut looks = 0;
    for source in [source, None] {
        for kind in &kinds {
            let mut region = kind.region.with(Field::SrcMac, IntervalSet::one(own));
            if let Some(source) = source {
                region = region.with(Field::Src, IntervalSet::one(source));
            }
            let found = dropped(compiled, &region, &mut looks);
            if let Some(frame) = found.and_then(|region| witness(&region, &usual)) {
                return Some(frame);
            }
        }
    }
    None
}

/// A part of a region that the filter drops, one with a far address where there is such a one;
/// none where it drops nothing of it.
fn dropped(compiled: &Compiled, region: &Region, looks: &mut usize) -> Option<Region> {
    let mut found: Option<Region> = None;
    let frames = (looks, BUDGET);
    visit(compiled, Way::FromGuest, region, frames, &mut |part| {
        let far = part.region.get(Field::Dst).contains(FAR);
        if part.decision == Decision::Drop && (far || found.is_none()) {
            found = Some(part.region);
            if far {
                return ControlFlow::Break(());
            }
        }
        ControlFlow::Continue(())
    });
    found
}

/// The first rule that uses a variable.
pub fn first_use(filters: &[Filter], name: &str) -> RuleId {
    for filter in filters {
        let mut rules = filter.rules().enumerate();
        let found = rules.find(|(_, rule)| rule.variables().any(|used| used == name));
        if let Some((at, _)) = found {
            return RuleId {
                filter: filter.name.clone(),
                rule: at + 1,
            };
        }
    }
    RuleId {
        filter: filters
            .first()
            .map_or_else(String::new, |filter| filter.name.clone()),
        rule: 1,
    }
}
