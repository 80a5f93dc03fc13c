//! Where filters are found that are named and not given: those that libvirt ships.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};

/// Names a directory of them; `cargo xtask` sets it.
const VARIABLE: &str = "LANFENCE_SHIPPED_FILTERS";

/// Where libvirt's packages keep them, and where libvirt keeps those it has been given.
const INSTALLED: [&str; 2] = ["/usr/share/libvirt/nwfilter", "/etc/libvirt/nwfilter"];

/// For messages: how to come by them.
pub const SHIPPED_HINT: &str = "libvirt's own filters come with the package libvirt-daemon-config-nwfilter; LANFENCE_SHIPPED_FILTERS names another directory of them, such as `cargo xtask filters` prints";

/// The directories of the filters that libvirt ships.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ShippedFilters {
    directories: Vec<PathBuf>,
}

impl ShippedFilters {
    /// Those in these directories, the first of which wins.
    pub fn in_directories(directories: Vec<PathBuf>) -> Self {
        Self { directories }
    }

    /// Those in the directory that the variable `LANFENCE_SHIPPED_FILTERS`
    /// names, and in those where libvirt's packages put them.
    pub fn installed() -> Self {
        Self::in_directories(directories(std::env::var_os(VARIABLE).as_deref()))
    }

    /// The file of a filter; none where it is not found.
    pub fn file(&self, name: &str) -> Option<PathBuf> {
        // A name that leads out of the directory is none.
        if name.contains('/') {
            return None;
        }
        let directories = self.directories.iter();
        let mut files = directories.map(|directory| directory.join(format!("{name}.xml")));
        files.find(|file| file.is_file())
    }

    /// What a path on the command line means: a file or folder, or else, where it
    /// is only a name, one of these: `clean-traffic` or `clean-traffic.xml`.
    pub fn resolve(&self, path: &Path) -> PathBuf {
        let name = path.to_str().filter(|_| !path.exists());
        let shipped = name.and_then(|name| self.file(name.strip_suffix(".xml").unwrap_or(name)));
        shipped.unwrap_or_else(|| path.to_owned())
    }
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_named_directory_comes_first() {
        let directory = tempfile::tempdir().unwrap();
        std::fs::write(directory.path().join("no-such-filter.xml"), "").unwrap();
        let all = directories(Some(directory.path().as_os_str()));
        assert_eq!(all.len(), 1 + INSTALLED.len());
        let shipped = ShippedFilters::in_directories(all);
        let found = shipped.file("no-such-filter").unwrap();
        assert_eq!(found.parent(), Some(directory.path()));
        assert_eq!(shipped.file("no-such-filter-either"), None);
        assert_eq!(shipped.file("../no-such-filter"), None);
    }

    #[test]
    fn an_empty_variable_names_nothing() {
        assert_eq!(directories(Some(OsStr::new(""))).len(), INSTALLED.len());
    }

    #[test]
    fn what_exists_is_meant() {
        let shipped = ShippedFilters::installed();
        let here = Path::new(env!("CARGO_MANIFEST_DIR"));
        assert_eq!(shipped.resolve(here), here);
        let absent = Path::new("no/such/file.xml");
        assert_eq!(shipped.resolve(absent), absent);
    }
}
