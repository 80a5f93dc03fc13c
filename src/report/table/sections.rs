//! What to know beside the grid: leaks, blocks, known gaps, doubts, errors, leak check.

use super::coverage;
use super::page::Page;
use crate::report::causes;
use crate::report::clients;
use crate::report::color::Paint;
use crate::report::findings::{Finding, findings, labels, leak_check, place};
use crate::report::model::{Cell, ErrorKind, Failure, LearningPhase, Run, Verdict};
use crate::report::text::{clean, plural, seconds};
use crate::report::titles;
use crate::verdict::Conclusion;
use comfy_table::CellAlignment;
use std::fmt::Write as _;

pub(super) fn print(page: &mut Page, run: &Run, probes: bool) {
    for failure in [Failure::Leak, Failure::Blocked] {
        print_causes(page, run, failure);
        // A failure without a cause would be hidden else.
        if probes || !causes::are_complete(run, failure) {
            failures(page, run, failure);
        }
    }
    learning(page, run);
    known_gaps(page, run);
    inconclusive(page, run);
    sent_again(page, run);
    errors(page, run);
    flaky(page, run);
    skipped(page, run);
    coverage::print(page, run);
    dhcp_clients(page, run);
    print_leak_check(page, run);
    evidence(page, run);
}

/// Where the second column starts, so that it lines up within a section.
fn column(found: &[Finding]) -> usize {
    found
        .iter()
        .map(|finding| finding.id.chars().count())
        .max()
        .unwrap_or(0)
        + 4
}

fn failure_words(why: Failure) -> (&'static str, &'static str) {
    match why {
        Failure::Leak => (
            "Leaks",
            "the policy forbids these frames, and they got through",
        ),
        Failure::Blocked => (
            "Wrongly blocked",
            "the policy allows these frames, and they were stopped",
        ),
    }
}

/// Leaks or blocks by what in the filter they come from.
fn print_causes(page: &mut Page, run: &Run, why: Failure) {
    let found = causes::of(run, why);
    if found.is_empty() {
        return;
    }
    let (title, remark) = failure_words(why);
    let count = plural(found.len(), "cause");
    let probes = causes::probes(&found);
    page.heading(&format!("{title} ({probes}, {count})"), remark);
    for cause in found {
        page.text(2, &causes::message(cause));
        if let Some(line) = causes::place_line(cause) {
            page.text(6, &line);
        }
        if let Some(line) = causes::cells_line(run, cause) {
            page.text(6, &line);
        }
    }
}

fn failures(page: &mut Page, run: &Run, why: Failure) {
    let found = findings(run, Verdict::Fail(why));
    if found.is_empty() {
        return;
    }
    let (mut title, remark) = failure_words(why);
    if !causes::of(run, why).is_empty() {
        title = match why {
            Failure::Leak => "Leaks, probe by probe",
            Failure::Blocked => "Wrongly blocked, probe by probe",
        };
    }
    page.heading(
        &format!("{title} ({})", plural(found.len(), "probe")),
        remark,
    );
    for finding in &found {
        let mut text = format!("{} {}", finding.summary, place(finding, run));
        // A blocked frame was last seen before the filter, which tells nothing new.
        if let Some(point) = finding.last_seen.filter(|_| why == Failure::Leak) {
            let _ = write!(text, ", seen at {}", titles::place(point));
        }
        if let Some(note) = &finding.note {
            let _ = write!(text, "; {note}");
        }
        page.field(2, &finding.id, column(&found), &text, Paint::red);
    }
}

/// What passed until libvirt knew the guests' addresses, a line for each time.
fn learning(page: &mut Page, run: &Run) {
    let phases = |cell: &'_ Cell| cell.learning.len();
    if run.cells.iter().map(phases).sum::<usize>() == 0 {
        return;
    }
    page.heading(
        "While libvirt learned the guest's address",
        "the filter was not in force yet",
    );
    for cell in &run.cells {
        for phase in &cell.learning {
            let paint = if phase.let_out > 0 {
                Paint::red
            } else {
                Paint::green
            };
            page.field(2, &clean(&cell.name), 4, &learning_line(phase), paint);
        }
    }
}

/// `filter there before the first frame: 12 of 40 frames to the WAN got out, in force after 1.2 s`.
pub(in crate::report) fn learning_line(phase: &LearningPhase) -> String {
    let when = if phase.before_first_frame {
        "filter there before the first frame"
    } else {
        "filter put on a running guest"
    };
    let end = phase.in_force_after_ms.map_or_else(
        || "it did not come into force within the time waited".to_owned(),
        |ms| format!("in force after {}", seconds(ms)),
    );
    let (out, sent) = (phase.let_out, phase.sent);
    format!("{when}: {out} of {sent} frames to the WAN got out; {end}")
}

fn known_gaps(page: &mut Page, run: &Run) {
    let found = findings(run, Verdict::KnownGap);
    if found.is_empty() {
        return;
    }
    page.heading(
        &format!("Known gaps ({})", plural(found.len(), "probe")),
        "no nwfilter can treat these frames as the policy wants",
    );
    for finding in &found {
        let text = format!("{} {}", finding.summary, place(finding, run));
        page.field(2, &finding.id, column(&found), &text, Paint::yellow);
        if let Some(remedy) = &finding.note {
            page.text(6, &format!("remedy: {remedy}"));
        }
    }
}

