//! The frames of a region that pass, or that are stopped, as a list of regions which together
//! are exactly those, in the words of the rules: what earlier rules of the same outcome take is
//! not cut out of later ones.

use super::chain_position::ChainPosition;
use super::region::Region;
use crate::nwfilter::evaluate::field::Field;
use crate::nwfilter::evaluate::{
    Compiled, CompiledRule, ConnectionState, Layer2Chains, RootStep, Way,
};
use crate::nwfilter::vocabulary::Action;

/// Most rules that are held against regions for one list.
const BUDGET: usize = 4000;

/// Regions that together are the frames with one outcome.
#[derive(Debug, Clone, Default)]
pub struct Cover {
    /// The regions. They may overlap.
    pub regions: Vec<Region>,
    /// Frames that pass as part of a known connection, where the list is of frames that pass.
    pub answers: Vec<Region>,
    /// Whether an outcome hangs on the frame being the first of a connection.
    pub of_first_packets: bool,
    /// Why the list is not exact; none where it is.
    pub inexact: Option<String>,
}

/// The frames of a region that pass, or those that are stopped. Of connections the first
/// packets are meant.
pub fn cover(filter: &Compiled, way: Way, region: Region, passing: bool) -> Cover {
    let kind = region.get(Field::EtherType).first();
    let network = kind.map_or(&[][..], |kind| filter.layer3(way, kind));
    through(filter, way, network, region, passing)
}

/// Whether layer 2 stops every frame of a region.
pub fn layer2_stops(filter: &Compiled, way: Way, region: Region) -> bool {
    let passing = through(filter, way, &[], region, true);
    passing.inexact.is_none() && passing.regions.is_empty()
}

fn through(
    filter: &Compiled,
    way: Way,
    network: &[CompiledRule],
    region: Region,
    passing: bool,
) -> Cover {
    let layer = filter.layer2(way);
    let mut walk = Walk {
        layer,
        root: layer.root.as_deref().unwrap_or_default(),
        network,
        passing,
        pending: Vec::new(),
        out: Cover::default(),
    };
    let place = match &layer.root {
        None => ChainPosition::Network(0),
        Some(_) => ChainPosition::Root(0),
    };
    walk.pending.push((place, region));
    let mut looks = 0;
    while let Some((place, region)) = walk.pending.pop() {
        looks += 1;
        if looks > BUDGET {
            walk.inexact("the filter branches too much; the rules above are exact");
            break;
        }
        if walk.out.regions.iter().any(|known| region.is_within(known)) {
            continue;
        }
        walk.step(place, region);
    }
    walk.out.regions = tidy(walk.out.regions);
    walk.out.answers = tidy(walk.out.answers);
    walk.out
}

/// Regions without those that lie in others, and with those joined that differ in one field.
pub fn tidy(regions: Vec<Region>) -> Vec<Region> {
    let mut out: Vec<Region> = Vec::new();
    for mut region in regions {
        while let Some((at, both)) = out
            .iter()
            .enumerate()
            .find_map(|(at, known)| Some((at, known.joined(&region)?)))
        {
            out.remove(at);
            region = both;
        }
        if out.iter().any(|known| region.is_within(known)) {
            continue;
        }
        out.retain(|known| !known.is_within(&region));
        out.push(region);
    }
    out
}

struct Walk<'a> {
    layer: &'a Layer2Chains,
    root: &'a [RootStep],
    network: &'a [CompiledRule],
    passing: bool,
    pending: Vec<(ChainPosition, Region)>,
    out: Cover,
}

