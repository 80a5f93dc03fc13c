//! Manifests of throwaway hosts: `images/hosts/NAME.toml`. `debian-13.toml` explains every key.

use crate::failure::BadManifest;
use anyhow::{Context as _, Result, bail};
use serde::Deserialize;
use std::collections::BTreeMap;
use std::env;
use std::fs;
use std::path::{Path, PathBuf};
use toml::{Table, Value};

/// Manifests that may take keys from one another, at most so many deep.
const DEEPEST: usize = 4;

/// A whole host, as its manifest and those that it is like describe it.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Manifest {
    /// The file's name without its extension.
    #[serde(skip)]
    pub name: String,
    /// One line for people.
    pub summary: String,
    /// Address of the archive; empty where only the variable names one.
    mirror: String,
    /// The environment variable that names another mirror.
    mirror_variable: String,
    /// File with the archive's keys.
    pub keyring: PathBuf,
    /// The package that has this file.
    pub keyring_package: String,
    /// Code name of the release.
    pub suite: String,
    /// Components of the archive.
    pub components: Vec<String>,
    /// Whether lists that have expired are taken.
    #[serde(default)]
    pub expired_lists: bool,
    /// Suites from which some packages are taken.
    #[serde(default)]
    pub extra_suites: Vec<ExtraSuite>,
    /// The package of the kernel.
    pub kernel: String,
    /// Packages besides the essential ones.
    pub packages: Vec<String>,
    /// Packages that a manifest adds to those of the one that it is like.
    #[serde(default)]
    pub more_packages: Vec<String>,
    /// Size of the root file system in MiB.
    pub disk_mib: u64,
    /// Number of virtual CPUs.
    pub cores: u32,
    /// Memory in MiB.
    pub memory_mib: u32,
    /// Words for the kernel's command line.
    #[serde(default)]
    pub kernel_arguments: Vec<String>,
    /// Modules to load.
    #[serde(default)]
    pub modules: Vec<String>,
    /// Modules that must not be loaded.
    #[serde(default)]
    pub absent_modules: Vec<String>,
    /// Back end of libvirt's nwfilter.
    pub nwfilter_backend: Backend,
    /// Units to enable and disable.
    #[serde(default)]
    pub services: Services,
    /// Kernel settings.
    #[serde(default)]
    pub sysctls: BTreeMap<String, String>,
    /// Ordinary users.
    #[serde(default)]
    pub users: Vec<User>,
    /// What `hosts test` must find otherwise than in other hosts.
    #[serde(default)]
    pub differs: Vec<Difference>,
}

/// A scenario that must end otherwise in a host.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Difference {
    /// Its title.
    pub scenario: String,
    /// The exit code that it must end with.
    pub code: u8,
    /// What it must say.
    pub says: String,
}

/// A suite from which the packages of some sources are taken.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct ExtraSuite {
    /// Its name, in the manifest's archive.
    pub suite: String,
    /// Source packages whose binary packages come from it.
    pub sources: Vec<String>,
}

/// Back end of libvirt's nwfilter: `firewall_backend` in `/etc/libvirt/nwfilter.conf`, which
/// libvirt has since 12.8.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Backend {
    /// The file stays as the package installs it.
    Default,
    /// ebtables and iptables.
    Iptables,
    /// nftables.
    Nftables,
}

impl Backend {
    /// The word in libvirt's file; none where it stays as it is.
    pub fn word(self) -> Option<&'static str> {
        match self {
            Backend::Default => None,
            Backend::Iptables => Some("iptables"),
            Backend::Nftables => Some("nftables"),
        }
    }
}

/// systemd units.
#[derive(Debug, Clone, PartialEq, Eq, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Services {
    /// Enabled and started.
    #[serde(default)]
    pub enable: Vec<String>,
    /// Disabled, stopped and masked.
    #[serde(default)]
    pub disable: Vec<String>,
}

/// An ordinary user.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct User {
    /// Login name.
    pub name: String,
    /// Groups besides the user's own.
    #[serde(default)]
    pub groups: Vec<String>,
    /// Whether subordinate ids are given.
    #[serde(default = "yes")]
    pub subordinate_ids: bool,
}

fn yes() -> bool {
    true
}

impl Manifest {
    /// The archive: the mirror that the environment names, else the manifest's.
    ///
    /// # Errors
    ///
    /// Why the host cannot be built here, if no mirror is named.
    pub fn mirror(&self) -> Result<String, String> {
        match env::var(&self.mirror_variable) {
            Ok(named) if !named.is_empty() => Ok(named),
            _ if !self.mirror.is_empty() => Ok(self.mirror.clone()),
            _ => Err(format!(
                "{} names no mirror of its archive",
                self.mirror_variable
            )),
        }
    }

    /// All packages that are asked for, the kernel's among them.
    pub fn all_packages(&self) -> Vec<&str> {
        let listed = self.packages.iter().chain(&self.more_packages);
        let mut all: Vec<&str> = listed.map(String::as_str).collect();
        all.push(&self.kernel);
        all.sort_unstable();
        all.dedup();
        all
    }
}

/// The directory of the manifests of this checkout.
pub fn directory() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../images/hosts")
}

