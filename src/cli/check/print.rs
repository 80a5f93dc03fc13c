//! A finished check as text.

use super::probes::{Fate, Judged, Verdict};
use super::{Checked, hex};
use crate::cli::explain::trace;
use crate::cli::levels::{self, WIDTH};
use crate::frame::summary;
use crate::probe::{Expect, Group};
use crate::report::text::{plural, wrap};
use crate::report::titles::title;
use comfy_table::{ContentLineStyle, LineStyle, Table, TableStyle};
use std::fmt::Write as _;

/// As `verify` lays out its table.
const STYLE: TableStyle = TableStyle::new()
    .header_lines(ContentLineStyle::none().junction('|'))
    .header_separator(LineStyle::none().fill('-').junction('+'))
    .content_lines(ContentLineStyle::none().junction('|'));

/// The whole text.
pub fn text(checked: &Checked) -> String {
    let mut out = heading(checked);
    lint(&mut out, checked);
    out.push('\n');
    for line in table(checked).lines() {
        let _ = writeln!(out, "{}", line.trim_end());
    }
    for (verdict, title, remark) in [
        (
            Verdict::Leak,
            "Leaks",
            "the policy wants it stopped, and it gets through",
        ),
        (
            Verdict::Blocked,
            "Wrongly blocked",
            "the policy wants it through, and it is stopped",
        ),
        (
            Verdict::Undecided,
            "Undecided",
            "not evaluated, so not proven",
        ),
        (
            Verdict::KnownGap,
            "Known gaps",
            "nwfilter cannot close them; counted as skipped",
        ),
    ] {
        list(&mut out, checked, verdict, title, remark);
    }
    sets(&mut out, checked);
    closing(&mut out, checked);
    out
}

fn heading(checked: &Checked) -> String {
    let (tree, paths) = (&checked.tree, checked.tree.paths());
    let source = if paths.is_empty() {
        "generated".to_owned()
    } else {
        paths.join(", ")
    };
    format!(
        "lanfence {}: no guest, the evaluator only\nfilter  {}, {source}, {}\npolicy  {}\nbackend {}, {}\n",
        env!("CARGO_PKG_VERSION"),
        tree.top,
        plural(tree.rule_count(), "rule"),
        checked.policy,
        checked.backend,
        checked.backend.source()
    )
}

fn lint(out: &mut String, checked: &Checked) {
    if checked.lint.is_empty() {
        return;
    }
    let _ = writeln!(out, "\nLint ({})", plural(checked.lint.len(), "finding"));
    out.push_str(&levels::text(&checked.tree, &checked.lint));
}

/// A row for each group and expectation, as `verify` prints them.
fn table(checked: &Checked) -> Table {
    let mut table = Table::new();
    table.load_style(STYLE);
    table.set_header(["traffic", "expected", "evaluator"]);
    for group in Group::ALL {
        for expect in [Expect::Pass, Expect::Drop] {
            let row: Vec<&Judged> = checked
                .probes
                .iter()
                .filter(|judged| judged.probe.group == group && judged.probe.expect == expect)
                .collect();
            if !row.is_empty() {
                let wish = if expect == Expect::Pass {
                    "pass"
                } else {
                    "drop"
                };
                table.add_row([title(group).to_owned(), wish.to_owned(), cell(&row)]);
            }
        }
    }
    table
}

fn cell(row: &[&Judged]) -> String {
    let count = |verdict| {
        row.iter()
            .filter(|judged| judged.verdict == verdict)
            .count()
    };
    let known_gap = count(Verdict::KnownGap);
    let all = row.len() - known_gap;
    let mut text = match (
        count(Verdict::Leak),
        count(Verdict::Blocked),
        count(Verdict::Undecided),
    ) {
        (0, 0, 0) => format!("pass {all}"),
        (0, 0, undecided) => format!("undecided {undecided} of {all}"),
        (0, blocked, _) => format!("BLOCKED {blocked} of {all}"),
        (leaked, ..) => format!("LEAK {leaked} of {all}"),
    };
    if known_gap > 0 {
        let _ = write!(text, " +{known_gap} known gap");
    }
    text
}

fn list(out: &mut String, checked: &Checked, verdict: Verdict, title: &str, remark: &str) {
    let found: Vec<&Judged> = checked.with(verdict).collect();
    if found.is_empty() {
        return;
    }
    let _ = writeln!(
        out,
        "\n{title} ({}): {remark}",
        plural(found.len(), "probe")
    );
    for judged in found {
        let probe = &judged.probe;
        let mut text = probe.summary.clone();
        if let Fate::Undecided(why) = &judged.fate {
            let _ = write!(text, "; {why}");
        } else if let Some(last) = trace(&checked.tree, &judged.outcome).last() {
            let _ = write!(text, "; {last}");
        }
        paragraph(out, &format!("  {:<34} ", probe.id), &text, 37);
    }
}

fn sets(out: &mut String, checked: &Checked) {
    let _ = writeln!(
        out,
        "\nWhat a guest can send to, over every source, port and MAC there is"
    );
    for class in &checked.classes {
        let state = if class.is_proven() {
            "proven"
        } else {
            "NOT PROVEN"
        };
        let _ = writeln!(out, "  {:<17}{state}", class.name);
        numbers(out, "accepted", &class.list(&class.accepted));
        if !class.leaked.is_empty() {
            numbers(out, "leaks", &class.list(&class.leaked));
        }
        if !class.blocked.is_empty() {
            numbers(out, "blocked", &class.list(&class.blocked));
        }
        if let Some(frame) = &class.example {
            paragraph(out, "    for example  ", &summary(frame), 17);
            let _ = writeln!(out, "                 {}", hex(frame));
        }
        if let Some(why) = &class.inexact {
            paragraph(out, "    not exact    ", why, 17);
        }
    }
}

fn numbers(out: &mut String, what: &str, list: &[String]) {
    const SHOWN: usize = 24;
    let mut text = if list.is_empty() {
        "nothing".to_owned()
    } else {
        list[..list.len().min(SHOWN)].join(" ")
    };
    if list.len() > SHOWN {
        let _ = write!(
            text,
            " and {} more (all of them with --json)",
            list.len() - SHOWN
        );
    }
    paragraph(out, &format!("    {what:<13}"), &text, 17);
}

fn closing(out: &mut String, checked: &Checked) {
    let count = |verdict| checked.with(verdict).count();
    let (leaks, blocks) = (count(Verdict::Leak), count(Verdict::Blocked));
    let undecided = count(Verdict::Undecided);
    let proven = checked
        .classes
        .iter()
        .filter(|class| class.is_proven())
        .count();
    let word = match checked.exit() {
        0 => "PROVEN",
        1 => "FAIL",
        _ => "NOT PROVEN",
    };
    let _ = writeln!(
        out,
        "\n{word}: {}, {}, {undecided} undecided, {proven} of {} proven, exit code {}",
        plural(leaks, "leak"),
        plural(blocks, "wrong block"),
        plural(checked.classes.len(), "destination set"),
        checked.exit()
    );
    let _ = writeln!(
        out,
        "{} passed, {} failed, {} skipped",
        count(Verdict::Pass),
        leaks + blocks + undecided,
        count(Verdict::KnownGap)
    );
}

fn paragraph(out: &mut String, first: &str, text: &str, indent: usize) {
    for line in wrap(first, text, WIDTH, indent) {
        out.push_str(&line);
        out.push('\n');
    }
}
