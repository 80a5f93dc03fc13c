//! The course that frames of a region take through the rules: which rules they meet, and which
//! one ends it.
//!
//! What may be is followed: a rule that hangs on something that is not modelled, or on the
//! state of the connection, both ends the course and lets it go on. So a rule that no course
//! meets is met by no frame.

use super::chain_position::ChainPosition;
use super::region::Region;
use crate::nwfilter::evaluate::field::Field;
use crate::nwfilter::evaluate::{
    Compiled, CompiledRule, ConnectionState, Layer2Chains, RootStep, Way,
};
use crate::nwfilter::vocabulary::Action;

/// What ends a course.
#[derive(Debug, Clone, Copy)]
pub enum Ending<'a> {
    /// A rule of layer 2.
    Layer2(&'a CompiledRule),
    /// A rule of layer 3.
    Layer3(&'a CompiledRule),
    /// The end of all chains, which accepts.
    ChainEnd,
}

/// A thing that happens on a course.
#[derive(Debug, Clone)]
pub enum Event<'a> {
    /// The frames meet a rule that matches them.
    Met(&'a CompiledRule),
    /// They come into a sub-chain.
    Entered(usize),
    /// They run off the end of a sub-chain, which accepts them.
    RanOff(usize),
    /// They pass, or not.
    Ended(End<'a>),
}

/// The end of a course.
#[derive(Debug, Clone)]
pub struct End<'a> {
    /// By what.
    pub by: Ending<'a>,
    /// Whether the frames pass.
    pub passes: bool,
    /// The rule of layer 2 that let them through to layer 3, where one did.
    pub let_in: Option<&'a CompiledRule>,
    /// The sub-chains that they left before their ends, each with the rule that returned them.
    pub returned: Vec<(usize, &'a CompiledRule)>,
}

/// Which packets take a course.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Packets {
    /// All: those that begin a connection, those of one, and those that have to do with none.
    All,
    /// Those that begin a connection.
    First,
}

/// Where frames stand, and what they have behind them.
#[derive(Clone)]
struct Stand<'a> {
    place: ChainPosition,
    region: Region,
    /// Whether a layer-3 rule for first packets has been passed, which these are not then.
    settled: bool,
    let_in: Option<&'a CompiledRule>,
    returned: Vec<(usize, &'a CompiledRule)>,
}

impl<'a> Stand<'a> {
    fn ended(&self, by: Ending<'a>, passes: bool) -> End<'a> {
        End {
            by,
            passes,
            let_in: self.let_in,
            returned: self.returned.clone(),
        }
    }
}

/// Follows the packets of a region; whether all of them were followed to the end, before `looks`
/// reached `budget`.
pub fn course<'a>(
    filter: &'a Compiled,
    way: Way,
    (packets, region): (Packets, Region),
    (looks, budget): (&mut usize, usize),
    seen: &mut dyn FnMut(Event<'a>),
) -> bool {
    let layer = filter.layer2(way);
    let kind = region.get(Field::EtherType).first();
    let mut walk = Walk {
        layer,
        root: layer.root.as_deref().unwrap_or_default(),
        network: kind.map_or(&[], |kind| filter.layer3(way, kind)),
        packets,
        pending: Vec::new(),
    };
    let place = match &layer.root {
        None => ChainPosition::Network(0),
        Some(_) => ChainPosition::Root(0),
    };
    walk.pending.push(Stand {
        place,
        region,
        settled: false,
        let_in: None,
        returned: Vec::new(),
    });
    while let Some(stand) = walk.pending.pop() {
        *looks += 1;
        if *looks >= budget {
            return false;
        }
        walk.step(stand, seen);
    }
    true
}

struct Walk<'a> {
    layer: &'a Layer2Chains,
    root: &'a [RootStep],
    network: &'a [CompiledRule],
    packets: Packets,
    pending: Vec<Stand<'a>>,
}

impl<'a> Walk<'a> {
    /// The next rule that matches some of the frames.
    fn step(&mut self, mut stand: Stand<'a>, seen: &mut dyn FnMut(Event<'a>)) {
        loop {
            let rule = match stand.place {
                ChainPosition::Root(at) => match self.root.get(at) {
                    Some(RootStep::Jump(chain)) => {
                        return self.jump(*chain, at + 1, &stand, seen);
                    }
                    Some(RootStep::Rule(rule)) => Some(rule),
                    None => None,
                },
                ChainPosition::Sub { chain, at, back } => {
                    let rule = self.layer.subs[chain].rules.get(at);
                    if rule.is_none() && !self.layer.end_accepts {
                        stand.place = ChainPosition::Root(back);
                        continue;
                    }
                    rule
                }
                ChainPosition::Network(at) => self.network.get(at),
            };
            let Some(rule) = rule else {
                return self.chain_end(stand, seen);
            };
            if self.apply(rule, &mut stand, seen) {
                return;
            }
        }
    }

    fn jump(
        &mut self,
        chain: usize,
        back: usize,
        stand: &Stand<'a>,
        seen: &mut dyn FnMut(Event<'a>),
    ) {
        let guard = self.layer.subs[chain].guard.as_slice();
        for region in stand.region.failing(guard, Field::Dst) {
            let place = ChainPosition::Root(back);
            self.pending.push(Stand {
                place,
                region,
                ..stand.clone()
            });
        }
        if let Some(region) = stand.region.matching(guard) {
            seen(Event::Entered(chain));
            let place = ChainPosition::Sub { chain, at: 0, back };
            self.pending.push(Stand {
                place,
                region,
                ..stand.clone()
            });
        }
    }

    /// Holds a rule against the frames, which go on to the next place; whether they were split.
    fn apply(
        &mut self,
        rule: &'a CompiledRule,
        stand: &mut Stand<'a>,
        seen: &mut dyn FnMut(Event<'a>),
    ) -> bool {
        let place = stand.place;
        stand.place = place.next();
        let first_only = rule.state == ConnectionState::New;
        let all_first = self.packets == Packets::First;
        if first_only && stand.settled || all_first && rule.state == ConnectionState::Known {
            return false;
        }
        let Some(region) = stand.region.matching(&rule.matches) else {
            return false;
        };
        seen(Event::Met(rule));
        if rule.action == Action::Continue {
            return false;
        }
        // Frames of which it is not sure that the rule takes them go on as well.
        let unsure = rule.undecided.is_some() || rule.state != ConnectionState::Any && !all_first;
        self.end(
            rule,
            place,
            Stand {
                region,
                ..stand.clone()
            },
            seen,
        );
        if unsure {
            let settled = stand.settled || (first_only && rule.undecided.is_none());
            if !settled || stand.settled {
                return false;
            }
            let region = stand.region.matching(&rule.matches);
            self.pending.extend(region.map(|region| Stand {
                region,
                settled,
                ..stand.clone()
            }));
        }
        for region in stand.region.failing(&rule.matches, Field::Dst) {
            self.pending.push(Stand {
                region,
                ..stand.clone()
            });
        }
        true
    }

    /// What becomes of frames that a rule takes.
    fn end(
        &mut self,
        rule: &'a CompiledRule,
        place: ChainPosition,
        mut stand: Stand<'a>,
        seen: &mut dyn FnMut(Event<'a>),
    ) {
        let layer3 = matches!(place, ChainPosition::Network(_));
        let by = if layer3 {
            Ending::Layer3(rule)
        } else {
            Ending::Layer2(rule)
        };
        match (rule.action, place) {
            (Action::Drop | Action::Reject, _) => {
                seen(Event::Ended(stand.ended(by, false)));
            }
            (Action::Return, ChainPosition::Sub { chain, back, .. }) => {
                stand.returned.push((chain, rule));
                let place = ChainPosition::Root(back);
                self.pending.push(Stand { place, ..stand });
            }
            // A return elsewhere leaves libvirt's rules.
            _ if layer3 || self.network.is_empty() => {
                stand.let_in.get_or_insert(rule);
                seen(Event::Ended(stand.ended(by, true)));
            }
            _ => {
                let place = ChainPosition::Network(0);
                self.pending.push(Stand {
                    place,
                    let_in: Some(rule),
                    ..stand
                });
            }
        }
    }

    fn chain_end(&mut self, stand: Stand<'a>, seen: &mut dyn FnMut(Event<'a>)) {
        if let ChainPosition::Sub { chain, .. } = stand.place {
            seen(Event::RanOff(chain));
        }
        if matches!(stand.place, ChainPosition::Network(_)) || self.network.is_empty() {
            return seen(Event::Ended(stand.ended(Ending::ChainEnd, true)));
        }
        let place = ChainPosition::Network(0);
        self.pending.push(Stand { place, ..stand });
    }
}
