//! What a run changed against a baseline.

use super::view::View;
use crate::report::baseline::{Change, Comparison, Kind, Weight};
use crate::report::text::clean;
use maud::{Markup, html};

/// The changes by their kind, with what may explain them.
pub fn section(view: &View<'_>, found: &Comparison) -> Markup {
    html! {
        @if found.changes.is_empty() {
            p { "Nothing changed: what is wrong below is accepted." }
        }
        @for kind in Kind::ALL {
            @let changes: Vec<&Change> = found.of(kind).collect();
            @if !changes.is_empty() {
                h3 { b class=(mood(kind)) { (kind.words().1) } " (" (changes.len()) ")" }
                ul { @for change in changes { li { (line(view, change)) } } }
            }
        }
        @if !found.suspects.is_empty() && !found.changes.is_empty() {
            h3 { "Suspects" }
            dl { @for suspect in &found.suspects {
                dt { (suspect.fact.name()) }
                dd { (clean(&suspect.text())) }
            } }
        }
    }
}

/// The class that colours a kind of change.
fn mood(kind: Kind) -> &'static str {
    match kind.weight() {
        Weight::Worse => "leak",
        Weight::Unproven => "inconclusive",
        Weight::Better => "pass",
    }
}

fn line(view: &View<'_>, change: &Change) -> Markup {
    let id = clean(&change.probe);
    html! {
        @match view.probes.iter().find(|probe| probe.id == id) {
            Some(probe) => a href=(format!("#{}", probe.anchor)) { (id) },
            None => (id),
        }
        " " (clean(&change.summary)) " "
        span class="cells" { "[" (clean(&change.cell)) "]" }
        @if let Some(before) = change.before { "; it was: " (before.word()) }
        @if let Some(note) = &change.note { "; " (clean(note)) }
    }
}
