//! A baseline as text: one line an entry in a fixed order, so that a diff shows what was
//! accepted.

use super::error::SCHEMA_VERSION;
use super::file::{Baseline, Entry};
use super::verb::Verb;
use crate::probe::Expect;
use std::collections::BTreeMap;
use std::fmt::Write as _;

const HEADER: &str = "\
# What is accepted of the verdicts on one filter. `lanfence bless` writes this file, and
# `lanfence verify --baseline` holds a run against it: docs/baselines.md of lanfence.
";

/// The same for other verbs.
fn header(verb: Verb) -> String {
    match verb {
        Verb::Verify => HEADER.to_owned(),
        _ => format!(
            "# What is accepted of the findings of one verb. `lanfence bless` writes this file, and\n\
             # `{} --baseline` compares with it: docs/baselines.md of lanfence.\n",
            verb.command()
        ),
    }
}

impl Baseline {
    /// The text of the file. Equal baselines give equal bytes, and
    /// [`parse`](Self::parse) gives the baseline back. What is accepted stands first; a text
    /// that is cut anywhere is none.
    pub fn text(&self) -> String {
        let mut out = format!(
            "{}schema_version = {SCHEMA_VERSION}\n\n",
            header(self.subject.verb)
        );
        list(&mut out, "accepted", self.accepted.iter().map(entry));
        let subject = &self.subject;
        let verb = match serde_json::to_value(subject.verb) {
            Ok(word) if !subject.verb.is_verify() => format!("verb = {word}\n"),
            _ => String::new(),
        };
        let _ = write!(
            out,
            "\n[subject]\n{verb}filter = {}\npolicy = {}\n",
            quoted(&subject.filter),
            quoted(&subject.policy)
        );
        let lan: Vec<String> = subject.lan.iter().map(|net| format!("\"{net}\"")).collect();
        let _ = writeln!(out, "lan = [{}]", lan.join(", "));
        out.push_str(
            "\n# What the blessed run was made of: the suspects where another differs.\n[facts]\n",
        );
        for (fact, value) in &self.facts.0 {
            let name = serde_json::to_value(fact).expect("a word");
            let name = name.as_str().unwrap_or_default().to_owned();
            let _ = writeln!(out, "{name} = {}", quoted(value));
        }
        self.probes(&mut out);
        out
    }

    /// Which probes each cell has; cells with the same ones share a catalogue.
    fn probes(&self, out: &mut String) {
        let mut names: BTreeMap<&BTreeMap<String, Expect>, String> = BTreeMap::new();
        out.push_str(
            "\n# The probes that were judged. What is not accepted above passed.\n[cells]\n",
        );
        let mut catalogues = Vec::new();
        for (cell, probes) in &self.cells {
            let name = names.entry(probes).or_insert_with(|| {
                let kind = cell.split('/').next().unwrap_or_default();
                let plain: String = kind
                    .chars()
                    .map(|c| if c.is_ascii_alphanumeric() { c } else { '-' })
                    .collect();
                let taken = |name: &String| catalogues.iter().any(|(other, _)| other == name);
                let mut name = if plain.is_empty() {
                    "cell".to_owned()
                } else {
                    plain.clone()
                };
                let mut number = 1;
                while taken(&name) {
                    number += 1;
                    name = format!("{plain}-{number}");
                }
                catalogues.push((name.clone(), probes));
                name
            });
            let _ = writeln!(out, "{} = \"{name}\"", quoted(cell));
        }
        out.push_str("\n[catalogues]\n");
        for (name, probes) in catalogues {
            for (key, expect) in [("pass", Expect::Pass), ("drop", Expect::Drop)] {
                let ids = probes.iter().filter(|(_, wanted)| **wanted == expect);
                list(out, &format!("{name}.{key}"), ids.map(|(id, _)| quoted(id)));
            }
        }
    }
}

/// `key = [` and a line each.
fn list(out: &mut String, key: &str, lines: impl Iterator<Item = String>) {
    let _ = writeln!(out, "{key} = [");
    for line in lines {
        let _ = writeln!(out, "  {line},");
    }
    out.push_str("]\n");
}

fn entry(((cell, probe), entry): (&(String, String), &Entry)) -> String {
    let mut line = format!(
        "{{ cell = {}, probe = {}, verdict = \"{}\", reason = {}",
        quoted(cell),
        quoted(probe),
        entry.standing.word(),
        quoted(&entry.reason)
    );
    if let Some(day) = entry.expires {
        let _ = write!(line, ", expires = {day}");
    }
    line + " }"
}

/// A basic string of TOML: JSON's escapes are among TOML's, which has one character more that
/// must not stand as it is.
fn quoted(text: &str) -> String {
    let json = serde_json::to_string(text).expect("a string");
    json.replace('\u{7f}', "\\u007F")
}
