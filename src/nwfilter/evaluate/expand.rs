//! Variables: one rule with lists becomes a rule for every combination.

use super::error::CompileError;
use super::flatten::RuleInstance;
use super::limits::{MAX_RULES, MAX_STEPS};
use super::resolved::ResolvedAttribute;
use crate::nwfilter::model::Element;
use crate::nwfilter::vocabulary::variables::Access;
use std::collections::BTreeSet;

/// The attributes of a rule, once for every combination of its lists. `steps`
/// counts the list elements of all rules so far.
///
/// # Errors
/// Variables that are not set or not written as such, lists of different
/// lengths, and more combinations than are compiled.
pub fn expand(
    instance: &RuleInstance<'_>,
    steps: &mut usize,
) -> Result<Vec<Vec<ResolvedAttribute>>, CompileError> {
    let plain = attributes(instance);
    let mut accesses = Vec::new();
    for attribute in &plain {
        accesses.push(access(instance, &attribute.value)?);
    }
    let mut rules = vec![plain];
    for (at, access) in accesses.iter().enumerate() {
        if let Some(Access::Element(name, index)) = access {
            let values = values(instance, name)?;
            let value = values.get(*index).ok_or_else(|| CompileError::Element {
                origin: instance.origin.clone(),
                name: name.clone(),
                index: *index,
                length: values.len(),
            })?;
            fill(&mut rules[0][at], value);
        }
    }
    for places in by_iterator(&accesses) {
        let tuples = tuples(instance, &places, steps)?;
        if rules.len().saturating_mul(tuples.len()) > MAX_RULES {
            return Err(CompileError::TooMany {
                origin: instance.origin.clone(),
                limit: MAX_RULES,
            });
        }
        let with = |rule: &Vec<ResolvedAttribute>, tuple: &Vec<&str>| {
            let mut rule = rule.clone();
            for ((at, _), value) in places.iter().zip(tuple) {
                fill(&mut rule[*at], value);
            }
            rule
        };
        rules = tuples
            .iter()
            .flat_map(|tuple| rules.iter().map(|rule| with(rule, tuple)))
            .collect();
    }
    Ok(rules)
}

fn fill(attribute: &mut ResolvedAttribute, value: &str) {
    value.clone_into(&mut attribute.value);
    attribute.variable = true;
}

/// The attributes of all elements as written; comments change nothing.
fn attributes(instance: &RuleInstance<'_>) -> Vec<ResolvedAttribute> {
    let of_element = |element: &Element| {
        let negated = !element.positive;
        element
            .attributes
            .iter()
            .filter(|(name, _)| name != "comment")
            .map(move |(name, value)| ResolvedAttribute {
                name: name.clone(),
                value: value.clone(),
                negated,
                variable: false,
            })
            .collect::<Vec<_>>()
    };
    instance.rule.elements.iter().flat_map(of_element).collect()
}

/// How a value refers to a variable; none for a plain value.
fn access(instance: &RuleInstance<'_>, value: &str) -> Result<Option<Access>, CompileError> {
    let Some(reference) = value.strip_prefix('$') else {
        return Ok(None);
    };
    let access = Access::parse(reference);
    access.map(Some).ok_or_else(|| CompileError::Reference {
        origin: instance.origin.clone(),
        value: value.to_owned(),
    })
}

/// For each iterator, the attributes that it fills and from which variable.
fn by_iterator(accesses: &[Option<Access>]) -> Vec<Vec<(usize, &str)>> {
    let mut out: Vec<(u32, Vec<(usize, &str)>)> = Vec::new();
    for (at, access) in accesses.iter().enumerate() {
        if let Some(Access::Iterator(name, id)) = access {
            match out.iter_mut().find(|(known, _)| known == id) {
                Some((_, places)) => places.push((at, name)),
                None => out.push((*id, vec![(at, name)])),
            }
        }
    }
    out.into_iter().map(|(_, places)| places).collect()
}

fn values<'s>(instance: &'s RuleInstance<'_>, name: &str) -> Result<&'s [String], CompileError> {
    let values = instance.scope.get(name);
    values.ok_or_else(|| CompileError::Unset {
        origin: instance.origin.clone(),
        name: name.to_owned(),
    })
}

/// The values that one iterator steps through, each combination once.
fn tuples<'s>(
    instance: &'s RuleInstance<'_>,
    places: &[(usize, &str)],
    steps: &mut usize,
) -> Result<Vec<Vec<&'s str>>, CompileError> {
    let mut lists = Vec::new();
    for (_, name) in places {
        lists.push(values(instance, name)?);
    }
    let length = lists.first().map_or(0, |list| list.len());
    if lists.iter().any(|list| list.len() != length) {
        return Err(CompileError::Lengths {
            origin: instance.origin.clone(),
            names: places.iter().map(|(_, name)| format!("${name}")).collect(),
        });
    }
    *steps += length * lists.len();
    if *steps > MAX_STEPS {
        return Err(CompileError::TooMany {
            origin: instance.origin.clone(),
            limit: MAX_RULES,
        });
    }
    let mut seen = BTreeSet::new();
    let rows = (0..length).map(|row| lists.iter().map(|list| list[row].as_str()).collect());
    Ok(rows
        .filter(|tuple: &Vec<&str>| seen.insert(tuple.clone()))
        .collect())
}
