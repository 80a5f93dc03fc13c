//! What passes a filter, kind by kind and field by field, exactly.

use super::accepted::accepted_values;
use super::classes::Dimension;
use super::frame_kinds::{FrameKind, frame_kinds};
use super::region::Region;
use crate::nwfilter::evaluate::field::Field;
use crate::nwfilter::evaluate::{Compiled, Way};
use crate::nwfilter::intervals::IntervalSet;

/// Fields that only say which parts a frame has; those of a kind have the same.
const PARTS: [Field; 5] = [
    Field::Header,
    Field::NextHeader,
    Field::ArpMacs,
    Field::ArpAddresses,
    Field::ArpGratuitous,
];

/// What passes of the frames of one kind.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PermittedSet {
    /// Name of the kind: `IPv4 tcp`, `ARP` …
    pub name: &'static str,
    /// Whether its addresses are those of IPv6.
    pub v6: bool,
    /// Whether no frame of it passes.
    pub closed: bool,
    /// The fields that do not have every value in the frames that pass.
    pub limits: Vec<FieldLimit>,
    /// Why there may be more; none where it is exact.
    pub inexact: Option<String>,
}

/// The values of a field in the frames that pass, over all values of all others.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FieldLimit {
    /// The field.
    pub field: Field,
    /// What it has in frames that pass.
    pub passing: IntervalSet,
    /// What it has in all frames of the kind.
    pub all: IntervalSet,
}

/// What passes in a direction: every kind of frames with whole headers, and no fragments.
pub fn permitted(filter: &Compiled, way: Way) -> Vec<PermittedSet> {
    let mut out: Vec<PermittedSet> = Vec::new();
    let all = frame_kinds();
    // Kinds of one name differ in what parts their frames have.
    for group in groups(&all) {
        out.push(permitted_set(filter, way, &group));
    }
    out
}

fn groups(frame_kinds: &[FrameKind]) -> Vec<Vec<&FrameKind>> {
    let mut out: Vec<Vec<&FrameKind>> = Vec::new();
    for kind in frame_kinds {
        match out.iter_mut().find(|group| group[0].name == kind.name) {
            Some(group) => group.push(kind),
            None => out.push(vec![kind]),
        }
    }
    out
}

fn permitted_set(filter: &Compiled, way: Way, group: &[&FrameKind]) -> PermittedSet {
    let first = group[0];
    let mut out = PermittedSet {
        name: first.name,
        v6: first.dimension == Dimension::V6,
        closed: true,
        limits: Vec::new(),
        inexact: None,
    };
    for field in Field::ALL {
        if PARTS.contains(&field) || !group.iter().any(|kind| varies(&kind.region, field)) {
            continue;
        }
        let (mut passing, mut all) = (IntervalSet::EMPTY, IntervalSet::EMPTY);
        for kind in group {
            let found = accepted_values(filter, way, &kind.region, field, &IntervalSet::EMPTY);
            // A kind that lacks the field says nothing of it, but whether it passes.
            out.closed &= found.accepted.is_empty();
            if kind.region.get(field).meets(&field.all()) {
                passing = passing.union(&found.accepted);
                all = all.union(kind.region.get(field));
            }
            out.inexact = out.inexact.or(found.inexact);
        }
        if passing != all {
            out.limits.push(FieldLimit {
                field,
                passing,
                all,
            });
        }
    }
    out
}

fn varies(region: &Region, field: Field) -> bool {
    match region.get(field).intervals() {
        [(low, high)] => low != high,
        several => !several.is_empty(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::nwfilter::read;
    use rstest::rstest;

    fn found(rules: &str, way: Way) -> Vec<PermittedSet> {
        let filter = read(&format!("<filter name='x'>{rules}</filter>"), "test").unwrap();
        let compiled = Compiled::new(&[filter], "x", [2; 6], &[]).unwrap();
        permitted(&compiled, way)
    }

    const DROP: &str = "<rule action='drop' direction='inout' priority='1000'/>";

    #[rstest]
    #[case::nothing_is_filtered("", false)]
    #[case::all_is_dropped(DROP, true)]
    fn all_or_nothing(#[case] rules: &str, #[case] closed: bool) {
        for way in [Way::FromGuest, Way::ToGuest] {
            let found = found(rules, way);
            assert!(found.len() > 10);
            for set in found {
                assert_eq!(set.closed, closed, "{set:?}");
                assert_eq!(set.limits.is_empty(), !closed, "{set:?}");
            }
        }
    }

    #[test]
    fn limits_are_those_of_the_rules() {
        let accept = "<rule action='accept' direction='out'><ip srcipaddr='10.0.0.1' dstipaddr='10.0.0.0' dstipmask='8' protocol='tcp'/></rule>";
        let found = found(&format!("{accept}{DROP}"), Way::FromGuest);
        let tcp = &found[0];
        assert_eq!((tcp.name, tcp.closed, tcp.v6), ("IPv4 tcp", false, false));
        let fields: Vec<Field> = tcp.limits.iter().map(|limit| limit.field).collect();
        assert_eq!(fields, [Field::Src, Field::Dst]);
        assert_eq!(tcp.limits[0].passing, IntervalSet::one(0x0a00_0001));
        assert_eq!(
            tcp.limits[1].passing,
            IntervalSet::range(0x0a00_0000, 0x0aff_ffff)
        );
        assert!(found[1..].iter().all(|set| set.closed));
    }
}
