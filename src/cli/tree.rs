//! What every verb that takes filters has in common.

use super::Failure;
use crate::frame::Mac;
use crate::nwfilter::evaluate::{Backend, Compiled};
use crate::nwfilter::vocabulary::variables;
use crate::nwfilter::{FilterTree, ShippedFilters, Strictness};
use std::path::PathBuf;

/// Reads files, folders of them, and filters that libvirt ships.
pub fn load(
    paths: &[PathBuf],
    bind: Option<&str>,
    strictness: Strictness,
) -> Result<FilterTree, Failure> {
    let shipped = ShippedFilters::installed();
    FilterTree::load(paths, bind, strictness, &shipped).map_err(Failure::usage)
}

/// Compiles filters for an interface.
pub fn compile(
    tree: &FilterTree,
    mac: Mac,
    parameters: &[(String, String)],
    backend: Backend,
) -> Result<Compiled, Failure> {
    let compiled = tree.compile(mac, parameters, backend);
    compiled.map_err(Failure::usage)
}

/// `NAME=VALUE` of `--param`.
pub fn parameter(text: &str) -> Result<(String, String), String> {
    let (name, value) = text.split_once('=').ok_or("write it as NAME=VALUE")?;
    if !variables::is_name(name) {
        return Err("a parameter's name has letters, digits and _ only".into());
    }
    if !variables::is_value(value) {
        return Err("a parameter's value has letters, digits, _, . and : only".into());
    }
    Ok((name.to_owned(), value.to_owned()))
}

/// The name of a back end for `--backend`.
pub fn backend(word: &str) -> Result<Backend, String> {
    Backend::from_word(word).ok_or_else(|| "it is ebtables or nftables".to_owned())
}
