//! A finished check as text.

use super::report::Report;
use crate::check::Checked;
use crate::check::learning::LearningPhase;
use crate::check::probes::Judged;
use crate::cli::heading::heading;
use crate::cli::levels::{self, WIDTH};
use crate::frame::{summary, to_hex};
use crate::nwfilter::statements::Ruling;
use crate::nwfilter::{Parameter, trace};
use crate::probe::{Expect, Group};
use crate::report::causes;
use crate::report::grid::counts_text;
use crate::report::text::{plural, plurals, wrap};
use crate::report::titles::{self, title};
use crate::verdict::{Counts, Failure, Verdict};
use comfy_table::{ContentLineStyle, LineStyle, Table, TableStyle};
use std::fmt::Write as _;

/// As `verify` lays out its table.
const STYLE: TableStyle = TableStyle::new()
    .header_lines(ContentLineStyle::none().junction('|'))
    .header_separator(LineStyle::none().fill('-').junction('+'))
    .content_lines(ContentLineStyle::none().junction('|'));

/// The whole text.
pub fn text(report: &Report) -> String {
    let checked = &report.checked;
    let mut out = head(report);
    lint(&mut out, report);
    out.push('\n');
    for line in table(checked).lines() {
        let _ = writeln!(out, "{}", line.trim_end());
    }
    print_causes(&mut out, report);
    for (verdict, title, remark) in [
        (
            Verdict::Inconclusive,
            "Inconclusive",
            "lanfence does not model what decides about these frames",
        ),
        (
            Verdict::KnownGap,
            "Known gaps",
            "no nwfilter can treat these frames as the policy wants",
        ),
    ] {
        list(&mut out, report, verdict, title, remark);
    }
    if let Some(phase) = &checked.learning {
        learning(&mut out, phase);
    }
    untested(&mut out, report);
    statements(&mut out, report);
    sets(&mut out, checked);
    closing(&mut out, checked);
    out
}

/// What was checked.
fn head(report: &Report) -> String {
    let mut out = heading("static check", &report.tree, &report.policy, report.backend);
    if let Some(guest) = &report.guest {
        let _ = writeln!(out, "guest   {guest}");
    }
    parameters(&mut out, report);
    out
}

/// What stands above a comparison with a baseline.
pub fn above(report: &Report) -> String {
    let mut out = head(report);
    let denied = report.denied.len();
    if denied > 0 {
        let of = plurals(
            denied,
            "finding of a denied lint",
            "findings of denied lints",
        );
        let words = format!(
            "{of}, which no baseline accepts ({}): mend it, or do not deny it",
            report.denied.join(", ")
        );
        paragraph(&mut out, "lint    ", &words, 8);
    }
    out
}

fn parameters(out: &mut String, report: &Report) {
    let parameters: Vec<String> = report.parameters.iter().map(Parameter::text).collect();
    if !parameters.is_empty() {
        paragraph(out, "with    ", &parameters.join(", "), 8);
    }
    if let Some(text) = titles::left_out(&report.left_out) {
        paragraph(out, "without ", &text, 8);
    }
}

/// Rules that no probe matches: a mistake in them would change no verdict.
fn untested(out: &mut String, report: &Report) {
    let rules = report.checked.coverage.iter();
    let untested: Vec<_> = rules.filter(|covered| covered.probes.is_empty()).collect();
    if untested.is_empty() {
        return;
    }
    let count = plural(untested.len(), "rule");
    let _ = writeln!(out, "\nNot tested ({count}): no probe matches them");
    for covered in untested {
        paragraph(out, "  ", &report.tree.describe(&covered.rule), 4);
    }
}

/// The time before libvirt knows the guest's address, when the filter is not in force.
fn learning(out: &mut String, phase: &LearningPhase) {
    let _ = writeln!(
        out,
        "\nWhile libvirt learns the guest's address (CTRL_IP_LEARNING={}), the filter is not in force",
        phase.learning.word()
    );
    let of = plural(phase.probes.len(), "probe");
    let names = |found: &[&Judged]| {
        let ids: Vec<&str> = found
            .iter()
            .map(|judged| judged.probe.id.as_str())
            .collect();
        ids.join(" ")
    };
    let leaks: Vec<&Judged> = phase.leaks().collect();
    let gaps: Vec<&Judged> = phase.known_gaps().collect();
    if leaks.is_empty() && gaps.is_empty() {
        let _ = writeln!(out, "  none of {of} that must be dropped gets out");
    }
    if !leaks.is_empty() {
        let (count, ids) = (leaks.len(), names(&leaks));
        let text = format!("LEAK: {count} of {of} that must be dropped get out: {ids}");
        paragraph(out, "  ", &text, 2);
        paragraph(out, "  cure: ", LEARN_FROM_LEASE, 8);
    }
    if !gaps.is_empty() {
        let ids = names(&gaps);
        let text = format!("known gap: libvirt lets DHCP questions pass to any address: {ids}");
        paragraph(out, "  ", &text, 2);
        let remedy = "give the guest's address (--param IP=ADDRESS)";
        paragraph(out, "  remedy: ", remedy, 10);
    }
}

/// What closes the time in which libvirt learns the address.
const LEARN_FROM_LEASE: &str = "give the guest's address (--param IP=ADDRESS), or let libvirt \
                                learn it from the lease alone (--param CTRL_IP_LEARNING=dhcp)";

fn lint(out: &mut String, report: &Report) {
    let lint = &report.checked.lint;
    if lint.is_empty() {
        return;
    }
    let _ = writeln!(out, "\nLint ({})", plural(lint.len(), "finding"));
    out.push_str(&levels::text(&report.tree, lint));
}

