//! One line a verdict, for `diff`.

use crate::report::model::{Cell, ErrorKind, Run};
use crate::report::text;
use std::fmt::Write as _;

/// All verdicts without anything that differs between two runs of the same
/// matrix: no times, versions, notes. Cells sorted by name, probes in catalogue
/// order, then the cell's leak check and error; at the end what was skipped.
///
/// ```text
/// linux/pcnet wan-ipv4/udp-53 pass
/// linux/pcnet leak-check yes
/// ```
pub fn verdict_lines(run: &Run) -> String {
    let mut cells: Vec<&Cell> = run.cells.iter().collect();
    cells.sort_by(|a, b| a.name.cmp(&b.name));
    let mut out = String::new();
    for cell in cells {
        let name = text::clean(&cell.name);
        for probe in &cell.probes {
            let verdict = probe.verdict.word();
            let _ = writeln!(out, "{name} {} {verdict}", text::clean(&probe.id));
        }
        let leak_check = match cell.leak_check {
            Some(true) => "yes",
            Some(false) => "no",
            None => "not-reached",
        };
        let _ = writeln!(out, "{name} leak-check {leak_check}");
        if let Some(error) = &cell.error {
            let kind = kind(error.kind);
            let _ = writeln!(out, "{name} error {} {kind}", error.step);
        }
        if cell.flaky.is_some() {
            let _ = writeln!(out, "{name} flaky");
        }
    }
    let mut skipped: Vec<String> = run
        .skipped
        .iter()
        .map(|cell| text::clean(&cell.name))
        .collect();
    skipped.sort();
    for name in skipped {
        let _ = writeln!(out, "{name} skipped");
    }
    out
}

/// Whose fault, in one word.
fn kind(kind: ErrorKind) -> &'static str {
    match kind {
        ErrorKind::Usage => "usage",
        ErrorKind::Host => "host",
        ErrorKind::Cell => "cell",
        ErrorKind::Internal => "internal",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::examples;

    #[test]
    fn red() {
        insta::assert_snapshot!(verdict_lines(&examples::red()));
    }

    #[test]
    fn cell_error() {
        insta::assert_snapshot!(verdict_lines(&examples::cell_error()));
    }

    #[test]
    fn the_order_of_cells_and_what_may_differ_do_not_show() {
        let mut other = examples::red();
        other.cells.reverse();
        other.host.qemu = "9.2".into();
        other.started = None;
        for cell in &mut other.cells {
            cell.timings.clear();
            cell.probes[0].note = Some("after 12 ms".into());
        }
        assert_eq!(verdict_lines(&other), verdict_lines(&examples::red()));
    }
}
