//! From the kernel's counters to the filter's own rules.

use super::job::Job;
use crate::frame::Mac;
use crate::lab::ruleset::CountedChain;
use crate::nwfilter::evaluate::{Compiled, RootStep, Way};
use crate::nwfilter::learning::given_address;
use crate::nwfilter::vocabulary::variables;
use crate::nwfilter::{self, Filter, RuleId};
use crate::report::model::RuleHits;
use std::collections::BTreeMap;
use std::net::Ipv4Addr;

/// The job's filter as the evaluator compiles it: the order of its rules in the kernel. None where
/// there is no filter, or the evaluator does not understand it.
pub fn order(job: &Job) -> Option<Compiled> {
    let read = |text: &super::filter::FilterText| nwfilter::read(&text.xml, &text.name).ok();
    let filters: Vec<Filter> = job.filters.iter().filter_map(read).collect();
    let mut parameters = job.parameters.clone();
    if job.learning.is_some() && given_address(&parameters).is_none() {
        parameters.push((variables::IP.to_owned(), Ipv4Addr::LOCALHOST.to_string()));
    }
    let top = job.bind.as_deref()?;
    Compiled::with_backend(&filters, top, Mac::default(), &parameters, job.backend).ok()
}

/// The frames that each rule of layer 2 matched, summed over the times that the filter was bound.
/// None where libvirt made other rules than the evaluator expects: then nothing is known.
pub fn hits(filter: &Compiled, bound: &[Vec<CountedChain>]) -> Option<Vec<RuleHits>> {
    let mut sums: BTreeMap<&RuleId, u64> = BTreeMap::new();
    for chains in bound {
        for way in Way::ALL {
            for (name, rules) in expected(filter, way) {
                let frames = frames(chains, way, name);
                if frames.len() != rules.len() {
                    return None;
                }
                for (rule, frames) in rules.into_iter().zip(frames) {
                    *sums.entry(rule).or_default() += frames;
                }
            }
        }
    }
    let rules = sums.into_iter().map(|(rule, frames)| RuleHits {
        filter: rule.filter.clone(),
        rule: rule.rule,
        frames,
    });
    Some(rules.collect())
}

/// The chains of a direction, each with its rules in order.
fn expected(filter: &Compiled, way: Way) -> Vec<(Option<&str>, Vec<&RuleId>)> {
    let layer = filter.layer2(way);
    let root = layer.root.iter().flatten().filter_map(|step| match step {
        RootStep::Rule(rule) => Some(&rule.origin),
        RootStep::Jump(_) => None,
    });
    let subs = layer.subs.iter().map(|sub| {
        let rules = sub.rules.iter().map(|rule| &rule.origin);
        (Some(sub.name.as_str()), rules.collect())
    });
    std::iter::once((None, root.collect()))
        .chain(subs)
        .collect()
}

/// The counters of a chain's rules, without its jumps.
fn frames(chains: &[CountedChain], way: Way, name: Option<&str>) -> Vec<u64> {
    let mut own = chains.iter().filter(|chain| chain.way == way);
    let chain = own.find(|chain| chain.name.as_deref() == name);
    let rules = chain.into_iter().flat_map(|chain| &chain.rules);
    let rules = rules.filter(|rule| !rule.is_jump);
    rules.map(|rule| rule.frames).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::lab::ruleset::CountedRule;
    use crate::nwfilter::read;

    fn compiled() -> Compiled {
        let sub = "<filter name='s' chain='ipv4'><rule action='drop' direction='out'><ip protocol='tcp'/></rule></filter>";
        let top = "<filter name='x'><filterref filter='s'/><rule action='accept' direction='inout'><arp/></rule><rule action='drop' direction='out'/></filter>";
        let filters = [sub, top].map(|text| read(text, "test").unwrap());
        Compiled::new(&filters, "x", Mac::default(), &[]).unwrap()
    }

    fn chain(way: Way, name: Option<&str>, rules: &[(u64, bool)]) -> CountedChain {
        let rules = rules
            .iter()
            .map(|&(frames, is_jump)| CountedRule { frames, is_jump });
        CountedChain {
            way,
            name: name.map(str::to_owned),
            rules: rules.collect(),
        }
    }

    #[test]
    fn counters_come_to_the_rules_in_their_order() {
        let chains = vec![
            chain(Way::FromGuest, None, &[(9, true), (3, false), (4, false)]),
            chain(Way::FromGuest, Some("ipv4"), &[(2, false)]),
            chain(Way::ToGuest, None, &[(5, false)]),
        ];
        let found = hits(&compiled(), &[chains.clone(), chains]).expect("the same rules");
        let found: Vec<(&str, usize, u64)> = found
            .iter()
            .map(|hit| (hit.filter.as_str(), hit.rule, hit.frames))
            .collect();
        assert_eq!(found, [("s", 1, 4), ("x", 1, 16), ("x", 2, 8)]);
    }

    #[test]
    fn other_rules_than_expected_say_nothing() {
        let chains = vec![chain(Way::FromGuest, None, &[(3, false)])];
        assert_eq!(hits(&compiled(), &[chains]), None);
    }
}
