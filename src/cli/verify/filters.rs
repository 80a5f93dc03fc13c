//! Which filter is verified: the generated one, the user's own, or none.

use super::generated;
use crate::cli::{Failure, shipped};
use crate::nwfilter::{self, Filter, FilterTree, write};
use crate::policy::Policy;
use crate::report::model::FilterInfo;
use crate::verify::job::FilterText;
use std::path::PathBuf;

/// The filters to define and what the report says of them.
pub struct Chosen {
    /// In the order to define them; the bound one last.
    pub texts: Vec<FilterText>,
    /// For the report.
    pub info: FilterInfo,
}

/// Chooses by the command line.
pub fn choose(
    files: &[PathBuf],
    parameters: &[(String, String)],
    none: bool,
    policy: &Policy,
    origin: &str,
) -> Result<Chosen, Failure> {
    if none {
        let info = FilterInfo {
            name: None,
            source: "none".into(),
            rules: 0,
        };
        return Ok(Chosen {
            texts: Vec::new(),
            info,
        });
    }
    if files.is_empty() {
        let filter = nwfilter::generate(policy);
        let info = FilterInfo {
            name: Some(filter.name.clone()),
            source: format!("generated from {origin}"),
            rules: filter.rule_count(),
        };
        return Ok(Chosen {
            texts: vec![generated(policy)],
            info,
        });
    }
    own(files, parameters)
}

/// The user's own filters, and those of libvirt that they refer to.
fn own(files: &[PathBuf], parameters: &[(String, String)]) -> Result<Chosen, Failure> {
    let files: Vec<PathBuf> = files.iter().map(|file| shipped::resolve(file)).collect();
    let set =
        FilterTree::load(&files, &|name| shipped::file(name).is_some()).map_err(Failure::usage)?;
    let (mut texts, libvirts) = from_libvirt(&set)?;
    if let Some((filter, name)) = set.unset_variable(&libvirts, parameters) {
        return Err(Failure::usage(format!(
            "filter {} uses ${name}, which nothing sets\n  cure: give it with --param {name}=VALUE",
            filter.name
        )));
    }
    let rules = libvirts.iter().map(Filter::rule_count);
    let rules = set.rule_count() + rules.sum::<usize>();
    texts.extend(set.in_order().iter().map(|filter| FilterText {
        name: filter.name.clone(),
        xml: write(filter),
        shipped: false,
    }));
    let source = files
        .iter()
        .map(|file| file.display().to_string())
        .collect::<Vec<_>>()
        .join(", ");
    let info = FilterInfo {
        name: Some(set.top().name.clone()),
        source,
        rules,
    };
    Ok(Chosen { texts, info })
}

/// The filters of libvirt that the set needs, as text and read.
fn from_libvirt(set: &FilterTree) -> Result<(Vec<FilterText>, Vec<Filter>), Failure> {
    let (mut texts, mut filters) = (Vec::new(), Vec::new());
    let mut wanted: Vec<String> = set.externals().map(str::to_owned).collect();
    // They refer to each other; a reference before its target is fine for libvirt.
    while let Some(name) = wanted.pop() {
        if texts.iter().any(|text: &FilterText| text.name == name) {
            continue;
        }
        let (path, xml) = text(&name)?;
        let filter = nwfilter::read(&xml, &path).map_err(Failure::usage)?;
        wanted.extend(filter.references().map(str::to_owned));
        filters.push(filter);
        texts.push(FilterText {
            name,
            xml,
            shipped: true,
        });
    }
    Ok((texts, filters))
}

/// A filter that libvirt ships: its file and text.
fn text(name: &str) -> Result<(String, String), Failure> {
    let path = shipped::file(name).ok_or_else(|| {
        let cure = shipped::CURE;
        Failure::usage(format!(
            "filter {name} is neither given nor found\n  cure: {cure}"
        ))
    })?;
    let text = std::fs::read_to_string(&path)
        .map_err(|error| Failure::usage(format!("{}: {error}", path.display())))?;
    Ok((path.display().to_string(), text))
}
