//! What was found now: cells with their probes, in the form that is compared.

use super::error::BaselineError;
use super::facts::{Facts, Subject};
use super::standing::Standing;
use super::verb::Verb;
use crate::probe::Expect;
use crate::report::findings::reason;
use crate::report::model::{Cell, Outcome, ProbeResult, Run, Verdict};
use crate::report::text::clean;
use crate::report::titles;
use crate::verdict::Conclusion;
use std::collections::{BTreeMap, BTreeSet};

/// The name that stands for whether a cell came to its end, on its first try.
pub const CELL: &str = "cell";

/// The name that stands for a cell's leak check.
pub const LEAK_CHECK: &str = "leak-check";

/// A probe of a cell as it was found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Probe {
    /// What the policy wants.
    pub expect: Expect,
    /// What it comes to.
    pub standing: Standing,
    /// In words, with where a leak was seen.
    pub summary: String,
    /// Why it is inconclusive, or the remedy of a known gap.
    pub note: Option<String>,
}

/// What was found, by cell and probe.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Observed {
    /// What it is about.
    pub subject: Subject,
    /// What may explain that it differs.
    pub facts: Facts,
    /// The probes of the cells, by name. Each has [`CELL`] and [`LEAK_CHECK`] where they mean
    /// anything.
    pub cells: BTreeMap<String, BTreeMap<String, Probe>>,
    /// Cells that could not run here, with the reason.
    pub skipped: BTreeMap<String, String>,
    /// Cells that are for another partition to run.
    pub elsewhere: BTreeSet<String>,
    /// The worst error of a cell that no baseline can accept: of the user's input, the host or
    /// lanfence.
    pub error: Option<Conclusion>,
}

impl Observed {
    /// Of a finished run.
    ///
    /// # Errors
    /// [`BaselineError::NoFilter`] and [`BaselineError::NoIdentity`], with the run's name for
    /// the message.
    pub fn of(run: &Run, name: &str) -> Result<Self, BaselineError> {
        let name = || clean(name);
        let Some(filter) = &run.filter.name else {
            return Err(BaselineError::NoFilter { run: name() });
        };
        let Some(identity) = &run.identity else {
            return Err(BaselineError::NoIdentity {
                run: name(),
                verb: Verb::Verify,
            });
        };
        let mut cells = BTreeMap::<String, BTreeMap<String, Probe>>::new();
        for cell in &run.cells {
            let probes = cells.entry(cell.name.clone()).or_default();
            for (id, probe) in probes_of(cell) {
                keep_worse(probes, id, probe);
            }
        }
        let skipped = run.skipped.iter();
        let skipped = skipped.map(|cell| (cell.name.clone(), clean(&cell.reason)));
        let skipped: BTreeMap<String, String> = skipped.collect();
        let absent = |name: &&String| !cells.contains_key(*name) && !skipped.contains_key(*name);
        let elsewhere = run.matrix.iter().filter(absent).cloned().collect();
        let errors = run.cells.iter().filter_map(|cell| cell.error.as_ref());
        let errors = errors.map(|error| Conclusion::from(error.kind));
        Ok(Self {
            subject: Subject::of(filter, identity),
            facts: Facts::of(
                run.filter.rules,
                &run.filter.parameters,
                identity,
                &run.version,
            )
            .with_host(&run.host),
            cells,
            skipped,
            elsewhere,
            error: errors.filter(|it| *it > Conclusion::Inconclusive).max(),
        })
    }

    /// Whether nothing was judged at all.
    pub fn is_empty(&self) -> bool {
        let is_probe = |id: &String| id != CELL && id != LEAK_CHECK;
        let mut ids = self.cells.values().flat_map(BTreeMap::keys);
        !ids.any(is_probe)
    }
}

/// A name that stands twice in a report counts once, as the worse of both.
fn keep_worse(probes: &mut BTreeMap<String, Probe>, id: String, new: Probe) {
    let is_worse = probes.get(&id).is_none_or(|old| {
        old.standing == Standing::Pass || (!old.standing.is_failure() && new.standing.is_failure())
    });
    if is_worse {
        probes.insert(id, new);
    }
}

/// All probes of a cell by their names, and what stands for the cell itself.
fn probes_of(cell: &Cell) -> Vec<(String, Probe)> {
    let mut out = vec![(CELL.to_owned(), whole(cell))];
    if cell.error.is_none() && !cell.probes.is_empty() {
        out.push((LEAK_CHECK.to_owned(), leak_check(cell)));
    }
    out.extend(
        cell.probes
            .iter()
            .map(|probe| (probe.id.clone(), of(probe))),
    );
    out
}

fn proven(is_proven: bool, summary: &str, note: Option<String>) -> Probe {
    let standing = if is_proven {
        Standing::Pass
    } else {
        Standing::Inconclusive
    };
    Probe {
        expect: Expect::Pass,
        standing,
        summary: summary.to_owned(),
        note: note.filter(|_| !is_proven),
    }
}

fn whole(cell: &Cell) -> Probe {
    let error = cell.error.as_ref();
    let error = error.map(|error| format!("in step {}: {}", error.step, clean(&error.message)));
    let empty = cell.probes.is_empty();
    let empty = empty.then(|| "no probe of it was judged".to_owned());
    let flaky = cell.flaky.as_deref().map(clean);
    let note = error.or(empty).or(flaky);
    proven(
        note.is_none(),
        "the cell comes to its end, on its first try",
        note,
    )
}

fn leak_check(cell: &Cell) -> Probe {
    let (arrived, sent) = cell.leak_check_counts();
    let note = format!("without the filter {arrived} of {sent} WAN probes arrived");
    proven(
        cell.leak_check == Some(true),
        "without the filter every WAN probe arrives",
        Some(note),
    )
}

fn of(probe: &ProbeResult) -> Probe {
    let mut summary = clean(&probe.summary);
    let standing = Standing::from(probe.verdict);
    if let (Standing::Leak, Some(point)) = (standing, probe.last_seen) {
        summary = format!("{summary}, seen at {}", titles::place(point));
    }
    let note = probe.note.as_deref().map(clean);
    let why = || (probe.verdict == Verdict::Inconclusive).then(|| reason(probe));
    let is_proven = probe.control == Outcome::Delivered || standing != Standing::Pass;
    Probe {
        expect: probe.expect,
        // A pass without its control is none, whoever wrote the report.
        standing: if is_proven {
            standing
        } else {
            Standing::Inconclusive
        },
        summary,
        note: note.filter(|note| !note.is_empty()).or_else(why),
    }
}
