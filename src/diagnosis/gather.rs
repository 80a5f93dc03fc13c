//! Frames gathered under what decides about them.

use super::aspect::{Aspect, Minded, minded};
use super::cause::{Cause, sort};
use super::decider::{Decider, compiled};
use super::key::{Fault, Group, Key};
use super::subject::Subject;
use super::words;
use crate::nwfilter::FilterTree;
use crate::nwfilter::evaluate::{Evaluation, Way};
use crate::nwfilter::statements::Statement;
use crate::verdict::Failure;
use std::collections::BTreeMap;

/// What is found out about one frame.
pub struct Sight {
    key: Key,
    aspects: Vec<Aspect>,
    sentence: Option<String>,
}

impl Sight {
    /// That it cannot be told.
    pub fn unexplained(why: impl Into<String>) -> Self {
        Self {
            key: Key::Unexplained(why.into()),
            aspects: Vec::new(),
            sentence: None,
        }
    }

    /// What decided about a frame, and what is wrong with that.
    pub fn of(
        subject: &Subject<'_>,
        failure: Failure,
        (frame, way): (&[u8], Way),
        evaluation: &Evaluation,
    ) -> Self {
        let decider = Decider::of(subject.filter, (frame, way), evaluation);
        let statement = subject.rulings.statement(frame, way);
        let sentence = statement.map(Statement::sentence);
        let Decider::Rule(id) = &decider else {
            return Self {
                key: Key::Decided(decider, Fault::Itself),
                aspects: Vec::new(),
                sentence,
            };
        };
        let rules = compiled(subject.filter, (frame, way), id);
        let (fault, aspects) = match failure {
            Failure::Leak => match minded(subject, (frame, way), &rules) {
                Some(Minded::Tested(aspect)) => (Fault::TooWide(aspect), vec![aspect]),
                Some(Minded::Untested(aspects)) => (Fault::Untested, aspects),
                None => (Fault::Itself, Vec::new()),
            },
            Failure::Blocked if rules.iter().all(|rule| rule.matches.is_empty()) => {
                (Fault::NothingBefore, Vec::new())
            }
            Failure::Blocked => (Fault::Itself, Vec::new()),
        };
        Self {
            key: Key::Decided(decider, fault),
            aspects,
            sentence,
        }
    }
}

/// All groups. Leaks come first.
#[derive(Default)]
pub struct Groups(BTreeMap<(bool, Key), Group>);

impl Groups {
    /// The group of a frame.
    pub fn of(&mut self, failure: Failure, sight: Sight) -> &mut Group {
        let key = (failure == Failure::Blocked, sight.key);
        let group = self.0.entry(key).or_default();
        group.aspects.extend(sight.aspects);
        let new = |sentence: &String| !group.sentences.contains(sentence);
        let new = sight.sentence.filter(new);
        group.sentences.extend(new);
        group
    }

    /// The groups as causes.
    pub fn causes(self, tree: &FilterTree) -> Vec<Cause> {
        let groups = self.0.into_iter().map(|((blocked, key), group)| {
            let failure = if blocked {
                Failure::Blocked
            } else {
                Failure::Leak
            };
            words::cause(tree, failure, &key, group)
        });
        let mut causes: Vec<Cause> = groups.collect();
        sort(&mut causes);
        causes
    }
}
