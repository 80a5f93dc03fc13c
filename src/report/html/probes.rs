//! Every probe: what it is, which rule is about it, and what came of it where.

use super::decode::decode;
use super::drawing::{drawing, way_words, words as place_words};
use super::link::slug;
use super::view::{ProbeView, ResultView, View, WayView, points};
use super::words;
use crate::report::model::{Decided, Outcome, Points, ProbeFacts, ProbeResult, Verdict};
use crate::report::text::{clean, plural};
use crate::report::titles;
use maud::{Markup, html};

/// The controls, and the probes row by row; none without a probe.
pub fn section(view: &View<'_>) -> Option<Markup> {
    if view.probes.is_empty() {
        return None;
    }
    Some(html! {
        (controls(view))
        @for row in &view.rows {
            @let own: Vec<_> = view.probes.iter().filter(|probe| probe.row == *row).collect();
            div class="row" {
                h3 id=(row.anchor()) tabindex="-1" {
                    (titles::title(row.group)) " " i { "must " (titles::expected(row.expect())) }
                    " " span class="count" { (plural(own.len(), "probe")) }
                }
                @for probe in own { (entry(view, probe)) }
            }
        }
    })
}

fn controls(view: &View<'_>) -> Markup {
    let verdicts = [
        Verdict::Fail(crate::verdict::Failure::Leak),
        Verdict::Fail(crate::verdict::Failure::Blocked),
        Verdict::Inconclusive,
        Verdict::KnownGap,
        Verdict::Pass,
    ];
    let there = |verdict: &Verdict| view.with(*verdict).next().is_some();
    html! {
        form class="js filters" role="search" aria-label="Filter the probes" {
            label class="search" {
                span { "Search " kbd { "/" } }
                input type="search" id="q" autocomplete="off" placeholder="name, address, port, rule …";
            }
            fieldset {
                legend { "Verdict" }
                @for verdict in verdicts.iter().filter(|it| there(it)) {
                    label class="chip" {
                        input type="checkbox" name="v" value=(words::class(*verdict));
                        " " (words::badge(*verdict))
                    }
                }
            }
            label {
                span { "Traffic" }
                select id="row" {
                    option value="" { "all" }
                    @for row in &view.rows {
                        option value=(row.anchor()) { (titles::title(row.group)) ", must " (titles::expected(row.expect())) }
                    }
                }
            }
            @if view.labels.len() > 1 {
                label {
                    span { "Cell" }
                    select id="cell" {
                        option value="" { "all" }
                        @for (at, label) in view.labels.iter().enumerate() { option value=(at) { (label) } }
                    }
                }
            }
            div class="buttons" {
                button type="button" id="open" { "Open all shown" }
                button type="button" id="close" { "Close all" }
                button type="reset" { "Clear filters" }
            }
            output id="found" aria-live="polite" {}
        }
        p class="remark" {
            "Open a probe to see its frame, the rule that decided, and where its frames were seen without the filter and with it."
        }
    }
}

fn entry(view: &View<'_>, probe: &ProbeView<'_>) -> Markup {
    html! {
        details class="probe" id=(probe.anchor) {
            summary {
                @for result in &probe.results { (result_badge(view, probe, result)) }
                b class="id" { (probe.id) } " " span class="sum" { (probe.summary) }
            }
            @for result in &probe.results { (result_of(view, probe, result)) }
            @if let Some(facts) = probe.facts {
                dl class="frame" {
                    @if let Some(decided) = &facts.decided { (rule(decided, &probe.results)) }
                    (frame(facts))
                }
            }
        }
    }
}

fn result_badge(view: &View<'_>, probe: &ProbeView<'_>, result: &ResultView<'_>) -> Markup {
    let verdict = result.result.verdict;
    let everywhere = probe.results.len() == 1 && result.cells.len() == view.labels.len();
    html! {
        b class=(format!("v {}", words::class(verdict))) data-c=(ranges(&result.cells)) {
            (words::word(verdict))
            @if !everywhere { " " (result.cells.len()) }
        }
    }
}

/// Places in the run as ranges, `0-3,7`, for the script.
fn ranges(cells: &[usize]) -> String {
    let mut out: Vec<(usize, usize)> = Vec::new();
    for &cell in cells {
        match out.last_mut() {
            Some((_, last)) if *last + 1 == cell => *last = cell,
            _ => out.push((cell, cell)),
        }
    }
    let text = |(first, last): (usize, usize)| {
        if first == last {
            first.to_string()
        } else {
            format!("{first}-{last}")
        }
    };
    out.into_iter().map(text).collect::<Vec<_>>().join(",")
}

