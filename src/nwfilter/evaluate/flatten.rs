//! From a tree of filters to one ordered list of rules with their variables.

use super::error::CompileError;
use super::limits::{MAX_LEVELS, MAX_RULES};
use super::way::Way;
use crate::nwfilter::model::{Entry, Filter, Rule, RuleId};
use crate::nwfilter::vocabulary::{ROOT, RuleDirection};
use std::collections::{BTreeMap, HashMap};
use std::rc::Rc;

/// The variables that a rule sees: each a list of values.
#[derive(Debug, Default)]
pub struct Scope {
    own: BTreeMap<String, Vec<String>>,
    /// What the interface or a referring filter sets, which wins.
    outer: Option<Rc<Self>>,
}

impl Scope {
    /// Parameters as variables: a repeated name makes a list.
    pub fn of(parameters: &[(String, String)]) -> Self {
        let mut own: BTreeMap<String, Vec<String>> = BTreeMap::new();
        for (name, value) in parameters {
            own.entry(name.clone()).or_default().push(value.clone());
        }
        Self { own, outer: None }
    }

    /// Sets a variable that is not set yet.
    pub fn set_default(&mut self, name: &str, value: String) {
        self.own
            .entry(name.to_owned())
            .or_insert_with(|| vec![value]);
    }

    /// The values of a variable: the outermost that sets it wins.
    pub fn get(&self, name: &str) -> Option<&[String]> {
        let mut found = None;
        let mut scope = Some(self);
        while let Some(inner) = scope {
            found = inner.own.get(name).or(found);
            scope = inner.outer.as_deref();
        }
        found.map(Vec::as_slice)
    }
}

/// A rule where it is used.
#[derive(Debug, Clone)]
pub struct RuleInstance<'a> {
    /// Which rule.
    pub origin: RuleId,
    /// Name of its filter's chain.
    pub chain: &'a str,
    /// Priority of that chain.
    pub chain_priority: i16,
    /// The rule.
    pub rule: &'a Rule,
    /// The variables that it sees.
    pub scope: Rc<Scope>,
}

impl RuleInstance<'_> {
    /// Its priority, libvirt's default where it has none.
    pub fn priority(&self) -> i16 {
        self.rule.effective_priority()
    }

    /// Whether it stands in the root chain.
    pub fn in_root(&self) -> bool {
        self.chain == ROOT
    }

    /// Whether it is for frames that go this way.
    pub fn goes(&self, way: Way) -> bool {
        let other = match way {
            Way::FromGuest => RuleDirection::In,
            Way::ToGuest => RuleDirection::Out,
        };
        self.rule.direction != other
    }

    /// Whether it becomes a rule of layer 2.
    pub fn is_layer2(&self) -> bool {
        !self.rule.is_layer3()
    }
}

/// All rules below the filter, in the order in which libvirt applies them:
/// document order, then those of root filters first, then by `priority`.
///
/// # Errors
/// References to filters that are not there, in a circle, or too many of them.
pub fn flatten<'a>(
    filters: &'a [Filter],
    top: &str,
    variables: Scope,
    priority: impl Fn(&RuleInstance<'_>) -> i16,
) -> Result<Vec<RuleInstance<'a>>, CompileError> {
    let by_name = filters
        .iter()
        .map(|filter| (filter.name.as_str(), filter))
        .collect();
    let mut walk = Walk {
        by_name,
        path: Vec::new(),
        visits: 0,
        out: Vec::new(),
    };
    walk.filter(top, top, &Rc::new(variables))?;
    walk.out
        .sort_by_key(|instance| (!instance.in_root(), priority(instance)));
    Ok(walk.out)
}

struct Walk<'a> {
    by_name: HashMap<&'a str, &'a Filter>,
    /// Filters that are open, for circles.
    path: Vec<String>,
    visits: usize,
    out: Vec<RuleInstance<'a>>,
}

impl Walk<'_> {
    fn filter(&mut self, from: &str, name: &str, scope: &Rc<Scope>) -> Result<(), CompileError> {
        let Some(filter) = self.by_name.get(name).copied() else {
            return Err(CompileError::Missing {
                from: from.to_owned(),
                to: name.to_owned(),
            });
        };
        if let Some(start) = self.path.iter().position(|open| open == name) {
            let circle = self.path[start..].iter().cloned();
            return Err(CompileError::Cycle(
                circle.chain([name.to_owned()]).collect(),
            ));
        }
        let origin = |number| RuleId {
            filter: filter.name.clone(),
            rule: number,
        };
        if self.path.len() >= MAX_LEVELS {
            return Err(CompileError::TooDeep {
                from: from.to_owned(),
                limit: MAX_LEVELS,
            });
        }
        // Filters without rules that refer to each other twice double with every level.
        self.visits += 1;
        if self.visits > MAX_RULES {
            return Err(CompileError::TooMany {
                origin: origin(0),
                limit: MAX_RULES,
            });
        }
        self.path.push(name.to_owned());
        let mut number = 0;
        for entry in &filter.entries {
            match entry {
                Entry::Rule(rule) => {
                    number += 1;
                    if self.out.len() >= MAX_RULES {
                        return Err(CompileError::TooMany {
                            origin: origin(number),
                            limit: MAX_RULES,
                        });
                    }
                    self.out.push(RuleInstance {
                        origin: origin(number),
                        chain: &filter.chain,
                        chain_priority: filter.chain_priority(),
                        rule,
                        scope: Rc::clone(scope),
                    });
                }
                Entry::Reference(reference) => {
                    let inner = inner(scope, &reference.parameters);
                    self.filter(name, &reference.filter, &inner)?;
                }
            }
        }
        self.path.pop();
        Ok(())
    }
}

/// What a referred filter sees: its parameters are defaults, the outermost value wins.
fn inner(outer: &Rc<Scope>, parameters: &[(String, String)]) -> Rc<Scope> {
    if parameters.is_empty() {
        return Rc::clone(outer);
    }
    Rc::new(Scope {
        outer: Some(Rc::clone(outer)),
        ..Scope::of(parameters)
    })
}
