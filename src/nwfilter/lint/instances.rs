//! The rules of a filter with what each is in the chains.

use super::blockers::Target;
use crate::nwfilter::evaluate::field::Field;
use crate::nwfilter::evaluate::{Compiled, CompiledRule, ConnectionState, Match, RootStep, Way};
use crate::nwfilter::intervals::IntervalSet;
use crate::nwfilter::model::{Filter, Rule, RuleId};
use crate::nwfilter::reach::{FrameKind, Region};
use crate::nwfilter::vocabulary::{Action, RuleDirection};
use std::collections::BTreeMap;

/// A rule in one of the chains.
#[derive(Clone, Copy)]
pub struct Instance<'a> {
    /// Where it stands.
    pub target: Target,
    /// Which frames come into its chain: EtherTypes of layer 3, the guard of a sub-chain.
    entered: Option<(Field, u128)>,
    /// What it is there.
    pub rule: &'a CompiledRule,
}

/// A rule in a chain with the frames that it matches, of which there are some.
pub type Own<'a> = (Instance<'a>, Vec<Region>);

impl Instance<'_> {
    /// The frames that it matches, kind by kind.
    pub fn regions(&self, kinds: &[FrameKind]) -> Vec<Region> {
        self.passing(&self.rule.matches, kinds).collect()
    }

    /// Whether a frame of its chain can pass these tests.
    pub fn is_possible(&self, tests: &[Match], kinds: &[FrameKind]) -> bool {
        self.passing(tests, kinds).next().is_some()
    }

    fn passing(&self, tests: &[Match], kinds: &[FrameKind]) -> impl Iterator<Item = Region> {
        kinds.iter().filter_map(move |kind| {
            let region = entering(kind, self.entered)?.matching(tests)?;
            kind.real(&region).map(|_| kind.agreeing(region))
        })
    }
}

/// The frames of a kind that come into a chain.
pub fn entering(kind: &FrameKind, entered: Option<(Field, u128)>) -> Option<Region> {
    let region = kind.region.clone();
    let Some((field, value)) = entered else {
        return Some(region);
    };
    let set = region.get(field).intersection(&IntervalSet::one(value));
    (!set.is_empty()).then(|| region.with(field, set))
}

/// The field and its value that frames of a sub-chain have.
pub fn guard_of(compiled: &Compiled, way: Way, chain: usize) -> Option<(Field, u128)> {
    let guard = compiled.layer2(way).subs.get(chain)?.guard.as_ref()?;
    Some((guard.field, guard.set.first()?))
}

/// Every rule with what it is in the chains. A layer-3 rule for one direction counts where
/// frames of that direction meet it; that its mirror image is met or not tells nothing.
pub fn instances<'a>(
    filters: &[Filter],
    compiled: &'a Compiled,
) -> BTreeMap<&'a RuleId, Vec<Instance<'a>>> {
    let mut out: BTreeMap<&RuleId, Vec<Instance<'a>>> = BTreeMap::new();
    let mut add = |target: Target, entered, rule: &'a CompiledRule| {
        let source = rule_of(filters, &rule.origin);
        let mirrored = match source.map(|rule| rule.direction) {
            Some(RuleDirection::Out) => target.way == Way::ToGuest,
            Some(RuleDirection::In) => target.way == Way::FromGuest,
            _ => false,
        };
        let instance = Instance {
            target,
            entered,
            rule,
        };
        if rule.state != ConnectionState::Known && !mirrored && rule.action != Action::Continue {
            out.entry(&rule.origin).or_default().push(instance);
        }
    };
    for way in Way::ALL {
        let layer = compiled.layer2(way);
        let root = Target {
            way,
            layer3: false,
            chain: None,
        };
        for step in layer.root.iter().flatten() {
            if let RootStep::Rule(rule) = step {
                add(root, None, rule);
            }
        }
        for (chain, sub) in layer.subs.iter().enumerate() {
            let place = Target {
                chain: Some(chain),
                ..root
            };
            let entered = guard_of(compiled, way, chain);
            for rule in &sub.rules {
                add(place, entered, rule);
            }
        }
        for kind in [0x0800, 0x86dd] {
            let place = Target {
                layer3: true,
                ..root
            };
            for rule in compiled.layer3(way, kind) {
                add(place, Some((Field::EtherType, kind)), rule);
            }
        }
    }
    out
}

/// The rule as it is written.
pub fn rule_of<'f>(filters: &'f [Filter], origin: &RuleId) -> Option<&'f Rule> {
    let filter = filters.iter().find(|filter| filter.name == origin.filter)?;
    filter.rules().nth(origin.rule.checked_sub(1)?)
}