fn frame(facts: &ProbeFacts) -> Markup {
    html! {
        dt { "Way" } dd { (way_words(facts)) }
        @if let Some((hex, decoded)) = facts.frame.as_ref().and_then(|hex| Some((hex, decode(hex)?))) {
            dt { "Frame" } dd { code { (decoded.line) } }
            dt { "Layers" } dd {
                (decoded.link)
                @if let Some(network) = decoded.network { br; (network) }
            }
            dt { "Bytes" } dd { code class="hex" { (clean(hex)) } }
        }
    }
}

fn rule(decided: &Decided, results: &[ResultView<'_>]) -> Markup {
    let differs = results.iter().any(|it| {
        let seen = it.result.filtered;
        let certain = |outcome| matches!(outcome, Outcome::Delivered | Outcome::Dropped);
        certain(seen) && certain(decided.outcome) && seen != decided.outcome
    });
    let link = decided.filter.as_ref().zip(decided.rule);
    html! {
        dt { "Rules" }
        dd {
            ol class="way" { @for step in &decided.trace { li { (clean(step)) } } }
            b { (fate(decided.outcome)) }
            @if let Some((filter, rule)) = link {
                " " a href=(format!("#{}", slug("f", &format!("{filter} {rule}")))) { "See the rule." }
            }
            @if differs {
                p class="note" { "This is what libvirt's rules should do by lanfence's evaluator. A sensor saw something else." }
            }
        }
    }
}

fn fate(outcome: Outcome) -> &'static str {
    match outcome {
        Outcome::Delivered => "So the filter lets it pass.",
        Outcome::Dropped => "So the filter stops it.",
        _ => "So the rules alone do not say what becomes of it.",
    }
}

fn result_of(view: &View<'_>, probe: &ProbeView<'_>, shown: &ResultView<'_>) -> Markup {
    let result = shown.result;
    let several = view.labels.len() > 1;
    html! {
        div class="result" data-c=(ranges(&shown.cells)) data-v=(words::class(result.verdict)) {
            @if several { h4 { (words::badge(result.verdict)) " " (view.cells(&shown.cells)) } }
            @if let Some(note) = &result.note { p class="note" { (note_title(result.verdict)) (clean(note)) } }
            div class="sides" { (sides(probe, shown.ways.first().map_or(result, |way| way.result))) }
            @if shown.ways.len() > 1 {
                ul { @for way in &shown.ways[1..] { (other_way(view, probe, way)) } }
            }
        }
    }
}

/// Where frames were seen in some of the cells, in words alone.
fn other_way(view: &View<'_>, probe: &ProbeView<'_>, way: &WayView<'_>) -> Markup {
    let origin = probe.facts.map(|facts| facts.origin);
    let [control, with, first] = points(way.result);
    html! {
        li data-c=(ranges(&way.cells)) {
            "In " (view.cells(&way.cells)) ": "
            @if let Some(control) = control { "without the filter " (place_words(origin, control)) }
            @if control.is_some() && with.is_some() { "; " }
            @if let Some(with) = with { "with it " (place_words(origin, with)) }
            @if let Some(first) = first { "; with it before the first frame " (place_words(origin, first)) }
            "."
        }
    }
}

fn note_title(verdict: Verdict) -> &'static str {
    match verdict {
        Verdict::KnownGap => "Remedy: ",
        Verdict::Inconclusive => "Because ",
        _ => "",
    }
}

/// Without the filter and with it, beside each other.
fn sides(probe: &ProbeView<'_>, result: &ProbeResult) -> Markup {
    let [control, with, first] = points(result);
    let differs = |outcome: &Outcome| *outcome != result.filtered || first.is_some();
    let first_outcome = result.first_frame.filter(differs);
    html! {
        (side(probe, "without the filter", result.control, control, false))
        (side(probe, "with the filter", result.filtered, with, true))
        @if let Some(outcome) = first_outcome {
            (side(probe, "with the filter there before the first frame", outcome, first.or(with), true))
        }
        @if let Some(outcome) = result.leak_check {
            @if outcome != Outcome::Delivered {
                (side(probe, "with the filter removed again", outcome, None, false))
            }
        }
        @if let Some(point) = result.last_seen.filter(|_| result.seen.is_none()) {
            p { "last seen at " (titles::place(point)) }
        }
    }
}

fn side(
    probe: &ProbeView<'_>,
    name: &str,
    outcome: Outcome,
    points: Option<&Points>,
    filtered: bool,
) -> Markup {
    html! {
        div {
            h5 { (name) ": " span class=(format!("o {}", outcome.word())) { (outcome.word().replace('-', " ")) } }
            @if let Some(points) = points {
                (drawing(probe.facts, points, filtered))
                p { (place_words(probe.facts.map(|facts| facts.origin), points)) }
            }
        }
    }
}
