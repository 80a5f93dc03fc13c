//! Which values of a field the accepted frames of a region have: exact, over
//! all values of all other fields.
//!
//! The region is pushed through the chains. Where a rule accepts, the part
//! that it matches is accepted; the whole goes on all the same, since frames
//! that are accepted already cannot change the union. Where a rule drops or
//! returns, the part that it does not match goes on, as several regions. One
//! whose values are all known to be accepted is not followed any further,
//! which keeps the work small.

use super::intervals::Set;
use super::space::Region;
use crate::nwfilter::evaluate::field::Field;
use crate::nwfilter::evaluate::{Compiled, Layer2, Rule, State, Step, Way};
use crate::nwfilter::model::Action;

/// Most regions that are looked at before giving up. The generated filter needs hundreds.
const BUDGET: usize = 400_000;

/// What is accepted of a region.
#[derive(Debug, Clone)]
pub struct Reach {
    /// Values of the field that an accepted frame can have.
    pub accepted: Set,
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
pub fn reach(filter: &Compiled, way: Way, region: &Region, field: Field, wanted: &Set) -> Reach {
    let types = region.get(Field::EtherType);
    let mut walk = Walk {
        layer: filter.layer2(way),
        layer3: types.first().map_or(&[], |kind| filter.layer3(way, kind)),
        field,
        wanted,
        budget: BUDGET,
        out: Reach {
            accepted: Set::EMPTY,
            witnesses: Vec::new(),
            inexact: None,
        },
    };
    match &walk.layer.root {
        None => walk.layer3(region.clone()),
        Some(root) => walk.root(root, region.clone()),
    }
    walk.out
}

struct Walk<'a> {
    layer: &'a Layer2,
    layer3: &'a [Rule],
    field: Field,
    wanted: &'a Set,
    budget: usize,
    out: Reach,
}

/// What a rule does to a region.
enum Split {
    /// Nothing of it matches, or the rule changes nothing.
    Past,
    /// The part that matches, and what goes on.
    Parts(Region, Action, Vec<Region>),
}

impl<'a> Walk<'a> {
    /// Whether following the region can still add something.
    fn worthwhile(&mut self, region: &Region) -> bool {
        if self.budget == 0 {
            self.inexact("the filter branches too much");
            return false;
        }
        self.budget -= 1;
        !region.get(self.field).is_within(&self.out.accepted)
    }

    fn inexact(&mut self, why: impl Into<String>) {
        self.out.inexact.get_or_insert_with(|| why.into());
    }

    fn accept(&mut self, region: Region) {
        let values = region.get(self.field);
        let news = values.intersection(self.wanted).minus(&self.out.accepted);
        self.out.accepted = self.out.accepted.union(values);
        if !news.is_empty() {
            self.out.witnesses.push(region.with(self.field, news));
        }
    }

    fn split(&mut self, region: &Region, rule: &Rule) -> Split {
        let Some(matching) = region.matching(&rule.tests) else {
            return Split::Past;
        };
        if let Some(why) = &rule.undecided {
            self.inexact(format!("{}: {why}", rule.origin));
            return Split::Past;
        }
        if rule.action == Action::Continue || rule.state == State::Known {
            return Split::Past;
        }
        let rest = match rule.action {
            Action::Accept => vec![region.clone()],
            _ => region.failing(&rule.tests, self.field),
        };
        Split::Parts(matching, rule.action, rest)
    }

    /// Through the root chain from the given steps on.
    fn root(&mut self, steps: &'a [Step], region: Region) {
        if !self.worthwhile(&region) {
            return;
        }
        for (at, step) in steps.iter().enumerate() {
            let after = &steps[at + 1..];
            match step {
                Step::Jump(sub) => {
                    let sub = &self.layer.subs[*sub];
                    let guard = sub.guard.as_slice();
                    let Some(inside) = region.matching(guard) else {
                        continue;
                    };
                    self.sub(&sub.rules, inside, after);
                    for outside in region.failing(guard, self.field) {
                        self.root(after, outside);
                    }
                    return;
                }
                Step::Rule(rule) => match self.split(&region, rule) {
                    Split::Past => {}
                    Split::Parts(matching, Action::Accept | Action::Return, rest) => {
                        self.layer3(matching);
                        return rest.into_iter().for_each(|region| self.root(after, region));
                    }
                    Split::Parts(_, _, rest) => {
                        return rest.into_iter().for_each(|region| self.root(after, region));
                    }
                },
            }
        }
        self.layer3(region);
    }

    /// Through a sub-chain; what returns goes on in the root chain at `after`.
    fn sub(&mut self, rules: &'a [Rule], region: Region, after: &'a [Step]) {
        if !self.worthwhile(&region) {
            return;
        }
        for (at, rule) in rules.iter().enumerate() {
            let Split::Parts(matching, action, rest) = self.split(&region, rule) else {
                continue;
            };
            match action {
                Action::Accept => self.layer3(matching),
                Action::Return => self.root(after, matching),
                _ => {}
            }
            for region in rest {
                self.sub(&rules[at + 1..], region, after);
            }
            return;
        }
        // The end of a sub-chain accepts.
        self.layer3(region);
    }

    fn layer3(&mut self, region: Region) {
        let rules = self.layer3;
        self.network(rules, region);
    }

    fn network(&mut self, rules: &'a [Rule], region: Region) {
        if !self.worthwhile(&region) {
            return;
        }
        for (at, rule) in rules.iter().enumerate() {
            let Split::Parts(matching, action, rest) = self.split(&region, rule) else {
                continue;
            };
            if !matches!(action, Action::Drop | Action::Reject) {
                self.accept(matching);
            }
            for region in rest {
                self.network(&rules[at + 1..], region);
            }
            return;
        }
        self.accept(region);
    }
}
