//! Rules that never act, proven over all frames: none that a rule matches comes as far as the
//! rule, or layer 3 drops whatever the rule lets through.

use super::finding::{Finding, Severity};
use crate::nwfilter::evaluate::field::Field;
use crate::nwfilter::evaluate::{Compiled, CompiledRule, ConnectionState, RootStep, Way};
use crate::nwfilter::intervals::IntervalSet;
use crate::nwfilter::model::{Filter, Rule, RuleId};
use crate::nwfilter::reach::{
    Ending, Event, FrameKind, Region, course, cut_kinds, frame_kinds, headless_kinds,
};
use crate::nwfilter::vocabulary::{Action, RuleDirection};
use std::collections::{BTreeMap, BTreeSet};

/// The lints about rules in each other's way.
pub const LINTS: [&str; 4] = [
    "never-acts",
    "redundant-rule",
    "layer-2-drops-first",
    "layer-3-drops-after",
];

/// Most rules that are held against parts: some tenths of a second. Of a filter that branches
/// more nothing is said.
const BUDGET: usize = 200_000;

/// Most rules that a message names.
const NAMED: usize = 3;

/// Lints the rules of a tree.
pub fn tree(filters: &[Filter], compiled: &Compiled, out: &mut Vec<Finding>) {
    let Some(seen) = Seen::of(compiled) else {
        return;
    };
    let mut looks = 0;
    for (origin, instances) in instances(filters, compiled) {
        let found = finding(compiled, &seen, &instances, &mut looks);
        out.extend(found.map(|(lint, severity, message)| Finding {
            lint,
            severity,
            filter: origin.filter.clone(),
            rule: Some(origin.clone()),
            position: None,
            message,
        }));
    }
}

/// A rule in one of the chains.
#[derive(Clone, Copy)]
struct Instance<'a> {
    way: Way,
    /// Whether it is a rule of layer 3.
    layer3: bool,
    /// Which frames come into its chain: EtherTypes of layer 3, the guard of a sub-chain.
    entered: Option<(Field, u128)>,
    rule: &'a CompiledRule,
}

impl Instance<'_> {
    /// Stands for the rule itself: there may be others that look the same.
    fn key(&self) -> *const CompiledRule {
        self.rule
    }

    /// The frames that it matches, kind by kind.
    fn regions(&self, kinds: &[FrameKind]) -> Vec<Region> {
        let entered = |region: Region| match self.entered {
            None => Some(region),
            Some((field, value)) => {
                let set = region.get(field).intersection(&IntervalSet::one(value));
                (!set.is_empty()).then(|| region.with(field, set))
            }
        };
        let regions = kinds.iter().filter_map(|kind| {
            let region = entered(kind.region.clone())?.matching(&self.rule.matches)?;
            kind.real(&region).map(|_| kind.agreeing(region))
        });
        regions.collect()
    }
}

/// Every rule with what it is in the chains. A layer-3 rule for one direction counts where
/// frames of that direction meet it; that its mirror image is met or not tells nothing.
fn instances<'a>(
    filters: &[Filter],
    compiled: &'a Compiled,
) -> BTreeMap<&'a RuleId, Vec<Instance<'a>>> {
    let mut out: BTreeMap<&RuleId, Vec<Instance<'a>>> = BTreeMap::new();
    let mut add = |way, layer3, entered, rule: &'a CompiledRule| {
        let source = rule_of(filters, &rule.origin);
        let mirrored = match source.map(|rule| rule.direction) {
            Some(RuleDirection::Out) => way == Way::ToGuest,
            Some(RuleDirection::In) => way == Way::FromGuest,
            _ => false,
        };
        let instance = Instance {
            way,
            layer3,
            entered,
            rule,
        };
        if rule.state != ConnectionState::Known && !mirrored && rule.action != Action::Continue {
            out.entry(&rule.origin).or_default().push(instance);
        }
    };
    for way in Way::ALL {
        let layer = compiled.layer2(way);
        for step in layer.root.iter().flatten() {
            if let RootStep::Rule(rule) = step {
                add(way, false, None, rule);
            }
        }
        for sub in &layer.subs {
            let guard = sub.guard.as_ref();
            let entered = guard.and_then(|guard| Some((guard.field, guard.set.first()?)));
            for rule in &sub.rules {
                add(way, false, entered, rule);
            }
        }
        for kind in [0x0800, 0x86dd] {
            for rule in compiled.layer3(way, kind) {
                add(way, true, Some((Field::EtherType, kind)), rule);
            }
        }
    }
    out
}

