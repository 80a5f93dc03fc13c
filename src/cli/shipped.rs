//! Where filters are found that are named and not given: those that libvirt ships.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};

/// Names a directory of them; `cargo xtask` sets it.
const VARIABLE: &str = "LANFENCE_SHIPPED_FILTERS";

/// Where libvirt's packages keep them, and where libvirt keeps those it has been given.
const INSTALLED: [&str; 2] = ["/usr/share/libvirt/nwfilter", "/etc/libvirt/nwfilter"];

/// For messages: how to come by them.
pub const CURE: &str = "libvirt's own filters come with the package libvirt-daemon-config-nwfilter; LANFENCE_SHIPPED_FILTERS names another directory of them, such as `cargo xtask filters` prints";

/// The file of a filter; none where it is not found.
pub fn file(name: &str) -> Option<PathBuf> {
    file_in(&directories(std::env::var_os(VARIABLE).as_deref()), name)
}

/// What a path on the command line means: a file or folder, or else, where it is
/// only a name, one of those that libvirt ships: `clean-traffic` or `clean-traffic.xml`.
pub fn resolve(path: &Path) -> PathBuf {
    let name = path.to_str().filter(|_| !path.exists());
    let shipped = name.and_then(|name| file(name.strip_suffix(".xml").unwrap_or(name)));
    shipped.unwrap_or_else(|| path.to_owned())
}

fn directories(variable: Option<&OsStr>) -> Vec<PathBuf> {
    let named = variable.filter(|value| !value.is_empty());
    let installed = INSTALLED.iter().map(PathBuf::from);
    named
        .map(PathBuf::from)
        .into_iter()
        .chain(installed)
        .collect()
}

fn file_in(directories: &[PathBuf], name: &str) -> Option<PathBuf> {
    // A name that leads out of the directory is none.
    if name.contains('/') {
        return None;
    }
    let mut files = directories
        .iter()
        .map(|directory| directory.join(format!("{name}.xml")));
    files.find(|file| file.is_file())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_named_directory_comes_first() {
        let directory = tempfile::tempdir().unwrap();
        std::fs::write(directory.path().join("no-such-filter.xml"), "").unwrap();
        let all = directories(Some(directory.path().as_os_str()));
        assert_eq!(all.len(), 1 + INSTALLED.len());
        let found = file_in(&all, "no-such-filter").unwrap();
        assert_eq!(found.parent(), Some(directory.path()));
        assert_eq!(file_in(&all, "no-such-filter-either"), None);
        assert_eq!(file_in(&all, "../no-such-filter"), None);
    }

    #[test]
    fn an_empty_variable_names_nothing() {
        assert_eq!(directories(Some(OsStr::new(""))).len(), INSTALLED.len());
    }

    #[test]
    fn what_exists_is_meant() {
        let here = Path::new(env!("CARGO_MANIFEST_DIR"));
        assert_eq!(resolve(here), here);
        let absent = Path::new("no/such/file.xml");
        assert_eq!(resolve(absent), absent);
    }
}
