//! What becomes of every frame of a region: the region cut into parts of one
//! decision each, without overlap.

use super::chain_position::ChainPosition;
use super::region::Region;
use crate::nwfilter::evaluate::field::Field;
use crate::nwfilter::evaluate::{
    Compiled, CompiledRule, ConnectionState, Decision, Layer2Chains, RootStep, Way,
};
use crate::nwfilter::vocabulary::Action;
use std::ops::ControlFlow;

/// A part of a region.
#[derive(Debug, Clone)]
pub struct RegionPart {
    /// The frames.
    pub region: Region,
    /// What becomes of them.
    pub decision: Decision,
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
) -> Vec<RegionPart> {
    let mut out = Vec::new();
    visit(filter, way, region, (looks, budget), &mut |part| {
        out.push(part);
        ControlFlow::Continue(())
    });
    out
}

/// The same, part by part, until `found` has seen enough.
pub fn visit(
    filter: &Compiled,
    way: Way,
    region: &Region,
    (looks, budget): (&mut usize, usize),
    found: &mut dyn FnMut(RegionPart) -> ControlFlow<()>,
) {
    let layer = filter.layer2(way);
    let kind = region.get(Field::EtherType).first();
    let mut walk = Walk {
        layer,
        root: layer.root.as_deref().unwrap_or_default(),
        network: kind.map_or(&[], |kind| filter.layer3(way, kind)),
        pending: Vec::new(),
        found,
        enough: false,
    };
    let start = match &layer.root {
        None => ChainPosition::Network(0),
        Some(_) => ChainPosition::Root(0),
    };
    walk.pending.push((start, region.clone()));
    while let Some((place, region)) = walk.pending.pop() {
        if walk.enough {
            return;
        }
        if *looks >= budget {
            let why = "the filter branches too much".to_owned();
            walk.end(region, Decision::Undecided(why));
            continue;
        }
        *looks += 1;
        walk.step(place, region);
    }
}

struct Walk<'a> {
    layer: &'a Layer2Chains,
    root: &'a [RootStep],
    network: &'a [CompiledRule],
    pending: Vec<(ChainPosition, Region)>,
    found: &'a mut dyn FnMut(RegionPart) -> ControlFlow<()>,
    enough: bool,
}

impl<'a> Walk<'a> {
    fn end(&mut self, region: Region, decision: Decision) {
        self.enough |= (self.found)(RegionPart { region, decision }).is_break();
    }

    /// Holds the next step against a part, passing over what does not match.
    fn step(&mut self, mut place: ChainPosition, region: Region) {
        let (layer, root, network): (&'a Layer2Chains, &'a [RootStep], &'a [CompiledRule]) =
            (self.layer, self.root, self.network);
        loop {
            let (rule, next) = match place {
                ChainPosition::Root(at) => match root.get(at) {
                    None => return self.layer2_accepts(region),
                    Some(RootStep::Jump(chain)) => {
                        return self.jump(*chain, at + 1, &region);
                    }
                    Some(RootStep::Rule(rule)) => (rule, ChainPosition::Root(at + 1)),
                },
                ChainPosition::Sub { chain, at, back } => match layer.subs[chain].rules.get(at) {
                    None if layer.end_accepts => return self.layer2_accepts(region),
                    None => {
                        place = ChainPosition::Root(back);
                        continue;
                    }
                    Some(rule) => {
                        let at = at + 1;
                        (rule, ChainPosition::Sub { chain, at, back })
                    }
                },
                ChainPosition::Network(at) => match network.get(at) {
                    None => return self.end(region, Decision::Accept),
                    Some(rule) => (rule, ChainPosition::Network(at + 1)),
                },
            };
            let passive = rule.action == Action::Continue || rule.state == ConnectionState::Known;
            match region.matching(&rule.matches) {
                Some(matching) if !passive => {
                    for rest in region.failing(&rule.matches, Field::Dst) {
                        self.pending.push((next, rest));
                    }
                    return self.apply(rule, place, matching);
                }
                _ => place = next,
            }
        }
    }

    fn jump(&mut self, chain: usize, back: usize, region: &Region) {
        let guard = self.layer.subs[chain].guard.as_slice();
        for rest in region.failing(guard, Field::Dst) {
            self.pending.push((ChainPosition::Root(back), rest));
        }
        if let Some(inside) = region.matching(guard) {
            self.pending
                .push((ChainPosition::Sub { chain, at: 0, back }, inside));
        }
    }

    fn apply(&mut self, rule: &CompiledRule, place: ChainPosition, matching: Region) {
        if let Some(why) = &rule.undecided {
            let why = format!("{}: {why}", rule.origin);
            return self.end(matching, Decision::Undecided(why));
        }
        match (rule.action, place) {
            (Action::Drop | Action::Reject, _) => self.end(matching, Decision::Drop),
            (Action::Return, ChainPosition::Sub { back, .. }) => {
                self.pending.push((ChainPosition::Root(back), matching));
            }
            (_, ChainPosition::Network(_)) => self.end(matching, Decision::Accept),
            // A return from the root chain leaves libvirt's rules.
            _ => self.layer2_accepts(matching),
        }
    }

    fn layer2_accepts(&mut self, region: Region) {
        if self.network.is_empty() {
            self.end(region, Decision::Accept);
        } else {
            self.pending.push((ChainPosition::Network(0), region));
        }
    }
}
