//! How many frames each rule of the filter matched.

use super::page::Page;
use crate::nwfilter::Protocol;
use crate::report::color::Paint;
use crate::report::model::{RuleText, Run};
use crate::report::text::{clean, plural};
use std::fmt::Write as _;

/// The rules that matched no frame in any cell: nothing in this run tested them.
pub(super) fn print(page: &mut Page, run: &Run) {
    if run.cells.iter().all(|cell| cell.rules.is_empty()) {
        return;
    }
    let texts = run.filter.texts.iter();
    let untested: Vec<&RuleText> = texts.filter(|text| hits(run, text) == Some(0)).collect();
    if untested.is_empty() {
        return;
    }
    page.heading(
        &format!("Not tested ({})", plural(untested.len(), "rule")),
        "no frame of this run matched them",
    );
    for text in untested {
        page.field(2, &name(text), 4, &clean(&text.text), Paint::yellow);
    }
}

/// All rules with the frames that they matched in all cells together, for `--coverage`.
pub fn coverage(run: &Run) -> String {
    let mut out = String::new();
    let cells = run
        .cells
        .iter()
        .filter(|cell| !cell.rules.is_empty())
        .count();
    if cells == 0 {
        return "Rules: the kernel's counters of no cell are known\n".into();
    }
    let _ = writeln!(
        out,
        "Rules, and how many frames each matched by the kernel's counters ({})",
        plural(cells, "cell")
    );
    let mut unknown = Vec::new();
    for text in &run.filter.texts {
        let frames = hits(run, text).map_or_else(
            || {
                let why = Unknown::of(text);
                if !unknown.contains(&why) {
                    unknown.push(why);
                }
                why.sign().to_owned()
            },
            |frames| frames.to_string(),
        );
        let _ = writeln!(out, "{frames:>7}  {}: {}", name(text), clean(&text.text));
    }
    for why in unknown {
        let _ = writeln!(out, "{:>7}  {}", why.sign(), why.words());
    }
    out
}

/// Why nothing is known of the frames that a rule matched.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::report) enum Unknown {
    Layer3,
    NoRule,
}

impl Unknown {
    /// Of a rule that no cell has a counter of.
    pub(in crate::report) fn of(text: &RuleText) -> Self {
        let element = text.text.split_once('<').map_or("", |(_, element)| element);
        let is_name = |letter: char| letter.is_ascii_alphanumeric() || letter == '-';
        let end = element.find(|letter| !is_name(letter));
        let protocol = Protocol::from_word(&element[..end.unwrap_or(element.len())]);
        if protocol.is_some_and(Protocol::is_layer3) {
            Self::Layer3
        } else {
            Self::NoRule
        }
    }

    fn sign(self) -> &'static str {
        match self {
            Self::Layer3 => "?",
            Self::NoRule => "-",
        }
    }

    /// In a sentence.
    pub(in crate::report) fn words(self) -> &'static str {
        match self {
            Self::Layer3 => {
                "not known: libvirt makes several rules of one of layer 3, for the states of connections, and only the counters of layer 2 are read"
            }
            Self::NoRule => "the kernel has no rule of it: the bound filter does not refer to it",
        }
    }
}

/// The frames that a rule matched in all cells; none where it is in no cell's layer 2.
pub(in crate::report) fn hits(run: &Run, text: &RuleText) -> Option<u64> {
    let all = run.cells.iter().flat_map(|cell| &cell.rules);
    let own = all.filter(|hits| hits.filter == text.filter && hits.rule == text.rule);
    own.map(|hits| hits.frames).reduce(u64::saturating_add)
}

fn name(text: &RuleText) -> String {
    format!("rule {} of {}", text.rule, clean(&text.filter))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::examples;
    use crate::report::model::RuleHits;
    use rstest::rstest;

    #[rstest]
    #[case::of_layer_2(
        "drop out <ip dstipaddr='10.0.0.0'/>",
        Some(7),
        "      7  rule 1 of x: drop out <ip dstipaddr='10.0.0.0'/>",
        None
    )]
    #[case::of_layer_3(
        "drop out <tcp-ipv6/>",
        None,
        "      ?  rule 1 of x: drop out <tcp-ipv6/>",
        Some("      ?  not known: libvirt makes several")
    )]
    #[case::of_all_of_layer_3(
        "drop inout <all/>",
        None,
        "      ?  rule 1 of x",
        Some("only the counters of layer 2 are read")
    )]
    #[case::that_is_not_bound(
        "drop inout every frame",
        None,
        "      -  rule 1 of x",
        Some("the kernel has no rule of it")
    )]
    fn the_counter_of_a_rule(
        #[case] text: &str,
        #[case] frames: Option<u64>,
        #[case] line: &str,
        #[case] why: Option<&str>,
    ) {
        let mut run = examples::red();
        let filter = "x".to_owned();
        run.filter.texts = vec![RuleText {
            filter: filter.clone(),
            rule: 1,
            text: text.to_owned(),
        }];
        let other = RuleHits {
            filter: "y".to_owned(),
            rule: 1,
            frames: 1,
        };
        let own = frames.map(|frames| RuleHits {
            filter,
            rule: 1,
            frames,
        });
        run.cells[0].rules = own.into_iter().chain([other]).collect();
        let printed = coverage(&run);
        assert!(printed.contains(line), "{printed}");
        match why {
            Some(why) => assert!(printed.contains(why), "{printed}"),
            None => assert!(!printed.contains("not known"), "{printed}"),
        }
    }
}
