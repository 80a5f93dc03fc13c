//! Chains that no frame enters, and what that keeps from acting.

use super::blockers::{Blockers, Target};
use super::finding::{Finding, Severity};
use super::instances::{Instance, Own, entering, guard_of};
use super::survey::Survey;
use crate::nwfilter::evaluate::{Compiled, Way};
use crate::nwfilter::model::RuleId;
use crate::nwfilter::reach::{Packets, Region};
use crate::nwfilter::vocabulary::Action;

/// A chain that no frame enters, with rules that would do otherwise than what comes before it.
pub struct Unentered {
    way: Way,
    chain: usize,
    name: String,
    /// What decides before.
    words: String,
    /// The rules that would do otherwise, each with whether it drops.
    missed: Vec<(RuleId, bool)>,
}

impl Unentered {
    /// Whether the rule stands in it.
    pub fn holds(&self, instance: &Instance<'_>) -> bool {
        instance.target.way == self.way && instance.target.chain == Some(self.chain)
    }

    /// What is said of it.
    pub fn finding(&self) -> Finding {
        let drops = self.missed.iter().any(|(_, drops)| *drops);
        let named = self.missed.iter().filter(|(_, drop)| *drop == drops);
        let named: Vec<&RuleId> = named.map(|(origin, _)| origin).collect();
        let list = named
            .iter()
            .map(ToString::to_string)
            .collect::<Vec<_>>()
            .join(", ");
        let subject = match (drops, named.len()) {
            (true, 1) => format!("its drop never acts there ({list})"),
            (true, _) => format!("its drops never act there ({list})"),
            (false, 1) => format!("its rule never acts there ({list})"),
            (false, _) => format!("its rules never act there ({list})"),
        };
        let message = format!(
            "no frame {} enters the chain {}: {} all of them before it, so that {subject}; give the chain a lower priority number than those",
            self.way, self.name, self.words
        );
        Finding {
            lint: "chain-never-entered",
            severity: Severity::Error,
            filter: named[0].filter.clone(),
            rule: Some(named[0].clone()),
            position: None,
            message,
        }
    }
}

/// All such chains. Of a filter that branches too much there are none.
pub fn find(
    compiled: &Compiled,
    survey: &Survey,
    own: &[(&RuleId, Vec<Own<'_>>)],
    looks: &mut usize,
) -> Vec<Unentered> {
    let mut out = Vec::new();
    for way in Way::ALL {
        for (chain, sub) in compiled.layer2(way).subs.iter().enumerate() {
            if survey.enters(way, chain) {
                continue;
            }
            let target = Target {
                way,
                layer3: false,
                chain: Some(chain),
            };
            let entered = guard_of(compiled, way, chain);
            let frames = survey.kinds.iter();
            let frames: Vec<Region> = frames.filter_map(|kind| entering(kind, entered)).collect();
            let mut blockers = Blockers::of(Packets::All);
            if blockers.add(compiled, target, &frames, looks).is_none() || blockers.is_empty() {
                continue;
            }
            let mut here = Unentered {
                way,
                chain,
                name: sub.name.clone(),
                words: blockers.words(),
                missed: Vec::new(),
            };
            for (origin, own) in own {
                let inside = own.iter().filter(|one| here.holds(&one.0));
                let inside: Vec<&Own<'_>> = inside.collect();
                let Some((first, _)) = inside.first() else {
                    continue;
                };
                let mut blockers = Blockers::of(Packets::All);
                let whole = inside
                    .iter()
                    .all(|one| blockers.add(compiled, target, &one.1, looks).is_some());
                // A return in a chain without frames is missed by nobody.
                let returns = first.rule.action == Action::Return;
                if whole && !returns && !blockers.do_the_same(first.rule.action, false) {
                    let drops = first.rule.action != Action::Accept;
                    here.missed.push(((*origin).clone(), drops));
                }
            }
            if !here.missed.is_empty() {
                out.push(here);
            }
        }
    }
    out
}
