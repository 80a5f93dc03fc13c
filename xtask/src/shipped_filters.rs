//! The filters that libvirt ships. Their package would define all of them in
//! /etc/libvirt, so it is only unpacked, into the cache, unless the machine has
//! it anyway. lanfence resolves references with them and is tested with them.

use crate::apt;
use crate::cache::{Cache, Lock, make_directory, write_readable};
use crate::distro::Release;
use crate::failure::Unfit;
use crate::tool;
use anyhow::{Context as _, Result, bail};
use std::fs;
use std::path::{Path, PathBuf};

/// The package, by this name on every distribution that is known here.
const PACKAGE: &str = "libvirt-daemon-config-nwfilter";

/// Where the package has them, from the root on.
const PLACE: &str = "usr/share/libvirt/nwfilter";

/// One that has been there since the beginning (libvirt 0.8.0).
const EXAMPLE: &str = "clean-traffic.xml";

/// Their directory, the machine's own or the cache's; none if they are absent.
pub fn present(cache: &Cache, release: Release) -> Option<PathBuf> {
    let installed = Path::new("/").join(PLACE);
    [installed, directory(cache, release)]
        .into_iter()
        .find(|directory| directory.join(EXAMPLE).exists())
}

/// What is missing, in a line for people.
pub fn describe() -> String {
    format!("  libvirt's own filters (downloaded, not installed), package {PACKAGE}\n")
}

/// Downloads the package and unpacks its filters into the cache.
///
/// # Errors
///
/// [`Unfit`] if apt cannot download the package, even with fresh lists, or if it holds no
/// filters; any other error if they cannot be written to the cache.
pub fn fetch(cache: &Cache, release: Release, lock: &Lock) -> Result<PathBuf> {
    let scratch = cache.scratch(lock)?;
    apt::refreshing("libvirt's own filters", cache, || {
        let candidate = apt::show(PACKAGE)?.with_context(|| {
            let suite = release.codename();
            format!("apt knows no package {PACKAGE}; {suite} has to be among its sources")
        })?;
        apt::download(&[candidate], scratch.path())
    })?;
    let kept = unpack(scratch.path()).map_err(|error| cache.explain_full(error))?;
    let directory = directory(cache, release);
    scratch.keep(kept, &directory)?;
    Ok(directory)
}

/// Machines with different releases may share a cache.
fn directory(cache: &Cache, release: Release) -> PathBuf {
    cache.path(&format!("filters/{}", release.codename()))
}

/// Unpacks the archive of a directory beside it and gathers the filters in a
/// directory of it, whose name is returned.
fn unpack(scratch: &Path) -> Result<&'static str> {
    const GATHERED: &str = "filters";
    let (root, target) = (scratch.join("package"), scratch.join(GATHERED));
    make_directory(&root)?;
    make_directory(&target)?;
    for archive in tool::files(scratch, "deb") {
        apt::unpack(&archive, &root, &[])?;
    }
    for file in tool::files(&root.join(PLACE), "xml") {
        let name = file.file_name().context("a file has a name")?;
        let text = fs::read(&file).with_context(|| format!("cannot read {}", file.display()))?;
        write_readable(&target.join(name), &text)?;
    }
    if !target.join(EXAMPLE).exists() {
        bail!(Unfit(format!(
            "the package {PACKAGE} has no /{PLACE}/{EXAMPLE}"
        )));
    }
    Ok(GATHERED)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::process::Command;

    /// A package with one file, as dpkg-deb builds it.
    fn package(scratch: &Path, file: &str) {
        let tree = scratch.join("tree");
        let path = tree.join(PLACE).join(file);
        make_directory(path.parent().expect("below the root")).expect("directory");
        make_directory(&tree.join("DEBIAN")).expect("directory");
        fs::write(path, "<filter name='x'/>").expect("file");
        let control = "Package: p\nVersion: 1\nArchitecture: all\nMaintainer: m <m@example.org>\nDescription: d\n";
        fs::write(tree.join("DEBIAN/control"), control).expect("file");
        let mut build = Command::new("dpkg-deb");
        build.args(["--build", "--root-owner-group"]).arg(&tree);
        tool::output(build.arg(scratch.join("p.deb"))).expect("built");
    }

    #[test]
    fn the_filters_of_a_package_are_gathered() {
        let scratch = tempfile::tempdir().expect("scratch directory");
        package(scratch.path(), EXAMPLE);
        let kept = unpack(scratch.path()).expect("unpacked");
        assert!(scratch.path().join(kept).join(EXAMPLE).exists());
    }

    #[test]
    fn a_package_without_them_is_refused() {
        let scratch = tempfile::tempdir().expect("scratch directory");
        package(scratch.path(), "other.xml");
        let error = unpack(scratch.path()).expect_err("not there");
        assert!(error.to_string().contains(EXAMPLE), "{error}");
    }

    #[test]
    fn those_in_the_cache_are_found() {
        let scratch = tempfile::tempdir().expect("scratch directory");
        let cache = Cache::at(scratch.path()).expect("cache");
        let directory = directory(&cache, Release::Trixie);
        let installed = Path::new("/").join(PLACE).join(EXAMPLE).exists();
        assert_eq!(present(&cache, Release::Trixie).is_some(), installed);
        make_directory(&directory).expect("directory");
        fs::write(directory.join(EXAMPLE), "").expect("file");
        assert!(present(&cache, Release::Trixie).is_some());
    }
}
