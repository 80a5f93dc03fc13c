//! Filter files from the command line, with those of libvirt that they refer to.

use super::{Failure, shipped};
use crate::frame::Mac;
use crate::nwfilter::evaluate::{Backend, CompileError, Compiled, Culprit};
use crate::nwfilter::lint::{self, Finding};
use crate::nwfilter::{self, Filter, FilterTree, Ignored, Position, RuleId, TreeError};
use std::path::{Path, PathBuf};

/// Filters and where they come from.
pub struct Tree {
    /// All of them.
    pub filters: Vec<Filter>,
    /// The one that an interface would refer to.
    pub top: String,
    sources: Vec<Source>,
    reading: Reading,
}

/// How files are read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reading {
    /// What libvirt would ignore is an error.
    Strict,
    /// As libvirt reads them; what it ignores is kept as findings.
    AsLibvirt,
}

struct Source {
    filter: String,
    path: String,
    /// What libvirt ignores in it.
    ignored: Vec<Ignored>,
    /// Where its rules start.
    rules: Vec<Position>,
    /// Where its references start.
    references: Vec<Position>,
}

impl Tree {
    /// Reads files, and folders of them.
    pub fn load(paths: &[PathBuf], bind: Option<&str>, reading: Reading) -> Result<Self, Failure> {
        let mut tree = Self {
            filters: Vec::new(),
            top: String::new(),
            sources: Vec::new(),
            reading,
        };
        for path in files(paths)? {
            tree.add(&path)?;
        }
        tree.top = match bind {
            Some(name) if tree.filters.iter().any(|filter| filter.name == name) => name.to_owned(),
            Some(name) => {
                return Err(Failure::usage(format!(
                    "--bind {name}: none of the files has that filter"
                )));
            }
            None => tree.unreferenced()?,
        };
        tree.add_shipped()?;
        Ok(tree)
    }

    /// A filter that has no file.
    pub fn generated(filter: Filter) -> Self {
        Self {
            top: filter.name.clone(),
            filters: vec![filter],
            sources: Vec::new(),
            reading: Reading::Strict,
        }
    }

    fn add(&mut self, path: &Path) -> Result<(), Failure> {
        let origin = path.display().to_string();
        let bytes =
            std::fs::read(path).map_err(|error| Failure::usage(format!("{origin}: {error}")))?;
        let text = String::from_utf8_lossy(&bytes);
        let document = match self.reading {
            Reading::Strict => nwfilter::document(&text, &origin),
            Reading::AsLibvirt => nwfilter::as_libvirt(&text, &origin),
        };
        let document = document.map_err(Failure::usage)?;
        let filter = document.filter;
        if self.filters.iter().any(|other| other.name == filter.name) {
            return Err(Failure::usage(TreeError::Twice {
                name: filter.name,
                origin,
            }));
        }
        self.sources.push(Source {
            filter: filter.name.clone(),
            path: origin,
            ignored: document.ignored,
            rules: document.rules,
            references: document.references,
        });
        self.filters.push(filter);
        Ok(())
    }

    fn unreferenced(&self) -> Result<String, Failure> {
        let set = FilterTree::of(self.filters.clone(), &|_| true).map_err(|error| {
            let more = match error {
                TreeError::SeveralTops(_) => ", or name the one to bind with --bind",
                _ => "",
            };
            let at = match &error {
                TreeError::Cycle(names) => {
                    self.reference(&names[0], names.get(1).map(String::as_str))
                }
                _ => None,
            };
            Failure::usage(format!("{}{error}{more}", prefix(at)))
        })?;
        Ok(set.top().name.clone())
    }

    /// Adds what is referred to and not given, from libvirt's own.
    fn add_shipped(&mut self) -> Result<(), Failure> {
        let mut at = 0;
        while at < self.filters.len() {
            let wanted: Vec<String> = self.filters[at].references().map(str::to_owned).collect();
            for name in wanted {
                let known = self.filters.iter().any(|filter| filter.name == name);
                // What is not there either is told by the compiler, with the reference.
                if let Some(path) = shipped::file(&name).filter(|_| !known) {
                    self.add(&path)?;
                }
            }
            at += 1;
        }
        Ok(())
    }

