//! A fix for programs.

use super::print::difference;
use super::report::Report;
use crate::fix::Edit;
use crate::nwfilter::vocabulary::ROOT;
use crate::nwfilter::{Entry, Filter, FilterTree, Rule, RuleId};
use serde_json::{Value, json};

/// Grows when a field changes its meaning or goes away.
const SCHEMA_VERSION: u32 = 1;

/// The document.
pub fn json(report: &Report) -> String {
    let fix = &report.fix;
    let tree = &report.tree;
    let before = tree.filters.iter().find(|filter| filter.name == tree.top);
    let edits = fix.edits.iter().map(|edit| self::edit(before, edit));
    let diff = (!fix.edits.is_empty()).then(|| difference(tree, fix));
    let document = json!({
        "schema_version": SCHEMA_VERSION,
        "verb": "fix",
        "version": env!("CARGO_PKG_VERSION"),
        "filter": tree.top,
        "files": tree.paths(),
        "file": tree.path(),
        "policy": report.policy,
        "identity": report.identity,
        "guest": report.guest,
        "parameters": report.parameters,
        "backend": report.backend.word(),
        "edits": edits.collect::<Vec<_>>(),
        "kept": fix.kept,
        "replaces_all": fix.replaces_all(),
        "rewritten": fix.rewritten,
        "tried": fix.tried,
        "idle": report.idle,
        "known_gaps": report.gaps,
        "before": fix.before,
        "after": fix.after,
        "diff": diff,
    });
    let text = serde_json::to_string_pretty(&document).expect("strings and numbers only");
    text + "\n"
}

fn edit(filter: Option<&Filter>, edit: &Edit) -> Value {
    let number = |at: usize| {
        let entries = filter.map_or(&[][..], |filter| &filter.entries);
        let rules = entries.iter().take(at + 1);
        let rules = rules.filter(|entry| matches!(entry, Entry::Rule(_)));
        let is_rule = matches!(entries.get(at), Some(Entry::Rule(_)));
        is_rule.then(|| rules.count())
    };
    let was = |at: usize| match filter.and_then(|filter| filter.entries.get(at)) {
        Some(Entry::Rule(rule)) => Some(words(rule)),
        Some(Entry::Reference(other)) => Some(format!("filterref {}", other.filter)),
        None => None,
    };
    let (word, rule, before, after) = match edit {
        Edit::ToRoot => ("to-root", None, None, None),
        Edit::Remove(at) => ("remove", number(*at), was(*at), None),
        Edit::Replace(at, rule) => ("replace", number(*at), was(*at), Some(words(rule))),
        Edit::Insert(_, rule) => ("insert", None, None, Some(words(rule))),
    };
    json!({ "edit": word, "rule": rule, "before": before, "after": after })
}

/// A rule in words, as every report has it.
fn words(rule: &Rule) -> String {
    let alone = Filter {
        name: "alone".to_owned(),
        chain: ROOT.to_owned(),
        priority: None,
        uuid: None,
        entries: vec![Entry::Rule(rule.clone())],
    };
    let id = RuleId {
        filter: alone.name.clone(),
        rule: 1,
    };
    FilterTree::generated(alone).rule_text(&id)
}