fn rule_of<'f>(filters: &'f [Filter], origin: &RuleId) -> Option<&'f Rule> {
    let filter = filters.iter().find(|filter| filter.name == origin.filter)?;
    filter.rules().nth(origin.rule.checked_sub(1)?)
}

/// What was seen of all frames there are.
struct Seen {
    kinds: Vec<FrameKind>,
    /// Rules that some frame meets.
    met: BTreeSet<*const CompiledRule>,
    /// Rules of layer 2 that let frames through which pass.
    pass: BTreeSet<*const CompiledRule>,
    /// Rules of layer 2 that let frames through which layer 3 drops, and where.
    dropped: BTreeMap<*const CompiledRule, BTreeSet<RuleId>>,
}

impl Seen {
    /// None where the filter branches too much, or chains are entered in random order.
    fn of(compiled: &Compiled) -> Option<Self> {
        let kinds = frame_kinds()
            .into_iter()
            .chain(headless_kinds())
            .chain(cut_kinds());
        let mut out = Self {
            kinds: kinds.collect(),
            met: BTreeSet::new(),
            pass: BTreeSet::new(),
            dropped: BTreeMap::new(),
        };
        let mut looks = 0;
        for way in Way::ALL {
            if !compiled.layer2(way).tied.is_empty() {
                return None;
            }
            for kind in out.kinds.clone() {
                let whole = course(
                    compiled,
                    way,
                    kind.region,
                    (&mut looks, BUDGET),
                    &mut |event| {
                        out.take(event);
                    },
                );
                if !whole {
                    return None;
                }
            }
        }
        Some(out)
    }

    fn take(&mut self, event: Event<'_>) {
        match event {
            Event::Met(rule) => {
                self.met.insert(rule);
            }
            Event::Ended {
                passes: true,
                let_in: Some(rule),
                ..
            } => {
                self.pass.insert(rule);
            }
            Event::Ended {
                passes: false,
                let_in: Some(rule),
                by: Ending::Layer3(by),
            } => {
                let dropped = self.dropped.entry(rule).or_default();
                dropped.insert(by.origin.clone());
            }
            Event::Ended { .. } => {}
        }
    }
}

/// What is in a rule's way.
#[derive(Default)]
struct Blockers {
    /// The rules, each once, with whether it lets pass what the rule matches.
    rules: Vec<(RuleId, bool)>,
    /// Whether they are all of layer 2.
    layer2: bool,
    /// Whether the end of a chain, which accepts, is among what is in the way.
    chain_end: bool,
}

