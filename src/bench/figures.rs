//! Figures of several rounds, and the table of their minimum, median and maximum.

use comfy_table::Table;

/// The row that serves as a unit: times are also given as multiples of it, since machines
/// differ, and one machine differs from hour to hour.
pub const BARE: &str = "bare QEMU boot to READY";

/// Milliseconds of the bare boot on the machine for which the targets were set: 2 cores, QEMU 10.0, Linux 6.1 with 33
/// modules of NICs, no KVM (measured: docs/measurements.md#M28).
pub const REFERENCE: u64 = 2500;

/// Milliseconds of one thing, one figure for each round.
pub struct Series {
    pub name: &'static str,
    pub target: &'static str,
    pub ms: Vec<u64>,
}

impl Series {
    pub fn new(name: &'static str, target: &'static str) -> Self {
        Self {
            name,
            target,
            ms: Vec::new(),
        }
    }

    /// The middle one of the sorted figures.
    pub fn median(&self) -> u64 {
        self.ms.get(self.ms.len() / 2).copied().unwrap_or_default()
    }
}

/// Milliseconds of the bare boot.
pub fn bare(series: &[Series]) -> u64 {
    let bare = series.iter().find(|series| series.name == BARE);
    bare.map_or(0, Series::median)
}

/// A time as a multiple of the bare boot: `1.25`.
pub fn in_boots(ms: u64, bare: u64) -> String {
    let hundredths = ms * 100 / bare.max(1);
    format!("{}.{:02}", hundredths / 100, hundredths % 100)
}

/// The table of series whose figures are sorted.
pub fn table(all: &[Series]) -> Table {
    let bare = bare(all);
    let mut table = Table::new();
    table.load_style(comfy_table::presets::ASCII_MARKDOWN);
    table.set_header(["ms", "min", "median", "max", "at most", "in bare boots"]);
    for series in all {
        let at = |end: Option<&u64>| end.copied().unwrap_or_default().to_string();
        table.add_row([
            series.name.to_owned(),
            at(series.ms.first()),
            series.median().to_string(),
            at(series.ms.last()),
            series.target.to_owned(),
            in_boots(series.median(), bare),
        ]);
    }
    table
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_also_told_in_bare_boots() {
        let series = |name, target, ms: [u64; 3]| Series {
            name,
            target,
            ms: ms.to_vec(),
        };
        let all = [
            series(BARE, "", [4000, 5000, 5500]),
            series("lab up", "1500", [163, 189, 213]),
            series("pcnet cell, restored", "2000", [2400, 2750, 2900]),
        ];
        insta::assert_snapshot!(table(&all));
    }
}
