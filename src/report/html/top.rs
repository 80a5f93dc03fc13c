//! The head of the page: what the run comes to, and its figures.

use super::view::View;
use crate::report::model::{Cell, Run};
use crate::report::table::filter_line;
use crate::report::text::{clean, plural, seconds};
use crate::report::titles::known_gaps_open;
use crate::verdict::{Conclusion, Exit};
use maud::{Markup, html};

/// The name of the page's tab.
pub fn title(view: &View<'_>) -> String {
    let run = view.run;
    let filter = run
        .filter
        .name
        .as_deref()
        .map_or_else(|| "no filter".to_owned(), clean);
    format!("{}: {filter} – lanfence", run.conclusion().word())
}

/// Good, bad, or neither.
fn mood(conclusion: Conclusion) -> &'static str {
    match conclusion.exit() {
        Exit::Pass => "good",
        Exit::Inconclusive | Exit::Nothing => "open",
        _ => "bad",
    }
}

/// A dot in the colour of the conclusion, for the page's tab.
pub fn icon(view: &View<'_>) -> String {
    let color = match mood(view.run.conclusion()) {
        "good" => "1a7f37",
        "open" => "9a6700",
        _ => "cf222e",
    };
    format!(
        "data:image/svg+xml,%3Csvg xmlns='http://www.w3.org/2000/svg' viewBox='0 0 16 16'%3E%3Ccircle cx='8' cy='8' r='7' fill='%23{color}'/%3E%3C/svg%3E"
    )
}

/// Conclusion, figures, and what was tested.
pub fn header(view: &View<'_>) -> Markup {
    let run = view.run;
    let conclusion = run.conclusion();
    html! {
        header class=(mood(conclusion)) {
            p class="brand" { "lanfence " (clean(&run.version)) }
            h1 { span class="verdict" { (conclusion.word()) } " " (sentence(run)) }
            p class="tested" {
                b { "Filter " } (filter_line(&run.filter))
                b { " Policy " } (clean(&run.policy))
                @if let Some(started) = &run.started { b { " Started " } (clean(started)) }
                b { " Took " } (seconds(run.wall_ms))
            }
            (figures(run))
        }
    }
}

/// How many cells are green.
fn green(run: &Run) -> usize {
    let passes = |cell: &&Cell| cell.conclusion() == Conclusion::Pass;
    run.cells.iter().filter(passes).count()
}

/// The conclusion in words.
fn sentence(run: &Run) -> String {
    let counts = run.counts();
    let green = green(run);
    let cells = plural(run.cells.len(), "cell");
    match run.conclusion() {
        Conclusion::Pass => format!("every probe of {cells} came out as the policy wants"),
        Conclusion::Fail if counts.leaked > 0 && counts.blocked > 0 => {
            "traffic leaks, and wanted traffic is blocked".to_owned()
        }
        Conclusion::Fail if counts.leaked > 0 => "traffic leaks".to_owned(),
        Conclusion::Fail => "wanted traffic is blocked".to_owned(),
        Conclusion::Empty => "no cell was judged".to_owned(),
        Conclusion::Inconclusive => format!("not everything was proven: {green} of {cells} green"),
        Conclusion::Host => "this host cannot run a cell".to_owned(),
        Conclusion::Usage => "a cell could not be used as given".to_owned(),
        Conclusion::Internal => "a bug of lanfence ended a cell".to_owned(),
    }
}

fn figures(run: &Run) -> Markup {
    let counts = run.counts();
    let green = green(run);
    let figures = [
        (
            if green < run.cells.len() {
                "leak"
            } else {
                "pass"
            },
            format!("{green} of {}", run.cells.len()),
            "cells green",
        ),
        ("pass", counts.passed.to_string(), "passed"),
        ("leak", counts.leaked.to_string(), "leaked"),
        ("blocked", counts.blocked.to_string(), "wrongly blocked"),
        (
            "inconclusive",
            counts.inconclusive.to_string(),
            "inconclusive",
        ),
    ];
    html! {
        ul class="figures" {
            @for (kind, number, name) in figures {
                li class=(if number == "0" { "none" } else { kind }) { b { (number) } " " (name) }
            }
            li class=(if run.known_gaps() == 0 { "none" } else { "known-gap" }) {
                b { (run.known_gaps()) } " "
                (known_gaps_open(run.known_gaps()).split_once(' ').map_or("", |(_, words)| words))
            }
        }
    }
}
