//! The run as GitHub-flavoured Markdown, for a job's step summary.

use crate::report::findings::{Finding, findings, leak_check, place};
use crate::report::model::{Failure, Run, Verdict};
use crate::report::table::{accelerator_line, filter_line, host_line};
use crate::report::text::{clean, plural, seconds, shorten};
use crate::report::{causes, clients, grid, matrix, titles};
use crate::verdict::Exit;
use std::fmt::Write as _;

/// GitHub refuses a step summary of more than 1 MiB; this leaves room for others.
pub const BUDGET: usize = 1_000_000;

/// One line must not use up the budget of all others.
const LINE: usize = 4_000;

/// Grid, findings and what ran, in at most [`BUDGET`] bytes; what does not fit
/// is counted at the end.
pub fn markdown(run: &Run) -> String {
    within(run, BUDGET)
}

fn within(run: &Run, budget: usize) -> String {
    let mut lines = Lines {
        out: String::new(),
        budget,
        left_out: 0,
    };
    title(&mut lines, run);
    print_grid(&mut lines, run);
    for (failure, title) in [
        (Failure::Leak, "Leaks"),
        (Failure::Blocked, "Wrongly blocked"),
    ] {
        failures(&mut lines, run, failure, title);
    }
    errors(&mut lines, run);
    section(&mut lines, run, "Inconclusive", Verdict::Inconclusive);
    section(&mut lines, run, "Known gaps", Verdict::KnownGap);
    remarks(&mut lines, run);
    dhcp_clients(&mut lines, run);
    what_ran(&mut lines, run);
    lines.finish()
}

/// Lines that stop growing at a budget in bytes.
struct Lines {
    out: String,
    budget: usize,
    left_out: usize,
}

impl Lines {
    /// Room for the line that counts what was left out.
    const RESERVE: usize = 80;

    fn push(&mut self, line: &str) {
        let line = shorten(line, LINE);
        // Once a line was left out, a later one would stand in the wrong place.
        if self.left_out > 0 || self.out.len() + line.len() + 1 + Self::RESERVE > self.budget {
            self.left_out += 1;
            return;
        }
        self.out.push_str(&line);
        self.out.push('\n');
    }

    fn finish(mut self) -> String {
        if self.left_out > 0 {
            let left = plural(self.left_out, "line");
            let _ = writeln!(self.out, "\n*{left} left out for size.*");
        }
        self.out
    }
}

fn title(lines: &mut Lines, run: &Run) {
    let conclusion = run.conclusion();
    let mark = match conclusion.exit() {
        Exit::Pass => "✅",
        Exit::Nothing | Exit::Inconclusive => "⚠️",
        _ => "❌",
    };
    lines.push(&format!("## {mark} lanfence: {}", conclusion.word()));
    lines.push("");
    lines.push(&titles::sum(run.counts(), run.known_gaps()));
}

fn print_grid(lines: &mut Lines, run: &Run) {
    if matrix::suits(run) {
        return print_matrix(lines, run);
    }
    let rows = grid::rows(run);
    if rows.is_empty() {
        return;
    }
    let columns: Vec<String> = grid::columns(run)
        .iter()
        .map(|label| escape(label))
        .collect();
    lines.push("");
    lines.push(&format!("| traffic | expected | {} |", columns.join(" | ")));
    lines.push(&format!("| --- | --- |{}", " --- |".repeat(columns.len())));
    for row in rows {
        let cells: Vec<String> = row.cells.iter().map(|text| emphasise(text)).collect();
        lines.push(&format!(
            "| {} | {} | {} |",
            row.title,
            row.expected,
            cells.join(" | ")
        ));
    }
}

/// A line a cell.
fn print_matrix(lines: &mut Lines, run: &Run) {
    let columns = matrix::COLUMNS;
    lines.push("");
    lines.push(&format!("| {} |", columns.join(" | ")));
    lines.push(&format!("|{}", " --- |".repeat(columns.len())));
    for line in matrix::lines(run) {
        let (names, entries) = line.split_at(2);
        let names = names.iter().map(|name| escape(name));
        let entries = entries.iter().map(|entry| emphasise(entry));
        let line: Vec<String> = names.chain(entries).collect();
        lines.push(&format!("| {} |", line.join(" | ")));
    }
    lines.push("");
    lines.push(matrix::LEGEND);
}

fn emphasise(entry: &str) -> String {
    if entry.starts_with("LEAK") || entry.starts_with("BLOCKED") || entry == "error" {
        format!("**{entry}**")
    } else {
        entry.to_owned()
    }
}

/// Leaks or blocks by cause, with their probes folded in below; without causes the probes alone.
fn failures(lines: &mut Lines, run: &Run, failure: Failure, title: &str) {
    let found = causes::of(run, failure);
    if found.is_empty() || !causes::are_complete(run, failure) {
        return section(lines, run, title, Verdict::Fail(failure));
    }
    let (probes, count) = (causes::probes(&found), plural(found.len(), "cause"));
    lines.push("");
    lines.push(&format!("### {title} ({probes}, {count})"));
    lines.push("");
    for cause in found {
        let place = causes::place_line(cause);
        let place = place.map(|place| format!(" — {}", escape(&place)));
        let message = escape(&causes::message(cause));
        lines.push(&format!("- {message}{}", place.unwrap_or_default()));
    }
    lines.push("");
    lines.push("<details><summary>probe by probe</summary>");
    lines.push("");
    for finding in &findings(run, Verdict::Fail(failure)) {
        lines.push(&item(finding, run));
    }
    lines.push("");
    lines.push("</details>");
}