/// All hosts, sorted by name.
///
/// # Errors
///
/// If the directory or a manifest in it cannot be used.
pub fn all(directory: &Path) -> Result<Vec<Manifest>> {
    let names = names(directory)?;
    names.iter().map(|name| read(directory, name)).collect()
}

fn names(directory: &Path) -> Result<Vec<String>> {
    let entries =
        fs::read_dir(directory).with_context(|| format!("cannot read {}", directory.display()))?;
    let mut names: Vec<String> = entries
        .flatten()
        .filter_map(|entry| {
            Some(
                entry
                    .file_name()
                    .to_str()?
                    .strip_suffix(".toml")?
                    .to_owned(),
            )
        })
        .collect();
    names.sort();
    Ok(names)
}

/// One host: by its name, or by the path of a manifest of the user's own, which ends in `.toml`.
///
/// # Errors
///
/// [`BadManifest`] if there is no host of this name, or if a manifest cannot be understood.
pub fn read(directory: &Path, name: &str) -> Result<Manifest> {
    let file = if let Some(stem) = Path::new(name).file_stem().filter(|_| is_path(name)) {
        (PathBuf::from(name), stem.to_string_lossy().into_owned())
    } else {
        let known = names(directory)?;
        if !known.iter().any(|it| it == name) {
            let known = known.join(", ");
            bail!(BadManifest(format!(
                "there is no host `{name}`; there are: {known}"
            )));
        }
        (path(directory, name), name.to_owned())
    };
    let (path, name) = file;
    let table = merged(directory, &path, DEEPEST)?;
    let parsed: Result<Manifest, _> = table.try_into();
    let mut manifest = parsed.map_err(|error| {
        BadManifest(format!(
            "{}: {}; images/hosts/debian-13.toml explains every key",
            path.display(),
            error.message()
        ))
    })?;
    manifest.name = name;
    Ok(manifest)
}

fn is_path(name: &str) -> bool {
    Path::new(name)
        .extension()
        .is_some_and(|extension| extension == "toml")
}

fn path(directory: &Path, name: &str) -> PathBuf {
    directory.join(format!("{name}.toml"))
}

/// The manifest's table on top of the one that it is like.
fn merged(directory: &Path, path: &Path, depth: usize) -> Result<Table> {
    let text =
        fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))?;
    let bad = |why: String| BadManifest(format!("{}: {why}", path.display()));
    let mut own: Table = text.parse().map_err(|error| bad(format!("{error}")))?;
    let base = match own.remove("like") {
        None => return Ok(own),
        Some(Value::String(base)) => base,
        Some(_) => bail!(bad("`like` names another manifest, in quotes".into())),
    };
    if depth == 0 {
        bail!(bad("manifests that are like one another go round".into()));
    }
    let mut table = merged(directory, &self::path(directory, &base), depth - 1)?;
    table.extend(own);
    Ok(table)
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    #[test]
    fn every_shipped_manifest_is_understood() {
        let hosts = all(&directory()).expect("shipped manifests");
        let names: Vec<&str> = hosts.iter().map(|host| host.name.as_str()).collect();
        assert_eq!(
            names,
            [
                "debian-12",
                "debian-13",
                "debian-13-backports",
                "debian-13-backports-nftables",
                "debian-13-hardened",
                "debian-sid",
                "ubuntu-24.04",
                "ubuntu-26.04"
            ]
        );
    }

    #[test]
    fn the_manifest_that_explains_every_key_has_them_all() {
        let text = fs::read_to_string(path(&directory(), "debian-13")).expect("shipped");
        for key in [
            "extra-suites",
            "expired-lists",
            "more-packages",
            "like",
            "absent-modules",
            "kernel-arguments",
            "subordinate-ids",
            "sysctls",
            "services",
            "differs",
        ] {
            assert!(text.contains(key), "{key}");
        }
    }

    #[test]
    fn a_key_of_ones_own_replaces_the_other_ones() {
        let host = read(&directory(), "debian-13-backports-nftables").expect("shipped");
        assert_eq!(host.suite, "trixie");
        assert_eq!(host.extra_suites[0].suite, "trixie-backports");
        assert_eq!(host.nwfilter_backend, Backend::Nftables);
    }

    #[test]
    fn a_manifest_of_ones_own_is_named_by_its_path() {
        let scratch = tempfile::tempdir().expect("scratch directory");
        let path = scratch.path().join("mine.toml");
        fs::write(&path, "like = \"debian-13\"\ncores = 7\n").expect("write");
        let name = path.to_str().expect("UTF-8");
        let host = read(&directory(), name).expect("like a shipped one");
        assert_eq!((host.name.as_str(), host.cores), ("mine", 7));
    }

    #[rstest]
    #[case::unknown("none", "there is no host `none`; there are: a, b")]
    #[case::round("a", "go round")]
    #[case::key("b", "unknown field `frob`")]
    fn what_is_wrong_is_named(#[case] name: &str, #[case] expected: &str) {
        let directory = tempfile::tempdir().expect("scratch directory");
        fs::write(directory.path().join("a.toml"), "like = \"a\"\n").expect("write");
        fs::write(directory.path().join("b.toml"), "frob = 1\n").expect("write");
        let error = read(directory.path(), name).expect_err("not usable");
        assert_eq!(crate::failure::exit_code(&error), crate::failure::USAGE);
        assert!(error.to_string().contains(expected), "{error}");
    }
}
