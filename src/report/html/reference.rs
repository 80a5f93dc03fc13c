//! What one looks up: known gaps with remedies, DHCP clients, rules, what ran.

use super::link::Slugs;
use super::view::View;
use crate::report::clients;
use crate::report::model::{RuleText, Verdict};
use crate::report::table::{
    Unknown, accelerator_line, filter_line, hits, host_line, parameters_line,
};
use crate::report::text::clean;
use crate::report::titles;
use maud::{Markup, html};

/// The known gaps that are open, with their remedies.
pub fn gaps(view: &View<'_>) -> Option<Markup> {
    let open: Vec<_> = view.with(Verdict::KnownGap).collect();
    if open.is_empty() {
        return None;
    }
    Some(html! {
        p class="remark" { "No nwfilter can treat these frames as the policy wants. They are neither passes nor failures." }
        div class="scroll" role="region" aria-label="Known gaps" tabindex="0" {
            table {
                thead { tr { th scope="col" { "probe" } th scope="col" { "what happens" } th scope="col" { "remedy" } } }
                tbody {
                    @for (probe, result) in open {
                        tr {
                            th scope="row" { a href=(format!("#{}", probe.anchor)) { (probe.id) } }
                            td {
                                (probe.summary)
                                @if view.labels.len() > 1 { " " span class="cells" { (view.cells(&result.cells)) } }
                            }
                            td { (result.result.note.as_deref().map(clean).unwrap_or_default()) }
                        }
                    }
                }
            }
        }
    })
}

/// The DHCP clients of other systems.
pub fn clients(view: &View<'_>) -> Option<Markup> {
    let grid = clients::grid(view.run)?;
    Some(html! {
        p class="remark" { (clients::REMARK) "." }
        div class="scroll" role="region" aria-label="DHCP clients" tabindex="0" {
            table {
                thead { tr {
                    th scope="col" { (grid.corner) }
                    @for column in &grid.columns { th scope="col" { (column) } }
                } }
                tbody {
                    @for (name, entries) in &grid.rows {
                        tr { th scope="row" { (name) } @for entry in entries { td { (entry) } } }
                    }
                }
            }
        }
        @for text in clients::consequences(view.run) { p { (text) } }
    })
}

/// The filter's rules, with the frames that each matched and the probes that it decides.
pub fn rules(view: &View<'_>) -> Option<Markup> {
    let texts = &view.run.filter.texts;
    if texts.is_empty() {
        return None;
    }
    let mut slugs = Slugs::default();
    Some(html! {
        p class="remark" {
            "Frames are those of all cells, by the kernel's counters. Probes are those that the rule decides, by the evaluator."
        }
        div class="scroll" role="region" aria-label="Rules of the filter" tabindex="0" {
            table {
                thead { tr { th scope="col" { "rule" } th scope="col" { "text" } th scope="col" { "frames" } th scope="col" { "probes" } } }
                tbody {
                    @for text in texts {
                        tr id=(slugs.take("f", &format!("{} {}", text.filter, text.rule))) tabindex="-1" {
                            th scope="row" { (clean(&text.filter)) " " (text.rule) }
                            td { code { (clean(&text.text)) } }
                            td { (frames(view, text)) }
                            td { (decided(view, text)) }
                        }
                    }
                }
            }
        }
    })
}

fn frames(view: &View<'_>, text: &RuleText) -> Markup {
    if view.run.cells.iter().all(|cell| cell.rules.is_empty()) {
        return html! { "–" };
    }
    html! {
        @if let Some(frames) = hits(view.run, text) { (frames) } @else {
            span title=(Unknown::of(text).words()) { "not known" }
        }
    }
}

/// How many probes a rule decides.
fn decided(view: &View<'_>, text: &RuleText) -> usize {
    let facts = view.run.probes.iter().filter_map(|it| it.decided.as_ref());
    facts
        .filter(|it| it.rule == Some(text.rule) && it.filter.as_ref() == Some(&text.filter))
        .count()
}

/// Filter, policy, host.
pub fn host(view: &View<'_>) -> Markup {
    let run = view.run;
    let sysctls: Vec<String> = run.host.sysctls.iter().map(|it| clean(it)).collect();
    let facts = [
        ("lanfence", clean(&run.version)),
        ("Filter", filter_line(&run.filter)),
        ("Parameters", parameters_line(&run.filter)),
        (
            "Left out",
            titles::left_out(&run.filter.left_out).unwrap_or_default(),
        ),
        ("Policy", clean(&run.policy)),
        (
            "Inputs, SHA-256",
            run.inputs.as_deref().map(clean).unwrap_or_default(),
        ),
        ("Accelerator", accelerator_line(&run.host)),
        ("Host", host_line(&run.host)),
        ("Guest", clean(&run.host.guest_kernel)),
        ("Sysctls", sysctls.join(", ")),
        (
            "Started",
            run.started.as_deref().map(clean).unwrap_or_default(),
        ),
    ];
    html! {
        dl class="frame" {
            @for (name, text) in facts.iter().filter(|(_, text)| !text.is_empty()) {
                dt { (name) } dd { (text) }
            }
        }
    }
}
