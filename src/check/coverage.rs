//! Which probes test which rules of a filter.

use super::probes::Judged;
use crate::nwfilter::RuleId;
use crate::nwfilter::evaluate::{Compiled, TraceStep, Way};
use std::collections::BTreeMap;

/// The EtherTypes whose packets layer 3 sees.
const LAYER3: [u128; 2] = [0x0800, 0x86dd];

/// A rule with the probes that match it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RuleCoverage {
    /// The rule.
    pub rule: RuleId,
    /// Ids of the probes whose deciding frame it matches, in the catalogue's order.
    pub probes: Vec<String>,
}

/// Every rule that is bound, in the order of filters and rules, with the probes that match it.
/// Without a probe nothing tests the rule: it could be another one, and no verdict would change.
pub fn coverage(filter: &Compiled, probes: &[Judged]) -> Vec<RuleCoverage> {
    let mut found: BTreeMap<&RuleId, Vec<String>> =
        bound(filter).map(|it| (it, Vec::new())).collect();
    for judged in probes {
        for rule in judged.evaluation.trace.iter().filter_map(TraceStep::origin) {
            let ids = found.entry(rule).or_default();
            if ids.last() != Some(&judged.probe.id) {
                ids.push(judged.probe.id.clone());
            }
        }
    }
    let rules = found.into_iter();
    rules
        .map(|(rule, probes)| RuleCoverage {
            rule: rule.clone(),
            probes,
        })
        .collect()
}

/// The rules that are bound; a rule with lists or of both directions comes several times.
fn bound(filter: &Compiled) -> impl Iterator<Item = &RuleId> {
    Way::ALL.into_iter().flat_map(move |way| {
        let layer3 = LAYER3
            .into_iter()
            .flat_map(move |kind| filter.layer3(way, kind));
        let rules = filter.layer2(way).rules().chain(layer3);
        rules.map(|rule| &rule.origin)
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::check::probes::judge_all;
    use crate::layout::Layout;
    use crate::nwfilter::read;
    use crate::policy::Policy;

    #[test]
    fn a_rule_that_no_probe_reaches_has_none() {
        let text = "<filter name='x'>\
                    <rule action='drop' direction='out'><ip dstipaddr='198.18.7.7' protocol='tcp' dstportstart='4711'/></rule>\
                    <rule action='accept' direction='inout'/>\
                    <rule action='drop' direction='out'/></filter>";
        let (filter, policy) = (read(text, "test").unwrap(), Policy::example());
        let layout = Layout::of(&policy).unwrap();
        let compiled = Compiled::new(&[filter], "x", layout.guest.mac, &[]).unwrap();
        let found = coverage(&compiled, &judge_all(&compiled, &policy, &layout));
        let counts: Vec<(usize, bool)> = found
            .iter()
            .map(|it| (it.rule.rule, it.probes.is_empty()))
            .collect();
        assert_eq!(counts, [(1, true), (2, false), (3, true)]);
        assert!(found[1].probes.contains(&"wan-ipv4/udp-53".to_owned()));
    }
}
