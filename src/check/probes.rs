//! The catalogue's probes through the evaluator.

use crate::frame::Tag;
use crate::layout::Layout;
use crate::nwfilter::evaluate::{Compiled, Decision, Evaluation, Way};
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
    probes(policy, layout)
        .into_iter()
        .map(|probe| judged(filter, layout, probe.with(filter.backend())))
        .collect()
}

fn judged(filter: &Compiled, layout: &Layout, probe: Probe) -> Judged {
    let (way, back) = if probe.is_from_guest() {
        (Way::FromGuest, Way::ToGuest)
    } else {
        (Way::ToGuest, Way::FromGuest)
    };
    let wire = probe.wire(layout);
    // One frame behind the filter is a leak, if it is recognised as the probe's.
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
    let (frame, _, evaluation) =
        best.expect("every probe has a frame with its sign, as a test shows");
    let (outcome, note) = match &evaluation.decision {
        Decision::Accept => (Outcome::Delivered, None),
        Decision::Drop => (Outcome::Dropped, None),
        Decision::Undecided(why) => (Outcome::Unknown, Some(why.clone())),
    };
    // Without a filter nothing stops a frame here, so there is no control to fail.
    let known_gap = probe.known_gap.is_some();
    let verdict = judge(probe.expect, known_gap, Outcome::Delivered, outcome);
    let frame = frame.clone();
    Judged {
        probe,
        outcome,
        note,
        verdict,
        frame,
        evaluation,
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
