//! `lanfence report diff`: what a run changed against an earlier one.

use super::reading::read;
use crate::cli::failure::Failure;
use crate::cli::output::say;
use crate::report::baseline::{BaselineError, Known, Observed, compare};
use crate::report::model::{FilterInfo, RuleText};
use crate::report::table::{self, Against};
use crate::report::text::{clean, wrap};
use std::path::Path;
use std::process::ExitCode;

/// Columns of text.
const WIDTH: usize = 100;

/// Most cells that a message names.
const NAMED: usize = 8;

/// Reads both, compares, prints.
pub fn run(before: &Path, now: &Path) -> Result<ExitCode, Failure> {
    let ((name, old), (later, new)) = (read(before)?, read(now)?);
    let was = Observed::of(&old, &name).map_err(Failure::usage)?;
    let is = Observed::of(&new, &later).map_err(Failure::usage)?;
    was.subject
        .check(&name, &is.subject)
        .map_err(Failure::usage)?;
    if !was.cells.keys().any(|cell| is.cells.contains_key(cell)) {
        let some = |observed: &Observed| {
            let cells = observed.cells.keys().take(NAMED).map(|cell| clean(cell));
            cells.collect::<Vec<_>>().join(", ")
        };
        return Err(Failure::usage(BaselineError::NoCommonCell {
            ours: some(&was),
            cells: some(&is),
            what: name,
        }));
    }
    let found = compare(&Known::run(&was), &is);
    let against = Against {
        name: &name,
        strict: false,
    };
    say(&rules(&old.filter, &new.filter))?;
    say(&table::comparison(&found, against, false))?;
    Ok(found.conclusion(false).exit().into())
}

/// The rules that only one of the filters has; empty where there are none.
fn rules(old: &FilterInfo, new: &FilterInfo) -> String {
    let gone = without(&old.texts, &new.texts);
    let come = without(&new.texts, &old.texts);
    if gone.is_empty() && come.is_empty() {
        return String::new();
    }
    let mut out = "Rules of the filter that differ:\n".to_owned();
    let gone = gone.into_iter().map(|rule| ("-", rule));
    for (sign, rule) in gone.chain(come.into_iter().map(|rule| ("+", rule))) {
        let text = format!(
            "rule {} of {} {}",
            rule.rule,
            clean(&rule.filter),
            clean(&rule.text)
        );
        for line in wrap(&format!("  {sign} "), &text, WIDTH, 6) {
            out.push_str(&line);
            out.push('\n');
        }
    }
    out + "\n"
}

/// Rules of the first that the second does not have, however often each stands there.
fn without<'a>(these: &'a [RuleText], others: &[RuleText]) -> Vec<&'a RuleText> {
    let key = |rule: &RuleText| (rule.filter.clone(), rule.text.clone());
    let mut left: Vec<_> = others.iter().map(key).collect();
    let is_new = |rule: &&RuleText| match left.iter().position(|other| *other == key(rule)) {
        Some(at) => {
            left.swap_remove(at);
            false
        }
        None => true,
    };
    these.iter().filter(is_new).collect()
}
