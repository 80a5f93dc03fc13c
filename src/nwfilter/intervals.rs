//! Sets of numbers as sorted, disjoint, inclusive intervals.

/// A set of numbers below 2^128.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default)]
pub struct IntervalSet {
    /// Sorted by start; a gap of at least one number between neighbours.
    intervals: Vec<(u128, u128)>,
}

impl IntervalSet {
    /// Nothing.
    pub const EMPTY: Self = Self {
        intervals: Vec::new(),
    };

    /// One number.
    pub fn one(value: u128) -> Self {
        Self::range(value, value)
    }

    /// From `low` to `high`, both included; empty when `low` is above `high`.
    pub fn range(low: u128, high: u128) -> Self {
        Self {
            intervals: if low <= high {
                vec![(low, high)]
            } else {
                Vec::new()
            },
        }
    }

    /// The union of any intervals.
    pub fn of(mut intervals: Vec<(u128, u128)>) -> Self {
        intervals.retain(|(low, high)| low <= high);
        intervals.sort_unstable();
        let mut out: Vec<(u128, u128)> = Vec::with_capacity(intervals.len());
        for (low, high) in intervals {
            match out.last_mut() {
                // Touching intervals are one, so that equal sets are equal values.
                Some(last) if low <= last.1.saturating_add(1) => last.1 = last.1.max(high),
                _ => out.push((low, high)),
            }
        }
        Self { intervals: out }
    }

    /// The intervals in order.
    pub fn intervals(&self) -> &[(u128, u128)] {
        &self.intervals
    }

    /// Whether there is nothing in it.
    pub fn is_empty(&self) -> bool {
        self.intervals.is_empty()
    }

    /// The least number.
    pub fn first(&self) -> Option<u128> {
        self.intervals.first().map(|(low, _)| *low)
    }

    /// Whether the number is in it.
    pub fn contains(&self, value: u128) -> bool {
        match self.intervals.as_slice() {
            [] => false,
            [(low, high)] => *low <= value && value <= *high,
            many => {
                let after = many.partition_point(|(low, _)| *low <= value);
                after > 0 && value <= many[after - 1].1
            }
        }
    }

    /// What is in either.
    #[must_use]
    pub fn union(&self, other: &Self) -> Self {
        Self::of([self.intervals.as_slice(), &other.intervals].concat())
    }

    /// What is in both.
    #[must_use]
    pub fn intersection(&self, other: &Self) -> Self {
        let (mut a, mut b) = (self.intervals.as_slice(), other.intervals.as_slice());
        let mut out = Vec::new();
        while let ([(a_low, a_high), ..], [(b_low, b_high), ..]) = (a, b) {
            let (low, high) = ((*a_low).max(*b_low), (*a_high).min(*b_high));
            if low <= high {
                out.push((low, high));
            }
            if a_high < b_high {
                a = &a[1..];
            } else {
                b = &b[1..];
            }
        }
        Self { intervals: out }
    }

    /// What is in this one only.
    #[must_use]
    pub fn minus(&self, other: &Self) -> Self {
        let mut out = Vec::new();
        let mut holes = other.intervals.as_slice();
        for (low, high) in &self.intervals {
            let mut from = Some(*low);
            while let ([(hole_low, hole_high), rest @ ..], Some(start)) = (holes, from) {
                if hole_low > high {
                    break;
                }
                if hole_high >= low && *hole_low > start {
                    out.push((start, hole_low - 1));
                }
                if hole_high >= &start {
                    from = hole_high.checked_add(1);
                }
                // A hole that reaches past this interval may cut the next one too.
                if hole_high > high {
                    break;
                }
                holes = rest;
            }
            if let Some(start) = from.filter(|start| start <= high) {
                out.push((start, *high));
            }
        }
        Self { intervals: out }
    }

    /// Whether all of it is in the other.
    pub fn is_within(&self, other: &Self) -> bool {
        self.minus(other).is_empty()
    }

    /// Whether the two share a number.
    pub fn meets(&self, other: &Self) -> bool {
        let (mut a, mut b) = (self.intervals.as_slice(), other.intervals.as_slice());
        while let ([(a_low, a_high), ..], [(b_low, b_high), ..]) = (a, b) {
            if a_low.max(b_low) <= a_high.min(b_high) {
                return true;
            }
            if a_high < b_high {
                a = &a[1..];
            } else {
                b = &b[1..];
            }
        }
        false
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// Numbers at both ends of the range, where arithmetic can overflow.
    fn value() -> impl Strategy<Value = u128> {
        (0..24_u128, any::<bool>()).prop_map(|(at, top)| if top { u128::MAX - at } else { at })
    }

    fn set() -> impl Strategy<Value = IntervalSet> {
        proptest::collection::vec((value(), value()), 0..5).prop_map(IntervalSet::of)
    }

    fn universe() -> Vec<u128> {
        (0..24)
            .flat_map(|at| [at, u128::MAX - at])
            .chain([1 << 64])
            .collect()
    }

    proptest! {
        #[test]
        fn operations_agree_with_membership(a in set(), b in set()) {
            for value in universe() {
                let (in_a, in_b) = (a.contains(value), b.contains(value));
                prop_assert_eq!(a.union(&b).contains(value), in_a || in_b);
                prop_assert_eq!(a.intersection(&b).contains(value), in_a && in_b);
                prop_assert_eq!(a.minus(&b).contains(value), in_a && !in_b);
            }
            prop_assert_eq!(a.is_within(&b), a.minus(&b).is_empty());
            prop_assert_eq!(a.meets(&b), !a.intersection(&b).is_empty());
        }

        #[test]
        fn results_are_sorted_and_apart(a in set(), b in set()) {
            for result in [a.union(&b), a.intersection(&b), a.minus(&b)] {
                for pair in result.intervals().windows(2) {
                    prop_assert!(pair[0].1.checked_add(1).is_some_and(|next| next < pair[1].0));
                }
                prop_assert_eq!(IntervalSet::of(result.intervals().to_vec()), result);
            }
        }
    }
}
