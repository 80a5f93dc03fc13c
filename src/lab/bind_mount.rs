//! Bind mounts: one file or directory shown in the place of another.

use super::error::LabError;
use nix::mount::{MsFlags, mount};
use std::path::Path;

/// Shows the file or directory `source` at `target`, which must exist.
///
/// # Errors
/// [`LabError::System`] when the kernel refuses the mount.
pub fn bind(source: &Path, target: &str) -> Result<(), LabError> {
    let none: Option<&str> = None;
    mount(Some(source), target, none, MsFlags::MS_BIND, none)
        .map_err(|errno| LabError::system(format!("bind {} on {target}", source.display()), errno))
}

/// Shows `source` at `target` such that nobody can write to it.
///
/// # Errors
/// [`LabError::System`] when the kernel refuses the mount.
pub fn bind_read_only(source: &Path, target: &str) -> Result<(), LabError> {
    bind(source, target)?;
    // In a user namespace a remount may add flags and must keep those that are set.
    let flags = MsFlags::MS_BIND
        | MsFlags::MS_REMOUNT
        | MsFlags::MS_RDONLY
        | MsFlags::MS_NOSUID
        | MsFlags::MS_NODEV
        | MsFlags::MS_NOEXEC;
    let none: Option<&str> = None;
    mount(none, target, none, flags, none)
        .map_err(|errno| LabError::system(format!("make {target} read-only"), errno))
}
