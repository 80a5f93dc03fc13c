//! The cache: what a run keeps so that the next one need not make it again.

use std::io::{self, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

/// What libvirt writes into its cache is some 100 KB for each QEMU.
const LIBVIRTS_SHARE: usize = 256 * 1024;

/// Why there is no cache.
#[derive(Debug, thiserror::Error)]
pub enum CacheError {
    /// No environment variable says where it is to be.
    #[error("no cache directory: none of LANFENCE_CACHE, XDG_CACHE_HOME and HOME is set")]
    Nowhere,
    /// A directory of it cannot be written to.
    #[error("{path}: {source}; LANFENCE_CACHE names another place", path = .path.display())]
    Directory {
        /// Which.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
}

/// The cache directory.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cache(PathBuf);

impl Cache {
    /// The directory that `LANFENCE_CACHE` names, else `lanfence` below `XDG_CACHE_HOME` or
    /// `~/.cache`. It is made where it does not exist.
    ///
    /// # Errors
    /// [`CacheError`] when there is no place for it.
    pub fn open() -> Result<Self, CacheError> {
        let set = |name: &str| {
            std::env::var_os(name)
                .filter(|value| !value.is_empty())
                .map(PathBuf::from)
        };
        let path = set("LANFENCE_CACHE")
            .or_else(|| set("XDG_CACHE_HOME").map(|dir| dir.join("lanfence")))
            .or_else(|| set("HOME").map(|dir| dir.join(".cache/lanfence")))
            .ok_or(CacheError::Nowhere)?;
        match std::fs::create_dir_all(&path) {
            Ok(()) => Ok(Self(path)),
            Err(source) => Err(CacheError::Directory { path, source }),
        }
    }

    /// A directory that exists.
    pub fn at(path: &Path) -> Self {
        Self(path.to_owned())
    }

    /// The directory itself.
    pub fn dir(&self) -> &Path {
        &self.0
    }

    /// The path of a file or directory in it.
    pub fn path(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }

    /// The directory that libvirt writes to in a lab.
    ///
    /// # Errors
    /// [`CacheError::Directory`] when libvirt could not write to it: libvirt's own words
    /// name a path that exists only in the lab.
    pub fn libvirt(&self) -> Result<PathBuf, CacheError> {
        let path = self.path("libvirt");
        let usable = std::fs::create_dir_all(&path).and_then(|()| has_room(&path));
        match usable {
            Ok(()) => Ok(path),
            Err(source) => Err(CacheError::Directory { path, source }),
        }
    }

    /// The directory of saved guests. A worker makes it when it needs it.
    pub fn snapshots(&self) -> PathBuf {
        self.path("saved")
    }

    /// Replaces a file in one step, so that another run never reads half a file.
    ///
    /// # Errors
    /// The system's error when it cannot be written.
    pub fn replace(&self, name: &str, text: &[u8]) -> io::Result<()> {
        let file = self.path(name);
        let fresh = file.with_extension(format!("{}.new", std::process::id()));
        std::fs::write(&fresh, text)?;
        std::fs::rename(&fresh, file)
    }
}

/// Writes a file without a name, which leaves nothing behind however this ends.
fn has_room(dir: &Path) -> io::Result<()> {
    let file = std::fs::File::options()
        .write(true)
        .custom_flags(nix::libc::O_TMPFILE)
        .open(dir);
    match file {
        Ok(mut file) => file.write_all(&vec![0; LIBVIRTS_SHARE]),
        // Some file systems have no such files; libvirt will find out.
        Err(error) if error.raw_os_error() == Some(nix::libc::EOPNOTSUPP) => Ok(()),
        Err(error) => Err(error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn room_is_tested_without_a_trace() {
        let dir = tempfile::tempdir().unwrap();
        has_room(dir.path()).unwrap();
        assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 0);
        // No file can be made in there, not even by root.
        assert!(has_room(Path::new("/proc/self")).is_err());
    }
}
