//! `hosts list`: which hosts there are, what is in them, and what of them is made.

use super::booted::Booted;
use super::disk::Disk;
use super::manifest::{Backend, Manifest};
use super::table::aligned;
use crate::cache::Cache;
use anyhow::Result;
use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;

const HEADINGS: [&str; 8] = [
    "host", "suite", "kernel", "libvirt", "QEMU", "back end", "state", "MiB",
];

/// The table of hosts.
///
/// # Errors
///
/// If QEMU's version cannot be had.
pub fn table(cache: &Cache, manifests: &[Manifest]) -> Result<String> {
    let mut rows = vec![HEADINGS.map(str::to_owned).to_vec()];
    for manifest in manifests {
        rows.push(row(cache, manifest)?);
    }
    Ok(aligned(&rows))
}

fn row(cache: &Cache, manifest: &Manifest) -> Result<Vec<String>> {
    let disk = Disk::present(cache, manifest);
    let booted = Booted::present(cache, manifest)?;
    let versions = disk.as_ref().map(Disk::versions).unwrap_or_default();
    let known = |version: String| {
        if version.is_empty() {
            "-".into()
        } else {
            version
        }
    };
    let state = match (manifest.mirror(), &disk, &booted) {
        (_, _, Some(_)) => "saved".to_owned(),
        (_, Some(_), None) => "disk made".to_owned(),
        (Ok(_), None, None) => "not built".to_owned(),
        (Err(why), None, None) => format!("skipped: {why}"),
    };
    let mut blocks = 0;
    for directory in [disk.map(|it| it.directory), booted.map(|it| it.directory)] {
        blocks += directory.map_or(0, |it| blocks_of(&it));
    }
    let backend = match manifest.nwfilter_backend {
        Backend::Default => "as installed",
        Backend::Iptables => "ebtables",
        Backend::Nftables => "nftables",
    };
    Ok(vec![
        manifest.name.clone(),
        manifest.suite.clone(),
        known(versions.kernel),
        known(versions.libvirt),
        known(versions.qemu),
        backend.to_owned(),
        state,
        // A block of stat(2) has 512 bytes.
        (blocks / 2048).to_string(),
    ])
}

fn blocks_of(directory: &Path) -> u64 {
    let entries = fs::read_dir(directory).into_iter().flatten().flatten();
    entries
        .filter_map(|entry| {
            let meta = entry.metadata().ok()?;
            Some(if meta.is_dir() {
                blocks_of(&entry.path())
            } else {
                meta.blocks()
            })
        })
        .sum()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::hosts::manifest;

    #[test]
    fn what_cannot_be_built_here_says_why() {
        let directory = tempfile::tempdir().expect("scratch directory");
        let cache = Cache::at(directory.path()).expect("cache");
        let hosts = manifest::all(&manifest::directory()).expect("shipped");
        let table = table(&cache, &hosts).expect("QEMU is there");
        let line = |name: &str| table.lines().find(|line| line.starts_with(name));
        assert!(line("debian-12").expect("listed").contains("not built"));
        let ubuntu = line("ubuntu-26.04").expect("listed");
        assert!(
            ubuntu.contains("skipped: LANFENCE_UBUNTU_MIRROR names no mirror"),
            "{ubuntu}"
        );
    }
}
