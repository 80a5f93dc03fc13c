//! A directory that the host lacks and the lab needs, without making it on the host.
//!
//! Debian 12's libvirt 9.0 ships `/etc/libvirt`, `/var/lib/libvirt` and
//! `/var/cache/libvirt` in `libvirt-daemon-system` only, a package that starts
//! daemons and networks on the host and that set-up therefore leaves alone
//! (none of the three exists after set-up on a bare Debian 12; measured:
//! docs/measurements.md#M24). The lab may not write to the host's `/etc`, and a mount needs a
//! directory to stand on: so the parent is covered by a tmpfs in which everything that was there
//! appears again, and the missing directory is made in that.

use super::error::LabError;
use nix::fcntl::{OFlag, open};
use nix::mount::{MsFlags, mount};
use nix::sys::stat::Mode;
use std::ffi::OsString;
use std::fs::{self, File};
use std::io;
use std::os::fd::AsRawFd as _;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

/// What stands in the covered directory.
enum Entry {
    Link { target: PathBuf },
    Directory,
    Other,
}

/// Makes sure that the directory exists in this mount namespace. Its parent
/// must exist; the mounts must already be private.
pub fn ensure(target: &Path) -> Result<(), LabError> {
    if target.is_dir() {
        return Ok(());
    }
    let parent = target.parent().filter(|parent| parent.is_dir());
    let parent = parent.ok_or_else(|| {
        LabError::host(
            format!("{} cannot be made: its parent is missing", target.display()),
            "run on one of the systems that the README names",
        )
    })?;
    cover(parent)?;
    fs::create_dir(target).map_err(|source| LabError::File {
        path: target.into(),
        source,
    })
}

/// Covers the directory with a tmpfs that shows the same entries.
fn cover(parent: &Path) -> Result<(), LabError> {
    let entries = entries(parent).map_err(|source| LabError::File {
        path: parent.into(),
        source,
    })?;
    // Once the tmpfs is over it, only this descriptor still leads to the original.
    let flags = OFlag::O_PATH | OFlag::O_DIRECTORY | OFlag::O_CLOEXEC;
    let held = open(parent, flags, Mode::empty())
        .map_err(|errno| LabError::system(format!("open {}", parent.display()), errno))?;
    let original = PathBuf::from(format!("/proc/self/fd/{}", held.as_raw_fd()));
    let nothing: Option<&str> = None;
    mount(
        Some("lanfence"),
        parent,
        Some("tmpfs"),
        MsFlags::MS_NOSUID | MsFlags::MS_NODEV,
        Some("mode=0755"),
    )
    .map_err(|errno| LabError::system(format!("cover {}", parent.display()), errno))?;
    for (name, entry) in entries {
        let copy = parent.join(&name);
        let failed = |source| LabError::File {
            path: copy.clone(),
            source,
        };
        match entry {
            Entry::Link { target } => {
                symlink(target, &copy).map_err(failed)?;
                continue;
            }
            Entry::Directory => fs::create_dir(&copy).map_err(failed)?,
            Entry::Other => drop(File::create(&copy).map_err(failed)?),
        }
        // Recursive: a user namespace may not show what a mount below hides.
        let flags = MsFlags::MS_BIND | MsFlags::MS_REC;
        mount(Some(&original.join(&name)), &copy, nothing, flags, nothing)
            .map_err(|errno| LabError::system(format!("bind {}", copy.display()), errno))?;
    }
    Ok(())
}

fn entries(directory: &Path) -> io::Result<Vec<(OsString, Entry)>> {
    fs::read_dir(directory)?
        .map(|found| {
            let found = found?;
            let kind = found.file_type()?;
            let entry = if kind.is_symlink() {
                Entry::Link {
                    target: fs::read_link(found.path())?,
                }
            } else if kind.is_dir() {
                Entry::Directory
            } else {
                Entry::Other
            };
            Ok((found.file_name(), entry))
        })
        .collect()
}
