//! Findings in the Static Analysis Results Interchange Format 2.1.0 (OASIS),
//! which code-scanning pages show beside the lines that they are about.

use crate::nwfilter::FilterTree;
use crate::nwfilter::Position;
use crate::nwfilter::lint::Finding;
use crate::nwfilter::lint::catalogue::LINTS;
use serde_json::{Value, json};
use std::fmt::Write as _;

/// Where the format is described.
const SCHEMA: &str = "https://json.schemastore.org/sarif-2.1.0.json";

/// Rules besides the lints: what a check finds by evaluating, and a run by sending.
const VERDICTS: [(&str, &str, &str); 3] = [
    (
        "leak",
        "traffic that the policy wants stopped gets through",
        "error",
    ),
    (
        "blocked",
        "traffic that the policy wants through is stopped",
        "error",
    ),
    (
        "inconclusive",
        "nothing is proven of this traffic",
        "warning",
    ),
];

/// One result.
pub struct Result {
    /// Name of the rule: a lint, `leak`, `blocked` or `inconclusive`.
    pub rule: String,
    /// `error`, `warning` or `note`.
    pub level: &'static str,
    /// What is the matter.
    pub message: String,
    /// The file; none where the filter has none.
    pub path: Option<String>,
    /// Line and column; the file's first where it is about all of it.
    pub place: Option<Position>,
}

impl Result {
    /// Of a finding.
    pub fn of(tree: &FilterTree, finding: &Finding) -> Self {
        let (path, place) = tree.location(finding);
        Self {
            rule: finding.lint.to_owned(),
            level: finding.severity.word(),
            message: finding.message.clone(),
            path: path.map(str::to_owned),
            place,
        }
    }
}

/// The document.
pub fn document(results: &[Result]) -> String {
    let mut rules: Vec<Value> = LINTS
        .iter()
        .map(|lint| rule(lint.name, lint.summary, lint.severity.word()))
        .collect();
    rules.extend(VERDICTS.map(|(name, summary, level)| rule(name, summary, level)));
    let index = |name: &str| rules.iter().position(|rule| rule["id"] == name);
    let results: Vec<Value> = results
        .iter()
        .map(|result| self::result(result, index(&result.rule)))
        .collect();
    let document = json!({
        "$schema": SCHEMA,
        "version": "2.1.0",
        "runs": [{
            "tool": { "driver": {
                "name": "lanfence",
                "version": env!("CARGO_PKG_VERSION"),
                "informationUri": env!("CARGO_PKG_REPOSITORY"),
                "rules": rules,
            }},
            "columnKind": "unicodeCodePoints",
            "results": results,
        }],
    });
    let text = serde_json::to_string_pretty(&document).expect("strings and numbers only");
    text + "\n"
}

fn rule(name: &str, summary: &str, level: &str) -> Value {
    json!({
        "id": name,
        "shortDescription": { "text": summary },
        "defaultConfiguration": { "level": level },
    })
}

fn result(result: &Result, index: Option<usize>) -> Value {
    let mut out = json!({
        "ruleId": result.rule,
        "level": result.level,
        "message": { "text": result.message },
    });
    if let Some(index) = index {
        out["ruleIndex"] = index.into();
    }
    if let Some(path) = &result.path {
        let (line, column) = result.place.unwrap_or((1, 1));
        out["locations"] = json!([{
            "physicalLocation": {
                "artifactLocation": { "uri": uri(path) },
                "region": { "startLine": line, "startColumn": column },
            },
        }]);
    }
    out
}

/// A path as a reference (RFC 3986): relative ones stay so, which is what
/// code-scanning pages want.
fn uri(path: &str) -> String {
    let relative = path.strip_prefix("./").unwrap_or(path);
    let mut out = if relative.starts_with('/') {
        "file://".to_owned()
    } else {
        String::new()
    };
    for byte in relative.bytes() {
        if byte.is_ascii_alphanumeric() || b"/-._~".contains(&byte) {
            out.push(char::from(byte));
        } else {
            let _ = write!(out, "%{byte:02X}");
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    #[rstest]
    #[case::relative("./filters/x.xml", "filters/x.xml")]
    #[case::absolute("/srv/my filter.xml", "file:///srv/my%20filter.xml")]
    #[case::umlaut("ä#1.xml", "%C3%A4%231.xml")]
    fn uris(#[case] path: &str, #[case] expected: &str) {
        assert_eq!(uri(path), expected);
    }

    #[test]
    fn a_document() {
        let result = |rule: &str, path: Option<&str>, place| Result {
            rule: rule.into(),
            level: "warning",
            message: "what is the matter".into(),
            path: path.map(str::to_owned),
            place,
        };
        let results = [
            result("host-bits", Some("x.xml"), Some((3, 5))),
            result("leak", Some("x.xml"), None),
            result("default-accept", None, None),
        ];
        let mut document: Value = serde_json::from_str(&document(&results)).unwrap();
        let rules = document["runs"][0]["tool"]["driver"]["rules"].take();
        let rules = rules.as_array().unwrap();
        for (result, name) in results.iter().zip(["host-bits", "leak", "default-accept"]) {
            let at = rules.iter().position(|rule| rule["id"] == *name).unwrap();
            assert_eq!(result.rule, rules[at]["id"]);
        }
        document["runs"][0]["tool"]["driver"]["version"] = "0".into();
        insta::assert_snapshot!(serde_json::to_string_pretty(&document).unwrap());
    }
}
