//! Findings under the names of those that they are part of.

use super::known::Known;
use super::observed::Observed;
use super::reach::accepted;
use super::verb::Verb;

/// The same with blocks of addresses that are part of accepted ones under the names of those.
pub(super) fn within(observed: &Observed, known: &Known) -> Observed {
    if observed.subject.verb != Verb::Check {
        return observed.clone();
    }
    let cells = observed.cells.iter().map(|(cell, probes)| {
        let known = known.cells.get(cell);
        let name = |id: &String| {
            let others = known.filter(|it| !it.contains_key(id));
            let whole = others.and_then(|it| accepted(id, it, |known| known.standing));
            whole.unwrap_or(id).to_owned()
        };
        let probes = probes.iter().map(|(id, probe)| (name(id), probe.clone()));
        (cell.clone(), probes.collect())
    });
    Observed {
        cells: cells.collect(),
        ..observed.clone()
    }
}
