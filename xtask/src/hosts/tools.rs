//! The programs and keys with which a host's disk is made. Only who makes one needs them, so
//! they are not among the needs of every machine.

use super::manifest::Manifest;
use crate::apt;
use crate::cache::Cache;
use crate::distro;
use crate::failure::Unfit;
use crate::tool;
use anyhow::{Result, bail};

/// Programs and their packages.
const PROGRAMS: [(&str, &str); 2] = [("mmdebstrap", "mmdebstrap"), ("mke2fs", "e2fsprogs")];

/// Installs what is missing.
///
/// # Errors
///
/// [`Unfit`] with the command for root, if it cannot be installed from here.
pub fn ensure(cache: &Cache, manifest: &Manifest) -> Result<()> {
    let missing = missing(manifest);
    if missing.is_empty() {
        return Ok(());
    }
    let names: Vec<&str> = missing.iter().map(String::as_str).collect();
    eprintln!(
        "missing, to make the disk of {}: {}",
        manifest.name,
        names.join(", ")
    );
    let Some(release) = distro::detect().with_form()?.release else {
        bail!(Unfit(format!(
            "package names of this distribution are not known; install what Debian calls {}",
            names.join(", ")
        )));
    };
    apt::install(&names, release, cache)
}

fn missing(manifest: &Manifest) -> Vec<String> {
    let programs = PROGRAMS
        .iter()
        .filter(|(program, _)| tool::find(program).is_none());
    let mut missing: Vec<String> = programs.map(|(_, package)| (*package).to_owned()).collect();
    if !manifest.keyring.exists() {
        missing.push(manifest.keyring_package.clone());
    }
    missing
}
