//! The trials for people and as data.

use super::trial::{State, Subject, Trial, is_fit};
use crate::report::text::{clean, wrap};
use serde::Serialize;
use std::fmt::Write as _;

/// Columns of the text.
const WIDTH: usize = 100;

/// Where what was found begins.
const INDENT: usize = 12;

/// A trial for people: what works in one line, what does not with what was done and the cure.
pub fn lines(trial: &Trial) -> String {
    let mut out = String::new();
    let mut line = |first: &str, text: &str| {
        for line in wrap(first, &clean(text), WIDTH, INDENT) {
            let _ = writeln!(out, "{line}");
        }
    };
    let name = format!("{:<INDENT$}", trial.subject.name());
    match &trial.state {
        State::Works { found } => line(&name, &format!("works: {found}")),
        State::Fails { happened, cure } => {
            let without = trial.subject.without();
            let word = without.map_or("FAILS".to_owned(), |without| format!("no: {without}"));
            line(&name, &word);
            line(&label("tried"), trial.subject.trial());
            line(&label("happened"), happened);
            line(&label("cure"), cure);
        }
        State::NotTried { why, cure } => {
            line(&name, &format!("not tried: {why}"));
            if let Some(cure) = cure {
                line(&label("cure"), cure);
            }
        }
    }
    out
}

/// What all trials together say.
pub fn verdict(trials: &[Trial], needs_kvm: bool) -> &'static str {
    if is_fit(trials, needs_kvm) {
        "The lab can run here."
    } else {
        "The lab cannot run here."
    }
}

/// A label below a trial's name.
fn label(label: &str) -> String {
    format!("{:<INDENT$}{label}: ", "")
}

/// The document of `--json`.
#[derive(Debug, Serialize)]
struct Document<'a> {
    schema_version: u32,
    version: &'static str,
    fit: bool,
    trials: Vec<Entry<'a>>,
}

#[derive(Debug, Serialize)]
struct Entry<'a> {
    #[serde(flatten)]
    trial: &'a Trial,
    tried: &'static str,
    needed: bool,
}

/// The same as JSON; docs/doctor.schema.json describes it.
///
/// # Panics
/// Never: the document has only string keys.
pub fn json(trials: &[Trial], needs_kvm: bool) -> String {
    let entry = |trial| {
        let Trial { subject, .. }: &Trial = trial;
        Entry {
            trial,
            tried: subject.trial(),
            needed: subject.without().is_none() || (needs_kvm && *subject == Subject::Kvm),
        }
    };
    let document = Document {
        schema_version: 1,
        version: env!("CARGO_PKG_VERSION"),
        fit: is_fit(trials, needs_kvm),
        trials: trials.iter().map(entry).collect(),
    };
    let mut text = serde_json::to_string_pretty(&document).expect("only string keys");
    text.push('\n');
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn trials() -> Vec<Trial> {
        vec![
            Trial::works(Subject::Namespaces, "user ids: 1 from 1000 as 0"),
            Trial::fails(
                Subject::Tun,
                "/dev/net/tun cannot be opened: Permission denied (os error 13)",
                "`sudo chmod 0666 /dev/net/tun` (udev's default), or run as root",
            ),
            Trial::fails(
                Subject::VhostNet,
                "/dev/vhost-net: No such file",
                "`sudo modprobe vhost_net`",
            ),
            Trial::not_tried(
                Subject::Kvm,
                "there is no guest image",
                Some("`cargo xtask image`"),
            ),
        ]
    }

    #[test]
    fn for_people() {
        let lines: Vec<String> = trials().iter().map(lines).collect();
        insta::assert_snapshot!(lines.concat());
    }

    #[test]
    fn as_data() {
        insta::assert_snapshot!(json(&trials(), true));
    }

    #[test]
    fn what_was_not_tried_is_not_fit_where_it_is_needed() {
        let good = Trial::works(Subject::Tun, "");
        let open = Trial::not_tried(Subject::Kvm, "", None);
        let needed = Trial::not_tried(Subject::Tun, "", None);
        assert!(is_fit(&[good.clone(), open.clone()], false));
        assert!(!is_fit(&[good.clone(), open], true));
        assert!(!is_fit(&[good, needed], false));
    }
}
