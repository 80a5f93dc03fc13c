//! Filters that refer to each other, and the files that they come from.

mod error;

pub use error::TreeError;

use super::evaluate::{Backend, CompileError, Compiled, Culprit};
use super::lint::{self, Finding};
use super::model::{Filter, Rule, RuleId};
use super::read::{Document, Ignored, Position, TextLayout};
use super::vocabulary::variables;
use super::write::element;
use crate::frame::Mac;
use std::collections::{BTreeSet, HashMap};

/// Where a filter comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Source {
    /// The filter's name.
    pub filter: String,
    /// The file.
    pub path: String,
    /// The file's text.
    pub text: String,
    /// Whether it is one of libvirt's own that a given filter refers to.
    pub is_shipped: bool,
    /// What libvirt ignores in it.
    ignored: Vec<Ignored>,
    /// Where its rules start.
    rules: Vec<Position>,
    /// Where its references start.
    references: Vec<Position>,
    /// Where its parts are in the text.
    pub layout: TextLayout,
}

/// A filter to bind with all that it refers to.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct FilterTree {
    /// All filters: those that were given in their order, then libvirt's own.
    pub filters: Vec<Filter>,
    /// The one that an interface would refer to.
    pub top: String,
    /// In the order of the filters; empty for a filter that has no file.
    sources: Vec<Source>,
}

impl FilterTree {
    /// A filter that has no file.
    pub fn generated(filter: Filter) -> Self {
        Self {
            top: filter.name.clone(),
            filters: vec![filter],
            sources: Vec::new(),
        }
    }

    /// Filters that were read before, without their files: rules have numbers and no places.
    pub fn unread(filters: Vec<Filter>, top: String) -> Self {
        Self {
            filters,
            top,
            sources: Vec::new(),
        }
    }

    /// Adds a file that holds no filter but something that refers to one: findings of this name
    /// stand in it.
    pub fn add_definition(&mut self, name: String, path: String) {
        // Behind all filters: the sources are in the order of these.
        self.sources.push(Source {
            filter: name,
            path,
            text: String::new(),
            is_shipped: false,
            ignored: Vec::new(),
            rules: Vec::new(),
            references: Vec::new(),
            layout: TextLayout::default(),
        });
    }

    /// Adds a filter that was read from a file.
    ///
    /// # Errors
    /// A second filter of one name.
    pub(super) fn add(
        &mut self,
        document: Document,
        path: String,
        text: String,
        is_shipped: bool,
    ) -> Result<(), TreeError> {
        let filter = document.filter;
        if self.has(&filter.name) {
            let name = filter.name;
            return Err(TreeError::Twice { name, path });
        }
        self.sources.push(Source {
            filter: filter.name.clone(),
            path,
            text,
            is_shipped,
            ignored: document.ignored,
            rules: document.rules,
            references: document.references,
            layout: document.layout,
        });
        self.filters.push(filter);
        Ok(())
    }

    /// Whether it holds the filter of this name.
    pub fn has(&self, name: &str) -> bool {
        self.filters.iter().any(|filter| filter.name == name)
    }

    /// Whether a filter is one of libvirt's own that a given filter refers to.
    pub fn is_shipped(&self, name: &str) -> bool {
        let mut sources = self.sources.iter();
        sources.any(|source| source.filter == name && source.is_shipped)
    }

    /// The one filter that nothing refers to.
    ///
    /// # Errors
    /// References in a circle, and several filters that nothing refers to.
    pub(super) fn unreferenced(&self) -> Result<String, TreeError> {
        dependency_order(&self.filters).map_err(|error| self.located(error))?;
        let referred: BTreeSet<&str> = self.filters.iter().flat_map(Filter::references).collect();
        let names = self.filters.iter().map(|filter| filter.name.as_str());
        let tops: Vec<&str> = names.filter(|name| !referred.contains(name)).collect();
        match tops.as_slice() {
            [top] => Ok((*top).to_owned()),
            several => Err(TreeError::SeveralTops(
                several.iter().map(|name| (*name).to_owned()).collect(),
            )),
        }
    }

