//! Which lints count as errors and which are not shown, as compilers let one choose.

use super::catalogue::{self, LINTS};
use super::finding::{Finding, Severity};
use crate::nearest::nearest;
use thiserror::Error;

/// Stands for every lint.
pub const ALL: &str = "all";

/// Lints that cannot be chosen.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum LevelsError {
    /// A name that no lint has.
    #[error("{}", unknown(.0))]
    Unknown(String),
    /// A lint that is both denied and allowed.
    #[error("{0} is both denied and allowed")]
    Both(String),
}

/// A message with the nearest name, or else with all names.
fn unknown(name: &str) -> String {
    let names = LINTS.iter().map(|lint| lint.name);
    match nearest(name, names.clone()) {
        Some(near) => format!("no lint is named {name}: did you mean {near}?"),
        None => format!(
            "no lint is named {name}; there are {}",
            names.collect::<Vec<_>>().join(", ")
        ),
    }
}

/// What the user chose. A lint's own name wins over `all`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Levels {
    deny: Vec<String>,
    allow: Vec<String>,
}

impl Levels {
    /// Checks the names.
    ///
    /// # Errors
    /// A name that no lint has, and one that is both denied and allowed.
    pub fn new(deny: &[String], allow: &[String]) -> Result<Self, LevelsError> {
        for name in deny.iter().chain(allow) {
            if name != ALL && catalogue::find(name).is_none() {
                return Err(LevelsError::Unknown(name.clone()));
            }
        }
        if let Some(name) = deny.iter().find(|name| allow.contains(name)) {
            return Err(LevelsError::Both(name.clone()));
        }
        Ok(Self {
            deny: deny.to_vec(),
            allow: allow.to_vec(),
        })
    }

    /// Whether findings of the lint count as errors by the user's choice.
    pub fn denies(&self, lint: &str) -> bool {
        let has = |list: &[String], name: &str| list.iter().any(|listed| listed == name);
        has(&self.deny, lint) || (has(&self.deny, ALL) && !has(&self.allow, lint))
    }

    fn allows(&self, lint: &str) -> bool {
        let has = |list: &[String], name: &str| list.iter().any(|listed| listed == name);
        has(&self.allow, lint) || (has(&self.allow, ALL) && !has(&self.deny, lint))
    }

    /// The findings that are left, those that are denied as errors, the worst first.
    pub fn apply(&self, findings: Vec<Finding>) -> Vec<Finding> {
        let kept = findings
            .into_iter()
            .filter(|finding| !self.allows(finding.lint));
        let mut out: Vec<Finding> = kept
            .map(|mut finding| {
                if self.denies(finding.lint) {
                    finding.severity = Severity::Error;
                }
                finding
            })
            .collect();
        out.sort_by_key(|finding| std::cmp::Reverse(finding.severity));
        out
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    fn names(list: &[&str]) -> Vec<String> {
        list.iter().map(|name| (*name).to_owned()).collect()
    }

    fn finding(lint: &'static str, severity: Severity) -> Finding {
        Finding {
            lint,
            severity,
            filter: "x".into(),
            rule: None,
            position: None,
            message: String::new(),
        }
    }

    #[rstest]
    #[case::nothing(&[], &[], &[("lost-negation", Severity::Error), ("host-bits", Severity::Warning)])]
    #[case::deny_one(&["host-bits"], &[], &[("lost-negation", Severity::Error), ("host-bits", Severity::Error)])]
    #[case::deny_all(&["all"], &["host-bits"], &[("lost-negation", Severity::Error)])]
    #[case::allow_all(&["host-bits"], &["all"], &[("host-bits", Severity::Error)])]
    #[case::allow_an_error(&[], &["lost-negation"], &[("host-bits", Severity::Warning)])]
    fn choices(
        #[case] deny: &[&str],
        #[case] allow: &[&str],
        #[case] expected: &[(&str, Severity)],
    ) {
        let levels = Levels::new(&names(deny), &names(allow)).unwrap();
        let findings = vec![
            finding("host-bits", Severity::Warning),
            finding("lost-negation", Severity::Error),
        ];
        let mut left = levels.apply(findings);
        left.sort_by_key(|finding| std::cmp::Reverse(finding.lint));
        let left: Vec<_> = left
            .iter()
            .map(|finding| (finding.lint, finding.severity))
            .collect();
        assert_eq!(left, expected);
    }

    #[rstest]
    #[case::misspelt(&["host-bit"], &[], "did you mean host-bits?")]
    #[case::unknown(&["x"], &[], "there are arp-mask-inherited")]
    #[case::both(&["host-bits"], &["host-bits"], "both denied and allowed")]
    fn refusals(#[case] deny: &[&str], #[case] allow: &[&str], #[case] part: &str) {
        let error = Levels::new(&names(deny), &names(allow))
            .unwrap_err()
            .to_string();
        assert!(error.contains(part), "{error}");
    }
}
