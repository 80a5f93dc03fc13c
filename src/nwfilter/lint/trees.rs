//! Lints of the chains that a whole tree makes.

use super::finding::{Finding, Severity};
use super::survey::Survey;
use crate::nwfilter::evaluate::{Compiled, CompiledRule, Layer2Chains, RootStep, SubChain, Way};
use crate::nwfilter::model::{Filter, RuleId};
use crate::nwfilter::vocabulary::Action;
use std::collections::BTreeSet;

/// Rules that libvirt needs more than two seconds for.
const MANY: usize = 100;

/// Lints what the filter named `top` compiles to.
pub fn tree(
    filters: &[Filter],
    top: &str,
    compiled: &Compiled,
    survey: Option<&Survey>,
    out: &mut Vec<Finding>,
) {
    outside_root(filters, compiled, out);
    negated_lists(filters, compiled, out);
    let mut add = |lint, severity, rule, message| {
        out.push(Finding {
            lint,
            severity,
            filter: top.to_owned(),
            rule,
            position: None,
            message,
        });
    };
    for way in Way::ALL {
        let layer = compiled.layer2(way);
        tied(layer, &mut add);
        open_ends(compiled, survey, way, &mut add);
        let layer3 = [0x0800, 0x86dd]
            .iter()
            .any(|kind| !compiled.layer3(way, *kind).is_empty());
        open_root(layer, layer3, way, &mut add);
    }
    let chains = compiled.chains();
    let mut network = [&chains.v4, &chains.v6]
        .into_iter()
        .flat_map(|layer| layer.from_guest.iter().chain(&layer.to_guest));
    if let Some(rule) = network.next() {
        let what = "layer-3 rules see only untagged IP, only with bridge-nf-call-iptables=1, and nothing that the host itself sends to the guest; use ip and ipv6 elements";
        add(
            "layer-3",
            Severity::Warning,
            Some(rule.origin.clone()),
            what.into(),
        );
    }
    for (origin, what) in compiled.unportable() {
        let what = format!("{what}: libvirt refuses to bind the filter there");
        add(
            "iptables-release",
            Severity::Warning,
            Some(origin.clone()),
            what,
        );
    }
    if chains.rules > MANY {
        let what = format!(
            "{} rules take libvirt some {} s at each start of a guest",
            chains.rules,
            chains.rules * 15 / 1000
        );
        add("many-rules", Severity::Note, None, what);
    }
}

/// Takes a finding: lint, severity, rule, words.
type Add<'a> = dyn FnMut(&'static str, Severity, Option<RuleId>, String) + 'a;

/// Chains of one priority that a frame can enter one after the other.
fn tied(layer: &Layer2Chains, add: &mut Add<'_>) {
    let meet = |a: usize, b: usize| match (&layer.subs[a].guard, &layer.subs[b].guard) {
        (Some(one), Some(other)) if one.field == other.field => one.set.meets(&other.set),
        _ => true,
    };
    for group in &layer.tied {
        let shared = |at: &&usize| group.iter().any(|other| other != *at && meet(**at, *other));
        let names: Vec<&str> = group
            .iter()
            .filter(shared)
            .map(|at| layer.subs[*at].name.as_str())
            .collect();
        if names.is_empty() {
            continue;
        }
        let what = format!(
            "the chains {} have the same priority: libvirt enters them in random order; give each its own",
            names.join(", ")
        );
        add("equal-chain-priority", Severity::Warning, None, what);
    }
}

/// Layer-3 rules outside the root chain, behind ones of it.
fn outside_root(filters: &[Filter], compiled: &Compiled, out: &mut Vec<Finding>) {
    let in_root = |origin: &RuleId| {
        let filter = filters.iter().find(|filter| filter.name == origin.filter);
        filter.is_some_and(Filter::in_root)
    };
    let chains = compiled.chains();
    let mut found = BTreeSet::new();
    for layer in [&chains.v4, &chains.v6] {
        for rules in [&layer.from_guest, &layer.to_guest] {
            if rules.iter().any(|rule| in_root(&rule.origin)) {
                let others = rules.iter().map(|rule| &rule.origin);
                found.extend(others.filter(|origin| !in_root(origin)));
            }
        }
    }
    out.extend(found.into_iter().map(|origin| Finding {
        lint: "layer-3-outside-root",
        severity: Severity::Warning,
        filter: origin.filter.clone(),
        rule: Some(origin.clone()),
        position: None,
        message: "a layer-3 rule of a filter whose chain is not root is tried after all layer-3 rules of root filters, whatever its priority".to_owned(),
    }));
}

