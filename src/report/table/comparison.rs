//! What changed against a baseline or another run, and nothing else.

use super::page::Page;
use super::{DEFAULT_WIDTH, header, sections};
use crate::report::baseline::{Change, Comparison, Kind, Weight};
use crate::report::color::Paint;
use crate::report::model::Run;
use crate::report::text::{clean, plurals};

/// What was compared with, and how strictly.
#[derive(Debug, Clone, Copy)]
pub struct Against<'a> {
    /// The baseline's file or the other run's.
    pub name: &'a str,
    /// Whether a change for the better fails too.
    pub strict: bool,
}

/// What a run changed: its header, the changes with their suspects, what a reader of a run must
/// know besides, and the conclusion. The last line is that of [`table`](super::table), with what
/// is accepted not among the failed.
pub fn compared(run: &Run, found: &Comparison, against: Against<'_>, color: bool) -> String {
    let mut page = Page::new(DEFAULT_WIDTH, color);
    header::print(&mut page, run);
    explained(&mut page, found, against);
    sections::errors(&mut page, run);
    sections::flaky(&mut page, run);
    sections::print_leak_check(&mut page, run);
    sections::evidence(&mut page, run);
    closing(&mut page, found, against);
    page.finish()
}

/// The changes with their suspects, and the conclusion.
pub fn comparison(found: &Comparison, against: Against<'_>, color: bool) -> String {
    let mut page = Page::new(DEFAULT_WIDTH, color);
    explained(&mut page, found, against);
    closing(&mut page, found, against);
    page.finish()
}

/// The changes with their suspects.
pub fn differences(found: &Comparison, against: Against<'_>) -> String {
    let mut page = Page::new(DEFAULT_WIDTH, false);
    explained(&mut page, found, against);
    page.finish()
}

/// The changes alone.
pub fn changes(found: &Comparison) -> String {
    let mut page = Page::new(DEFAULT_WIDTH, false);
    for kind in Kind::ALL {
        section(&mut page, found, kind);
    }
    page.finish()
}

fn explained(page: &mut Page, found: &Comparison, against: Against<'_>) {
    for kind in Kind::ALL {
        section(page, found, kind);
    }
    if found.changes.is_empty() {
        return;
    }
    if found.suspects.is_empty() {
        page.heading(
            "Suspects",
            "none: policy, filter and versions are those of before, so what changed is the run \
             itself; run it again",
        );
        return;
    }
    let remark = format!("what differs from {}", clean(against.name));
    page.heading("Suspects", &remark);
    for suspect in &found.suspects {
        page.field(
            2,
            suspect.fact.name(),
            COLUMN,
            &suspect.text(),
            Paint::yellow,
        );
    }
}

/// Where what a suspect was and is starts.
const COLUMN: usize = 16;

fn section(page: &mut Page, found: &Comparison, kind: Kind) {
    let lines = merged(found.of(kind));
    if lines.is_empty() {
        return;
    }
    let (title, remark) = titles(kind, found.is_blessed);
    page.heading(&format!("{title} ({})", lines.len()), remark);
    let name = |change: &Change| match kind {
        Kind::NotRun => change.cell.clone(),
        _ => change.probe.clone(),
    };
    let lengths = lines.iter().map(|(change, _)| name(change).chars().count());
    let column = lengths.max().unwrap_or(0) + 4;
    let paint = match kind.weight() {
        Weight::Worse => Paint::red,
        Weight::Unproven => Paint::yellow,
        Weight::Better => Paint::green,
    };
    for (change, cells) in &lines {
        let mut text = clean(&change.summary);
        if kind != Kind::NotRun {
            text = format!("{text} [{}]", some(cells));
        }
        if let Some(before) = was(change) {
            text = format!("{text}; {before}");
        }
        if let Some(note) = &change.note {
            text = format!("{text}; {}", clean(note));
        }
        page.field(2, &clean(&name(change)), column, &text, paint);
    }
}

/// What it was, where the section does not say that.
fn was(change: &Change) -> Option<String> {
    let new = matches!(
        change.kind,
        Kind::NewLeak
            | Kind::NewBlock
            | Kind::NewSurvivor
            | Kind::NewFailure
            | Kind::NewlyInconclusive
    );
    match change.before {
        None if new => Some("it was not judged before".to_owned()),
        Some(before) if new || change.kind == Kind::Fixed => {
            Some(format!("it was: {}", before.word()))
        }
        _ => None,
    }
}

