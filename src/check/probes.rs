//! The catalogue's probes through the evaluator.

use crate::frame::Tag;
use crate::layout::Layout;
use crate::nwfilter::evaluate::{Backend, Compiled, Decision, Evaluation, Way};
use crate::policy::Policy;
use crate::probe::{Pass, Probe, catalogue};
use crate::verdict::{Outcome, Verdict, judge};

/// A probe, what became of it, and by which rules.
#[derive(Debug)]
pub struct Judged {
    /// The probe.
    pub probe: Probe,
    /// What became of it.
    pub outcome: Outcome,
    /// What the evaluator does not model, where the outcome hangs on that.
    pub note: Option<String>,
    /// What is concluded.
    pub verdict: Verdict,
    /// The frame that decided.
    pub frame: Vec<u8>,
    /// Which way it goes.
    pub way: Way,
    /// What happened to the frame, rule by rule.
    pub evaluation: Evaluation,
}

/// Every probe for a policy.
pub fn probes(policy: &Policy, layout: &Layout) -> Vec<Probe> {
    let tag = |index| Tag {
        run: 0,
        pass: Pass::Filtered.number(),
        index,
    };
    catalogue(policy, layout, tag)
}

/// Every probe for a policy, judged.
pub fn judge_all(filter: &Compiled, policy: &Policy, layout: &Layout) -> Vec<Judged> {
    let trials = trials(policy, layout, false, filter.backend());
    trials.iter().map(|trial| trial.judged(filter)).collect()
}

/// Every probe for a policy with its frames, to be judged for many filters. Those may be
/// for one guest only, whose address they know.
pub fn trials(policy: &Policy, layout: &Layout, knows_guest: bool, backend: Backend) -> Vec<Trial> {
    let probes = probes(policy, layout).into_iter();
    let probes = probes.filter(|probe| probe.suits(knows_guest));
    let probes = probes.map(|probe| probe.with(backend));
    probes.map(|probe| Trial::of(probe, layout)).collect()
}

/// Ids of the probes that say nothing of a filter which knows its guest's address.
pub fn left_out(policy: &Policy, layout: &Layout) -> Vec<String> {
    let probes = probes(policy, layout).into_iter();
    let left_out = probes.filter(|probe| !probe.suits(true));
    left_out.map(|probe| probe.id).collect()
}

/// A probe with its frames.
#[derive(Debug, Clone)]
pub struct Trial {
    /// The probe.
    pub probe: Probe,
    way: Way,
    /// Those that are recognised as the probe's: one behind the filter is a leak.
    frames: Vec<Vec<u8>>,
    /// An exchange is completed only when these pass too, the other way.
    needs: Vec<Vec<u8>>,
}

impl Trial {
    /// A probe with its frames in a layout.
    pub fn of(probe: Probe, layout: &Layout) -> Self {
        let way = if probe.is_from_guest() {
            Way::FromGuest
        } else {
            Way::ToGuest
        };
        let mut wire = probe.wire(layout);
        wire.frames.retain(|frame| probe.sent.matches(frame));
        Self {
            probe,
            way,
            frames: wire.frames,
            needs: wire.needs,
        }
    }

    /// Whether lanfence can make a frame that is recognised as the probe's. Only the guest can
    /// make some of those of a firmware.
    pub fn has_frame(&self) -> bool {
        !self.frames.is_empty()
    }

    fn back(&self) -> Way {
        match self.way {
            Way::FromGuest => Way::ToGuest,
            Way::ToGuest => Way::FromGuest,
        }
    }

    /// What is concluded of the probe behind a filter, without what the filter did to it.
    pub fn verdict(&self, filter: &Compiled) -> Verdict {
        let decide = |frame, way| filter.decide(frame, way);
        let tried = self.frames.iter().map(|frame| decide(frame, self.way));
        let best = tried.max_by_key(rank).expect(HAS_A_FRAME);
        let back = self.back();
        let needed = self.needs.iter().map(|frame| decide(frame, back));
        let decision = match best {
            Decision::Accept => needed.min_by_key(rank).unwrap_or(Decision::Accept),
            other => other,
        };
        self.judge(outcome(&decision))
    }

    fn judge(&self, outcome: Outcome) -> Verdict {
        // Without a filter nothing stops a frame here, so there is no control to fail.
        let known_gap = self.probe.known_gap.is_some();
        judge(self.probe.expect, known_gap, Outcome::Delivered, outcome)
    }

