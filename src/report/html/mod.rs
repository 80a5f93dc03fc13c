//! The run as one page for a browser: no network, no other file, readable without scripts.
//!
//! Everything that a report says goes through [`maud`], which escapes it, and through
//! [`clean`](super::text::clean). A Content-Security-Policy names the one style sheet and the one
//! script by their hashes, so that nothing else can run whatever a report holds. The script only
//! filters, searches and opens what is there.

mod against;
mod cells;
mod decode;
mod drawing;
mod evidence;
mod grid;
mod link;
mod probes;
mod reference;
#[cfg(test)]
mod tests;
mod top;
mod view;
mod words;
mod wrong;

pub use evidence::{Evidence, LARGEST};

use crate::report::baseline::Comparison;
use crate::report::model::Run;
use maud::{DOCTYPE, Markup, PreEscaped, html};
use view::View;

const STYLE: &str = include_str!("page.css");
const SCRIPT: &str = include_str!("page.js");

/// The page. Files of the evidence are part of it as long as it has less than 1 MB, the smallest
/// first; the others are linked where their folder is known, else named.
pub fn html(run: &Run, evidence: &Evidence) -> String {
    compared(run, evidence, None)
}

/// The same, with what the run changed against a baseline first.
pub fn compared(run: &Run, evidence: &Evidence, found: Option<&Comparison>) -> String {
    let mut view = View::of(run, evidence);
    let page = made(&view, found);
    view.inside = evidence.fitting(run, page.len());
    if view.inside.is_empty() {
        page
    } else {
        made(&view, found)
    }
}

/// The page of a view.
fn made(view: &View<'_>, found: Option<&Comparison>) -> String {
    let mut sections = sections(view);
    if let Some(found) = found {
        let body = against::section(view, found);
        let title = "Against the baseline".to_owned();
        let anchor = "against";
        sections.insert(
            0,
            Section {
                anchor,
                title,
                body,
            },
        );
    }
    page(view, &sections).into_string()
}

/// A part of the page.
struct Section {
    anchor: &'static str,
    title: String,
    body: Markup,
}

/// What the run has something to say of, in the order of the page.
fn sections(view: &View<'_>) -> Vec<Section> {
    let all = [
        ("wrong", wrong::title(view), Some(wrong::section(view))),
        ("grid", "Cells and traffic".to_owned(), grid::section(view)),
        ("probes", "Probes".to_owned(), probes::section(view)),
        ("cells", "Cells".to_owned(), cells::section(view)),
        ("gaps", "Known gaps".to_owned(), reference::gaps(view)),
        (
            "clients",
            "DHCP clients".to_owned(),
            reference::clients(view),
        ),
        ("rules", "Rules".to_owned(), reference::rules(view)),
        ("host", "What ran".to_owned(), Some(reference::host(view))),
    ];
    let some = all.into_iter().filter_map(|(anchor, title, body)| {
        Some(Section {
            anchor,
            title,
            body: body?,
        })
    });
    some.collect()
}

fn page(view: &View<'_>, sections: &[Section]) -> Markup {
    html! {
        (DOCTYPE)
        html lang="en" {
            (head(view))
            body {
                a class="skip" href="#main" { "Skip to the results" }
                (drawing::shapes())
                (top::header(view))
                nav aria-label="Parts of this page" {
                    @for section in sections {
                        a href=(format!("#{}", section.anchor)) { (section.title) }
                    }
                }
                main id="main" tabindex="-1" {
                    @for section in sections {
                        section id=(section.anchor) aria-labelledby=(format!("h-{}", section.anchor)) {
                            h2 id=(format!("h-{}", section.anchor)) { (section.title) }
                            (section.body)
                        }
                    }
                }
                script { (PreEscaped(SCRIPT)) }
            }
        }
    }
}

fn head(view: &View<'_>) -> Markup {
    let policy = format!(
        "default-src 'none'; style-src {}; script-src {}; img-src data:; base-uri 'none'; form-action 'none'",
        link::hash(STYLE),
        link::hash(SCRIPT)
    );
    html! {
        head {
            meta charset="utf-8";
            meta http-equiv="Content-Security-Policy" content=(policy);
            meta name="viewport" content="width=device-width, initial-scale=1";
            meta name="color-scheme" content="light dark";
            meta name="referrer" content="no-referrer";
            title { (top::title(view)) }
            link rel="icon" href=(top::icon(view));
            style { (PreEscaped(STYLE)) }
        }
    }
}
