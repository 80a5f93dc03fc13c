//! The grid of rows and cells that the table and the Markdown summary share.

use crate::probe::{Expect, Group};
use crate::report::model::{Cell, Run};
use crate::report::text::plural;
use crate::report::{findings, titles};
use crate::verdict::Counts;
use std::collections::BTreeSet;

/// One row: a group of probes with the same expectation. A group that holds
/// both expectations gives two rows, so that `LEAK` and `BLOCKED` never share one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Row {
    /// Title of the group.
    pub title: &'static str,
    /// `pass` or `drop`.
    pub expected: &'static str,
    /// One text a cell of the run, in its order.
    pub cells: Vec<String>,
}

/// What the columns of a [`Row`] are called: a label a cell.
pub fn columns(run: &Run) -> Vec<String> {
    findings::labels(run)
}

/// The rows in the order of [`Group`], what must pass before what must drop.
pub fn rows(run: &Run) -> Vec<Row> {
    let probes = run.cells.iter().flat_map(|cell| &cell.probes);
    let keys: BTreeSet<(Group, bool)> = probes
        .map(|probe| (probe.group, probe.expect == Expect::Drop))
        .collect();
    let row = |(group, drop): (Group, bool)| {
        let expect = if drop { Expect::Drop } else { Expect::Pass };
        Row {
            title: titles::title(group),
            expected: titles::expected(expect),
            cells: run
                .cells
                .iter()
                .map(|cell| entry(cell, group, expect))
                .collect(),
        }
    };
    keys.into_iter().map(row).collect()
}

fn entry(cell: &Cell, group: Group, expect: Expect) -> String {
    let counts = cell.row_counts(group, expect);
    match (counts.total(), &cell.error) {
        (0, Some(_)) => "error".to_owned(),
        (0, None) => "-".to_owned(),
        _ => counts_text(counts),
    }
}

/// `pass 12`, `LEAK 3 of 14`, `LEAK 2, ? 1 of 9`, `pass 12, 2 known gaps`.
pub fn counts_text(counts: Counts) -> String {
    let parts = [
        ("LEAK", counts.leaked),
        ("BLOCKED", counts.blocked),
        ("?", counts.inconclusive),
    ];
    let bad: Vec<String> = parts
        .into_iter()
        .filter(|(_, count)| *count > 0)
        .map(|(word, count)| format!("{word} {count}"))
        .collect();
    let judged = match (bad.is_empty(), counts.passed) {
        (true, 0) if counts.known_gaps > 0 => None,
        (true, passed) => Some(format!("pass {passed}")),
        (false, _) => {
            let all = counts.total() - counts.known_gaps;
            Some(format!("{} of {all}", bad.join(", ")))
        }
    };
    let gaps = (counts.known_gaps > 0).then(|| plural(counts.known_gaps, "known gap"));
    judged
        .into_iter()
        .chain(gaps)
        .collect::<Vec<_>>()
        .join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    #[rstest]
    #[case::pass([12, 0, 0, 0, 0], "pass 12")]
    #[case::leak([11, 3, 0, 0, 0], "LEAK 3 of 14")]
    #[case::blocked([8, 0, 1, 0, 0], "BLOCKED 1 of 9")]
    #[case::unproven([7, 0, 0, 0, 2], "? 2 of 9")]
    #[case::leak_and_unproven([6, 2, 0, 0, 1], "LEAK 2, ? 1 of 9")]
    #[case::known_gap([5, 0, 0, 1, 0], "pass 5, 1 known gap")]
    #[case::only_known_gap([0, 0, 0, 2, 0], "2 known gaps")]
    #[case::leak_and_known_gap([5, 1, 0, 1, 0], "LEAK 1 of 6, 1 known gap")]
    fn entries(#[case] counts: [usize; 5], #[case] expected: &str) {
        let [passed, leaked, blocked, known_gaps, inconclusive] = counts;
        let counts = Counts {
            passed,
            leaked,
            blocked,
            known_gaps,
            inconclusive,
        };
        assert_eq!(counts_text(counts), expected);
    }
}