    /// Its filters, what each refers to before it, with their sources.
    ///
    /// # Errors
    /// References in a circle.
    pub fn in_definition_order(&self) -> Result<Vec<(&Filter, Option<&Source>)>, TreeError> {
        let order = dependency_order(&self.filters).map_err(|error| self.located(error))?;
        let pair = |at: usize| (&self.filters[at], self.sources.get(at));
        Ok(order.into_iter().map(pair).collect())
    }

    /// That every reference leads to a filter, and that every variable is set:
    /// by a reference, by one of the parameters of the interface, or by libvirt
    /// itself, which sets `MAC` and can learn `IP`.
    ///
    /// # Errors
    /// The first reference or variable of which that is not so.
    pub fn check_complete(&self, parameters: &[(String, String)]) -> Result<(), TreeError> {
        let missing = self.filters.iter().find_map(|filter| {
            let to = filter.references().find(|to| !self.has(to))?;
            let (from, to) = (filter.name.clone(), to.to_owned());
            Some(CompileError::Missing { from, to })
        });
        let unset = || self.unset_variable(parameters);
        missing
            .or_else(unset)
            .map_or(Ok(()), |error| Err(self.located(error)))
    }

    fn unset_variable(&self, parameters: &[(String, String)]) -> Option<CompileError> {
        let by_interface = parameters.iter().map(|(name, _)| name.as_str());
        let by_references = self.filters.iter().flat_map(Filter::parameters);
        let by_libvirt = [variables::MAC, variables::IP];
        let set: BTreeSet<&str> = by_interface
            .chain(by_references)
            .chain(by_libvirt)
            .collect();
        let mut rules = self.filters.iter().flat_map(numbered);
        rules.find_map(|(origin, rule)| {
            let name = rule
                .variables()
                .find(|name| !set.contains(name))?
                .to_owned();
            Some(CompileError::Unset { origin, name })
        })
    }

    /// Compiles it for an interface.
    ///
    /// # Errors
    /// Whatever makes libvirt refuse to bind it, with the place in its file.
    pub fn compile(
        &self,
        mac: Mac,
        parameters: &[(String, String)],
        backend: Backend,
    ) -> Result<Compiled, TreeError> {
        let compiled = Compiled::with_backend(&self.filters, &self.top, mac, parameters, backend);
        compiled.map_err(|error| self.located(error))
    }

    /// An error with the place that it is about.
    pub fn located(&self, error: CompileError) -> TreeError {
        let place = match error.culprit() {
            Culprit::Rule(origin) => self.place(origin),
            Culprit::Reference { from, to } => self.reference(from, to),
        };
        TreeError::Compile {
            place,
            source: error,
        }
    }

    /// How many rules the files have.
    pub fn rule_count(&self) -> usize {
        self.filters.iter().map(Filter::rule_count).sum()
    }

    /// The files, for a heading; none where the filter was generated.
    pub fn paths(&self) -> Vec<&str> {
        self.sources
            .iter()
            .map(|source| source.path.as_str())
            .collect()
    }

    /// The files that were given, without those that libvirt ships.
    pub fn given_paths(&self) -> Vec<&str> {
        let given = self.sources.iter().filter(|source| !source.is_shipped);
        given.map(|source| source.path.as_str()).collect()
    }

    /// What libvirt ignores in the files, as findings.
    pub fn ignored(&self) -> Vec<Finding> {
        let sources = self.sources.iter();
        sources
            .flat_map(|source| lint::ignored(&source.filter, &source.ignored))
            .collect()
    }

    /// The filters that libvirt reads otherwise than they are written.
    pub fn misread(&self) -> impl Iterator<Item = &Filter> {
        let sources = self.sources.iter().zip(&self.filters);
        let odd = sources.filter(|(source, _)| !source.ignored.is_empty());
        odd.map(|(_, filter)| filter)
    }

