//! Why a filter treats frames otherwise than the policy says: leaks and blocks grouped by what in
//! the filter decides about them.
//!
//! A [`Cause`] comes from the evaluator: which rule decided about the frame, or that none matched
//! and in which chain, and what of the frame the policy holds against it. No table names a
//! filter, a rule or a probe. What was observed and what the evaluator says must agree; where
//! they do not, the cause says that it is not explained.

mod aspect;
mod cause;
mod decider;
mod gather;
mod key;
mod subject;
#[cfg(test)]
mod tests;
mod words;

pub use cause::{Cause, CausePlace, CausingRule, join};
pub use subject::Subject;

use crate::check::Judgement;
use crate::check::probes::Judged;
use crate::nwfilter::FilterTree;
use crate::nwfilter::evaluate::Decision;
use crate::nwfilter::statements::Ruling;
use crate::verdict::{Failure, Verdict};
use gather::{Groups, Sight};

/// A probe that came out wrong.
#[derive(Debug, Clone, Copy)]
pub struct Observed<'a> {
    /// The probe's stable name.
    pub id: &'a str,
    /// What was observed.
    pub failure: Failure,
    /// What the evaluator says of it; none where it does not know the probe.
    pub evaluated: Option<&'a Judged>,
}

/// Why probes came out wrong, leaks first, and first what has the most probes. Each of them
/// stands in exactly one cause.
pub fn causes<'a>(
    subject: &Subject<'_>,
    observed: impl IntoIterator<Item = Observed<'a>>,
) -> Vec<Cause> {
    let mut groups = Groups::default();
    for probe in observed {
        let sight = sight(subject, &probe);
        groups.of(probe.failure, sight).probes.push(probe.id.into());
    }
    groups.causes(subject.tree)
}

/// The causes of all that a judgement finds wrong, in probes and in the policy's statements.
pub fn causes_of(subject: &Subject<'_>, judgement: &Judgement) -> Vec<Cause> {
    let mut groups = Groups::default();
    for judged in &judgement.probes {
        if let Verdict::Fail(failure) = judged.verdict {
            let frame = (judged.frame.as_slice(), judged.way);
            let sight = Sight::of(subject, failure, frame, &judged.evaluation);
            let id = judged.probe.id.clone();
            groups.of(failure, sight).probes.push(id);
        }
    }
    for held in &judgement.statements {
        let failure = match held.statement.ruling() {
            Ruling::Required => Failure::Blocked,
            _ => Failure::Leak,
        };
        for wrong in &held.wrong {
            let frame = (wrong.frame.as_slice(), held.statement.way());
            let sight = Sight::of(subject, failure, frame, &wrong.evaluation);
            let statements = &mut groups.of(failure, sight).statements;
            let id = held.statement.id();
            if statements.last().is_none_or(|last| last != id) {
                statements.push(id.to_owned());
            }
        }
    }
    groups.causes(subject.tree)
}

/// The causes where nothing can be evaluated, and why not.
pub fn not_evaluated<'a>(
    why: &str,
    observed: impl IntoIterator<Item = (&'a str, Failure)>,
) -> Vec<Cause> {
    let mut groups = Groups::default();
    for (id, failure) in observed {
        let group = groups.of(failure, Sight::unexplained(why));
        group.probes.push(id.into());
    }
    groups.causes(&FilterTree::default())
}

/// What the evaluator says of an observed failure; it must be the same failure.
fn sight(subject: &Subject<'_>, probe: &Observed<'_>) -> Sight {
    let Some(judged) = probe.evaluated else {
        return Sight::unexplained("the evaluator does not know these probes");
    };
    match (&judged.evaluation.decision, probe.failure) {
        (Decision::Undecided(why), _) => {
            Sight::unexplained(format!("the evaluator does not model this: {why}"))
        }
        (Decision::Accept, Failure::Leak) | (Decision::Drop, Failure::Blocked) => {
            let frame = (judged.frame.as_slice(), judged.way);
            Sight::of(subject, probe.failure, frame, &judged.evaluation)
        }
        (Decision::Drop, Failure::Leak) => Sight::unexplained(
            "the evaluator expects that the filter stops these frames, and they were seen behind it",
        ),
        (Decision::Accept, Failure::Blocked) => Sight::unexplained(
            "the evaluator expects that the filter lets these frames pass, and they were stopped",
        ),
    }
}
