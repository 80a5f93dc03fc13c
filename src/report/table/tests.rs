use super::*;
use crate::report::text::clean;
use crate::report::{arbitrary, examples};
use proptest::prelude::*;
use rstest::rstest;

#[rstest]
#[case::green("green", examples::green())]
#[case::red("red", examples::red())]
#[case::inconclusive("inconclusive", examples::inconclusive())]
#[case::cell_error("cell_error", examples::cell_error())]
#[case::no_filter("no_filter", examples::no_filter())]
#[case::wide("wide", examples::wide())]
#[case::clients("clients", examples::clients())]
#[case::matrix("matrix", examples::matrix())]
fn prints(#[case] name: &str, #[case] run: Run) {
    insta::assert_snapshot!(name, table(&run, None, false));
}

#[test]
fn narrow() {
    insta::assert_snapshot!(table(&examples::red(), Some(60), false));
}

#[test]
fn colored() {
    insta::assert_snapshot!(table(&examples::red(), None, true).replace('\x1b', "ESC"));
}

#[test]
fn nothing_selected() {
    let run = Run {
        cells: Vec::new(),
        ..examples::green()
    };
    insta::assert_snapshot!(table(&run, None, false));
}

/// The text without `ESC [ … m`.
fn without_colors(text: &str) -> String {
    let mut pieces = text.split("\x1b[");
    let first = pieces.next().unwrap_or_default().to_owned();
    pieces.fold(first, |plain, piece| {
        plain + piece.split_once('m').map_or("", |(_, rest)| rest)
    })
}

proptest! {
    #[test]
    fn any_run_prints_within_its_width(run in arbitrary::run(), width in proptest::option::of(0u16..400)) {
        let plain = table(&run, width, false);
        prop_assert!(!plain.contains('\x1b'));
        let limit = usize::from(width.unwrap_or(DEFAULT_WIDTH).max(LEAST_WIDTH));
        for line in plain.lines().filter(|line| line.is_ascii()) {
            prop_assert!(line.len() <= limit, "{} > {limit}: {line}", line.len());
        }
        prop_assert_eq!(without_colors(&table(&run, width, true)), plain);
    }

    #[test]
    fn the_last_line_is_what_ci_looks_for(run in arbitrary::run()) {
        let (text, counts) = (table(&run, None, false), run.counts());
        let last = text.lines().last().expect("never empty");
        let expected = format!("{} passed, {} failed", counts.passed, counts.failed());
        prop_assert_eq!(last, expected);
        prop_assert_eq!(text.contains(" open\n"), counts.known_gaps > 0);
    }

    #[test]
    fn every_failure_is_named(run in arbitrary::run()) {
        let text: String = table(&run, Some(400), false).split_whitespace().collect();
        for probe in run.cells.iter().flat_map(|cell| &cell.probes) {
            if matches!(probe.verdict, crate::report::model::Verdict::Fail(_)) {
                let id: String = clean(&probe.id).split_whitespace().collect();
                // What a cause explains is named by it; its probes are behind -v.
                let mut causes = run.causes.iter();
                let explained = causes.any(|cause| cause.probes.contains(&probe.id));
                prop_assert!(explained || text.contains(&id), "{id} is missing");
            }
        }
    }
}
