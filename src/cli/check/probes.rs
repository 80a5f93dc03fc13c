//! The catalogue's probes through the evaluator.

use crate::frame::Tag;
use crate::layout::Layout;
use crate::nwfilter::evaluate::{Compiled, Decision, Evaluation, Way};
use crate::policy::Policy;
use crate::probe::Pass;
use crate::probe::{Expect, Probe, catalogue};

/// What becomes of a probe.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Fate {
    /// It gets through.
    Delivered,
    /// It is stopped.
    Dropped,
    /// It hangs on what is not modelled, in words.
    Undecided(String),
}

/// What is concluded from it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// As the policy wants it.
    Pass,
    /// Gets through and must not.
    Leak,
    /// Is stopped and must not be.
    Blocked,
    /// Gets through, and no nwfilter could stop it.
    KnownGap,
    /// Not known.
    Undecided,
}

impl Verdict {
    /// In one word, as the reports of `verify` say it.
    pub fn word(self) -> &'static str {
        match self {
            Self::Pass => "pass",
            Self::Leak => "leak",
            Self::Blocked => "blocked",
            Self::KnownGap => "known gap",
            Self::Undecided => "undecided",
        }
    }
}

/// A probe, what became of it, and by which rules.
#[derive(Debug)]
pub struct Judged {
    /// The probe.
    pub probe: Probe,
    /// What became of it.
    pub fate: Fate,
    /// What is concluded.
    pub verdict: Verdict,
    /// The frame that decided.
    pub frame: Vec<u8>,
    /// What happened to it.
    pub outcome: Evaluation,
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
    probes(policy, layout)
        .into_iter()
        .map(|probe| judge(filter, layout, probe))
        .collect()
}

fn judge(filter: &Compiled, layout: &Layout, probe: Probe) -> Judged {
    let (way, back) = if probe.is_from_guest() {
        (Way::FromGuest, Way::ToGuest)
    } else {
        (Way::ToGuest, Way::FromGuest)
    };
    let wire = probe.wire(layout);
    // One sighting behind the filter is a leak; a frame without the sign is none.
    let signed = wire.frames.iter().filter(|frame| probe.sent.matches(frame));
    let tried = signed
        .map(|frame| (frame, way))
        .map(|(frame, way)| (frame, way, filter.evaluate(frame, way)));
    let mut best = tried.max_by_key(|(_, _, outcome)| rank(&outcome.decision));
    let passed = matches!(&best, Some((_, _, outcome)) if outcome.decision == Decision::Accept);
    if passed {
        // An exchange is completed only when its other half passes too.
        let needed = wire
            .needs
            .iter()
            .map(|frame| (frame, back, filter.evaluate(frame, back)));
        let worst = needed.min_by_key(|(_, _, outcome)| rank(&outcome.decision));
        if let Some(worst) = worst.filter(|(_, _, outcome)| outcome.decision != Decision::Accept) {
            best = Some(worst);
        }
    }
    let (frame, _, outcome) = best.expect("every probe has a frame with its sign, as a test shows");
    let fate = match &outcome.decision {
        Decision::Accept => Fate::Delivered,
        Decision::Drop => Fate::Dropped,
        Decision::Undecided(why) => Fate::Undecided(why.clone()),
    };
    Judged {
        verdict: verdict(&probe, &fate),
        frame: frame.clone(),
        probe,
        fate,
        outcome,
    }
}

fn rank(decision: &Decision) -> u8 {
    match decision {
        Decision::Drop => 0,
        Decision::Undecided(_) => 1,
        Decision::Accept => 2,
    }
}

fn verdict(probe: &Probe, fate: &Fate) -> Verdict {
    match (fate, probe.expect) {
        (Fate::Undecided(_), _) => Verdict::Undecided,
        (Fate::Delivered, Expect::Pass) | (Fate::Dropped, Expect::Drop) => Verdict::Pass,
        (Fate::Dropped, Expect::Pass) => Verdict::Blocked,
        (Fate::Delivered, Expect::Drop) if probe.known_gap.is_some() => Verdict::KnownGap,
        (Fate::Delivered, Expect::Drop) => Verdict::Leak,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::nwfilter::{generate, read};
    use rstest::rstest;

    const ARTICLE: &str = include_str!("../../../examples/no-out-traffic.xml");
    const ARTICLES_FATES: &str = include_str!("../../testdata/no-out-traffic.outcomes");
    const GENERATED_FATES: &str = include_str!("../../testdata/generated.outcomes");

    fn judged(filter: &crate::nwfilter::Filter) -> Vec<Judged> {
        let policy = Policy::example();
        let layout = Layout::of(&policy).unwrap();
        let parts = std::slice::from_ref(filter);
        let compiled = Compiled::new(parts, &filter.name, layout.guest.mac, &[]).unwrap();
        judge_all(&compiled, &policy, &layout)
    }

    fn fates(judged: &[Judged]) -> Vec<(String, &'static str)> {
        let fate = |judged: &Judged| match judged.fate {
            Fate::Delivered => "delivered",
            Fate::Dropped => "dropped",
            Fate::Undecided(_) => "undecided",
        };
        judged
            .iter()
            .map(|judged| (judged.probe.id.clone(), fate(judged)))
            .collect()
    }

    /// Probes that guests have tried, of those that are still in the catalogue.
    fn found(recorded: &'static str) -> Vec<(&'static str, &'static str)> {
        let lines = recorded.lines().filter(|line| !line.starts_with('#'));
        lines.filter_map(|line| line.split_once(' ')).collect()
    }

    #[rstest]
    #[case::the_articles(&read(ARTICLE, "article").unwrap(), ARTICLES_FATES)]
    #[case::the_generated(&generate(&Policy::example()), GENERATED_FATES)]
    fn the_evaluator_says_what_guests_found(
        #[case] filter: &crate::nwfilter::Filter,
        #[case] recorded: &'static str,
    ) {
        let ours = fates(&judged(filter));
        let mut compared = 0;
        for (id, fate) in found(recorded) {
            let Some((_, said)) = ours.iter().find(|(ours, _)| ours == id) else {
                continue;
            };
            assert_eq!(*said, fate, "{id}");
            compared += 1;
        }
        // Probes come and go; that hardly any is left would hide a mismatch.
        assert!(
            compared >= ours.len() * 9 / 10,
            "{compared} of {}",
            ours.len()
        );
    }

    #[test]
    fn the_generated_filter_passes_every_probe() {
        for judged in judged(&generate(&Policy::example())) {
            let good = matches!(judged.verdict, Verdict::Pass | Verdict::KnownGap);
            assert!(good, "{}: {:?}", judged.probe.id, judged.fate);
        }
    }
}
