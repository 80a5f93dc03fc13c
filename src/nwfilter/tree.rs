//! Several files that make one filter tree.

use super::model::Filter;
use super::read::{ReadError, read};
use std::collections::{BTreeSet, HashMap};
use std::path::PathBuf;
use thiserror::Error;

/// Files that do not make a tree.
#[derive(Debug, Error)]
pub enum TreeError {
    /// A file that cannot be read.
    #[error("{path}: {source}", path = .path.display())]
    File {
        /// Which.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// A file that is no filter.
    #[error(transparent)]
    Read(#[from] ReadError),
    /// Two files with one filter's name.
    #[error("filter {name} is given twice, the second time in {origin}")]
    Twice {
        /// The name.
        name: String,
        /// The second file.
        origin: String,
    },
    /// A reference to nothing.
    #[error(
        "filter {from} refers to {to}, which is neither given nor shipped with libvirt here\n  cure: give its file with another --filter (libvirt's own come with the package libvirt-daemon-config-nwfilter)"
    )]
    Undefined {
        /// The filter with the reference.
        from: String,
        /// The missing filter.
        to: String,
    },
    /// References in a circle.
    #[error("the filters refer to each other in a circle: {}", .0.join(" -> "))]
    Cycle(Vec<String>),
    /// More than one filter that nothing refers to.
    #[error("several filters could be bound, since nothing refers to them: {}\n  cure: give the one to verify and those that it refers to", .0.join(", "))]
    SeveralTops(Vec<String>),
}

/// Filters in an order in which libvirt can define them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FilterTree {
    filters: Vec<Filter>,
    externals: BTreeSet<String>,
}

impl FilterTree {
    /// Reads the files and resolves their references. `known` says which
    /// other filters exist (those that libvirt ships).
    pub fn load(paths: &[PathBuf], known: &dyn Fn(&str) -> bool) -> Result<Self, TreeError> {
        let mut filters: Vec<Filter> = Vec::new();
        for path in paths {
            let origin = path.display().to_string();
            let bytes = std::fs::read(path).map_err(|source| TreeError::File {
                path: path.clone(),
                source,
            })?;
            let filter = read(&String::from_utf8_lossy(&bytes), &origin)?;
            if filters.iter().any(|other| other.name == filter.name) {
                return Err(TreeError::Twice {
                    name: filter.name,
                    origin,
                });
            }
            filters.push(filter);
        }
        Self::of(filters, known)
    }

    /// Resolves the references of filters that have been read already.
    pub fn of(filters: Vec<Filter>, known: &dyn Fn(&str) -> bool) -> Result<Self, TreeError> {
        let mut externals = BTreeSet::new();
        let names: BTreeSet<&str> = filters.iter().map(|filter| filter.name.as_str()).collect();
        for filter in &filters {
            for to in filter.references() {
                if names.contains(to) {
                    continue;
                }
                if !known(to) {
                    return Err(TreeError::Undefined {
                        from: filter.name.clone(),
                        to: to.to_owned(),
                    });
                }
                externals.insert(to.to_owned());
            }
        }
        let ordered = order(filters)?;
        let tops: Vec<String> = tops(&ordered).map(|filter| filter.name.clone()).collect();
        if tops.len() > 1 {
            return Err(TreeError::SeveralTops(tops));
        }
        Ok(Self {
            filters: ordered,
            externals,
        })
    }

    /// Every filter, what it refers to before it.
    pub fn in_order(&self) -> &[Filter] {
        &self.filters
    }

    /// The filter to bind.
    ///
    /// # Panics
    /// When the set is empty, which the command line rules out.
    pub fn top(&self) -> &Filter {
        self.filters.last().expect("a set has a filter")
    }

    /// A variable that nothing sets, with the filter that uses it, in the set
    /// or among the filters of libvirt that it refers to. libvirt sets `MAC`
    /// itself and can learn `IP`.
    pub fn unset_variable<'a>(
        &'a self,
        shipped: &'a [Filter],
        set: &[(String, String)],
    ) -> Option<(&'a Filter, &'a str)> {
        let all = || self.filters.iter().chain(shipped);
        let is_set = |name: &str| {
            matches!(name, "MAC" | "IP")
                || set.iter().any(|(set, _)| set == name)
                || all().any(|filter| filter.parameters().any(|set| set == name))
        };
        let mut used = all().flat_map(|filter| filter.variables().map(move |name| (filter, name)));
        used.find(|(_, name)| !is_set(name))
    }

    /// Filters that are referred to and not in the set.
    pub fn externals(&self) -> impl Iterator<Item = &str> {
        self.externals.iter().map(String::as_str)
    }

    /// Rules in the whole set.
    pub fn rule_count(&self) -> usize {
        self.filters.iter().map(Filter::rule_count).sum()
    }
}

fn tops(filters: &[Filter]) -> impl Iterator<Item = &Filter> {
    let referred: BTreeSet<&str> = filters.iter().flat_map(Filter::references).collect();
    filters
        .iter()
        .filter(move |filter| !referred.contains(filter.name.as_str()))
}

/// Dependencies first, else in the given order.
fn order(filters: Vec<Filter>) -> Result<Vec<Filter>, TreeError> {
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
        return Err(TreeError::Cycle(names.collect()));
    }
    let mut filters: Vec<Option<Filter>> = filters.into_iter().map(Some).collect();
    let taken = sequence.into_iter().filter_map(|at| filters[at].take());
    Ok(taken.collect())
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
    use super::*;

    fn filter(name: &str, references: &[&str]) -> Filter {
        let references: String = references
            .iter()
            .map(|to| format!("<filterref filter='{to}'/>"))
            .collect::<Vec<_>>()
            .concat();
        read(
            &format!("<filter name='{name}'>{references}</filter>"),
            "test",
        )
        .unwrap()
    }

    fn names(set: &FilterTree) -> Vec<&str> {
        set.in_order()
            .iter()
            .map(|filter| filter.name.as_str())
            .collect()
    }

    #[test]
    fn what_is_referred_to_comes_first() {
        let filters = vec![
            filter("top", &["a", "b"]),
            filter("a", &["b"]),
            filter("b", &["clean-traffic"]),
        ];
        let set = FilterTree::of(filters, &|name| name == "clean-traffic").unwrap();
        assert_eq!(names(&set), ["b", "a", "top"]);
        assert_eq!(set.top().name, "top");
        assert_eq!(set.externals().collect::<Vec<_>>(), ["clean-traffic"]);
    }

    #[test]
    fn broken_trees_are_told_apart() {
        let nothing = |_: &str| false;
        let message = |filters| FilterTree::of(filters, &nothing).unwrap_err().to_string();
        insta::assert_snapshot!(
            [
                message(vec![filter("a", &["b"]), filter("b", &["a"])]),
                message(vec![filter("a", &["missing"])]),
                message(vec![filter("a", &[]), filter("b", &[])]),
            ]
            .join("\n"), @"
        the filters refer to each other in a circle: a -> b -> a
        filter a refers to missing, which is neither given nor shipped with libvirt here
          cure: give its file with another --filter (libvirt's own come with the package libvirt-daemon-config-nwfilter)
        several filters could be bound, since nothing refers to them: a, b
          cure: give the one to verify and those that it refers to
        ");
    }
}
