//! How long cells took, so that the longest are begun first.

use crate::report::model::{Cell, Timing};
use crate::verify::cache::Cache;
use crate::verify::job::CellPlan;
use std::collections::BTreeMap;

/// Where the times of the last runs are kept, in milliseconds by cell.
const FILE: &str = "times.json";

/// Milliseconds that cells took, by their names.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Times(BTreeMap<String, u64>);

impl Times {
    /// The times of the last runs. A file that is missing or broken is no error: it only
    /// costs this run a good order.
    pub fn load(cache: &Cache) -> Self {
        let text = std::fs::read(cache.path(FILE)).ok();
        let times = text.and_then(|text| serde_json::from_slice(&text).ok());
        Self(times.unwrap_or_default())
    }

    /// Takes in how long these cells took. A cell that broke off does not count.
    pub fn add(&mut self, cells: &[Cell]) {
        let finished = cells.iter().filter(|cell| cell.error.is_none());
        let times = finished.map(|cell| (cell.name.clone(), own(cell)));
        self.0.extend(times);
    }

    /// Keeps them for the next run. A cache that cannot be written only costs that run a
    /// good order.
    pub fn save(&self, cache: &Cache) {
        let _ = serde_json::to_vec(&self.0)
            .map_err(std::io::Error::other)
            .and_then(|text| cache.replace(FILE, &text));
    }
}

/// What a cell itself took, in milliseconds: the steps that many cells share belong to
/// whichever cell came first.
fn own(cell: &Cell) -> u64 {
    let own = |timing: &&Timing| !timing.step.is_shared();
    let own = cell.timings.iter().filter(own);
    own.fold(0, |sum, timing| sum.saturating_add(timing.ms))
}

/// Puts the longest cell first, so that none is left over for one worker at the end. A
/// cell that was never timed may be the longest of all and goes first.
pub fn longest_first(cells: &mut [CellPlan], times: &Times) {
    let took = |cell: &CellPlan| times.0.get(&cell.name).copied();
    cells.sort_by_key(|cell| std::cmp::Reverse(took(cell).unwrap_or(u64::MAX)));
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::examples;

    #[test]
    fn longest_first_and_the_unknown_before_all() {
        let mut cells = ["pcnet", "e1000", "e1000e", "virtio"].map(CellPlan::linux);
        let times = [
            ("linux/pcnet", 10),
            ("linux/virtio", 30),
            ("linux/e1000", 20),
        ];
        let times = Times(times.map(|(name, ms)| (name.to_owned(), ms)).into());
        longest_first(&mut cells, &times);
        let order: Vec<&str> = cells.iter().map(|cell| cell.nic.as_str()).collect();
        assert_eq!(order, ["e1000e", "virtio", "e1000", "pcnet"]);
    }

    #[test]
    fn times_are_kept_and_a_broken_file_is_none() {
        let dir = tempfile::tempdir().expect("a directory");
        let cache = Cache::at(dir.path());
        let mut times = Times::default();
        times.add(&examples::green().cells);
        times.save(&cache);
        let kept = Times::load(&cache).0;
        assert_eq!(kept.len(), 2);
        // All steps of the example but the lab's 912 ms.
        assert_eq!(kept["linux/pcnet"], examples::green().cells[0].ms() - 912);
        std::fs::write(cache.path(FILE), "{").expect("writes");
        assert_eq!(Times::load(&cache), Times::default());
    }
}