impl Walk<'_> {
    fn inexact(&mut self, why: impl Into<String>) {
        self.out.inexact.get_or_insert_with(|| why.into());
    }

    fn step(&mut self, mut place: ChainPosition, mut region: Region) {
        let (layer, root, network) = (self.layer, self.root, self.network);
        loop {
            let rule = match place {
                ChainPosition::Root(at) => match root.get(at) {
                    Some(RootStep::Jump(chain)) => {
                        return self.jump(*chain, at + 1, &region);
                    }
                    Some(RootStep::Rule(rule)) => Some(rule),
                    None => None,
                },
                ChainPosition::Sub { chain, at, back } => {
                    let rule = layer.subs[chain].rules.get(at);
                    if rule.is_none() && !layer.end_accepts {
                        place = ChainPosition::Root(back);
                        continue;
                    }
                    rule
                }
                ChainPosition::Network(at) => network.get(at),
            };
            let Some(rule) = rule else {
                return self.chain_end(place, region);
            };
            let next = place.next();
            match self.apply(rule, place, &region) {
                Rest::Whole => {}
                Rest::One(rest) => region = rest,
                Rest::Several(mut rest) => {
                    rest.reverse();
                    self.pending
                        .extend(rest.into_iter().map(|region| (next, region)));
                    return;
                }
            }
            place = next;
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

    /// What becomes of a region at a rule; hands back what goes on behind it.
    fn apply(&mut self, rule: &CompiledRule, place: ChainPosition, region: &Region) -> Rest {
        let Some(matching) = region.matching(&rule.matches) else {
            return Rest::Whole;
        };
        let layer3 = matches!(place, ChainPosition::Network(_));
        if let Some(why) = &rule.undecided {
            self.inexact(format!("{}: {why}", rule.origin));
            return Rest::Whole;
        }
        let accepts =
            matches!(rule.action, Action::Accept) || (rule.action == Action::Return && layer3);
        match (rule.action, rule.state) {
            (Action::Continue, _) => return Rest::Whole,
            (_, ConnectionState::Known) => {
                if accepts && self.passing {
                    self.out.answers.push(matching);
                }
                return Rest::Whole;
            }
            (_, ConnectionState::New) => self.out.of_first_packets = true,
            (_, ConnectionState::Any) => {}
        }
        let drops = matches!(rule.action, Action::Drop | Action::Reject);
        if drops || accepts && (layer3 || self.network.is_empty()) {
            if drops == self.passing {
                return Rest::failing(rule, region);
            }
            self.out.regions.push(matching);
            return Rest::Whole;
        }
        match place {
            ChainPosition::Sub { back, .. } if rule.action == Action::Return => {
                self.pending.push((ChainPosition::Root(back), matching));
                Rest::failing(rule, region)
            }
            // Accepted at layer 2, or returned from the root chain, which leaves libvirt's rules.
            _ if self.network.is_empty() => {
                if self.passing {
                    self.out.regions.push(matching);
                    return Rest::Whole;
                }
                Rest::failing(rule, region)
            }
            _ => {
                self.pending.push((ChainPosition::Network(0), matching));
                // What passes layer 2 here has the same verdict of layer 3 as later on.
                if self.passing {
                    Rest::Whole
                } else {
                    Rest::failing(rule, region)
                }
            }
        }
    }

    fn chain_end(&mut self, place: ChainPosition, region: Region) {
        let layer3 = matches!(place, ChainPosition::Network(_));
        if !layer3 && !self.network.is_empty() {
            self.pending.push((ChainPosition::Network(0), region));
        } else if self.passing {
            self.out.regions.push(region);
        }
    }
}

/// What of a region goes on behind a rule.
enum Rest {
    Whole,
    One(Region),
    Several(Vec<Region>),
}

impl Rest {
    /// What fails a rule: a region for each test, which is that region but for the test.
    fn failing(rule: &CompiledRule, region: &Region) -> Self {
        let fails = rule.matches.iter().filter_map(|test| {
            let set = region.get(test.field).minus(&test.set);
            (!set.is_empty()).then(|| region.with(test.field, set))
        });
        let mut fails: Vec<Region> = fails.collect();
        if fails.len() == 1 {
            return Self::One(fails.swap_remove(0));
        }
        Self::Several(fails)
    }
}
