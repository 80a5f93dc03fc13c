//! Words and marks that several parts of the page share. A mark is never a colour alone.

use crate::report::model::{Failure, Verdict};
use crate::report::text::plural;
use crate::verdict::Counts;
use maud::{Markup, html};

/// The class of a verdict in the style sheet, and its word in reports.
pub fn class(verdict: Verdict) -> &'static str {
    verdict.word()
}

/// A verdict as a word.
pub fn word(verdict: Verdict) -> &'static str {
    match verdict {
        Verdict::Pass => "pass",
        Verdict::Fail(Failure::Leak) => "LEAK",
        Verdict::Fail(Failure::Blocked) => "BLOCKED",
        Verdict::KnownGap => "known gap",
        Verdict::Inconclusive => "inconclusive",
    }
}

/// A verdict as a label.
pub fn badge(verdict: Verdict) -> Markup {
    html! { b class=(format!("v {}", class(verdict))) { (word(verdict)) } }
}

/// `3 inconclusive results`.
pub fn inconclusive(count: usize) -> String {
    plural(count, "inconclusive result")
}

/// The sign of a verdict where there is no room for its word.
pub fn sign(verdict: Verdict) -> &'static str {
    match verdict {
        Verdict::Pass => "✓",
        Verdict::Fail(Failure::Leak) => "✗",
        Verdict::Fail(Failure::Blocked) => "⊘",
        Verdict::KnownGap => "△",
        Verdict::Inconclusive => "?",
    }
}

/// Counts of verdicts, the worst first, without those of which there are none.
pub fn parts(counts: Counts) -> Vec<(Verdict, usize)> {
    let all = [
        (Verdict::Fail(Failure::Leak), counts.leaked),
        (Verdict::Fail(Failure::Blocked), counts.blocked),
        (Verdict::Inconclusive, counts.inconclusive),
        (Verdict::Pass, counts.passed),
        (Verdict::KnownGap, counts.known_gaps),
    ];
    all.into_iter().filter(|(_, count)| *count > 0).collect()
}

/// Counts for those who do not see the signs: `3 leak, 11 pass`.
pub fn spoken(counts: Counts) -> String {
    let parts = parts(counts).into_iter();
    let texts: Vec<String> = parts
        .map(|(verdict, count)| format!("{count} {}", word(verdict).to_lowercase()))
        .collect();
    texts.join(", ")
}
