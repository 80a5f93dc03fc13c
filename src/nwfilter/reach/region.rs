//! Regions of frames: a set of values for every field.

use crate::nwfilter::evaluate::Match;
use crate::nwfilter::evaluate::field::{ABSENT, COUNT, Field};
use crate::nwfilter::intervals::IntervalSet;
use std::rc::Rc;

/// Extension headers of IPv6 that the kernel looks past: hop-by-hop, routing,
/// fragment, authentication, destination options.
pub const EXTENSIONS: [u128; 5] = [0, 43, 44, 51, 60];

/// Frames whose every field is in that field's set: the product of the sets.
#[derive(Debug, Clone)]
pub struct Region {
    sets: [Rc<IntervalSet>; COUNT],
}

impl Region {
    /// Every frame there is. A field may be missing, save those that every frame has.
    pub fn everything() -> Self {
        let domain = |field: Field| match field {
            Field::EtherType | Field::DstMac | Field::SrcMac | Field::Src | Field::Dst => {
                field.all()
            }
            _ => field.all().union(&IntervalSet::one(ABSENT)),
        };
        Self {
            sets: Field::ALL.map(|field| Rc::new(domain(field))),
        }
    }

    /// The values of a field.
    pub fn get(&self, field: Field) -> &IntervalSet {
        &self.sets[field as usize]
    }

    /// The same with one field's set replaced.
    #[must_use]
    pub fn with(&self, field: Field, set: IntervalSet) -> Self {
        let mut out = self.clone();
        out.sets[field as usize] = Rc::new(set);
        out
    }

    /// Whether all its frames are frames of the other.
    pub fn is_within(&self, other: &Self) -> bool {
        let mut sets = self.sets.iter().zip(&other.sets);
        sets.all(|(one, other)| Rc::ptr_eq(one, other) || one.is_within(other))
    }

    /// Both as one region, where they differ in one field at most.
    pub fn joined(&self, other: &Self) -> Option<Self> {
        let mut differs = None;
        for (at, field) in Field::ALL.into_iter().enumerate() {
            let same =
                Rc::ptr_eq(&self.sets[at], &other.sets[at]) || self.sets[at] == other.sets[at];
            if !same && differs.replace(field).is_some() {
                return None;
            }
        }
        Some(match differs {
            None => self.clone(),
            Some(field) => self.with(field, self.get(field).union(other.get(field))),
        })
    }

    /// The frames of it that pass the tests; none where there are none.
    pub fn matching(&self, tests: &[Match]) -> Option<Self> {
        // Most rules do not match, and are told without a copy.
        if tests
            .iter()
            .any(|test| !self.get(test.field).meets(&test.set))
        {
            return None;
        }
        let mut out = self.clone();
        for test in tests {
            let set = out.get(test.field).intersection(&test.set);
            if set.is_empty() {
                return None;
            }
            out.sets[test.field as usize] = Rc::new(set);
        }
        Some(out)
    }

    /// The frames of it that fail at least one test, as disjoint regions: those
    /// that fail the first, those that pass it and fail the second, and so on.
    /// Matches of the field `last` are split off at the end, so that the earlier regions
    /// keep all its values.
    pub fn failing(&self, tests: &[Match], last: Field) -> Vec<Self> {
        let mut rest = self.clone();
        let mut out = Vec::new();
        let (late, early): (Vec<&Match>, Vec<&Match>) =
            tests.iter().partition(|test| test.field == last);
        for test in early.into_iter().chain(late) {
            let values = rest.get(test.field);
            let (fails, passes) = (values.minus(&test.set), values.intersection(&test.set));
            if !fails.is_empty() {
                out.push(rest.with(test.field, fails));
            }
            if passes.is_empty() {
                return out;
            }
            rest.sets[test.field as usize] = Rc::new(passes);
        }
        out
    }
}
