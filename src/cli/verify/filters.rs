//! Which filter is verified: the generated one, the user's own, or none.

use super::generated;
use crate::cli::Failure;
use crate::cli::tree::load;
use crate::nwfilter::{self, Filter, Source, Strictness, write};
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
    let tree = load(files, None, Strictness::Strict)?;
    tree.check_complete(parameters).map_err(Failure::usage)?;
    let order = tree.in_definition_order().map_err(Failure::usage)?;
    let text = |(filter, source): (&Filter, Option<&Source>)| {
        let shipped = source.filter(|source| source.is_shipped);
        FilterText {
            name: filter.name.clone(),
            xml: shipped.map_or_else(|| write(filter), |source| source.text.clone()),
            shipped: shipped.is_some(),
        }
    };
    let info = FilterInfo {
        name: Some(tree.top.clone()),
        source: tree.given_paths().join(", "),
        rules: tree.rule_count(),
    };
    Ok(Chosen {
        texts: order.into_iter().map(text).collect(),
        info,
    })
}
