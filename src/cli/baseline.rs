//! `--baseline` and `--strict`, and what they do for every verb that has them.

use super::failure::Failure;
use crate::report::baseline::{
    Baseline, BaselineError, Comparison, Date, Known, Observed, Subject,
};
use crate::report::table::Against;
use clap::Args;
use std::path::{Path, PathBuf};

/// `--baseline` and `--strict`.
#[derive(Debug, Args)]
#[command(next_help_heading = "Baseline")]
pub struct BaselineOptions {
    /// Compare with what was accepted, and print only what changed
    ///
    /// `lanfence bless` writes the file. Worse than the baseline is exit code 1, as before or
    /// better is 0, and what was proven before and is not now is 5.
    #[arg(long, value_name = "FILE")]
    pub baseline: Option<PathBuf>,
    /// Fail also where the baseline accepts what is fixed, or lacks what is new
    #[arg(long, requires = "baseline")]
    pub strict: bool,
}

/// A baseline that was read.
pub struct Loaded {
    /// Its file's name.
    pub name: String,
    /// What it says.
    pub baseline: Baseline,
    /// Where in its file it says what it is about.
    subject_at: String,
    strict: bool,
}

impl BaselineOptions {
    /// Reads the baseline, where one is named.
    ///
    /// # Errors
    /// When it is none.
    pub fn load(&self) -> Result<Option<Loaded>, Failure> {
        let Some(path) = &self.baseline else {
            return Ok(None);
        };
        let (subject_at, baseline) = read(path)?;
        Ok(Some(Loaded {
            name: path.display().to_string(),
            baseline,
            subject_at,
            strict: self.strict,
        }))
    }
}

/// Reads a baseline, and where in its file it says what it is about.
///
/// # Errors
/// When it is none.
pub fn read(path: &Path) -> Result<(String, Baseline), Failure> {
    let name = path.display().to_string();
    let bytes = std::fs::read(path).map_err(|error| match error.kind() {
        std::io::ErrorKind::NotFound => {
            Failure::usage(BaselineError::Missing { file: name.clone() })
        }
        _ => Failure::file(path, error),
    })?;
    let (baseline, subject_at) = Baseline::read(&bytes, &name).map_err(Failure::usage)?;
    Ok((subject_at, baseline))
}

impl Loaded {
    /// Checks that the baseline is about this, and has one of these cells.
    ///
    /// # Errors
    /// When it is about something else.
    pub fn check<'a>(
        &self,
        subject: &Subject,
        cells: impl Iterator<Item = &'a str>,
    ) -> Result<(), Failure> {
        self.suits(subject)?;
        let mut cells: Vec<&str> = cells.collect();
        if cells
            .iter()
            .any(|cell| self.baseline.cells.contains_key(*cell))
        {
            return Ok(());
        }
        cells.truncate(NAMED);
        let ours = self.baseline.cells.keys().take(NAMED);
        Err(Failure::usage(BaselineError::NoCommonCell {
            what: self.name.clone(),
            ours: ours.cloned().collect::<Vec<_>>().join(", "),
            cells: cells.join(", "),
        }))
    }

    /// Checks that the baseline is about this.
    ///
    /// # Errors
    /// When it is about something else.
    pub fn suits(&self, subject: &Subject) -> Result<(), Failure> {
        let checked = self.baseline.subject.check(&self.subject_at, subject);
        checked.map_err(Failure::usage)
    }

    /// What changed, where the baseline is about this at all.
    ///
    /// # Errors
    /// When it is about something else.
    pub fn hold(&self, observed: &Observed) -> Result<Comparison, Failure> {
        let cells = observed.cells.keys().chain(observed.skipped.keys());
        self.check(&observed.subject, cells.map(String::as_str))?;
        Ok(self.compare(observed))
    }

    /// What changed.
    pub fn compare(&self, observed: &Observed) -> Comparison {
        let known = Known::baseline(&self.baseline, Date::today());
        crate::report::baseline::compare(&known, observed)
    }

    /// For the views.
    pub fn against(&self) -> Against<'_> {
        Against {
            name: &self.name,
            strict: self.strict,
        }
    }
}

/// Most cells that a message names.
const NAMED: usize = 8;
