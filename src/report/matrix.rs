//! The grid of many cells: a line a cell, the groups of probes gathered into few columns.

use crate::probe::{Expect, Group};
use crate::report::model::{Cell, ProbeResult, Run};
use crate::report::text::{clean, seconds};
use crate::report::{findings, grid};
use crate::verdict::Counts;

/// From so many cells on a line a cell reads better than a column a cell.
const FROM: usize = 7;

/// Whether the run is to be shown this way.
pub fn suits(run: &Run) -> bool {
    run.cells.len() >= FROM
}

/// What the columns are called.
pub const COLUMNS: [&str; 10] = [
    "cell", "driver", "DHCP", "LAN", "bcast", "mcast", "in", "WAN", "spoof", "s",
];

/// What to know to read it.
pub const LEGEND: &str = "A number counts probes that came out as the policy wants: LAN with ARP and \
     neighbour discovery, broadcast, multicast and LAN to guest (in) got through; WAN both ways, and \
     spoofed and rogue frames, were stopped. The last column is the cell's time in seconds.";

/// Columns that probes fall into, from the third of [`COLUMNS`] on.
const GATHERED: usize = 7;

/// One line a cell, as many entries as [`COLUMNS`].
pub fn lines(run: &Run) -> Vec<Vec<String>> {
    let labels = findings::labels(run);
    let line = |(cell, label): (&Cell, String)| {
        let driver = cell.driver.as_deref().map_or_else(|| "-".into(), clean);
        let mut line = vec![label, driver];
        line.extend((0..GATHERED).map(|column| entry(cell, column)));
        // Without its unit, which would make a table of 100 columns one too wide.
        line.push(seconds(cell.ms()).trim_end_matches(" s").to_owned());
        line
    };
    run.cells.iter().zip(labels).map(line).collect()
}

/// The column of a probe. What must pass is told apart by kind of traffic, what
/// must be stopped by whether it is about the WAN.
fn column(probe: &ProbeResult) -> usize {
    match (probe.expect, probe.group) {
        (Expect::Pass, Group::Dhcp) => 0,
        (Expect::Pass, Group::Broadcast) => 2,
        (Expect::Pass, Group::Multicast) => 3,
        (Expect::Pass, Group::LanInbound) => 4,
        (Expect::Pass, _) => 1,
        (
            Expect::Drop,
            Group::WanIpv4
            | Group::WanIpv6
            | Group::WanEdges
            | Group::Tunnels
            | Group::Encapsulation
            | Group::WanInbound,
        ) => 5,
        (Expect::Drop, _) => 6,
    }
}

/// Counts without the known gaps, which have their own section; only a
/// number where all is well, so that a line fits.
fn entry(cell: &Cell, at: usize) -> String {
    let mine = cell.probes.iter().filter(|probe| column(probe) == at);
    let counts = Counts {
        known_gaps: 0,
        ..Counts::of(mine.map(|probe| probe.verdict))
    };
    match (counts.total(), &cell.error) {
        (0, Some(_)) => "error".to_owned(),
        (0, None) => "-".to_owned(),
        (total, _) if total == counts.passed => total.to_string(),
        _ => grid::counts_text(counts),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::{arbitrary, examples};
    use proptest::prelude::*;

    #[test]
    fn a_line_a_cell() {
        let mut run = examples::red();
        run.cells.extend(examples::cell_error().cells);
        let text: Vec<String> = lines(&run).iter().map(|line| line.join(" | ")).collect();
        insta::assert_snapshot!(text.join("\n"), @"
        linux/pcnet | pcnet32 | 2 | 4 | 1 | BLOCKED 1 of 2 | 1 | LEAK 4 of 6 | LEAK 3 of 3 | 9.8
        linux/virtio | virtio_net | 2 | 4 | 1 | BLOCKED 1 of 2 | 1 | LEAK 5 of 6 | LEAK 3 of 3 | 9.8
        linux/pcnet | pcnet32 | 2 | 4 | 1 | 2 | 1 | 6 | 3 | 9.8
        linux/ne2000 | - | error | error | error | error | error | error | error | 3.4
        ");
    }

    proptest! {
        /// No probe is left out of the grid, and a cell that is red is red in it.
        #[test]
        fn what_is_wrong_shows(run in arbitrary::run()) {
            for (cell, line) in run.cells.iter().zip(lines(&run)) {
                prop_assert_eq!(line.len(), COLUMNS.len());
                let said = |word: &str| line[2..9].iter().any(|entry| entry.contains(word));
                prop_assert_eq!(said("LEAK"), cell.counts().leaked > 0);
                prop_assert_eq!(said("BLOCKED"), cell.counts().blocked > 0);
                prop_assert_eq!(said("?"), cell.counts().inconclusive > 0);
            }
        }
    }
}
