//! What becomes of every frame of a region: the region cut into parts of one
//! fate each, without overlap.

use super::space::Region;
use crate::nwfilter::evaluate::field::Field;
use crate::nwfilter::evaluate::{Compiled, Layer2, Rule, State, Step, Way};
use crate::nwfilter::model::Action;

/// What becomes of the frames of a part.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Fate {
    /// They pass.
    Accepted,
    /// They are discarded.
    Dropped,
    /// It hangs on something that is not modelled, in words.
    Undecided(String),
}

/// A part of a region.
#[derive(Debug, Clone)]
pub struct Part {
    /// The frames.
    pub region: Region,
    /// What becomes of them.
    pub fate: Fate,
}

/// Cuts a region into parts. `looks` counts the rules that were held against
/// parts; once it reaches `budget`, what is left is undecided.
///
/// The EtherTypes of the region must either all have layer-3 rules of one IP
/// version or none. Layer-3 rules see the first packet of a connection.
pub fn partition(
    filter: &Compiled,
    way: Way,
    region: &Region,
    looks: &mut usize,
    budget: usize,
) -> Vec<Part> {
    let layer = filter.layer2(way);
    let kind = region.get(Field::EtherType).first();
    let mut walk = Walk {
        layer,
        root: layer.root.as_deref().unwrap_or_default(),
        network: kind.map_or(&[], |kind| filter.layer3(way, kind)),
        pending: Vec::new(),
        out: Vec::new(),
    };
    let start = match &layer.root {
        None => Place::Network(0),
        Some(_) => Place::Root(0),
    };
    walk.pending.push((start, region.clone()));
    while let Some((place, region)) = walk.pending.pop() {
        if *looks >= budget {
            let why = "the filter branches too much".to_owned();
            walk.end(region, Fate::Undecided(why));
            continue;
        }
        *looks += 1;
        walk.step(place, region);
    }
    walk.out
}

/// Where a part stands: the position of the next step.
#[derive(Debug, Clone, Copy)]
enum Place {
    Root(usize),
    /// In a sub-chain that goes back to this position of the root.
    Sub {
        chain: usize,
        at: usize,
        back: usize,
    },
    Network(usize),
}

struct Walk<'a> {
    layer: &'a Layer2,
    root: &'a [Step],
    network: &'a [Rule],
    pending: Vec<(Place, Region)>,
    out: Vec<Part>,
}

impl Walk<'_> {
    fn end(&mut self, region: Region, fate: Fate) {
        self.out.push(Part { region, fate });
    }

    /// Holds the next step against a part, passing over what does not match.
    fn step(&mut self, mut place: Place, region: Region) {
        loop {
            let (rule, next) = match place {
                Place::Root(at) => match self.root.get(at) {
                    None => return self.layer2_accepts(region),
                    Some(Step::Jump(chain)) => {
                        return self.jump(*chain, at + 1, &region);
                    }
                    Some(Step::Rule(rule)) => (rule, Place::Root(at + 1)),
                },
                Place::Sub { chain, at, back } => match self.layer.subs[chain].rules.get(at) {
                    None if self.layer.end_accepts => return self.layer2_accepts(region),
                    None => {
                        place = Place::Root(back);
                        continue;
                    }
                    Some(rule) => {
                        let at = at + 1;
                        (rule, Place::Sub { chain, at, back })
                    }
                },
                Place::Network(at) => match self.network.get(at) {
                    None => return self.end(region, Fate::Accepted),
                    Some(rule) => (rule, Place::Network(at + 1)),
                },
            };
            let passive = rule.action == Action::Continue || rule.state == State::Known;
            match region.matching(&rule.tests) {
                Some(matching) if !passive => {
                    for rest in region.failing(&rule.tests, Field::Dst) {
                        self.pending.push((next, rest));
                    }
                    return self.apply(&rule.clone(), place, matching);
                }
                _ => place = next,
            }
        }
    }

    fn jump(&mut self, chain: usize, back: usize, region: &Region) {
        let guard = self.layer.subs[chain].guard.as_slice();
        for rest in region.failing(guard, Field::Dst) {
            self.pending.push((Place::Root(back), rest));
        }
        if let Some(inside) = region.matching(guard) {
            self.pending
                .push((Place::Sub { chain, at: 0, back }, inside));
        }
    }

    fn apply(&mut self, rule: &Rule, place: Place, matching: Region) {
        if let Some(why) = &rule.undecided {
            let why = format!("{}: {why}", rule.origin);
            return self.end(matching, Fate::Undecided(why));
        }
        match (rule.action, place) {
            (Action::Drop | Action::Reject, _) => self.end(matching, Fate::Dropped),
            (Action::Return, Place::Sub { back, .. }) => {
                self.pending.push((Place::Root(back), matching));
            }
            (_, Place::Network(_)) => self.end(matching, Fate::Accepted),
            // A return from the root chain leaves libvirt's rules.
            _ => self.layer2_accepts(matching),
        }
    }

    fn layer2_accepts(&mut self, region: Region) {
        if self.network.is_empty() {
            self.end(region, Fate::Accepted);
        } else {
            self.pending.push((Place::Network(0), region));
        }
    }
}