    /// Compiles it for an interface.
    pub fn compile(
        &self,
        mac: Mac,
        parameters: &[(String, String)],
        backend: Backend,
    ) -> Result<Compiled, Failure> {
        let compiled = Compiled::with_backend(&self.filters, &self.top, mac, parameters, backend);
        compiled.map_err(|error| Failure::usage(self.located(&error)))
    }

    /// An error behind the place that it is about.
    pub fn located(&self, error: &CompileError) -> String {
        let at = match error.culprit() {
            Culprit::Rule(origin) => self.place(origin),
            Culprit::Reference { from, to } => self.reference(from, to),
        };
        let more = match error {
            CompileError::Missing { .. } => format!("; {}", shipped::CURE),
            _ => String::new(),
        };
        format!("{}{error}{more}", prefix(at))
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
        let place = finding.place.or(finding.origin.as_ref().and_then(of_rule));
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

    /// A rule in words: its number and filter, where it stands, what it says.
    pub fn describe(&self, origin: &RuleId) -> String {
        let place = self.place(origin).map(|place| format!(" ({place})"));
        format!(
            "{origin}{}: {}",
            place.unwrap_or_default(),
            self.text(origin)
        )
    }

    /// `drop out <ip dstipaddr='…'/>`
    fn text(&self, origin: &RuleId) -> String {
        let filter = self
            .filters
            .iter()
            .find(|filter| filter.name == origin.filter);
        let rule = filter.and_then(|filter| filter.rules().nth(origin.rule.checked_sub(1)?));
        let Some(rule) = rule else {
            return String::new();
        };
        let elements = rule.elements.iter().map(nwfilter::element);
        let elements: Vec<String> = elements.collect();
        let what = if elements.is_empty() {
            "every frame".to_owned()
        } else {
            elements.join(" ")
        };
        format!("{} {} {what}", rule.action, rule.direction)
    }
}

/// A place before a message; nothing where there is none.
fn prefix(place: Option<String>) -> String {
    place.map_or_else(String::new, |place| format!("{place}: "))
}

/// The files; for a folder those in it that end in `.xml`, by name.
fn files(paths: &[PathBuf]) -> Result<Vec<PathBuf>, Failure> {
    let mut out = Vec::new();
    for path in paths.iter().map(|path| shipped::resolve(path)) {
        if !path.is_dir() {
            out.push(path);
            continue;
        }
        let bad = |error: std::io::Error| Failure::usage(format!("{}: {error}", path.display()));
        let mut inside = Vec::new();
        for entry in std::fs::read_dir(&path).map_err(bad)? {
            let file = entry.map_err(bad)?.path();
            if file.extension().is_some_and(|extension| extension == "xml") {
                inside.push(file);
            }
        }
        if inside.is_empty() {
            return Err(Failure::usage(format!(
                "{}: no .xml file is in this folder",
                path.display()
            )));
        }
        inside.sort();
        out.append(&mut inside);
    }
    Ok(out)
}

/// `NAME=VALUE` of `--param`.
pub fn parameter(text: &str) -> Result<(String, String), String> {
    let (name, value) = text.split_once('=').ok_or("write it as NAME=VALUE")?;
    let good = |text: &str, more: &str| {
        !text.is_empty()
            && text
                .chars()
                .all(|c| c.is_ascii_alphanumeric() || c == '_' || more.contains(c))
    };
    // libvirt skips a parameter with any other character without a word (measured:
    // docs/measurements.md#M6).
    if !good(name, "") {
        return Err("a parameter's name has letters, digits and _ only".into());
    }
    if !good(value, ".:") {
        return Err("a parameter's value has letters, digits, _, . and : only".into());
    }
    Ok((name.to_owned(), value.to_owned()))
}

/// The name of a back end for `--backend`.
pub fn backend(word: &str) -> Result<Backend, String> {
    Backend::from_word(word).ok_or_else(|| "it is ebtables or nftables".to_owned())
}
