//! How many mutants came to what.

use super::judged::{Class, Judged, Mutants};
use crate::nwfilter::mutate::Mutant;

/// How many mutants are in each class.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Figures {
    /// Noticed by probes only.
    pub probes: usize,
    /// Noticed by statements only.
    pub statements: usize,
    /// Noticed by both.
    pub both: usize,
    /// Equal to the original.
    pub equivalent: usize,
    /// Other than the original where the policy rules nothing.
    pub indifferent: usize,
    /// Refused by libvirt.
    pub refused: usize,
    /// Unnoticed.
    pub survived: usize,
    /// Unnoticed, and perhaps equal to the original.
    pub unproven: usize,
}

/// What part of the mutants that treat frames otherwise which the policy rules is noticed.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Score {
    /// Mutants that are noticed.
    pub noticed: usize,
    /// Mutants that treat frames otherwise that the policy rules.
    pub of: usize,
}

impl Score {
    /// In percent; 100 where there is nothing to notice.
    pub fn percent(self) -> f64 {
        if self.of == 0 {
            return 100.0;
        }
        #[expect(clippy::cast_precision_loss, reason = "a filter has no 2^52 mutants")]
        let share = self.noticed as f64 / self.of as f64;
        share * 100.0
    }
}

impl Figures {
    /// Counts mutants.
    pub fn of<'a>(mutants: impl IntoIterator<Item = &'a Judged>) -> Self {
        let mut out = Self::default();
        for judged in mutants {
            let figure = match judged.class {
                Class::Probes => &mut out.probes,
                Class::Statements => &mut out.statements,
                Class::Indifferent(_) => &mut out.indifferent,
                Class::Both => &mut out.both,
                Class::Equivalent => &mut out.equivalent,
                Class::Refused(_) => &mut out.refused,
                Class::Survived(_) => &mut out.survived,
                Class::Unproven(_) => &mut out.unproven,
            };
            *figure += 1;
        }
        out
    }

    /// All mutants.
    pub fn all(&self) -> usize {
        self.equivalent + self.indifferent + self.refused + self.score().of
    }

    /// The share of those that are noticed.
    pub fn score(&self) -> Score {
        let noticed = self.probes + self.statements + self.both;
        Score {
            noticed,
            of: noticed + self.survived + self.unproven,
        }
    }
}

impl Mutants {
    /// Counts all mutants.
    pub fn figures(&self) -> Figures {
        Figures::of(&self.all)
    }

    /// The mutants by what they edit, in document order: each rule, and the rest of each
    /// filter.
    pub fn by_place(&self) -> Vec<(&Mutant, Figures)> {
        let same = |one: &Judged, other: &Judged| {
            let place =
                |judged: &'_ Judged| (judged.mutant.filter.clone(), judged.mutant.rule.clone());
            place(one) == place(other)
        };
        let runs = self.all.chunk_by(same);
        runs.map(|run| (&run[0].mutant, Figures::of(run))).collect()
    }
}
