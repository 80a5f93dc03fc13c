//! Rules that never act, proven over all frames: none that a rule matches comes as far as the
//! rule, or layer 3 drops whatever the rule lets through.

use super::blockers::Blockers;
use super::finding::{Finding, Severity};
use super::instances::{Instance, Own, instances};
use super::lease::{self, is_dhcp};
use super::nothing;
use super::survey::Survey;
use super::unentered::{self, Unentered};
use crate::nwfilter::evaluate::{Backend, Compiled, Way};
use crate::nwfilter::model::{Filter, RuleId};
use crate::nwfilter::reach::Packets;
use crate::nwfilter::vocabulary::Action;
use std::collections::BTreeSet;

/// The lints about rules in each other's way.
pub const LINTS: [&str; 9] = [
    "no-lease",
    "matches-nothing",
    "never-acts",
    "never-acts-one-way",
    "chain-never-entered",
    "redundant-rule",
    "layer-2-drops-first",
    "layer-3-drops-after",
    "drops-no-connection",
];

/// Lints the rules of a tree.
pub fn tree(filters: &[Filter], compiled: &Compiled, survey: &Survey, out: &mut Vec<Finding>) {
    let mut judge = Judge {
        compiled,
        survey,
        looks: 0,
    };
    let all = instances(filters, compiled);
    let own = all.iter().map(|(origin, instances)| {
        let regions = |instance: &Instance<'_>| instance.regions(&survey.kinds);
        let own = instances
            .iter()
            .map(|instance| (*instance, regions(instance)));
        (
            *origin,
            own.filter(|(_, regions)| !regions.is_empty())
                .collect::<Vec<_>>(),
        )
    });
    let own: Vec<(&RuleId, Vec<Own<'_>>)> = own.collect();
    let unentered = unentered::find(compiled, survey, &own, &mut judge.looks);
    for (origin, own) in &own {
        let told = |one: &Own<'_>| unentered.iter().any(|chain| chain.holds(&one.0));
        let untold: Vec<&Own<'_>> = own.iter().filter(|one| !told(one)).collect();
        let found = match own.as_slice() {
            [] => nothing(&all[origin], survey),
            _ => judge.finding(&untold, untold.len() < own.len()),
        };
        out.extend(found.map(|(lint, severity, message)| Finding {
            lint,
            severity,
            filter: origin.filter.clone(),
            rule: Some((*origin).clone()),
            position: None,
            message,
        }));
    }
    out.extend(unentered.iter().map(Unentered::finding));
    let leases = lease::find(compiled, survey, &own, &mut judge.looks);
    let told: BTreeSet<RuleId> = out.iter().filter_map(acting_rule).collect();
    let untold = |finding: &Finding| {
        finding
            .rule
            .as_ref()
            .is_none_or(|rule| !told.contains(rule))
    };
    out.extend(leases.into_iter().filter(untold));
}

/// Lint, severity, message.
type Found = (&'static str, Severity, String);

/// The rule of which something is said that keeps it from acting.
fn acting_rule(finding: &Finding) -> Option<RuleId> {
    let says = LINTS.contains(&finding.lint) && finding.severity == Severity::Error;
    finding.rule.clone().filter(|_| says)
}

/// A rule that matches no frame.
fn nothing(instances: &[Instance<'_>], survey: &Survey) -> Option<Found> {
    let reason = nothing::reason(instances, &survey.kinds)?;
    let what = format!("no frame matches this rule: {reason}");
    Some(("matches-nothing", Severity::Error, what))
}

struct Judge<'a> {
    compiled: &'a Compiled,
    survey: &'a Survey,
    looks: usize,
}

impl Judge<'_> {
    /// What is the matter with a rule. `elsewhere` says that it stands in a chain of which
    /// something is said already.
    fn finding(&mut self, own: &[&Own<'_>], elsewhere: bool) -> Option<Found> {
        let met = |one: &&Own<'_>| self.survey.is_met(one.0.rule);
        let alive = |way: Way| {
            let mut here = own.iter().filter(|one| one.0.target.way == way);
            here.any(met)
        };
        let dead: Vec<&Own<'_>> = own
            .iter()
            .filter(|one| !alive(one.0.target.way))
            .copied()
            .collect();
        if own.is_empty() {
            None
        } else if dead.len() == own.len() && !elsewhere {
            self.dead(&dead)
        } else if dead.is_empty() {
            self.vain(own).or_else(|| self.behind_connections(own))
        } else {
            self.dead_one_way(&dead)
        }
    }

    fn blockers(&mut self, packets: Packets, own: &[&Own<'_>]) -> Option<Blockers> {
        let mut blockers = Blockers::of(packets);
        for (instance, regions) in own {
            blockers.add(self.compiled, instance.target, regions, &mut self.looks)?;
        }
        (!blockers.is_empty()).then_some(blockers)
    }

    /// A rule that no frame meets.
    fn dead(&mut self, own: &[&Own<'_>]) -> Option<Found> {
        let blockers = self.blockers(Packets::All, own)?;
        let (first, _) = own.first()?;
        let words = blockers.words();
        let layer3 = first.target.layer3;
        if blockers.do_the_same(first.rule.action, layer3) {
            let after = if blockers.returns() {
                ", and what they come to then is the same"
            } else {
                ""
            };
            let what = format!(
                "this rule changes nothing: {words} all that it matches before it{after}; each rule costs time at every start of a guest, so leave it out, or change those before it"
            );
            return Some(("redundant-rule", Severity::Note, what));
        }
        if layer3 && first.rule.action == Action::Accept && blockers.layer2_drops() {
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

    /// A rule for both directions that frames of one only meet.
    fn dead_one_way(&mut self, own: &[&Own<'_>]) -> Option<Found> {
        let blockers = self.blockers(Packets::All, own)?;
        let (first, _) = own.first()?;
        // That the rest is for both is said once, and `default-accept` is about what takes all.
        let is_rest = first.rule.matches.is_empty() && first.target.chain.is_none();
        if is_rest || blockers.do_the_same(first.rule.action, first.target.layer3) {
            return None;
        }
        let what = format!(
            "this rule is for both directions and never acts on frames {}: {} all that it matches there before it; give it a lower priority number than those, or one direction only",
            first.target.way,
            blockers.words()
        );
        Some(("never-acts-one-way", Severity::Warning, what))
    }

    /// A rule of layer 2 whose frames layer 3 drops, every one. Of frames to the guest, layer 3
    /// of iptables does not see those that the host itself sends or routes.
    fn vain(&self, own: &[&Own<'_>]) -> Option<Found> {
        let accepts = |instance: &Instance<'_>| {
            !instance.target.layer3 && instance.rule.action == Action::Accept
        };
        let hosts = |instance: &Instance<'_>| {
            instance.target.way == Way::ToGuest && self.compiled.backend() == Backend::Ebtables
        };
        let passes = |instance: &Instance<'_>| self.survey.lets_pass(instance.rule);
        if own
            .iter()
            .any(|(instance, _)| !accepts(instance) || passes(instance) || hosts(instance))
        {
            return None;
        }
        let dropping = own
            .iter()
            .flat_map(|(instance, _)| self.survey.dropped_after(instance.rule));
        let dropping: BTreeSet<&RuleId> = dropping.collect();
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

    /// A drop of layer 3 that no first packet of a connection meets, since all that it matches
    /// are accepted with their connections. One for both directions may be for the other.
    fn behind_connections(&mut self, own: &[&Own<'_>]) -> Option<Found> {
        let drops = |action| matches!(action, Action::Drop | Action::Reject);
        let met = |one: &&Own<'_>| {
            !one.0.target.layer3
                || !drops(one.0.rule.action)
                || self.survey.is_met_first(one.0.rule)
        };
        if own.iter().any(met) {
            return None;
        }
        let words = self.blockers(Packets::First, own)?.words();
        let what = format!(
            "this rule stops no connection: {words} the first packet of every one that it matches before it, and with it those that follow; it acts only on answers and on packets of no connection; give it a lower priority number than that"
        );
        Some(("drops-no-connection", Severity::Warning, what))
    }
}

#[cfg(test)]
mod tests;
