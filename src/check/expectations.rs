//! What a policy expects of every filter: the probes of the catalogue, and its statements.

use super::probes::{Judged, Trial, trials};
use super::usual;
use crate::layout::Layout;
use crate::nwfilter::evaluate::{Backend, Compiled};
use crate::nwfilter::statements::{Held, Places, Ruling, Rulings};
use crate::policy::Policy;
use crate::verdict::{Conclusion, Counts, Verdict};
use std::net::IpAddr;

/// What does not depend on a filter: make it once for a policy and judge many filters by it.
#[derive(Debug, Clone)]
pub struct Expectations {
    trials: Vec<Trial>,
    rulings: Rulings,
}

/// What the probes and the exact sets of all frames say of a filter.
#[derive(Debug)]
pub struct Judgement {
    /// The probes of the catalogue, in its order.
    pub probes: Vec<Judged>,
    /// The policy's statements that require or forbid, in their order.
    pub statements: Vec<Held>,
}

impl Expectations {
    /// Those of a policy for the guest of a layout. `own` are the guest's addresses where they
    /// are known, as those of its interface's parameters; a family without one stands for a
    /// guest that may have every address of the LAN.
    pub fn of(policy: &Policy, layout: &Layout, own: &[IpAddr], backend: Backend) -> Self {
        let places = Places::of(policy, layout.guest.mac, own);
        Self {
            trials: trials(policy, layout, !own.is_empty(), backend),
            rulings: Rulings::of(&places, &usual(layout)),
        }
    }

    /// The probes with their frames, for who needs verdicts only.
    pub fn trials(&self) -> &[Trial] {
        &self.trials
    }

    /// The policy over all frames.
    pub fn rulings(&self) -> &Rulings {
        &self.rulings
    }

    /// Judges a filter, which must be compiled for the back end.
    pub fn judge(&self, filter: &Compiled) -> Judgement {
        Judgement {
            probes: self
                .trials
                .iter()
                .map(|trial| trial.judged(filter))
                .collect(),
            statements: self.rulings.hold(filter),
        }
    }
}

impl Judgement {
    /// The probes with a verdict.
    pub fn with(&self, verdict: Verdict) -> impl Iterator<Item = &Judged> {
        let probes = self.probes.iter();
        probes.filter(move |judged| judged.verdict == verdict)
    }

    /// How many probes came out how.
    pub fn counts(&self) -> Counts {
        Counts::of(self.probes.iter().map(|judged| judged.verdict))
    }

    /// The statements with this ruling that are not kept.
    pub fn broken(&self, ruling: Ruling) -> impl Iterator<Item = &Held> {
        let statements = self.statements.iter();
        statements.filter(move |held| held.statement.ruling() == ruling && !held.wrong.is_empty())
    }

