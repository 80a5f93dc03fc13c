//! What a cell and a run come to: counts, conclusion and exit code.

use crate::probe::{Expect, Group};
use crate::report::model::{Cell, ErrorKind, ProbeResult, Run};
use crate::verdict::{Conclusion, Counts, Exit, Verdict};
use std::collections::BTreeSet;

impl From<ErrorKind> for Conclusion {
    fn from(kind: ErrorKind) -> Self {
        match kind {
            ErrorKind::Usage => Self::Usage,
            ErrorKind::Host => Self::Host,
            ErrorKind::Cell => Self::Inconclusive,
            ErrorKind::Internal => Self::Internal,
        }
    }
}

impl Cell {
    /// All its verdicts.
    pub fn counts(&self) -> Counts {
        Counts::of(self.probes.iter().map(|probe| probe.verdict))
    }

    /// The verdicts of one row of the table.
    pub fn row_counts(&self, group: Group, expect: Expect) -> Counts {
        let row = |probe: &&ProbeResult| probe.group == group && probe.expect == expect;
        Counts::of(self.probes.iter().filter(row).map(|probe| probe.verdict))
    }

    /// How many probes that were sent again without the filter arrived, of how many.
    pub fn leak_check_counts(&self) -> (usize, usize) {
        use crate::report::model::Outcome;
        let again = self.probes.iter().filter_map(|probe| probe.leak_check);
        again.fold((0, 0), |(arrived, sent), outcome| {
            (
                arrived + usize::from(outcome == Outcome::Delivered),
                sent + 1,
            )
        })
    }

    /// What the cell comes to. Without a passed leak check, without a probe, or when it was
    /// green only on a later try, it is not green.
    pub fn conclusion(&self) -> Conclusion {
        let counts = self.counts();
        let proven =
            counts.total() > 0 && counts.inconclusive == 0 && self.leak_check == Some(true);
        match &self.error {
            _ if counts.failed() > 0 => Conclusion::Fail,
            Some(error) => error.kind.into(),
            None if proven && self.flaky.is_none() => Conclusion::Pass,
            None => Conclusion::Inconclusive,
        }
    }

    /// Milliseconds of all its steps.
    pub fn ms(&self) -> u64 {
        self.timings
            .iter()
            .fold(0, |sum, timing| sum.saturating_add(timing.ms))
    }
}

impl Run {
    fn probes(&self) -> impl Iterator<Item = &ProbeResult> {
        self.cells.iter().flat_map(|cell| &cell.probes)
    }

    /// All verdicts of all cells.
    pub fn counts(&self) -> Counts {
        Counts::of(self.probes().map(|probe| probe.verdict))
    }

    /// How many different known gaps are open; a gap that several cells show counts once.
    pub fn known_gaps(&self) -> usize {
        let open = self
            .probes()
            .filter(|probe| probe.verdict == Verdict::KnownGap);
        open.map(|probe| &probe.id).collect::<BTreeSet<_>>().len()
    }

    /// The verdicts of one row over all cells.
    pub fn row_counts(&self, group: Group, expect: Expect) -> Counts {
        let row = |probe: &&ProbeResult| probe.group == group && probe.expect == expect;
        Counts::of(self.probes().filter(row).map(|probe| probe.verdict))
    }

    /// What the run comes to: the greatest [`Conclusion`] of its cells.
    ///
    /// A run without a filter proves nothing of one and is never green. A run
    /// in which no cell has a probe or an error is [`Conclusion::Empty`].
    pub fn conclusion(&self) -> Conclusion {
        let judged = |cell: &Cell| cell.error.is_some() || !cell.probes.is_empty();
        if !self.cells.iter().any(judged) {
            return Conclusion::Empty;
        }
        let worst = self.cells.iter().map(Cell::conclusion).max();
        match worst.unwrap_or(Conclusion::Empty) {
            Conclusion::Pass if self.filter.name.is_none() => Conclusion::Inconclusive,
            conclusion => conclusion,
        }
    }

