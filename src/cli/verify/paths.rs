//! Where things are kept, checked before a guest is booted for them.

use crate::cli::Failure;
use std::io::Write as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

/// The cache directory: `LANFENCE_CACHE`, else `lanfence` below `XDG_CACHE_HOME` or `~/.cache`.
pub fn cache() -> Result<PathBuf, Failure> {
    let set = |name: &str| {
        std::env::var_os(name)
            .filter(|value| !value.is_empty())
            .map(PathBuf::from)
    };
    let dir = set("LANFENCE_CACHE")
        .or_else(|| set("XDG_CACHE_HOME").map(|dir| dir.join("lanfence")))
        .or_else(|| set("HOME").map(|dir| dir.join(".cache/lanfence")))
        .ok_or_else(|| {
            Failure::host(
                "no cache directory: none of LANFENCE_CACHE, XDG_CACHE_HOME and HOME is set",
            )
        })?;
    std::fs::create_dir_all(&dir).map_err(|error| {
        Failure::host(format!(
            "{}: {error}; LANFENCE_CACHE names another place",
            dir.display()
        ))
    })?;
    Ok(dir)
}

/// What libvirt writes into its cache is some 100 KB for each QEMU.
const LIBVIRTS_SHARE: usize = 256 * 1024;

/// The directory below the cache that libvirt writes to. Refuses one that it
/// could not: libvirt's own words name a path that only exists in the lab.
pub fn libvirt_cache() -> Result<PathBuf, Failure> {
    let dir = cache()?.join("libvirt");
    std::fs::create_dir_all(&dir)
        .and_then(|()| has_room(&dir))
        .map_err(|error| {
            Failure::host(format!(
                "{}: {error}; LANFENCE_CACHE names another place",
                dir.display()
            ))
        })?;
    Ok(dir)
}

/// The directory of saved guests below the cache. A worker makes it when it needs it.
pub fn snapshots() -> Result<PathBuf, Failure> {
    Ok(cache()?.join("saved"))
}

/// Writes a file without a name, which leaves nothing behind however this ends.
fn has_room(dir: &Path) -> std::io::Result<()> {
    let file = std::fs::File::options()
        .write(true)
        .custom_flags(nix::libc::O_TMPFILE)
        .open(dir);
    match file {
        Ok(mut file) => file.write_all(&vec![0; LIBVIRTS_SHARE]),
        // Some file systems have no such files; libvirt will tell.
        Err(error) if error.raw_os_error() == Some(nix::libc::EOPNOTSUPP) => Ok(()),
        Err(error) => Err(error),
    }
}

/// Makes the directory for evidence and returns its absolute path.
pub fn output(dir: &Path) -> Result<PathBuf, Failure> {
    let bad = |error: std::io::Error| Failure::usage(format!("--out {}: {error}", dir.display()));
    std::fs::create_dir_all(dir).map_err(bad)?;
    dir.canonicalize().map_err(bad)
}

/// Refuses a file that cannot be written, before minutes are spent on what to
/// write, and empties it: should this run end early, no earlier run's report is
/// taken for its own.
pub fn writable(file: &Path) -> Result<(), Failure> {
    std::fs::File::create(file)
        .map(drop)
        .map_err(|error| Failure::usage(format!("{}: {error}", file.display())))
}

/// Replaces a file in one step, so that a run beside this one never reads half of it.
pub fn replace(file: &Path, text: &[u8]) -> std::io::Result<()> {
    let fresh = file.with_extension(format!("{}.new", std::process::id()));
    std::fs::write(&fresh, text)?;
    std::fs::rename(&fresh, file)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_earlier_report_does_not_survive_the_start_of_a_run() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("run.json");
        std::fs::write(&file, "an earlier run").unwrap();
        writable(&file).unwrap();
        assert_eq!(std::fs::read_to_string(&file).unwrap(), "");
    }

    #[test]
    fn room_is_tested_without_a_trace() {
        let dir = tempfile::tempdir().unwrap();
        has_room(dir.path()).unwrap();
        assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 0);
        // No file can be made in there, not even by root.
        assert!(has_room(Path::new("/proc/self")).is_err());
    }
}
