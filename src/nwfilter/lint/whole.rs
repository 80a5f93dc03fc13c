//! Everything that can be said of a tree, whatever is unset or missing.

use super::catalogue::{MISSING, UNSET};
use super::finding::{Finding, Severity};
use super::learning::{first_use, lets_out};
use super::{lint, lint_apart, refused, steady};
use crate::frame::{Mac, mac_text};
use crate::nwfilter::evaluate::{Backend, CompileError, Compiled};
use crate::nwfilter::examples::{EXAMPLE_MAC, Source, Variable, example_of, variables};
use crate::nwfilter::learning::Learning;
use crate::nwfilter::model::Filter;
use crate::nwfilter::vocabulary::{ROOT, variables as known};

/// What was found out about a tree.
pub struct Whole {
    /// The findings, the worst first.
    pub findings: Vec<Finding>,
    /// Variables that nothing sets, with the values that stand for them.
    pub examples: Vec<Variable>,
    /// What libvirt learns the guest's address from; none where it is given, or does not.
    pub learning: Option<Learning>,
    /// Why the chains could not be looked at, where that is so.
    pub unbound: Option<CompileError>,
}

/// Lints a tree as a back end of libvirt translates it: with example values for what nothing
/// sets, and without the filters that are not there. Both are findings of their own.
pub fn whole(
    filters: &[Filter],
    top: &str,
    mac: Mac,
    given: &[(String, String)],
    backend: Backend,
) -> Whole {
    let mut findings = Vec::new();
    let bound = reachable(filters, top);
    let present = with_stubs(&bound, &mut findings);
    let mut examples: Vec<Variable> = variables(&bound, &mac_text(mac), given)
        .into_iter()
        .filter(|variable| variable.source == Source::Example)
        .collect();
    let compiled = compile(
        |parameters| Compiled::with_backend(&present, top, mac, parameters, backend),
        &bound,
        given.to_vec(),
        &mut examples,
    );
    let is_address = |one: &Variable| one.name == known::IP;
    let learnt = !examples.is_empty() && examples.iter().all(is_address);
    let learning = Learning::of(given).filter(|_| learnt);
    let unset = examples
        .iter()
        .filter(|one| learning.is_none() || !is_address(one));
    findings.extend(unset.map(|one| unset_finding(&bound, &one.name)));
    let unbound = match compiled {
        Ok(compiled) => {
            let mut found = lint(filters, top, &compiled);
            let set = given.iter().any(|(name, _)| name == known::MAC);
            let free_mac = mac == EXAMPLE_MAC && !set;
            if !examples.is_empty() || free_mac {
                let examples = (&examples[..], free_mac);
                steady::keep(&mut found, (&present, top), given, examples, backend);
            }
            findings.extend(found);
            if learning == Some(Learning::Any) {
                let address = examples.iter().find_map(|one| one.values.first());
                let address = address.and_then(|value| value.parse().ok());
                findings.extend(lets_out(&bound, &compiled, mac, address));
            }
            None
        }
        Err(error) => {
            findings.extend(refused(filters, top, &error));
            findings.extend(lint_apart(filters, backend));
            Some(error)
        }
    };
    findings.sort_by_key(|finding| std::cmp::Reverse(finding.severity));
    Whole {
        findings,
        examples,
        learning,
        unbound,
    }
}

/// Compiles the filters, with examples for variables that turn out to be unset as well.
fn compile(
    compiled: impl Fn(&[(String, String)]) -> Result<Compiled, CompileError>,
    bound: &[Filter],
    mut parameters: Vec<(String, String)>,
    examples: &mut Vec<Variable>,
) -> Result<Compiled, CompileError> {
    for variable in examples.iter() {
        let values = variable.values.iter();
        parameters.extend(values.map(|value| (variable.name.clone(), value.clone())));
    }
    loop {
        match compiled(&parameters) {
            // Another reference sets it, and this one does not.
            Err(CompileError::Unset { name, .. })
                if examples.iter().all(|known| known.name != name) =>
            {
                let Some(variable) = example_of(bound, &name) else {
                    break Err(CompileError::Unset {
                        origin: first_use(bound, &name),
                        name,
                    });
                };
                parameters.extend(
                    variable
                        .values
                        .iter()
                        .map(|value| (name.clone(), value.clone())),
                );
                examples.push(variable);
            }
            other => break other,
        }
    }
}

/// The filter that an interface refers to with all that it leads to, in their order.
fn reachable(filters: &[Filter], top: &str) -> Vec<Filter> {
    let mut names = vec![top];
    let mut at = 0;
    while let Some(name) = names.get(at) {
        let found = filters.iter().filter(|filter| filter.name == *name);
        let more: Vec<&str> = found.flat_map(Filter::references).collect();
        names.extend(
            more.into_iter()
                .filter(|name| !names.contains(name))
                .collect::<Vec<_>>(),
        );
        at += 1;
    }
    let bound = filters
        .iter()
        .filter(|filter| names.contains(&filter.name.as_str()));
    bound.cloned().collect()
}

/// The filters, with an empty one for each that is missing.
fn with_stubs(filters: &[Filter], findings: &mut Vec<Finding>) -> Vec<Filter> {
    let mut out = filters.to_vec();
    for filter in filters {
        for to in filter.references() {
            if filters.iter().any(|filter| filter.name == to) {
                continue;
            }
            findings.push(Finding {
                lint: MISSING,
                severity: Severity::Error,
                filter: filter.name.clone(),
                rule: None,
                position: None,
                message: format!(
                    "the reference to {to} leads nowhere: no file has a filter of that name, nor does libvirt ship one; libvirt refuses to bind {} without it. Give its file too; until then it is taken for empty",
                    filter.name
                ),
            });
            if !out.iter().any(|filter| filter.name == to) {
                out.push(Filter {
                    name: to.to_owned(),
                    chain: ROOT.to_owned(),
                    priority: None,
                    uuid: None,
                    entries: Vec::new(),
                });
            }
        }
    }
    out
}

fn unset_finding(filters: &[Filter], name: &str) -> Finding {
    let origin = first_use(filters, name);
    let learned = match name {
        known::IP => {
            " (libvirt learns it, but only where nothing else is unset and CTRL_IP_LEARNING is any or dhcp)"
        }
        _ => "",
    };
    Finding {
        lint: UNSET,
        severity: Severity::Error,
        filter: origin.filter.clone(),
        message: format!(
            "{origin} uses ${name}, which nothing sets{learned}: libvirt refuses to bind the filter to an interface whose filterref does not give it; give it with --param {name}=VALUE to lint what it makes of the filter"
        ),
        rule: Some(origin),
        position: None,
    }
}

#[cfg(test)]
mod tests;
