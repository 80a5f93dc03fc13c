//! The lab's private view of the file system.
//!
//! Everything libvirt, iptables and dnsmasq would write on the host lands in
//! tmpfs mounts that vanish with the mount namespace.

use super::accounts;
use super::bind_mount::{bind, bind_read_only};
use super::error::LabError;
use super::forbidden::forbidden;
use super::options::EnterOptions;
use super::overlay;
use super::paths::{STATE, image_path};
use super::shortcuts::{Shortcut, hide};
use nix::errno::Errno;
use nix::mount::{MsFlags, mount};
use std::fs::File;
use std::os::fd::AsRawFd as _;
use std::path::Path;

/// Directories that get an empty tmpfs. The base system or libvirt's packages
/// bring them; [`overlay`] makes those that are missing.
const PRIVATE: [&str; 4] = ["/run", "/etc/libvirt", "/var/lib/libvirt", "/var/log"];

/// The directory of the host that holds the path and that the lab covers with an empty one of
/// its own; none where the lab sees the path.
pub fn covered(path: &Path) -> Option<&'static str> {
    let real = path.canonicalize();
    let real = real.as_deref().unwrap_or(path);
    PRIVATE.into_iter().find(|dir| real.starts_with(dir))
}

/// What libvirt learned about QEMU.
const LIBVIRT_CACHE: &str = "/var/cache/libvirt";

/// Directories under the fresh /run that programs expect.
const RUN_DIRS: [&str; 5] = [
    "/run/lock",
    "/run/netns",
    "/run/libvirt",
    STATE,
    "/run/dnsmasq",
];

/// Makes the mounts. Must run as PID 1 of a new PID, mount and network namespace.
pub fn make(options: &EnterOptions<'_>) -> Result<(), LabError> {
    private()?;
    // Opened before the mounts below cover them: /var/lib/libvirt/images is the usual place.
    let images = options.images.iter().map(|path| File::open(path).ok());
    let images: Vec<Option<File>> = images.collect();
    // /run/user and the like hold files that the user may have named on the
    // command line; those are read before the lab is entered.
    for target in PRIVATE {
        tmpfs(target)?;
    }
    let has = |shortcut| options.shortcuts.has(shortcut);
    let cached = has(Shortcut::CacheCapabilities);
    match options.libvirt_cache.filter(|_| cached) {
        Some(cache) => {
            overlay::ensure(Path::new(LIBVIRT_CACHE))?;
            bind(cache, LIBVIRT_CACHE)?;
        }
        None => tmpfs(LIBVIRT_CACHE)?,
    }
    if has(Shortcut::HideEmulators) {
        hide::programs(options.emulators);
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
    if !options.kvm && has(Shortcut::HideKvm) {
        hide::kvm(Path::new(STATE));
    }
    for (number, image) in images.iter().enumerate() {
        // What cannot be opened is missed by its cell, which says so.
        if let Some(image) = image {
            show_read_only(image, &image_path(number))?;
        }
    }
    accounts::ensure()
}

/// Shows a file in the lab such that nobody there can write to it, whatever the
/// file's permissions and whoever asks.
fn show_read_only(file: &File, target: &Path) -> Result<(), LabError> {
    std::fs::write(target, "").map_err(|source| LabError::File {
        path: target.into(),
        source,
    })?;
    let source = format!("/proc/self/fd/{}", file.as_raw_fd());
    bind_read_only(Path::new(&source), &target.to_string_lossy())
}

/// Keeps the lab's mounts from the namespace that it came from.
fn private() -> Result<(), LabError> {
    let none: Option<&str> = None;
    match mount(none, "/", none, MsFlags::MS_REC | MsFlags::MS_PRIVATE, none) {
        Ok(()) => Ok(()),
        // A chroot into a plain directory: the mount that holds it cannot be
        // named from inside, so it cannot be made private either (measured:
        // docs/measurements.md#M25).
        Err(Errno::EINVAL) => Err(LabError::host(
            "/ is not a mount point, as in a chroot into a plain directory: \
             the lab's mounts could not be kept from the host",
            "before the chroot, `mount --bind DIR DIR`; or enter it with systemd-nspawn",
        )),
        Err(errno) => Err(forbidden(
            errno,
            "the kernel does not let this user make the mounts of a mount namespace private",
        )),
    }
}

fn tmpfs(target: &str) -> Result<(), LabError> {
    overlay::ensure(Path::new(target))?;
    mount(
        Some("lanfence"),
        target,
        Some("tmpfs"),
        MsFlags::MS_NOSUID | MsFlags::MS_NODEV,
        Some("mode=0755"),
    )
    .map_err(|errno| {
        forbidden(
            errno,
            format!("the kernel does not let this user mount a tmpfs on {target}"),
        )
    })
}

fn kernel_fs(kind: &str, target: &str) -> Result<(), LabError> {
    let flags = MsFlags::MS_NOSUID | MsFlags::MS_NODEV | MsFlags::MS_NOEXEC;
    mount(Some(kind), target, Some(kind), flags, Option::<&str>::None).map_err(|errno| {
        LabError::host_because(
            format!("the kernel does not let this user mount a fresh {kind} on {target}"),
            errno,
            "run as root, or outside a container that masks parts of /proc and /sys",
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    #[rstest]
    #[case::below_run("/run/user/0/cache", Some("/run"))]
    #[case::by_another_name("/var/run", Some("/run"))]
    #[case::of_libvirt("/var/lib/libvirt/lanfence", Some("/var/lib/libvirt"))]
    #[case::alike("/running", None)]
    #[case::seen("/home/a/.cache/lanfence", None)]
    fn what_the_lab_covers(#[case] path: &str, #[case] by: Option<&str>) {
        assert_eq!(covered(Path::new(path)), by);
    }
}