    /// The file of a finding and its place in it, as far as it has them.
    pub fn location(&self, finding: &Finding) -> (Option<&str>, Option<Position>) {
        let mut sources = self.sources.iter();
        let Some(source) = sources.find(|source| source.filter == finding.filter) else {
            return (None, None);
        };
        let of_rule = |origin: &RuleId| source.rules.get(origin.rule.checked_sub(1)?).copied();
        let place = finding.position.or(finding.rule.as_ref().and_then(of_rule));
        (Some(&source.path), place)
    }

    /// The file of the filter to bind; none where it was generated.
    pub fn path(&self) -> Option<&str> {
        let mut sources = self.sources.iter();
        let source = sources.find(|source| source.filter == self.top)?;
        Some(&source.path)
    }

    /// `file:line:column` of a filter's reference to another, or of its first.
    fn reference(&self, from: &str, to: Option<&str>) -> Option<String> {
        let source = self.sources.iter().find(|source| source.filter == from)?;
        let filter = self.filters.iter().find(|filter| filter.name == from)?;
        let mut references = filter.references();
        let at = references.position(|name| to.is_none_or(|to| to == name))?;
        let (line, column) = source.references.get(at)?;
        Some(format!("{}:{line}:{column}", source.path))
    }

    /// `file:line:column` of a rule; none where the filter has no file.
    pub fn place(&self, origin: &RuleId) -> Option<String> {
        let (path, (line, column)) = self.rule_place(origin)?;
        Some(format!("{path}:{line}:{column}"))
    }

    /// The file of a rule and its place in it; none where the filter has no file.
    pub fn rule_place(&self, origin: &RuleId) -> Option<(&str, Position)> {
        let mut sources = self.sources.iter();
        let source = sources.find(|source| source.filter == origin.filter)?;
        let place = source.rules.get(origin.rule.checked_sub(1)?)?;
        Some((&source.path, *place))
    }

    /// The file of a filter; none where it has none.
    pub fn source(&self, filter: &str) -> Option<&Source> {
        let mut sources = self.sources.iter();
        sources.find(|source| source.filter == filter)
    }

    /// A rule in words: its number and filter, where it stands, what it says.
    pub fn describe(&self, origin: &RuleId) -> String {
        let place = self.place(origin).map(|place| format!(" ({place})"));
        format!(
            "{origin}{}: {}",
            place.unwrap_or_default(),
            self.rule_text(origin)
        )
    }

    /// A rule as `drop out <ip dstipaddr='…'/>`; nothing where the tree has none such.
    pub fn rule_text(&self, origin: &RuleId) -> String {
        let filter = self
            .filters
            .iter()
            .find(|filter| filter.name == origin.filter);
        let rule = filter.and_then(|filter| filter.rules().nth(origin.rule.checked_sub(1)?));
        let Some(rule) = rule else {
            return String::new();
        };
        let elements = rule.elements.iter().map(element);
        let elements: Vec<String> = elements.collect();
        let what = if elements.is_empty() {
            "every frame".to_owned()
        } else {
            elements.join(" ")
        };
        format!("{} {} {what}", rule.action, rule.direction)
    }
}

/// The rules of a filter with their names.
fn numbered(filter: &Filter) -> impl Iterator<Item = (RuleId, &Rule)> {
    filter.rules().zip(1..).map(|(rule, number)| {
        let filter = filter.name.clone();
        (
            RuleId {
                filter,
                rule: number,
            },
            rule,
        )
    })
}

/// Positions of the filters, what one refers to before it, else in the given order.
///
/// # Errors
/// References in a circle.
fn dependency_order(filters: &[Filter]) -> Result<Vec<usize>, CompileError> {
    let places: HashMap<&str, usize> = filters
        .iter()
        .enumerate()
        .map(|(at, filter)| (filter.name.as_str(), at))
        .collect();
    let targets: Vec<BTreeSet<usize>> = filters
        .iter()
        .map(|filter| {
            filter
                .references()
                .filter_map(|to| places.get(to).copied())
                .collect()
        })
        .collect();
    let mut waiting: Vec<usize> = targets.iter().map(BTreeSet::len).collect();
    let mut referring: Vec<Vec<usize>> = vec![Vec::new(); filters.len()];
    for (from, targets) in targets.iter().enumerate() {
        for to in targets {
            referring[*to].push(from);
        }
    }
    let mut free: BTreeSet<usize> = (0..filters.len()).filter(|at| waiting[*at] == 0).collect();
    let mut sequence = Vec::new();
    while let Some(at) = free.pop_first() {
        sequence.push(at);
        for from in &referring[at] {
            waiting[*from] -= 1;
            if waiting[*from] == 0 {
                free.insert(*from);
            }
        }
    }
    if let Some(stuck) = waiting.iter().position(|count| *count > 0) {
        let names = circle(stuck, &targets, &waiting);
        let names = names.iter().map(|at| filters[*at].name.clone());
        return Err(CompileError::Cycle(names.collect()));
    }
    Ok(sequence)
}