/// Negated lists of several values: rules of one origin that differ.
fn negated_lists(filters: &[Filter], compiled: &Compiled, out: &mut Vec<Finding>) {
    let chains = compiled.chains();
    let layer3 = [&chains.v4, &chains.v6];
    let layer3 = layer3.map(|layer| {
        [
            layer.from_guest.iter().collect(),
            layer.to_guest.iter().collect(),
        ]
    });
    let layer2 = Way::ALL.map(|way| compiled.layer2(way).rules().collect());
    let lists: Vec<Vec<&CompiledRule>> = layer3.into_iter().flatten().chain(layer2).collect();
    let is_list = |origin: &RuleId| {
        lists.iter().any(|rules| {
            let mut same = rules.iter().filter(|rule| rule.origin == *origin);
            let first = same.next();
            first.is_some_and(|first| same.any(|other| other.matches != first.matches))
        })
    };
    for filter in filters {
        for (at, rule) in filter.rules().enumerate() {
            let origin = RuleId {
                filter: filter.name.clone(),
                rule: at + 1,
            };
            let negated = rule.elements.iter().filter(|element| !element.positive);
            let mut attributes = negated.flat_map(|element| &element.attributes);
            let Some((name, value)) = attributes.find(|(_, value)| value.starts_with('$')) else {
                continue;
            };
            if is_list(&origin) {
                out.push(Finding {
                    lint: "negated-list",
                    severity: Severity::Warning,
                    filter: filter.name.clone(),
                    rule: Some(origin),
                    position: None,
                    message: format!(
                        "{value} is a list, of which {name} becomes one rule `not this value` for each value, and together these match everything"
                    ),
                });
            }
        }
    }
}

/// Sub-chains that a frame runs off.
fn open_ends(compiled: &Compiled, survey: Option<&Survey>, way: Way, add: &mut Add<'_>) {
    let layer = compiled.layer2(way);
    if !layer.end_accepts {
        return;
    }
    let is_open = |(at, sub): &(usize, &SubChain)| match survey {
        Some(survey) => survey.runs_off(way, *at),
        None => !ends(&sub.rules),
    };
    for (_, sub) in layer.subs.iter().enumerate().filter(is_open) {
        let last = sub.rules.last().map(|rule| rule.origin.clone());
        let what = format!(
            "frames {way} that no rule of the chain {} matches are accepted: they do not go back to the root chain; end the chain with a rule without a protocol",
            sub.name
        );
        add("chain-end-accepts", Severity::Warning, last, what);
    }
}

/// A root chain that a frame runs off, or that is not there. `layer3` says whether rules of
/// layer 3 are behind it.
fn open_root(layer: &Layer2Chains, layer3: bool, way: Way, add: &mut Add<'_>) {
    let Some(root) = &layer.root else {
        let what = format!("no layer-2 rule is for frames {way}: they are not filtered");
        return add("direction-unfiltered", Severity::Warning, None, what);
    };
    let unconditional = root.iter().find_map(|step| match step {
        RootStep::Rule(rule) if rule.matches.is_empty() && rule.action != Action::Continue => {
            Some(rule)
        }
        _ => None,
    });
    let among = "among them EtherTypes that the filter does not name (VLAN, PPPoE)";
    let (rule, what) = match unconditional {
        Some(rule) if matches!(rule.action, Action::Drop | Action::Reject) => return,
        // A drop behind it would never act.
        Some(rule) => (
            Some(rule.origin.clone()),
            format!(
                "this rule accepts all frames {way} that come to it, {among}; make it accept what is meant, and put an unconditional drop behind it"
            ),
        ),
        // It would take from layer 3 all that its rules accept.
        None if layer3 => (
            None,
            format!(
                "frames {way} that no rule matches are accepted, {among}; end the root chain with an accept of <mac protocolid='ipv4'/>, of IPv6 and of ARP where they are wanted, and an unconditional drop behind those: a drop alone would take from the layer-3 rules what they accept"
            ),
        ),
        None => (
            None,
            format!(
                "frames {way} that no rule matches are accepted, {among}; end the root chain with an unconditional drop"
            ),
        ),
    };
    add("default-accept", Severity::Warning, rule, what);
}

/// Whether no frame gets past the last rule.
fn ends(rules: &[CompiledRule]) -> bool {
    rules
        .iter()
        .any(|rule| rule.matches.is_empty() && rule.action != Action::Continue)
}
