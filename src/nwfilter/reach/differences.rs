//! The frames that two filters decide differently, exactly: the frames of
//! every kind are cut into the parts of one filter, and each of those into the
//! parts of the other.

use super::classes::Dimension;
use super::frame_kinds::{FrameKind, frame_kinds};
use super::partition::partition;
use super::random_order::random_order;
use super::region::Region;
use super::witness::witness;
use crate::nwfilter::evaluate::field::Field;
use crate::nwfilter::evaluate::{Compiled, Decision, Evaluation, TraceStep, Way};
use crate::nwfilter::intervals::IntervalSet;

/// Most rules that are held against parts, for both filters and all kinds of
/// frames together: some seconds' work.
const BUDGET: usize = 4_000_000;

/// Frames of one kind that two filters treat differently by the same rules.
#[derive(Debug, Clone)]
pub struct Difference {
    /// Which way they go.
    pub way: Way,
    /// Name of their kind.
    pub frame_kind: &'static str,
    /// What the numbers are.
    pub dimension: Dimension,
    /// Numbers of the frames: destinations, ARP senders, EtherTypes.
    pub values: IntervalSet,
    /// One of the frames.
    pub frame: Vec<u8>,
    /// What becomes of it behind each filter.
    pub outcomes: [Evaluation; 2],
}

/// What two filters have in common.
#[derive(Debug, Clone, Default)]
pub struct Comparison {
    /// The differences.
    pub differences: Vec<Difference>,
    /// Why there may be more; none where the list is exact.
    pub inexact: Option<String>,
}

/// Compares two filters over all frames with whole headers, in both
/// directions. `usual` are values that examples take where they can.
pub fn differences(a: &Compiled, b: &Compiled, usual: &[(Field, u128)]) -> Comparison {
    let mut found = Comparison::default();
    if a.backend() == b.backend() && a.bridge_nf() == b.bridge_nf() && a.chains() == b.chains() {
        return found;
    }
    let mut looks = 0;
    for way in [Way::FromGuest, Way::ToGuest] {
        for kind in frame_kinds() {
            for filter in [a, b] {
                let why = random_order(filter, way, &kind.region);
                found.inexact = found.inexact.or(why);
            }
            for part in partition(a, way, &kind.region, &mut looks, BUDGET) {
                for other in partition(b, way, &part.region, &mut looks, BUDGET) {
                    let decisions = [&part.decision, &other.decision];
                    let context = (way, &kind, usual);
                    found.hold(context, [a, b], decisions, &other.region);
                }
            }
        }
    }
    found
}

/// Direction, kind of frames, usual values.
type Context<'a> = (Way, &'a FrameKind, &'a [(Field, u128)]);

impl Comparison {
    /// Takes down what becomes of the frames of a part.
    fn hold(
        &mut self,
        (way, kind, usual): Context<'_>,
        filters: [&Compiled; 2],
        decisions: [&Decision; 2],
        region: &Region,
    ) {
        let Some(region) = kind.real(region) else {
            return;
        };
        for decision in decisions {
            if let Decision::Undecided(why) = decision {
                self.inexact.get_or_insert_with(|| why.clone());
                return;
            }
        }
        if decisions[0] == decisions[1] {
            return;
        }
        let Some(frame) = witness(&region, usual) else {
            let why = format!("no example of {} could be built", kind.name);
            self.inexact.get_or_insert(why);
            return;
        };
        let outcomes = filters.map(|filter| filter.evaluate(&frame, way));
        let agrees = |outcome: &Evaluation, decision: &Decision| match outcome.decision {
            Decision::Accept => *decision == Decision::Accept,
            Decision::Drop => *decision == Decision::Drop,
            Decision::Undecided(_) => false,
        };
        if !agrees(&outcomes[0], decisions[0]) || !agrees(&outcomes[1], decisions[1]) {
            let why = format!("an example of {} is evaluated otherwise", kind.name);
            self.inexact.get_or_insert(why);
            return;
        }
        let values = region.get(kind.field).clone();
        let last = |outcomes: &[Evaluation; 2]| -> [Option<TraceStep>; 2] {
            [0, 1].map(|at| outcomes[at].trace.last().cloned())
        };
        let known = self.differences.iter_mut().find(|known| {
            known.way == way
                && (known.frame_kind, known.dimension) == (kind.name, kind.dimension)
                && last(&known.outcomes) == last(&outcomes)
        });
        match known {
            Some(known) => known.values = known.values.union(&values),
            None => self.differences.push(Difference {
                way,
                frame_kind: kind.name,
                dimension: kind.dimension,
                values,
                frame,
                outcomes,
            }),
        }
    }
}

#[cfg(test)]
mod tests;