impl Blockers {
    /// None where the filter branches too much.
    fn of(
        compiled: &Compiled,
        own: &[(Instance<'_>, Vec<Region>)],
        looks: &mut usize,
    ) -> Option<Self> {
        let mut out = Self {
            layer2: true,
            ..Self::default()
        };
        for (instance, regions) in own {
            for region in regions {
                let region = region.clone();
                let whole = course(
                    compiled,
                    instance.way,
                    region,
                    (looks, BUDGET),
                    &mut |event| {
                        out.take(instance.layer3, event);
                    },
                );
                if !whole {
                    return None;
                }
            }
        }
        Some(out)
    }

    /// For a rule of layer 2 the rule counts that let its frames go on to layer 3.
    fn take(&mut self, layer3: bool, event: Event<'_>) {
        let Event::Ended { by, passes, let_in } = event else {
            return;
        };
        let (rule, passes) = match (by, let_in) {
            (Ending::Layer3(_) | Ending::ChainEnd, Some(rule)) if !layer3 => (rule, true),
            (Ending::Layer2(rule), _) => (rule, passes),
            (Ending::Layer3(rule), _) => {
                self.layer2 = false;
                (rule, passes)
            }
            (Ending::ChainEnd, _) => {
                self.chain_end = true;
                return;
            }
        };
        let blocker = (rule.origin.clone(), passes);
        if !self.rules.contains(&blocker) {
            self.rules.push(blocker);
        }
    }

    /// Whether all of it does with the frames what `passes` says.
    fn all(&self, passes: bool) -> bool {
        self.rules.iter().all(|(_, found)| *found == passes) && (passes || !self.chain_end)
    }

    fn words(&self) -> String {
        let mut words: Vec<String> = self
            .rules
            .iter()
            .take(NAMED)
            .map(|(origin, passes)| {
                format!("{origin} {}", if *passes { "accepts" } else { "drops" })
            })
            .collect();
        if self.rules.len() > NAMED {
            words.push(format!("{} more decide", self.rules.len() - NAMED));
        }
        if self.chain_end {
            words.push("the end of a chain accepts".to_owned());
        }
        match words.as_slice() {
            [first @ .., last] if !first.is_empty() => format!("{} and {last}", first.join(", ")),
            words => words.concat(),
        }
    }
}

/// Lint, severity, message.
type Found = (&'static str, Severity, String);

fn finding(
    compiled: &Compiled,
    seen: &Seen,
    instances: &[Instance<'_>],
    looks: &mut usize,
) -> Option<Found> {
    let own = instances
        .iter()
        .map(|instance| (*instance, instance.regions(&seen.kinds)));
    let own: Vec<_> = own.filter(|(_, regions)| !regions.is_empty()).collect();
    let (first, _) = own.first()?;
    if own
        .iter()
        .any(|(instance, _)| seen.met.contains(&instance.key()))
    {
        return vain(seen, &own);
    }
    let blockers = Blockers::of(compiled, &own, looks)?;
    if blockers.rules.is_empty() && !blockers.chain_end {
        return None;
    }
    let wanted = match first.rule.action {
        Action::Accept => Some(true),
        Action::Return if first.layer3 => Some(true),
        Action::Drop | Action::Reject => Some(false),
        Action::Return | Action::Continue => None,
    };
    let words = blockers.words();
    if wanted.is_some_and(|wanted| blockers.all(wanted)) {
        let what = format!(
            "this rule changes nothing: {words} all that it matches before it; each rule costs time at every start of a guest, so leave it out, or change those before it"
        );
        return Some(("redundant-rule", Severity::Note, what));
    }
    if first.layer3 && wanted == Some(true) && blockers.layer2 && blockers.all(false) {
        let lease = if is_dhcp(first.rule) {
            ", and the guest gets no DHCP lease"
        } else {
            ""
        };
        let what = format!(
            "this rule never acts{lease}: at layer 2, {words} all that it matches, and layer 2 comes before layer 3 whatever the priorities; accept the same with an <ip> or <ipv6> element in front of that"
        );
        return Some(("layer-2-drops-first", Severity::Error, what));
    }
    let what = format!(
        "this rule never acts: {words} all that it matches before it; give it a lower priority number than those, or leave it out"
    );
    Some(("never-acts", Severity::Error, what))
}

/// A rule of layer 2 whose frames layer 3 drops, every one.
fn vain(seen: &Seen, own: &[(Instance<'_>, Vec<Region>)]) -> Option<Found> {
    let accepts =
        |instance: &Instance<'_>| !instance.layer3 && instance.rule.action == Action::Accept;
    let passes = |instance: &Instance<'_>| seen.pass.contains(&instance.key());
    if own
        .iter()
        .any(|(instance, _)| !accepts(instance) || passes(instance))
    {
        return None;
    }
    let dropping = own
        .iter()
        .filter_map(|(instance, _)| seen.dropped.get(&instance.key()));
    let dropping: BTreeSet<&RuleId> = dropping.flatten().collect();
    let first = dropping.first()?;
    let more = match dropping.len() - 1 {
        0 => String::new(),
        more => format!(" (and {more} more)"),
    };
    let what = format!(
        "this rule accepts at layer 2 what layer 3 drops, at {first}{more}: a frame must pass both; accept the same at layer 3, or take the rules of layer 3 out"
    );
    Some(("layer-3-drops-after", Severity::Error, what))
}

/// Whether a rule is about the ports of DHCP (67 and 68, and 546 and 547 for IPv6).
fn is_dhcp(rule: &CompiledRule) -> bool {
    let dhcp = IntervalSet::of(vec![(67, 68), (546, 547)]);
    let mut ports = rule
        .matches
        .iter()
        .filter(|test| matches!(test.field, Field::SrcPort | Field::DstPort));
    ports.any(|test| test.set.is_within(&dhcp))
}

#[cfg(test)]
mod tests;