    /// What it comes to.
    pub fn conclusion(&self) -> Conclusion {
        let counts = self.counts();
        let wrong = self.statements.iter().any(|held| !held.wrong.is_empty());
        if counts.failed() > 0 || wrong {
            Conclusion::Fail
        } else if counts.inconclusive > 0 || !self.statements.iter().all(Held::is_proven) {
            Conclusion::Inconclusive
        } else {
            Conclusion::Pass
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::check::probes::probes;
    use crate::nwfilter::evaluate::{Decision, Way};
    use crate::nwfilter::reach::classes;
    use crate::nwfilter::statements::Statement;
    use crate::nwfilter::{Entry, generate};
    use crate::probe::Expect;
    use crate::random::{GUEST, Random, boundary_frames, case};
    use std::collections::BTreeSet;

    /// The statements and the probes are two readings of one policy.
    #[test]
    fn the_statements_say_of_every_probe_what_the_catalogue_expects() {
        let texts = [
            Policy::EXAMPLE,
            "[lan]\nprefixes = [\"10.1.0.0/16\", \"10.2.0.0/16\", \"fe80::/10\", \"fd00:1::/64\"]\n[dhcp]\nservers = [\"10.9.0.1\"]\n[allow]\nhosts = [\"203.0.113.5/32\", \"2001:db8::5/128\"]\n",
            "[lan]\nprefixes = [\"192.168.1.0/24\"]\nlink-local = true\n",
            "[lan]\nprefixes = [\"10.1.0.0/16\"]\n[dhcp]\nclient = false\n[broadcast]\nlimited = false\n[multicast]\ngroups = []\n",
        ];
        let (mut wrong, mut told) = (Vec::new(), 0);
        for text in texts {
            let policy = Policy::parse(text, "test").unwrap();
            let layout = Layout::of(&policy).unwrap();
            let expectations = Expectations::of(&policy, &layout, &[], Backend::Ebtables);
            for probe in probes(&policy, &layout) {
                let way = if probe.is_from_guest() {
                    Way::FromGuest
                } else {
                    Way::ToGuest
                };
                for frame in probe.wire(&layout).frames {
                    let Some(statement) = expectations.rulings.statement(&frame, way) else {
                        continue;
                    };
                    told += 1;
                    let expected = match probe.expect {
                        Expect::Pass => Ruling::Required,
                        Expect::Drop => Ruling::Forbidden,
                    };
                    if statement.ruling() != expected && probe.known_gap.is_none() {
                        wrong.push(format!(
                            "{} {:?}: {}",
                            probe.id,
                            probe.expect,
                            statement.id()
                        ));
                    }
                }
            }
        }
        assert!(told > 600, "{told}");
        assert_eq!(wrong, Vec::<String>::new());
    }

    /// The generated filter with some rules of a random one among its own.
    fn spoilt(random: &mut Random, policy: &Policy) -> Option<Compiled> {
        let mut filter = generate(policy);
        let case = case(random);
        let rules: Vec<Entry> = case
            .filters
            .iter()
            .flat_map(|filter| filter.rules().cloned().map(Entry::Rule))
            .collect();
        for entry in rules.into_iter().take(3) {
            let at = random.below(filter.entries.len());
            let mut entry = entry;
            // Among the rules that the generator numbers from 100 on.
            if let Entry::Rule(rule) = &mut entry {
                rule.priority = Some(i16::try_from(99 + at).unwrap());
            }
            filter.entries.insert(at, entry);
        }
        Compiled::new(&[filter], &policy.name, GUEST, &case.parameters).ok()
    }

    #[test]
    fn no_frame_contradicts_a_statement_that_is_proven() {
        let policy = Policy::example();
        let layout = Layout::of(&policy).unwrap().with_guest_mac(GUEST);
        let expectations = Expectations::of(&policy, &layout, &[], Backend::Ebtables);
        let rulings = expectations.rulings();
        let (mut checked, mut proven, mut broken) = (0, 0, 0);
        for number in 0..60 {
            let mut random = Random::of(5, number);
            let Some(filter) = spoilt(&mut random, &policy) else {
                continue;
            };
            let held = rulings.hold(&filter);
            let kept: BTreeSet<Statement> = held
                .iter()
                .filter(|held| held.is_proven())
                .map(|held| held.statement)
                .collect();
            (proven, broken) = (proven + kept.len(), broken + held.len() - kept.len());
            for frame in boundary_frames(&filter, &mut random, 300) {
                for way in Way::ALL {
                    let statement = rulings.statement(&frame, way);
                    let Some(statement) = statement.filter(|statement| kept.contains(statement))
                    else {
                        continue;
                    };
                    let expected = match statement.ruling() {
                        Ruling::Required => Decision::Accept,
                        _ => Decision::Drop,
                    };
                    let decision = filter.decide(&frame, way);
                    if !matches!(decision, Decision::Undecided(_)) {
                        assert_eq!(decision, expected, "{number} {statement:?} {frame:02x?}");
                        checked += 1;
                    }
                }
            }
            for class in classes(&filter, &policy, &usual(&layout)) {
                let told = held.iter().any(|held| !held.is_proven());
                assert!(told || class.is_proven(), "{number} {}", class.name);
            }
        }
        assert!(
            checked > 8_000 && broken > 150 && proven > 1000,
            "{checked} {broken} {proven}"
        );
    }
}