/// The same change of the same probe in several cells is one line.
fn merged<'a>(changes: impl Iterator<Item = &'a Change>) -> Vec<(&'a Change, Vec<&'a str>)> {
    let mut lines: Vec<(&Change, Vec<&str>)> = Vec::new();
    for change in changes {
        let same = |(other, _): &&mut (&Change, Vec<&str>)| {
            let own =
                |change: &Change| (change.before, change.summary.clone(), change.note.clone());
            change.kind != Kind::NotRun && other.probe == change.probe && own(other) == own(change)
        };
        match lines.iter_mut().find(same) {
            Some((_, cells)) => cells.push(&change.cell),
            None => lines.push((change, vec![&change.cell])),
        }
    }
    lines
}

/// The cells, or the first of them and how many more.
fn some(cells: &[&str]) -> String {
    /// Most that are named.
    const NAMED: usize = 4;
    let named: Vec<String> = cells.iter().take(NAMED).map(|cell| clean(cell)).collect();
    let named = named.join(", ");
    match cells.len().checked_sub(NAMED) {
        Some(more) if more > 0 => format!("{named} and {more} more"),
        _ => named,
    }
}

fn titles(kind: Kind, is_blessed: bool) -> (&'static str, &'static str) {
    match kind {
        Kind::NewLeak => (
            "New leaks",
            "the policy forbids these frames, and they got through",
        ),
        Kind::NewBlock => (
            "New blocks",
            "the policy allows these frames, and they were stopped",
        ),
        Kind::NewGap => (
            "Known gaps newly open",
            "these frames were stopped before, though nobody can ask that of an nwfilter",
        ),
        Kind::NewSurvivor => (
            "New survivors",
            "edits of the filter that no check would notice",
        ),
        Kind::NewFailure => ("New failures", "these scenarios did not end as they must"),
        Kind::Expired => ("Expired", "these are as before and accepted no more"),
        Kind::NewlyInconclusive => (
            "Newly inconclusive",
            "nothing is proven of these now: not as before, and not green",
        ),
        Kind::NotRun => (
            "Not run",
            "these cells were judged before and not now: not as before, and not green",
        ),
        Kind::Gone => (
            "Gone",
            "these probes were judged before and are not there now",
        ),
        Kind::OtherWish => ("Another wish", "the policy wants the opposite of before"),
        Kind::Added => ("Added", "these were not judged before, and are good"),
        Kind::Fixed if is_blessed => (
            "Fixed",
            "as the policy wants them now: take them out of the baseline with `lanfence bless`",
        ),
        Kind::Fixed => ("Fixed", "as the policy wants them now"),
        Kind::NowProven => ("Now proven", "nothing was proven of these before"),
    }
}

fn closing(page: &mut Page, found: &Comparison, against: Against<'_>) {
    let conclusion = found.conclusion(against.strict);
    let mut parts: Vec<String> = Kind::ALL
        .into_iter()
        .filter_map(|kind| {
            let (one, many) = kind.words();
            let count = found.of(kind).count();
            (count > 0).then(|| plurals(count, one, many))
        })
        .collect();
    parts.push(as_before(found));
    if found.elsewhere > 0 {
        parts.push(format!(
            "{} of other partitions not compared",
            plurals(found.elsewhere, "cell", "cells")
        ));
    }
    if against.strict && found.count(Weight::Better) > 0 {
        parts.push("--strict: the baseline must say what is".to_owned());
    }
    parts.push(format!("exit code {}", conclusion.exit().code()));
    page.gap();
    let name = clean(against.name);
    page.conclusion(
        conclusion,
        &format!("compared with {name}: {}", parts.join(", ")),
    );
    let worse = found.count(Weight::Worse);
    page.line(&format!("{} passed, {worse} failed", found.passing));
}

fn as_before(found: &Comparison) -> String {
    let word = if found.is_blessed { " as accepted" } else { "" };
    let failing = found.failing_as_before;
    let unproven = found.unproven_as_before;
    let mut which = Vec::new();
    if failing > 0 {
        which.push(format!("{failing} failing{word}"));
    }
    if unproven > 0 {
        which.push(format!("{unproven} not proven{word}"));
    }
    let which = if which.is_empty() {
        String::new()
    } else {
        format!(" ({})", which.join(", "))
    };
    format!("{} as before{which}", found.as_before)
}