/// A circle of references that a filter which waits in vain leads into, its
/// first filter again at the end.
fn circle(start: usize, targets: &[BTreeSet<usize>], waiting: &[usize]) -> Vec<usize> {
    let mut path: Vec<usize> = Vec::new();
    let mut seen: HashMap<usize, usize> = HashMap::new();
    let mut at = start;
    loop {
        if let Some(first) = seen.insert(at, path.len()) {
            path.drain(..first);
            path.push(at);
            return path;
        }
        path.push(at);
        let next = targets[at].iter().find(|to| waiting[**to] > 0);
        at = *next.expect("what waits in vain refers to something that does too");
    }
}

#[cfg(test)]
mod tests {
    use super::super::read::read;
    use super::*;

    fn filter(name: &str, references: &[&str]) -> Filter {
        let references: Vec<String> = references
            .iter()
            .map(|to| format!("<filterref filter='{to}'/>"))
            .collect();
        let references = references.concat();
        let text = format!("<filter name='{name}'>{references}</filter>");
        read(&text, "test").unwrap()
    }

    fn tree(filters: Vec<Filter>) -> FilterTree {
        FilterTree {
            filters,
            ..FilterTree::default()
        }
    }

    #[test]
    fn what_is_referred_to_comes_first() {
        let tree = tree(vec![
            filter("top", &["a", "b"]),
            filter("a", &["b"]),
            filter("b", &["clean-traffic"]),
        ]);
        let order = tree.in_definition_order().unwrap();
        let names: Vec<&str> = order
            .iter()
            .map(|(filter, _)| filter.name.as_str())
            .collect();
        assert_eq!(names, ["b", "a", "top"]);
        assert_eq!(tree.unreferenced().unwrap(), "top");
    }

    #[test]
    fn broken_trees_are_told_apart() {
        let circle = tree(vec![filter("a", &["b"]), filter("b", &["a"])]);
        let missing = tree(vec![filter("a", &["missing"])]);
        let several = tree(vec![filter("a", &[]), filter("b", &[])]);
        insta::assert_snapshot!(
            [
                circle.unreferenced().unwrap_err().to_string(),
                missing.check_complete(&[]).unwrap_err().to_string(),
                several.unreferenced().unwrap_err().to_string(),
            ]
            .join("\n"),
            @"
        the filters refer to each other in a circle: a -> b -> a
        filter a refers to missing, which is neither given nor shipped with libvirt here
          cure: give its file too; libvirt's own filters come with the package libvirt-daemon-config-nwfilter; LANFENCE_SHIPPED_FILTERS names another directory of them, such as `cargo xtask filters` prints
        several filters could be bound, since nothing refers to them: a, b
          cure: give the one to bind and those that it refers to, or name it with --bind
        "
        );
    }

    #[test]
    fn a_variable_is_set_by_a_reference_a_parameter_or_libvirt() {
        let text = "<filter name='x'><rule action='drop' direction='out'><ip srcipaddr='$IP' dstipaddr='$A[@1]'/></rule></filter>";
        let tree = tree(vec![read(text, "test").unwrap()]);
        let message = tree.check_complete(&[]).unwrap_err().to_string();
        assert!(message.starts_with("rule 1 of x uses $A"), "{message}");
        let given = [("A".to_owned(), "10.0.0.1".to_owned())];
        tree.check_complete(&given).unwrap();
    }
}