/// A row for each group and expectation, as `verify` prints them.
fn table(checked: &Checked) -> Table {
    let mut table = Table::new();
    table.load_style(STYLE);
    table.set_header(["traffic", "expected", "evaluator"]);
    for group in Group::ALL {
        for expect in [Expect::Pass, Expect::Drop] {
            let row = checked.judgement.probes.iter();
            let row =
                row.filter(|judged| judged.probe.group == group && judged.probe.expect == expect);
            let counts = Counts::of(row.map(|judged| judged.verdict));
            if counts.total() > 0 {
                let wish = titles::expected(expect);
                table.add_row([title(group), wish, &counts_text(counts)]);
            }
        }
    }
    table
}

/// Why there are leaks and blocks; with `--verbose` each of their probes as well.
fn print_causes(out: &mut String, report: &Report) {
    for (failure, title, remark) in [
        (
            Failure::Leak,
            "Leaks",
            "the policy forbids these frames, and they get through",
        ),
        (
            Failure::Blocked,
            "Wrongly blocked",
            "the policy allows these frames, and they are stopped",
        ),
    ] {
        let found = report.causes.iter();
        let found: Vec<_> = found.filter(|cause| cause.failure == failure).collect();
        if found.is_empty() {
            continue;
        }
        let (causes_of, probes) = (plural(found.len(), "cause"), causes::probes(&found));
        let _ = writeln!(out, "\n{title} ({probes}, {causes_of}): {remark}");
        for cause in found {
            paragraph(out, "  ", &causes::message(cause), 4);
            if let Some(line) = causes::place_line(cause) {
                paragraph(out, "      ", &line, 9);
            }
            if report.verbose && !cause.statements.is_empty() {
                let list = format!("statements: {}", cause.statements.join(" "));
                paragraph(out, "      ", &list, 9);
            }
        }
        if report.verbose {
            let title = format!("{title}, probe by probe");
            list(out, report, Verdict::Fail(failure), &title, remark);
        }
    }
}

fn list(out: &mut String, report: &Report, verdict: Verdict, title: &str, remark: &str) {
    let found: Vec<&Judged> = report.checked.judgement.with(verdict).collect();
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
        if let Some(why) = &judged.note {
            let _ = write!(text, "; {why}");
        } else if let Some(last) = trace(&report.tree, &judged.evaluation).last() {
            let _ = write!(text, "; {last}");
        }
        paragraph(out, &format!("  {:<34} ", probe.id), &text, 37);
    }
}

/// The statements that are not proven, each kind of frames with a frame.
fn statements(out: &mut String, report: &Report) {
    let all = &report.checked.judgement.statements;
    let proven = all.iter().filter(|held| held.is_proven()).count();
    let _ = writeln!(
        out,
        "\nWhat the policy says of all frames: {proven} of {} proven",
        plural(all.len(), "statement")
    );
    for held in all.iter().filter(|held| !held.is_proven()) {
        let word = match held.statement.ruling() {
            _ if held.wrong.is_empty() => "NOT PROVEN",
            Ruling::Required => "BLOCKED",
            _ => "LEAK",
        };
        let first = format!("  {word:<10} {:<26} ", held.statement.id());
        paragraph(out, &first, &held.statement.sentence(), 40);
        if let [first, others @ ..] = held.wrong.as_slice() {
            let mut text = format!("{}: {}", first.kind, summary(&first.frame));
            if let Some(last) = trace(&report.tree, &first.evaluation).last() {
                let _ = write!(text, "; {last}");
            }
            paragraph(out, "    for example  ", &text, 17);
            let _ = writeln!(out, "                 {}", to_hex(&first.frame));
            let others: Vec<&str> = others.iter().map(|wrong| wrong.kind).collect();
            if !others.is_empty() {
                paragraph(out, "    and          ", &others.join(", "), 17);
            }
        }
        if let Some(why) = &held.inexact {
            paragraph(out, "    not exact    ", why, 17);
        }
    }
}

fn sets(out: &mut String, checked: &Checked) {
    let _ = writeln!(
        out,
        "\nDestinations that the guest can reach, with any source address, port and MAC"
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
            let _ = writeln!(out, "                 {}", to_hex(frame));
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
            " and {} more (--format json shows all)",
            list.len() - SHOWN
        );
    }
    paragraph(out, &format!("    {what:<13}"), &text, 17);
}

fn closing(out: &mut String, checked: &Checked) {
    let (counts, conclusion) = (checked.judgement.counts(), checked.conclusion());
    let statements = &checked.judgement.statements;
    let proven = statements.iter().filter(|held| held.is_proven());
    let mut parts = vec![
        plural(counts.leaked, "leak"),
        plural(counts.blocked, "wrong block"),
        format!("{} inconclusive", counts.inconclusive),
        format!(
            "{} of {} proven",
            proven.count(),
            plural(statements.len(), "statement")
        ),
    ];
    if let Some(phase) = &checked.learning {
        let leaks = phase.leaks().count();
        parts.push(format!(
            "{} while libvirt learns the address",
            plural(leaks, "leak")
        ));
    }
    if checked.denied {
        parts.push("a denied lint has findings".to_owned());
    }
    parts.push(format!("exit code {}", conclusion.exit().code()));
    let _ = writeln!(out, "\n{}: {}", conclusion.word(), parts.join(", "));
    if counts.known_gaps > 0 {
        let _ = writeln!(out, "{}", titles::known_gaps_open(counts.known_gaps));
    }
    let _ = writeln!(out, "{}", titles::passed_and_failed(counts));
}

fn paragraph(out: &mut String, first: &str, text: &str, indent: usize) {
    for line in wrap(first, text, WIDTH, indent) {
        out.push_str(&line);
        out.push('\n');
    }
}
