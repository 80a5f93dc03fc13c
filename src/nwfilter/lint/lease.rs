//! DHCP that a filter lets through in one place and stops in another.

use super::blockers::Blockers;
use super::finding::{Finding, Severity};
use super::instances::{Instance, Own};
use super::survey::Survey;
use crate::nwfilter::evaluate::field::Field;
use crate::nwfilter::evaluate::{Backend, Compiled, CompiledRule, Way};
use crate::nwfilter::intervals::IntervalSet;
use crate::nwfilter::model::RuleId;
use crate::nwfilter::reach::{Packets, Region};
use crate::nwfilter::vocabulary::Action;

/// DHCP of one family: what the guest asks when it has no lease, and what it gets.
struct Family {
    name: &'static str,
    ether_type: u128,
    question: [(Field, (u128, u128)); 4],
    answer: [(Field, (u128, u128)); 2],
}

/// fe80::/10, and all DHCP servers (RFC 8415 section 7.1).
const LINK_LOCAL: (u128, u128) = (0xfe80 << 112, (0xfec0 << 112) - 1);
const SERVERS6: u128 = 0xff02 << 112 | 0x1_0002;

const FAMILIES: [Family; 2] = [
    Family {
        name: "DHCP",
        ether_type: 0x0800,
        question: [
            (Field::Src, (0, 0)),
            (Field::Dst, (0xffff_ffff, 0xffff_ffff)),
            (Field::SrcPort, (68, 68)),
            (Field::DstPort, (67, 67)),
        ],
        answer: [(Field::SrcPort, (67, 67)), (Field::DstPort, (68, 68))],
    },
    Family {
        name: "DHCPv6",
        ether_type: 0x86dd,
        question: [
            (Field::Src, LINK_LOCAL),
            (Field::Dst, (SERVERS6, SERVERS6)),
            (Field::SrcPort, (546, 546)),
            (Field::DstPort, (547, 547)),
        ],
        answer: [(Field::SrcPort, (547, 547)), (Field::DstPort, (546, 546))],
    },
];

/// Whether a rule is about the ports of DHCP (67 and 68, and 546 and 547 for IPv6).
pub fn is_dhcp(rule: &CompiledRule) -> bool {
    let dhcp = IntervalSet::of(vec![(67, 68), (546, 547)]);
    let mut ports = rule
        .matches
        .iter()
        .filter(|test| matches!(test.field, Field::SrcPort | Field::DstPort));
    ports.any(|test| test.set.is_within(&dhcp))
}

/// The first rule of each family that lets the guest ask for a lease which it cannot get.
pub fn find(
    compiled: &Compiled,
    survey: &Survey,
    own: &[(&RuleId, Vec<Own<'_>>)],
    looks: &mut usize,
) -> Vec<Finding> {
    let families = FAMILIES.iter();
    let found = families.filter_map(|family| {
        let mut rules = own
            .iter()
            .flat_map(|(_, own)| own.iter().map(|(instance, _)| instance));
        let asking = rules.find(|instance| family.is_asked_by(instance, survey))?;
        let message = family.stopped(compiled, survey, asking, looks)?;
        let origin = asking.rule.origin.clone();
        Some(Finding {
            lint: "no-lease",
            severity: Severity::Warning,
            filter: origin.filter.clone(),
            rule: Some(origin),
            position: None,
            message,
        })
    });
    found.collect()
}

impl Family {
    fn is_asked_by(&self, instance: &Instance<'_>, survey: &Survey) -> bool {
        let rule = instance.rule;
        let accepts = instance.target.way == Way::FromGuest && rule.action == Action::Accept;
        let asks = |region: Region| region.matching(&rule.matches).is_some();
        accepts && is_dhcp(rule) && self.frames(survey, &self.question).into_iter().any(asks)
    }

    /// Whole packets of UDP with these values.
    fn frames(&self, survey: &Survey, values: &[(Field, (u128, u128))]) -> Vec<Region> {
        let limited = |region: &Region| {
            let mut region = region.clone();
            let own = [(Field::EtherType, (self.ether_type, self.ether_type))];
            let udp = [(Field::Protocol, (17, 17))];
            for (field, (low, high)) in own.iter().chain(&udp).chain(values) {
                let set = region
                    .get(*field)
                    .intersection(&IntervalSet::range(*low, *high));
                if set.is_empty() {
                    return None;
                }
                region = region.with(*field, set);
            }
            Some(region)
        };
        let kinds = survey.kinds.iter();
        let whole = kinds.filter(|kind| !kind.extensions);
        whole
            .filter_map(|kind| Some(kind.agreeing(limited(&kind.region)?)))
            .collect()
    }

    /// What stops the questions that a rule accepts, or every answer. An answer to a question
    /// that was sent to all belongs to no connection.
    fn stopped(
        &self,
        compiled: &Compiled,
        survey: &Survey,
        asking: &Instance<'_>,
        looks: &mut usize,
    ) -> Option<String> {
        let name = self.name;
        let questions = self.frames(survey, &self.question).into_iter();
        let questions: Vec<Region> = questions
            .filter_map(|region| region.matching(&asking.rule.matches))
            .collect();
        if let Some(blockers) = blockers(compiled, Way::FromGuest, &questions, looks) {
            return Some(format!(
                "the guest gets no {name} lease: this rule accepts its first question, and {} it; a frame must pass both layers, so accept it in the other one too",
                blockers.words()
            ));
        }
        let answers = self.frames(survey, &self.answer);
        let blockers = blockers(compiled, Way::ToGuest, &answers, looks)?;
        let hosts = !blockers.layer2 && compiled.backend() == Backend::Ebtables;
        let but = if hosts {
            ", but of a server on the host itself"
        } else {
            ""
        };
        Some(format!(
            "the guest gets no {name} lease{but}: this rule lets it ask, and {} every answer, which belongs to no connection; accept the answers too",
            blockers.words()
        ))
    }
}

/// What stops frames, where none of them passes.
fn blockers(
    compiled: &Compiled,
    way: Way,
    frames: &[Region],
    looks: &mut usize,
) -> Option<Blockers> {
    let mut blockers = Blockers::of(Packets::First);
    blockers.add_ends(compiled, way, frames, looks)?;
    let stops = !blockers.is_empty() && blockers.do_the_same(Action::Drop, true);
    stops.then_some(blockers)
}