    /// What is concluded of the probe behind a filter, and by which of its rules.
    pub fn judged(&self, filter: &Compiled) -> Judged {
        let tried = self
            .frames
            .iter()
            .map(|frame| (frame, filter.evaluate(frame, self.way)));
        let mut best = tried.max_by_key(|(_, found)| rank(&found.decision));
        let mut way = self.way;
        let passed = matches!(&best, Some((_, found)) if found.decision == Decision::Accept);
        if passed {
            let back = self.back();
            let needed = self
                .needs
                .iter()
                .map(|frame| (frame, filter.evaluate(frame, back)));
            let worst = needed.min_by_key(|(_, found)| rank(&found.decision));
            if let Some(worst) = worst.filter(|(_, found)| found.decision != Decision::Accept) {
                best = Some(worst);
                way = back;
            }
        }
        let (frame, evaluation) = best.expect(HAS_A_FRAME);
        let note = match &evaluation.decision {
            Decision::Undecided(why) => Some(why.clone()),
            _ => None,
        };
        let outcome = outcome(&evaluation.decision);
        Judged {
            outcome,
            note,
            verdict: self.judge(outcome),
            frame: frame.clone(),
            way,
            evaluation,
            probe: self.probe.clone(),
        }
    }
}

/// A probe through the evaluator, as [`judge_all`] does it. None for a probe whose frames a guest's
/// firmware makes.
pub fn judge_one(probe: &Probe, layout: &Layout, filter: &Compiled) -> Option<Judged> {
    let trial = Trial::of(probe.clone(), layout);
    trial.has_frame().then(|| trial.judged(filter))
}

/// The first frame that a probe is recognised by. None for a probe whose frames a guest's
/// firmware makes.
pub fn frame(probe: &Probe, layout: &Layout) -> Option<Vec<u8>> {
    Trial::of(probe.clone(), layout).frames.into_iter().next()
}

const HAS_A_FRAME: &str = "every probe has a frame with its sign, as a test shows";

fn outcome(decision: &Decision) -> Outcome {
    match decision {
        Decision::Accept => Outcome::Delivered,
        Decision::Drop => Outcome::Dropped,
        Decision::Undecided(_) => Outcome::Unknown,
    }
}

fn rank(decision: &Decision) -> u8 {
    match decision {
        Decision::Drop => 0,
        Decision::Undecided(_) => 1,
        Decision::Accept => 2,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::nwfilter::evaluate::Backend;
    use crate::nwfilter::{generate, read};
    use rstest::rstest;

    const ARTICLE: &str = include_str!("../../examples/no-out-traffic.xml");
    const ARTICLES: &str = include_str!("../testdata/no-out-traffic.outcomes");
    const GENERATED: &str = include_str!("../testdata/generated.outcomes");

    fn all(filter: &crate::nwfilter::Filter) -> Vec<Judged> {
        all_with(filter, Backend::Ebtables)
    }

    fn all_with(filter: &crate::nwfilter::Filter, backend: Backend) -> Vec<Judged> {
        let policy = Policy::example();
        let layout = Layout::of(&policy).unwrap();
        let (parts, mac) = (std::slice::from_ref(filter), layout.guest.mac);
        let compiled = Compiled::with_backend(parts, &filter.name, mac, &[], backend).unwrap();
        judge_all(&compiled, &policy, &layout)
    }

    /// Probes that guests have tried, of those that are still in the catalogue.
    fn found(recorded: &'static str) -> Vec<(&'static str, &'static str)> {
        let lines = recorded.lines().filter(|line| !line.starts_with('#'));
        lines.filter_map(|line| line.split_once(' ')).collect()
    }

    #[rstest]
    #[case::the_articles(&read(ARTICLE, "article").unwrap(), ARTICLES)]
    #[case::the_generated(&generate(&Policy::example()), GENERATED)]
    fn the_evaluator_says_what_guests_found(
        #[case] filter: &crate::nwfilter::Filter,
        #[case] recorded: &'static str,
    ) {
        let ours = all(filter);
        let mut compared = 0;
        for (id, outcome) in found(recorded) {
            let Some(judged) = ours.iter().find(|judged| judged.probe.id == id) else {
                continue;
            };
            assert_eq!(judged.outcome.word(), outcome, "{id}");
            compared += 1;
        }
        // Probes come and go; that hardly any is left would hide a mismatch.
        assert!(
            compared >= ours.len() * 9 / 10,
            "{compared} of {}",
            ours.len()
        );
    }

    #[rstest]
    fn the_generated_filter_passes_every_probe(
        #[values(Backend::Ebtables, Backend::Nftables)] backend: Backend,
    ) {
        for judged in all_with(&generate(&Policy::example()), backend) {
            let good = matches!(judged.verdict, Verdict::Pass | Verdict::KnownGap);
            assert!(good, "{}: {:?}", judged.probe.id, judged.outcome);
        }
    }
}
