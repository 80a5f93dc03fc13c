//! What was known before: by a baseline, or by an earlier run.

use super::date::Date;
use super::facts::Facts;
use super::file::Baseline;
use super::observed::{CELL, LEAK_CHECK, Observed};
use super::standing::Standing;
use crate::probe::Expect;
use std::collections::BTreeMap;

/// What a probe of a cell was.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct KnownProbe {
    /// What the policy wanted; none for what stands for the cell itself.
    pub expect: Option<Expect>,
    /// What it came to.
    pub standing: Standing,
    /// Why that is accepted.
    pub reason: Option<String>,
    /// The day after which that no longer counts, where it has passed.
    pub expired: Option<Date>,
}

/// What was known before.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Known {
    /// What it was made of.
    pub(super) facts: Facts,
    /// The probes of the cells.
    pub(super) cells: BTreeMap<String, BTreeMap<String, KnownProbe>>,
    /// Whether people have accepted it, entry by entry.
    pub(super) is_blessed: bool,
}

impl Known {
    /// A baseline as it counts on a day.
    pub fn baseline(baseline: &Baseline, today: Date) -> Self {
        let entry = |cell: &str, probe: &str| {
            let name = (cell.to_owned(), probe.to_owned());
            baseline.accepted.get(&name)
        };
        let known = |cell: &str, probe: &str, expect: Option<Expect>| {
            let entry = entry(cell, probe);
            let known = KnownProbe {
                expect,
                standing: entry.map_or(Standing::Pass, |entry| entry.standing),
                reason: entry.map(|entry| entry.reason.clone()),
                expired: entry
                    .filter(|entry| entry.has_expired(today))
                    .and_then(|entry| entry.expires),
            };
            (probe.to_owned(), known)
        };
        let cells = baseline.cells.iter().map(|(cell, probes)| {
            let own = [CELL, LEAK_CHECK].map(|id| known(cell, id, None));
            let probes = probes.iter();
            let probes = probes.map(|(id, expect)| known(cell, id, Some(*expect)));
            (cell.clone(), probes.chain(own).collect())
        });
        Self {
            facts: baseline.facts.clone(),
            cells: cells.collect(),
            is_blessed: true,
        }
    }

    /// What an earlier run found.
    pub fn run(observed: &Observed) -> Self {
        let cells = observed.cells.iter().map(|(cell, probes)| {
            let probes = probes.iter().map(|(id, probe)| {
                let known = KnownProbe {
                    expect: Some(probe.expect),
                    standing: probe.standing,
                    reason: None,
                    expired: None,
                };
                (id.clone(), known)
            });
            (cell.clone(), probes.collect())
        });
        Self {
            facts: observed.facts.clone(),
            cells: cells.collect(),
            is_blessed: false,
        }
    }

    /// The names of its cells.
    pub fn cells(&self) -> impl Iterator<Item = &str> {
        self.cells.keys().map(String::as_str)
    }
}
