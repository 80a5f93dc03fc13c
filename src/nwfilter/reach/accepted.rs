//! Which values of a field the accepted frames of a region have: exact, over
//! all values of all other fields.
//!
//! The region is pushed through the chains. Where a rule accepts, the part
//! that it matches is accepted; the whole goes on all the same, since frames
//! that are accepted already cannot change the union. Where a rule drops or
//! returns, the part that it does not match goes on, as several regions. One
//! whose values are all known to be accepted is not followed any further,
//! which keeps the work small.

use super::chain_position::ChainPosition;
use super::region::Region;
use crate::nwfilter::evaluate::field::Field;
use crate::nwfilter::evaluate::{Compiled, CompiledRule, ConnectionState, RootStep, SubChain, Way};
use crate::nwfilter::intervals::IntervalSet;
use crate::nwfilter::vocabulary::Action;

/// Most rules that are held against regions before giving up, a second's work.
/// The generated filter needs some thousands, one of 400 rules some hundred thousand.
const BUDGET: usize = 5_000_000;

/// What is accepted of a region.
#[derive(Debug, Clone)]
pub struct AcceptedValues {
    /// Values of the field that an accepted frame can have.
    pub accepted: IntervalSet,
    /// For values that were asked for: regions whose frames are all accepted.
    pub witnesses: Vec<Region>,
    /// Why the set may lack values; none when it is exact.
    pub inexact: Option<String>,
}

/// The values of `field` in accepted frames of `region`. Regions that are
/// accepted and have a value in `wanted` are handed back, for examples.
///
/// The EtherTypes of a region must either all have layer-3 rules of one IP
/// version or none. Layer-3 rules see the first packet of a connection.
pub fn accepted_values(
    filter: &Compiled,
    way: Way,
    region: &Region,
    field: Field,
    wanted: &IntervalSet,
) -> AcceptedValues {
    let types = region.get(Field::EtherType);
    let layer = filter.layer2(way);
    let start = match &layer.root {
        None => ChainPosition::Network(0),
        Some(_) => ChainPosition::Root(0),
    };
    let mut walk = Walk {
        root: layer.root.as_deref().unwrap_or_default(),
        subs: &layer.subs,
        end_accepts: layer.end_accepts,
        network: types.first().map_or(&[], |kind| filter.layer3(way, kind)),
        field,
        wanted,
        pending: vec![(start, region.clone())],
        looks: 0,
        out: AcceptedValues {
            accepted: IntervalSet::EMPTY,
            witnesses: Vec::new(),
            inexact: None,
        },
    };
    walk.run();
    walk.out
}

struct Walk<'a> {
    root: &'a [RootStep],
    subs: &'a [SubChain],
    /// Whether the end of a sub-chain accepts, as that of every other chain does.
    end_accepts: bool,
    network: &'a [CompiledRule],
    field: Field,
    wanted: &'a IntervalSet,
    /// Regions that are still on their way. A list of our own, since a filter
    /// of thousands of drops would exhaust the thread's stack.
    pending: Vec<(ChainPosition, Region)>,
    /// Rules that were held against a region so far.
    looks: usize,
    out: AcceptedValues,
}

impl Walk<'_> {
    fn run(&mut self) {
        while let Some((place, region)) = self.pending.pop() {
            if region.get(self.field).is_within(&self.out.accepted) {
                continue;
            }
            if self.looks >= BUDGET {
                return self.inexact("the filter branches too much");
            }
            self.through(place, &region);
        }
    }

    fn inexact(&mut self, why: impl Into<String>) {
        self.out.inexact.get_or_insert_with(|| why.into());
    }

    /// Follows a region until something of it is split off.
    fn through(&mut self, mut place: ChainPosition, region: &Region) {
        loop {
            self.looks += 1;
            let step = match place {
                ChainPosition::Root(at) => match self.root.get(at) {
                    Some(RootStep::Rule(rule)) => Some(rule),
                    Some(RootStep::Jump(chain)) => {
                        if self.jump(*chain, at, region) {
                            return;
                        }
                        place = place.next();
                        continue;
                    }
                    None => None,
                },
                ChainPosition::Sub { chain, at, .. } => self.subs[chain].rules.get(at),
                ChainPosition::Network(at) => self.network.get(at),
            };
            let Some(rule) = step else {
                if let (ChainPosition::Sub { back, .. }, false) = (place, self.end_accepts) {
                    place = ChainPosition::Root(back);
                    continue;
                }
                return self.accept(place, region);
            };
            if self.split(rule, place, region) {
                return;
            }
            place = place.next();
        }
    }

    /// Sends the part that a jump takes into its chain and the rest past it;
    /// whether there is such a part.
    fn jump(&mut self, chain: usize, at: usize, region: &Region) -> bool {
        let guard = self.subs[chain].guard.as_slice();
        let Some(inside) = region.matching(guard) else {
            return false;
        };
        let outside = region.failing(guard, self.field);
        let back = at + 1;
        self.pending.extend(
            outside
                .into_iter()
                .map(|region| (ChainPosition::Root(back), region)),
        );
        self.pending
            .push((ChainPosition::Sub { chain, at: 0, back }, inside));
        true
    }

    /// Applies a rule; whether it changed anything.
    fn split(&mut self, rule: &CompiledRule, place: ChainPosition, region: &Region) -> bool {
        let Some(matching) = region.matching(&rule.matches) else {
            return false;
        };
        if let Some(why) = &rule.undecided {
            self.inexact(format!("{}: {why}", rule.origin));
            return false;
        }
        if rule.action == Action::Continue || rule.state == ConnectionState::Known {
            return false;
        }
        let rest = match rule.action {
            Action::Accept => vec![region.clone()],
            _ => region.failing(&rule.matches, self.field),
        };
        // The first of them has the most values, and is popped first.
        self.pending
            .extend(rest.into_iter().rev().map(|region| (place.next(), region)));
        match (rule.action, place) {
            (Action::Return, ChainPosition::Sub { back, .. }) => {
                self.pending.push((ChainPosition::Root(back), matching));
            }
            // A return elsewhere leaves libvirt's rules.
            (Action::Accept | Action::Return, _) => self.accept(place, &matching),
            _ => {}
        }
        true
    }

    /// Layer 2 hands over to layer 3, which accepts for good.
    fn accept(&mut self, place: ChainPosition, region: &Region) {
        if !matches!(place, ChainPosition::Network(_)) && !self.network.is_empty() {
            self.pending
                .push((ChainPosition::Network(0), region.clone()));
            return;
        }
        let values = region.get(self.field);
        let news = values.intersection(self.wanted).minus(&self.out.accepted);
        self.out.accepted = self.out.accepted.union(values);
        if !news.is_empty() {
            self.out.witnesses.push(region.with(self.field, news));
        }
    }
}