    /// The process's exit code; [`Conclusion`] says which wins when several apply.
    pub fn exit(&self) -> Exit {
        self.conclusion().exit()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::model::{CellError, Outcome, Step};
    use crate::report::{arbitrary, examples};
    use proptest::prelude::*;
    use rstest::rstest;

    #[rstest]
    #[case::green(examples::green(), 0)]
    #[case::red(examples::red(), 1)]
    #[case::inconclusive(examples::inconclusive(), 5)]
    #[case::cell_error(examples::cell_error(), 2)]
    #[case::no_filter(examples::no_filter(), 1)]
    #[case::no_cells(Run { cells: Vec::new(), ..examples::green() }, 4)]
    fn exit_codes(#[case] run: Run, #[case] expected: u8) {
        assert_eq!(run.exit().code(), expected);
    }

    #[rstest]
    #[case::usage(ErrorKind::Usage, 2)]
    #[case::host(ErrorKind::Host, 3)]
    #[case::cell(ErrorKind::Cell, 5)]
    #[case::internal(ErrorKind::Internal, 70)]
    fn errors_show_but_never_hide_a_leak(#[case] kind: ErrorKind, #[case] expected: u8) {
        let mut run = examples::green();
        let error = CellError {
            step: Step::Boot,
            message: "broke".into(),
            kind,
        };
        run.cells[1].error = Some(error.clone());
        assert_eq!(run.exit().code(), expected);
        let mut run = examples::red();
        run.cells[0].error = Some(error);
        assert_eq!(run.exit().code(), 1);
    }

    #[rstest]
    #[case::not_reached(None)]
    #[case::unchecked(Some(false))]
    fn a_cell_without_leak_check_is_inconclusive(#[case] leak_check: Option<bool>) {
        let mut run = examples::green();
        run.cells[0].leak_check = leak_check;
        assert_eq!(run.exit().code(), 5);
    }

    #[test]
    fn a_cell_without_probes_is_inconclusive_beside_others_and_empty_alone() {
        let mut run = examples::green();
        run.cells[0].probes.clear();
        assert_eq!(run.exit().code(), 5);
        run.cells[1].probes.clear();
        assert_eq!(run.exit().code(), 4);
    }

    #[test]
    fn no_filter_is_never_green() {
        let mut run = examples::green();
        run.filter.name = None;
        assert_eq!(run.exit().code(), 5);
    }

    #[test]
    fn rows_and_cells_add_up() {
        let run = examples::red();
        assert_eq!(
            run.row_counts(Group::WanIpv4, Expect::Drop),
            Counts {
                passed: 3,
                leaked: 1,
                ..Counts::default()
            }
        );
        assert_eq!(run.cells[0].leak_check_counts(), (10, 10));
        assert_eq!(run.counts().total(), 40);
        let unchecked = examples::inconclusive();
        assert_eq!(unchecked.cells[1].leak_check_counts(), (9, 10));
        assert!(
            unchecked.cells[1]
                .probes
                .iter()
                .any(|probe| probe.leak_check == Some(Outcome::Lost))
        );
    }

    /// A run that is green but for the changes that the test makes.
    fn green_with(mut run: Run) -> Run {
        run.filter.name.get_or_insert_with(|| "lan-only".into());
        for cell in &mut run.cells {
            (cell.error, cell.leak_check, cell.flaky) = (None, Some(true), None);
            cell.probes
                .push(examples::green().cells[0].probes[0].clone());
            for probe in &mut cell.probes {
                if probe.verdict != Verdict::KnownGap {
                    probe.verdict = Verdict::Pass;
                }
            }
        }
        run
    }

    proptest! {
        #[test]
        fn exit_code_is_0_only_when_all_is_proven(run in arbitrary::run()) {
            let proven = run.cells.iter().all(|cell| {
                let good = |probe: &ProbeResult| matches!(probe.verdict, Verdict::Pass | Verdict::KnownGap);
                cell.error.is_none() && cell.flaky.is_none() && cell.leak_check == Some(true) && !cell.probes.is_empty() && cell.probes.iter().all(good)
            });
            prop_assert_eq!(run.exit().code() == 0, proven && !run.cells.is_empty() && run.filter.name.is_some());
        }

        #[test]
        fn what_is_proven_has_exit_code_0(run in arbitrary::run().prop_map(green_with)) {
            prop_assert_eq!(run.exit().code(), if run.cells.is_empty() { 4 } else { 0 });
        }

        #[test]
        fn exit_code_is_1_iff_something_failed(run in arbitrary::run()) {
            prop_assert_eq!(run.exit().code() == 1, run.counts().failed() > 0);
        }
    }
}
