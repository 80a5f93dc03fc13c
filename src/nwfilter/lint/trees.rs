//! Lints of the chains that a whole tree makes.

use super::finding::{Finding, Severity};
use crate::nwfilter::evaluate::{Compiled, CompiledRule, Layer2Chains, RootStep, Way};
use crate::nwfilter::model::RuleId;
use crate::nwfilter::vocabulary::Action;

/// Rules that libvirt needs more than two seconds for.
const MANY: usize = 100;

/// Lints what the filter named `top` compiles to.
pub fn tree(top: &str, compiled: &Compiled, out: &mut Vec<Finding>) {
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
    for (way, words) in [
        (Way::FromGuest, "from the guest"),
        (Way::ToGuest, "to the guest"),
    ] {
        let layer = compiled.layer2(way);
        tied(layer, &mut add);
        open_ends(layer, words, &mut add);
        open_root(layer, words, &mut add);
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

/// Chains of one priority.
fn tied(layer: &Layer2Chains, add: &mut Add<'_>) {
    for group in &layer.tied {
        let names: Vec<&str> = group
            .iter()
            .map(|at| layer.subs[*at].name.as_str())
            .collect();
        let what = format!(
            "the chains {} have the same priority: libvirt enters them in random order; give each its own",
            names.join(", ")
        );
        add("equal-chain-priority", Severity::Warning, None, what);
    }
}

/// SubChain-chains that a frame runs off.
fn open_ends(layer: &Layer2Chains, words: &str, add: &mut Add<'_>) {
    for sub in layer.subs.iter().filter(|sub| !ends(&sub.rules)) {
        let last = sub.rules.last().map(|rule| rule.origin.clone());
        let what = format!(
            "frames {words} that no rule of the chain {} matches are accepted: they do not go back to the root chain; end the chain with a rule without a protocol",
            sub.name
        );
        add("chain-end-accepts", Severity::Warning, last, what);
    }
}

/// A root chain that a frame runs off, or that is not there.
fn open_root(layer: &Layer2Chains, words: &str, add: &mut Add<'_>) {
    match &layer.root {
        None => {
            let what = format!("no layer-2 rule is for frames {words}: they are not filtered");
            add("direction-unfiltered", Severity::Warning, None, what);
        }
        Some(_) if !closed(layer) => {
            let what = format!(
                "frames {words} that no rule matches are accepted, among them EtherTypes that the filter does not name (VLAN, PPPoE); end the root chain with an unconditional drop"
            );
            add("default-accept", Severity::Warning, None, what);
        }
        Some(_) => {}
    }
}

/// Whether no frame gets past the last rule.
fn ends(rules: &[CompiledRule]) -> bool {
    rules
        .iter()
        .any(|rule| rule.matches.is_empty() && rule.action != Action::Continue)
}

/// Whether the root chain ends with a rule that drops every frame.
fn closed(layer: &Layer2Chains) -> bool {
    layer.root.iter().flatten().any(|step| match step {
        RootStep::Rule(rule) => {
            rule.matches.is_empty() && matches!(rule.action, Action::Drop | Action::Reject)
        }
        RootStep::Jump(_) => false,
    })
}