fn section(lines: &mut Lines, run: &Run, title: &str, verdict: Verdict) {
    let found = findings(run, verdict);
    if found.is_empty() {
        return;
    }
    lines.push("");
    lines.push(&format!("### {title} ({})", found.len()));
    lines.push("");
    for finding in &found {
        lines.push(&item(finding, run));
    }
}

fn item(finding: &Finding, run: &Run) -> String {
    let note = finding
        .note
        .as_deref()
        .map(|note| format!(" — {}", escape(note)))
        .unwrap_or_default();
    let (id, summary) = (code(&finding.id), escape(&finding.summary));
    format!("- {id} {summary} {}{note}", escape(&place(finding, run)))
}

fn errors(lines: &mut Lines, run: &Run) {
    let mut first = true;
    for cell in &run.cells {
        let Some(error) = &cell.error else { continue };
        if std::mem::take(&mut first) {
            lines.push("");
            lines.push("### Errors");
            lines.push("");
        }
        let (name, step) = (code(&clean(&cell.name)), code(error.step.word()));
        lines.push(&format!(
            "- {name} in step {step}: {}",
            escape(&clean(&error.message))
        ));
    }
}

/// Cells that were green on a later try only, and cells that could not run.
fn remarks(lines: &mut Lines, run: &Run) {
    let flaky: Vec<(&str, &str)> = run
        .cells
        .iter()
        .filter_map(|cell| Some((cell.name.as_str(), cell.flaky.as_deref()?)))
        .collect();
    let skipped: Vec<(&str, &str)> = run
        .skipped
        .iter()
        .map(|cell| (cell.name.as_str(), cell.reason.as_str()))
        .collect();
    for (title, found) in [("Flaky", flaky), ("Skipped", skipped)] {
        if found.is_empty() {
            continue;
        }
        lines.push("");
        lines.push(&format!("### {title} ({})", found.len()));
        lines.push("");
        for (name, text) in found {
            lines.push(&format!(
                "- {} {}",
                code(&clean(name)),
                escape(&clean(text))
            ));
        }
    }
}

fn dhcp_clients(lines: &mut Lines, run: &Run) {
    let Some(grid) = clients::grid(run) else {
        return;
    };
    lines.push("");
    lines.push(&format!("### {}", clients::TITLE));
    lines.push("");
    lines.push(clients::REMARK);
    lines.push("");
    let columns: Vec<String> = grid.columns.iter().map(|name| escape(name)).collect();
    lines.push(&format!("| {} | {} |", grid.corner, columns.join(" | ")));
    lines.push(&format!("| --- |{}", " --- |".repeat(columns.len())));
    for (name, entries) in grid.rows {
        let entries: Vec<String> = entries.iter().map(|entry| escape(entry)).collect();
        lines.push(&format!("| {} | {} |", escape(&name), entries.join(" | ")));
    }
    for text in clients::consequences(run) {
        lines.push("");
        lines.push(&escape(&text));
    }
}

fn what_ran(lines: &mut Lines, run: &Run) {
    let mut facts = vec![
        format!("filter: {}", filter_line(&run.filter)),
        format!("policy: {}", clean(&run.policy)),
        format!("accelerator: {}", accelerator_line(&run.host)),
        format!("host: {}", host_line(&run.host)),
        format!("lanfence {}, {}", clean(&run.version), seconds(run.wall_ms)),
    ];
    facts.extend(leak_check(run).into_iter().map(|(_, line)| line));
    lines.push("");
    lines.push("### What ran");
    lines.push("");
    for fact in facts {
        lines.push(&format!("- {}", escape(&fact)));
    }
}

/// Text that Markdown leaves as it is, also inside a table.
fn escape(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '&' => out.push_str("&amp;"),
            '\\' | '`' | '*' | '_' | '[' | ']' | '|' | '~' | '#' => {
                out.push('\\');
                out.push(c);
            }
            // A mention would notify whoever has that name.
            '@' => out.push_str("&#64;"),
            _ => out.push(c),
        }
    }
    out
}

/// Text as code; a backtick cannot be escaped there.
fn code(text: &str) -> String {
    format!("`{}`", text.replace('`', "'"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::examples;
    use rstest::rstest;

    #[test]
    fn green() {
        insta::assert_snapshot!(markdown(&examples::green()));
    }

    #[test]
    fn flaky_and_skipped() {
        let mut run = examples::matrix();
        run.cells.drain(2..);
        run.cells
            .iter_mut()
            .for_each(|cell| cell.probes.truncate(1));
        insta::assert_snapshot!(markdown(&run));
    }

    #[test]
    fn dhcp_clients_of_other_systems() {
        let mut run = examples::clients();
        run.cells
            .iter_mut()
            .for_each(|cell| cell.probes.truncate(1));
        insta::assert_snapshot!(markdown(&run));
    }

    #[test]
    fn red() {
        insta::assert_snapshot!(markdown(&examples::red()));
    }

    #[test]
    fn inconclusive() {
        insta::assert_snapshot!(markdown(&examples::inconclusive()));
    }

    #[test]
    fn cell_error() {
        insta::assert_snapshot!(markdown(&examples::cell_error()));
    }

    #[test]
    fn stops_at_the_budget_and_says_so() {
        insta::assert_snapshot!(within(&examples::red(), 900));
    }

    #[rstest]
    fn never_exceeds_the_budget(#[values(200, 500, 1_500, 3_000)] budget: usize) {
        for run in examples::all() {
            assert!(within(&run, budget).len() <= budget);
        }
    }

    #[test]
    fn a_hostile_name_stays_text() {
        let mut run = examples::red();
        run.filter.name = Some("<img src=x> | [a](b) @team".to_owned());
        let text = markdown(&run);
        assert!(
            text.contains("&lt;img src=x&gt; \\| \\[a\\](b) &#64;team"),
            "{text}"
        );
    }
}
