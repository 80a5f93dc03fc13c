//! The lab's private view of the file system.
//!
//! Everything libvirt, iptables and dnsmasq would write on the host lands in
//! tmpfs mounts that vanish with the mount namespace.

use super::error::LabError;
use nix::mount::{MsFlags, mount};
use std::path::Path;

/// Where the lab keeps its sockets, logs and leases.
pub const STATE: &str = "/run/lanfence";

/// Directories that get an empty tmpfs. All of them come with libvirt's packages
/// or the base system.
const PRIVATE: [&str; 4] = ["/run", "/etc/libvirt", "/var/lib/libvirt", "/var/log"];

/// Directories under the fresh /run that programs expect.
const RUN_DIRS: [&str; 5] = [
    "/run/lock",
    "/run/netns",
    "/run/libvirt",
    STATE,
    "/run/dnsmasq",
];

/// Makes the mounts. Must run as PID 1 of a new PID, mount and network namespace.
pub fn make(libvirt_cache: Option<&Path>) -> Result<(), LabError> {
    let none: Option<&str> = None;
    mount(none, "/", none, MsFlags::MS_REC | MsFlags::MS_PRIVATE, none)
        .map_err(|errno| LabError::system("make the mounts private", errno))?;
    // /run/user and the like hold files that the user may have named on the
    // command line; those are read before the lab is entered.
    for target in PRIVATE {
        tmpfs(target)?;
    }
    match libvirt_cache {
        Some(cache) => bind(cache, "/var/cache/libvirt")?,
        None => tmpfs("/var/cache/libvirt")?,
    }
    // libvirt reads /sys/class/net and /proc/sys/net: both must be this namespace's.
    kernel_fs("proc", "/proc")?;
    kernel_fs("sysfs", "/sys")?;
    for dir in RUN_DIRS {
        std::fs::create_dir_all(dir).map_err(|source| LabError::File {
            path: dir.into(),
            source,
        })?;
    }
    Ok(())
}

fn tmpfs(target: &str) -> Result<(), LabError> {
    if !Path::new(target).is_dir() {
        return Err(LabError::host(
            format!("{target} does not exist, so libvirt is not installed"),
            "`cargo xtask setup` installs what is missing",
        ));
    }
    mount(
        Some("lanfence"),
        target,
        Some("tmpfs"),
        MsFlags::MS_NOSUID | MsFlags::MS_NODEV,
        Some("mode=0755"),
    )
    .map_err(|errno| LabError::system(format!("mount a tmpfs on {target}"), errno))
}

fn bind(source: &Path, target: &str) -> Result<(), LabError> {
    let none: Option<&str> = None;
    mount(Some(source), target, none, MsFlags::MS_BIND, none)
        .map_err(|errno| LabError::system(format!("bind {} on {target}", source.display()), errno))
}

fn kernel_fs(kind: &str, target: &str) -> Result<(), LabError> {
    let flags = MsFlags::MS_NOSUID | MsFlags::MS_NODEV | MsFlags::MS_NOEXEC;
    mount(Some(kind), target, Some(kind), flags, Option::<&str>::None).map_err(|errno| {
        LabError::host(
            format!("the kernel does not let this user mount a fresh {kind} on {target}: {errno}"),
            "run as root, or outside a container that masks parts of /proc and /sys",
        )
    })
}