fn dhcp_clients(page: &mut Page, run: &Run) {
    let Some(grid) = clients::grid(run) else {
        return;
    };
    page.heading(clients::TITLE, clients::REMARK);
    let rows: Vec<_> = grid
        .rows
        .into_iter()
        .map(|(name, entries)| (vec![name], entries))
        .collect();
    page.grid(&[grid.corner], &grid.columns, &rows, CellAlignment::Left);
    for text in clients::consequences(run) {
        page.text(1, &text);
    }
}

/// Grouped by reason, since one dead sensor leaves a whole cell unproven.
fn inconclusive(page: &mut Page, run: &Run) {
    let found = findings(run, Verdict::Inconclusive);
    if found.is_empty() {
        return;
    }
    page.heading(
        &format!("Inconclusive ({})", plural(found.len(), "probe")),
        "not proven either way, so not green",
    );
    let mut reasons: Vec<&str> = Vec::new();
    for reason in found.iter().filter_map(|finding| finding.note.as_deref()) {
        if !reasons.contains(&reason) {
            reasons.push(reason);
        }
    }
    for reason in reasons {
        page.text(2, &format!("because {reason}:"));
        for finding in found
            .iter()
            .filter(|finding| finding.note.as_deref() == Some(reason))
        {
            let mut text = format!("{} {}", finding.summary, place(finding, run));
            if let Some(point) = finding.last_seen {
                let _ = write!(text, ", last seen at {}", titles::place(point));
            }
            page.field(4, &finding.id, column(&found) + 2, &text, Paint::yellow);
        }
    }
}

pub(super) fn errors(page: &mut Page, run: &Run) {
    let failed: Vec<_> = run
        .cells
        .iter()
        .filter_map(|cell| Some((cell, cell.error.as_ref()?)))
        .collect();
    if failed.is_empty() {
        return;
    }
    page.heading(
        "Errors",
        &format!("{} did not finish", plural(failed.len(), "cell")),
    );
    for (cell, error) in failed {
        let text = format!(
            "in step {}, {}: {}",
            error.step,
            blame(error.kind),
            clean(&error.message)
        );
        page.field(2, &clean(&cell.name), 4, &text, Paint::red);
    }
}

/// Frames that had not left their guests, a line for each cell.
fn sent_again(page: &mut Page, run: &Run) {
    let count: usize = run.cells.iter().map(|cell| cell.sent_again.len()).sum();
    if count == 0 {
        return;
    }
    page.heading(
        &format!("Sent once more ({})", plural(count, "probe")),
        "their frames had not left the guest; no sensor had seen them",
    );
    for cell in run.cells.iter().filter(|it| !it.sent_again.is_empty()) {
        let line = sent_again_line(cell);
        page.field(2, &clean(&cell.name), 4, &line, Paint::yellow);
    }
}

/// `wan-ipv4/udp in control, rogue/na-router in filtered`.
pub(in crate::report) fn sent_again_line(cell: &Cell) -> String {
    let probes = cell.sent_again.iter();
    let probes: Vec<String> = probes
        .map(|it| format!("{} in {}", clean(&it.probe), it.step))
        .collect();
    probes.join(", ")
}

pub(super) fn flaky(page: &mut Page, run: &Run) {
    let found: Vec<_> = run
        .cells
        .iter()
        .filter_map(|cell| Some((cell, cell.flaky.as_ref()?)))
        .collect();
    if found.is_empty() {
        return;
    }
    page.heading(
        &format!("Flaky ({})", plural(found.len(), "cell")),
        "they passed only on a later try, so they are not green; the worst try is shown",
    );
    for (cell, text) in found {
        page.field(2, &clean(&cell.name), 4, &clean(text), Paint::yellow);
    }
}

pub(super) fn skipped(page: &mut Page, run: &Run) {
    if run.skipped.is_empty() {
        return;
    }
    page.heading(
        &format!("Skipped ({})", plural(run.skipped.len(), "cell")),
        "these cells of the matrix cannot run here",
    );
    let names = run.skipped.iter().map(|cell| cell.name.chars().count());
    let column = names.max().unwrap_or(0) + 4;
    for cell in &run.skipped {
        page.field(
            2,
            &clean(&cell.name),
            column,
            &clean(&cell.reason),
            Paint::yellow,
        );
    }
}

/// Whose fault an error is, with the exit code it asks for.
pub(in crate::report) fn blame(kind: ErrorKind) -> String {
    let whose = match kind {
        ErrorKind::Usage => "wrong input",
        ErrorKind::Host => "unfit host",
        ErrorKind::Cell => "the guest or the lab broke down",
        ErrorKind::Internal => "a bug of lanfence",
    };
    format!("{whose} ({})", Conclusion::from(kind).exit().code())
}

pub(super) fn print_leak_check(page: &mut Page, run: &Run) {
    if run.cells.is_empty() {
        return;
    }
    page.gap();
    for (good, line) in leak_check(run) {
        let rest = line.strip_prefix("leak check: ").unwrap_or(&line);
        page.entry(
            "leak check:",
            rest,
            if good { Paint::green } else { Paint::yellow },
        );
    }
}

pub(super) fn evidence(page: &mut Page, run: &Run) {
    if run.cells.iter().all(|cell| cell.evidence.is_empty()) {
        return;
    }
    page.heading("Evidence", "files in the directory that --out names");
    for (cell, label) in run.cells.iter().zip(labels(run)) {
        for file in &cell.evidence {
            page.field(2, &label, 12, &clean(file), Paint::bold);
        }
    }
}
