//! Judged mutants as text.

use super::report::Report;
use crate::cli::heading::heading;
use crate::cli::levels::WIDTH;
use crate::frame::{summary, to_hex};
use crate::mutate::{Class, Example, Figures, Judged};
use crate::nwfilter::evaluate::Decision;
use crate::nwfilter::statements::Statement;
use crate::nwfilter::trace;
use crate::report::text::{plural, shorten, wrap};
use comfy_table::{ContentLineStyle, LineStyle, Table, TableStyle};
use std::fmt::Write as _;

/// As `check` lays out its table.
const STYLE: TableStyle = TableStyle::new()
    .header_lines(ContentLineStyle::none().junction('|'))
    .header_separator(LineStyle::none().fill('-').junction('+'))
    .content_lines(ContentLineStyle::none().junction('|'));

/// Most characters of a rule in the table.
const RULE: usize = 48;

/// The whole text.
pub fn text(report: &Report) -> String {
    let mut out = head(report);
    out.push('\n');
    for line in table(report).lines() {
        let _ = writeln!(out, "{}", line.trim_end());
    }
    indifferent(&mut out, report);
    survivors(&mut out, report);
    unproven(&mut out, report);
    closing(&mut out, report);
    out
}

/// What was mutated.
pub fn head(report: &Report) -> String {
    heading(
        "every slip in a filter against its check",
        &report.tree,
        &report.policy,
        report.backend,
    )
}

fn table(report: &Report) -> Table {
    let mut table = Table::new();
    table.load_style(STYLE);
    table.set_header([
        "edited",
        "mutants",
        "probes",
        "statements",
        "both",
        "equal",
        "open",
        "refused",
        "survived",
    ]);
    for (mutant, figures) in report.mutants.by_place() {
        let place = match &mutant.rule {
            Some(rule) => format!(
                "{} {}: {}",
                rule.filter,
                rule.rule,
                report.tree.rule_text(rule)
            ),
            None => format!("{}: chain and references", mutant.filter),
        };
        row(&mut table, &shorten(&place, RULE), &figures);
    }
    row(&mut table, "all", &report.mutants.figures());
    table
}

fn row(table: &mut Table, place: &str, figures: &Figures) {
    let counts = [
        figures.all(),
        figures.probes,
        figures.statements,
        figures.both,
        figures.equivalent,
        figures.indifferent,
        figures.refused,
        figures.survived + figures.unproven,
    ];
    let cells = counts.map(|count| match count {
        0 => String::new(),
        count => count.to_string(),
    });
    table.add_row(std::iter::once(place.to_owned()).chain(cells));
}

fn survivors(out: &mut String, report: &Report) {
    let survivors = report.mutants.all.iter();
    let survivors: Vec<(&Judged, &Example)> = survivors
        .filter_map(|judged| match &judged.class {
            Class::Survived(example) => Some((judged, example.as_ref())),
            _ => None,
        })
        .collect();
    if survivors.is_empty() {
        return;
    }
    let _ = writeln!(
        out,
        "\nSurvived ({}): neither a probe nor a statement of the policy notices these edits",
        plural(survivors.len(), "mutant")
    );
    for (judged, example) in survivors {
        survivor(out, report, judged, example);
    }
}

/// The edits that change what the policy does not rule.
fn indifferent(out: &mut String, report: &Report) {
    let mutants = report.mutants.all.iter();
    let found: Vec<(&Judged, &[Statement])> = mutants
        .filter_map(|judged| match &judged.class {
            Class::Indifferent(statements) => Some((judged, statements.as_slice())),
            _ => None,
        })
        .collect();
    if found.is_empty() {
        return;
    }
    let _ = writeln!(
        out,
        "\nOpen ({}): these edits change what the policy does not rule, and nothing else",
        plural(found.len(), "mutant")
    );
    for (judged, statements) in found {
        let ids: Vec<&str> = statements.iter().map(|statement| statement.id()).collect();
        let text = format!("{} ({})", judged.mutant, ids.join(", "));
        for line in wrap("  ", &text, WIDTH, 4) {
            let _ = writeln!(out, "{line}");
        }
    }
}

fn survivor(out: &mut String, report: &Report, judged: &Judged, seen: &Example) {
    let mut paragraph = |first: &str, text: &str, indent| {
        for line in wrap(first, text, WIDTH, indent) {
            out.push_str(&line);
            out.push('\n');
        }
    };
    paragraph("  ", &judged.mutant.to_string(), 4);
    let example = format!("{} {}", summary(&seen.frame), seen.way);
    paragraph("    for example  ", &example, 17);
    paragraph("                 ", &to_hex(&seen.frame), 17);
    if let Some(statement) = seen.statement {
        paragraph(
            "    ",
            &format!("{}: {}", statement.id(), statement.sentence()),
            7,
        );
    }
    let decisive = trace(&report.tree, &seen.outcomes[0]).pop();
    let becomes = |at: usize| match seen.outcomes[at].decision {
        Decision::Accept => "passes",
        Decision::Drop => "is dropped",
        Decision::Undecided(_) => "is not modelled",
    };
    let text = format!(
        "{} (it {}); with the edit it {}",
        becomes(0),
        decisive.unwrap_or_else(|| "matches no rule".to_owned()),
        becomes(1)
    );
    paragraph("    it ", &text, 7);
}

fn unproven(out: &mut String, report: &Report) {
    let mutants = report.mutants.all.iter();
    let open: Vec<(&Judged, &str)> = mutants
        .filter_map(|judged| match &judged.class {
            Class::Unproven(why) => Some((judged, why.as_str())),
            _ => None,
        })
        .collect();
    if open.is_empty() {
        return;
    }
    let _ = writeln!(
        out,
        "\nUnproven ({}): nothing notices these edits, and whether they change anything is not known",
        plural(open.len(), "mutant")
    );
    for (judged, why) in open {
        for line in wrap("  ", &format!("{}: {why}", judged.mutant), WIDTH, 4) {
            let _ = writeln!(out, "{line}");
        }
    }
}

fn closing(out: &mut String, report: &Report) {
    let figures = report.mutants.figures();
    let score = figures.score();
    let word = match (figures.survived, figures.unproven) {
        (0, 0) => "PASS",
        (0, _) => "INCONCLUSIVE",
        _ => "FAIL",
    };
    let _ = writeln!(
        out,
        "\n{word}: {} of {} mutants that treat frames otherwise are noticed ({:.1} %), {} by probes and {} by statements; {} survived, exit code {}",
        score.noticed,
        score.of,
        score.percent(),
        figures.probes + figures.both,
        figures.statements + figures.both,
        figures.survived,
        report.mutants.exit().code()
    );
}
