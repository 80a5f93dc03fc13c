//! What becomes of all frames there are: which rules they meet, which chains they enter and run
//! off, and where layer 3 drops what layer 2 let through.

use crate::nwfilter::evaluate::{Compiled, CompiledRule, ConnectionState, Way};
use crate::nwfilter::model::RuleId;
use crate::nwfilter::reach::{
    End, Ending, Event, FrameKind, Packets, course, cut_kinds, frame_kinds, headless_kinds,
    random_order,
};
use crate::nwfilter::vocabulary::Action;
use std::collections::{BTreeMap, BTreeSet};

/// Most rules that are held against parts: some tenths of a second. Of a filter that branches
/// more nothing is said.
pub const BUDGET: usize = 200_000;

/// What was seen of all frames there are.
pub struct Survey {
    /// The frames.
    pub kinds: Vec<FrameKind>,
    /// Rules that some frame meets.
    met: BTreeSet<*const CompiledRule>,
    /// Rules that the first packet of some connection meets; none where no rule of layer 3 tells
    /// them from others.
    met_first: Option<BTreeSet<*const CompiledRule>>,
    /// Rules of layer 2 that let frames through which pass.
    pass: BTreeSet<*const CompiledRule>,
    /// Rules of layer 2 that let frames through which layer 3 drops, and where.
    dropped: BTreeMap<*const CompiledRule, BTreeSet<RuleId>>,
    /// Sub-chains that some frame enters, and those whose end one comes to.
    entered: BTreeSet<(bool, usize)>,
    ran_off: BTreeSet<(bool, usize)>,
}

impl Survey {
    /// None where the filter branches too much, or chains that differ are entered in random
    /// order.
    pub fn of(compiled: &Compiled) -> Option<Self> {
        let kinds = frame_kinds()
            .into_iter()
            .chain(headless_kinds())
            .chain(cut_kinds());
        let mut out = Self {
            kinds: kinds.collect(),
            met: BTreeSet::new(),
            met_first: None,
            pass: BTreeSet::new(),
            dropped: BTreeMap::new(),
            entered: BTreeSet::new(),
            ran_off: BTreeSet::new(),
        };
        let kinds = out.kinds.clone();
        let mut looks = 0;
        for way in Way::ALL {
            let is_random = |kind: &FrameKind| random_order(compiled, way, &kind.region).is_some();
            if kinds.iter().any(is_random) {
                return None;
            }
            let all = (Packets::All, &kinds[..]);
            follow(compiled, way, all, &mut looks, &mut |event| {
                out.take(way, &event);
            })?;
        }
        if drops_behind_states(compiled) {
            let mut met = BTreeSet::new();
            for way in Way::ALL {
                let first = (Packets::First, &kinds[..]);
                follow(compiled, way, first, &mut looks, &mut |event| {
                    if let Event::Met(rule) = event {
                        met.insert(std::ptr::from_ref(rule));
                    }
                })?;
            }
            out.met_first = Some(met);
        }
        Some(out)
    }

    fn take(&mut self, way: Way, event: &Event<'_>) {
        let from_guest = way == Way::FromGuest;
        match event {
            Event::Met(rule) => {
                self.met.insert(*rule);
            }
            Event::Entered(chain) => {
                self.entered.insert((from_guest, *chain));
            }
            Event::RanOff(chain) => {
                self.ran_off.insert((from_guest, *chain));
            }
            Event::Ended(End {
                passes: true,
                let_in: Some(rule),
                ..
            }) => {
                self.pass.insert(*rule);
            }
            Event::Ended(End {
                passes: false,
                let_in: Some(rule),
                by: Ending::Layer3(by),
                ..
            }) => {
                let dropped = self.dropped.entry(*rule).or_default();
                dropped.insert(by.origin.clone());
            }
            Event::Ended(_) => {}
        }
    }

    /// Whether some frame meets the rule.
    pub fn is_met(&self, rule: &CompiledRule) -> bool {
        self.met.contains(&std::ptr::from_ref(rule))
    }

    /// Whether the first packet of some connection meets the rule.
    pub fn is_met_first(&self, rule: &CompiledRule) -> bool {
        let met = self.met_first.as_ref();
        met.is_none_or(|met| met.contains(&std::ptr::from_ref(rule)))
    }

    /// Whether some frame passes that the rule of layer 2 let through.
    pub fn lets_pass(&self, rule: &CompiledRule) -> bool {
        self.pass.contains(&std::ptr::from_ref(rule))
    }

    /// The rules of layer 3 that drop what the rule of layer 2 let through.
    pub fn dropped_after(&self, rule: &CompiledRule) -> impl Iterator<Item = &RuleId> {
        let dropped = self.dropped.get(&std::ptr::from_ref(rule));
        dropped.into_iter().flatten()
    }

    /// Whether some frame enters the sub-chain.
    pub fn enters(&self, way: Way, chain: usize) -> bool {
        self.entered.contains(&(way == Way::FromGuest, chain))
    }

    /// Whether some frame comes to the end of the sub-chain, which accepts it.
    pub fn runs_off(&self, way: Way, chain: usize) -> bool {
        self.ran_off.contains(&(way == Way::FromGuest, chain))
    }
}

/// None where the filter branches too much.
fn follow<'a>(
    compiled: &'a Compiled,
    way: Way,
    (packets, kinds): (Packets, &[FrameKind]),
    looks: &mut usize,
    seen: &mut dyn FnMut(Event<'a>),
) -> Option<()> {
    for kind in kinds {
        let frames = (packets, kind.region.clone());
        if !course(compiled, way, frames, (looks, BUDGET), seen) {
            return None;
        }
    }
    Some(())
}

/// Whether layer 3 has a drop and a rule that only first packets match.
fn drops_behind_states(compiled: &Compiled) -> bool {
    Way::ALL.into_iter().any(|way| {
        [0x0800, 0x86dd].into_iter().any(|kind| {
            let rules = compiled.layer3(way, kind);
            let state = rules
                .iter()
                .position(|rule| rule.state == ConnectionState::New);
            state.is_some_and(|at| {
                let mut after = rules[at..].iter();
                after.any(|rule| matches!(rule.action, Action::Drop | Action::Reject))
            })
        })
    })
}
