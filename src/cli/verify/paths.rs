//! Where things are kept, checked before a guest is booted for them.

use crate::cli::Failure;
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

/// Makes the directory for evidence and returns its absolute path.
pub fn output(dir: &Path) -> Result<PathBuf, Failure> {
    let bad = |error: std::io::Error| Failure::usage(format!("--out {}: {error}", dir.display()));
    std::fs::create_dir_all(dir).map_err(bad)?;
    dir.canonicalize().map_err(bad)
}

/// Refuses a file that cannot be written, before minutes are spent on what to write.
pub fn writable(file: &Path) -> Result<(), Failure> {
    std::fs::File::options()
        .append(true)
        .create(true)
        .open(file)
        .map(drop)
        .map_err(|error| Failure::usage(format!("{}: {error}", file.display())))
}

/// Replaces a file in one step, so that a run beside this one never reads half of it.
pub fn replace(file: &Path, text: &[u8]) -> std::io::Result<()> {
    let fresh = file.with_extension(format!("{}.new", std::process::id()));
    std::fs::write(&fresh, text)?;
    std::fs::rename(&fresh, file)
}
