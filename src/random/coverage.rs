//! Which rules of a filter the frames have met.

use crate::nwfilter::RuleId;
use crate::nwfilter::evaluate::{
    Compiled, CompiledRule, ConnectionState, Decision, Evaluation, RootStep, TraceStep, Way,
};
use std::collections::BTreeSet;

/// A rule in one direction: whether from the guest, and which rule.
type Spot = (bool, RuleId);

/// The rules that a frame can match, and those that one did. A rule with lists
/// counts once a direction. Rules that wait for a known connection or test what
/// is not modelled do not count.
#[derive(Debug, Clone, Default)]
pub struct Coverage {
    all: BTreeSet<Spot>,
    hit: BTreeSet<Spot>,
}

impl Coverage {
    /// Of a filter before the first frame.
    pub fn of(compiled: &Compiled) -> Self {
        let mut all = BTreeSet::new();
        for way in [Way::FromGuest, Way::ToGuest] {
            let layer2 = compiled.layer2(way);
            let roots = layer2.root.iter().flatten().filter_map(|step| match step {
                RootStep::Rule(rule) => Some(rule),
                RootStep::Jump(_) => None,
            });
            let subs = layer2.subs.iter().flat_map(|sub| &sub.rules);
            let layer3 = [0x0800, 0x86dd].map(|kind| compiled.layer3(way, kind));
            let rules = roots.chain(subs).chain(layer3.into_iter().flatten());
            let counts = |rule: &&CompiledRule| {
                rule.state != ConnectionState::Known && rule.undecided.is_none()
            };
            all.extend(
                rules
                    .filter(counts)
                    .map(|rule| (way == Way::FromGuest, rule.origin.clone())),
            );
        }
        Self {
            all,
            hit: BTreeSet::new(),
        }
    }

    /// Counts the rules that a decided frame matched; true if one of them was not
    /// matched before.
    pub fn add(&mut self, way: Way, outcome: &Evaluation) -> bool {
        if matches!(outcome.decision, Decision::Undecided(_)) {
            return false;
        }
        let before = self.hit.len();
        let met = outcome.trace.iter().filter_map(TraceStep::origin);
        let met = met.map(|origin| (way == Way::FromGuest, origin.clone()));
        self.hit.extend(met.filter(|spot| self.all.contains(spot)));
        self.hit.len() > before
    }

    /// How many rules were met.
    pub fn hit(&self) -> usize {
        self.hit.len()
    }

    /// How many there are.
    pub fn all(&self) -> usize {
        self.all.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::frame::{Ip4, Link, ethertype};
    use crate::nwfilter::read;
    use std::net::Ipv4Addr;

    #[test]
    fn rules_count_by_direction_and_are_met_once() {
        let text = "<filter name='x'>\
            <rule action='drop' direction='inout'><ip dstipaddr='192.0.2.1'/></rule>\
            <rule action='drop' direction='out'><arp/></rule></filter>";
        let filter = read(text, "test").unwrap();
        let compiled = Compiled::new(&[filter], "x", [2, 0, 0, 0, 0, 1], &[]).unwrap();
        let mut coverage = Coverage::of(&compiled);
        assert_eq!((coverage.hit(), coverage.all()), (0, 3));
        let [from, to] = [1, 2].map(|last| Ipv4Addr::new(192, 0, 2, last));
        let frame = Link::new([2, 0, 0, 0, 0, 1], [2, 0, 0, 0, 0, 2])
            .frame(ethertype::IPV4, &Ip4::new(from, to).udp(1, 2, b""));
        let mut meet = |way| coverage.add(way, &compiled.evaluate(&frame, way));
        assert!(meet(Way::FromGuest), "turned round");
        assert!(!meet(Way::FromGuest), "again");
        assert!(!meet(Way::ToGuest), "another destination");
        assert_eq!(coverage.hit(), 1);
    }
}
