//! What needs no namespaces, and the process that enters them.

use super::inside;
use super::trial::{Subject, Trial};
use crate::policy::Policy;
use crate::pool::{self, Pool, Report};
use crate::verify::{Cache, boots_under_kvm};
use nix::libc;
use serde::{Deserialize, Serialize};
use std::io;
use std::os::fd::AsRawFd as _;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// The hidden verb of the process that enters namespaces.
pub const WORKER: &str = "__doctor";

/// Longest silence of that process. The longest trial has libvirtd start, which has a deadline
/// of its own that knows how slow the machine is; this is for a kernel that does not answer.
const SILENCE: Duration = Duration::from_secs(300);

/// What the cache of a run with the usual cells takes: packages, kernel, guest image and two
/// saved guests are 290 MiB, and an image is built beside the one that it replaces (measured:
/// docs/measurements.md#M52).
const CACHE_BYTES: u64 = 512 << 20;

/// Memory of one cell, 339 MiB and some room: QEMU with a guest of 128 MiB, libvirtd, lanfence, the
/// daemons of its lab (measured: docs/measurements.md#M52).
const CELL_BYTES: u64 = 400 << 20;

/// What the process in the namespaces is told.
#[derive(Debug, Serialize, Deserialize)]
struct Asked {
    policy: String,
    origin: String,
    libvirt_cache: Option<PathBuf>,
}

/// What is known of this run before anything is tried.
#[derive(Debug)]
pub struct Surroundings<'a> {
    /// The policy's text and where it came from.
    pub policy: (&'a str, &'a str),
    /// The guest image.
    pub guest: Option<&'a Path>,
    /// The cache.
    pub cache: &'a Cache,
    /// How many cells run side by side.
    pub workers: u64,
}

/// Tries everything and hands over each trial when it has ended. Must be called from the main
/// thread, with whose end the processes that it starts end.
pub fn try_all(around: &Surroundings<'_>, tell: &mut dyn FnMut(Trial)) {
    let libvirt_cache = around.cache.libvirt().ok();
    in_namespaces(around, libvirt_cache, tell);
    tell(vhost_net());
    tell(kvm(around));
    tell(disk(around.cache));
    tell(memory(around.workers));
}

fn in_namespaces(
    around: &Surroundings<'_>,
    libvirt_cache: Option<PathBuf>,
    tell: &mut dyn FnMut(Trial),
) {
    let asked = Asked {
        policy: around.policy.0.to_owned(),
        origin: around.policy.1.to_owned(),
        libvirt_cache,
    };
    let mut left = Subject::INSIDE.into_iter().peekable();
    let mut failed = None;
    match Pool::<Trial>::start(WORKER, &[asked], SILENCE) {
        Err(error) => failed = Some(format!("lanfence cannot start itself again: {error}")),
        Ok(mut pool) => {
            while let Some(report) = pool.wait() {
                match report {
                    Report::Message(_, trial) => {
                        left.next_if_eq(&trial.subject);
                        tell(trial);
                    }
                    Report::Ended(_, end) if !end.is_orderly() => {
                        failed = Some(format!("the process that tries it {end}"));
                    }
                    Report::Nothing | Report::Text(..) | Report::Ended(..) => {}
                }
            }
        }
    }
    if let (Some(happened), Some(subject)) = (failed, left.peek().copied()) {
        left.next();
        let cure = "try again; where it stays so, the kernel's log (`dmesg`) may say more";
        tell(Trial::fails(subject, happened, cure));
    }
    for subject in left {
        let closed = (subject == Subject::Tun).then(tun_is_closed).flatten();
        tell(
            closed
                .unwrap_or_else(|| Trial::not_tried(subject, "it needs what failed before", None)),
        );
    }
}

/// Where no tap can be made for want of namespaces, that the device is closed shows all the same, so
/// that one look tells all cures.
fn tun_is_closed() -> Option<Trial> {
    let path = "/dev/net/tun";
    let error = io_open(path).err()?;
    let happened = format!("{path} cannot be opened: {error}");
    Some(Trial::fails(
        Subject::Tun,
        happened,
        to_open(&error, path, "tun"),
    ))
}

/// The process in the namespaces: reads what it is told, and reports each trial.
///
/// # Errors
/// When it was told something else, or its runtime cannot be made.
pub fn work(parent: u32) -> io::Result<()> {
    let Some(asked) = pool::task::<Asked>(&mut io::stdin().lock())? else {
        return Ok(());
    };
    let policy = Policy::parse(&asked.policy, &asked.origin).map_err(io::Error::other)?;
    let cache = asked.libvirt_cache.as_deref();
    inside::try_all(parent, cache, &policy, &mut |trial| pool::report(&trial))
}

/// vhost-net as QEMU takes it (`VHOST_SET_OWNER` of linux/vhost.h).
fn vhost_net() -> Trial {
    const VHOST_SET_OWNER: libc::c_ulong = 0xaf01;
    let path = "/dev/vhost-net";
    let subject = Subject::VhostNet;
    let device = match io_open(path) {
        Ok(device) => device,
        Err(error) => {
            return Trial::fails(
                subject,
                format!("{path}: {error}"),
                to_open(&error, path, "vhost_net"),
            );
        }
    };
    // SAFETY: this ioctl takes no argument, and the descriptor is open.
    let done = unsafe { libc::ioctl(device.as_raw_fd(), VHOST_SET_OWNER) };
    if done == 0 {
        return Trial::works(subject, path);
    }
    let error = io::Error::last_os_error();
    Trial::fails(
        subject,
        format!("{path} opens, and refuses an owner: {error}"),
        "`sudo modprobe vhost_net`",
    )
}

fn io_open(path: &str) -> io::Result<std::fs::File> {
    std::fs::File::options().read(true).write(true).open(path)
}

/// How a device comes to be open to everybody. libvirt starts QEMU without the groups of an
/// ordinary user, so membership of its group would not do.
fn to_open(error: &io::Error, path: &str, module: &str) -> String {
    if error.kind() == io::ErrorKind::PermissionDenied {
        return format!(
            "`sudo chmod 0666 {path}`, until the next boot; a rule of udev keeps it so"
        );
    }
    format!("`sudo modprobe {module}`, and pass the device in where this is a container")
}

fn kvm(around: &Surroundings<'_>) -> Trial {
    let subject = Subject::Kvm;
    let path = "/dev/kvm";
    if let Err(error) = io_open(path) {
        return Trial::fails(
            subject,
            format!("{path}: {error}"),
            kvm_missing(&error, path),
        );
    }
    let Some(guest) = around.guest else {
        return Trial::not_tried(
            subject,
            "there is no guest image to boot, and only a boot tells",
            Some(
                "`cargo xtask image` builds it and prints its directory; set LANFENCE_GUEST to that",
            ),
        );
    };
    match boots_under_kvm(around.policy, guest, around.cache) {
        Ok((true, reason)) => Trial::works(subject, reason),
        Ok((false, happened)) => Trial::fails(
            subject,
            happened,
            "turn nested virtualisation on for this machine, or take another; `sudo chmod 0666 \
             /dev/kvm` where it is closed to QEMU",
        ),
        Err(error) => Trial::not_tried(subject, error.to_string(), None),
    }
}

/// What KVM needs besides: a machine that is itself virtual has to be allowed to nest.
fn kvm_missing(error: &io::Error, path: &str) -> String {
    let cure = to_open(error, path, "kvm");
    if error.kind() == io::ErrorKind::PermissionDenied {
        return cure;
    }
    format!("{cure}; on a virtual machine nested virtualisation has to be on")
}

fn disk(cache: &Cache) -> Trial {
    let subject = Subject::Disk;
    let path = cache.dir();
    let stat = match nix::sys::statvfs::statvfs(path) {
        Ok(stat) => stat,
        Err(errno) => {
            let what = format!("{}: {errno}", path.display());
            return Trial::fails(subject, what, "set LANFENCE_CACHE to another directory");
        }
    };
    let free = stat.blocks_available() * stat.fragment_size();
    let there = size(path);
    let found = format!(
        "{} GiB free and {} GiB in use in {}",
        gib(free),
        gib(there),
        path.display()
    );
    if free + there >= CACHE_BYTES {
        return Trial::works(subject, found);
    }
    Trial::fails(
        subject,
        format!("{found}; a run needs {} GiB there", gib(CACHE_BYTES)),
        "make room, or set LANFENCE_CACHE to another directory",
    )
}

/// Bytes as GiB with one digit.
fn gib(bytes: u64) -> String {
    let tenths = (u128::from(bytes) * 10) >> 30;
    format!("{}.{}", tenths / 10, tenths % 10)
}

/// Bytes that all files below a directory take of the disk; what cannot be read counts as nothing.
fn size(dir: &Path) -> u64 {
    let entries = std::fs::read_dir(dir).into_iter().flatten().flatten();
    let of = |entry: std::fs::DirEntry| match entry.metadata() {
        Ok(meta) if meta.is_dir() => size(&entry.path()),
        Ok(meta) => meta.blocks() * 512,
        Err(_) => 0,
    };
    entries.map(of).sum()
}

fn memory(workers: u64) -> Trial {
    let subject = Subject::Memory;
    let text = std::fs::read_to_string("/proc/meminfo").unwrap_or_default();
    let Some(available) = available(&text) else {
        return Trial::not_tried(subject, "/proc/meminfo does not tell", None);
    };
    let found = format!("{} GiB available", gib(available));
    let needed = workers * CELL_BYTES;
    if available >= needed {
        return Trial::works(subject, found);
    }
    let fit = available / CELL_BYTES;
    Trial::fails(
        subject,
        format!(
            "{found}; {workers} cells side by side need {} GiB",
            gib(needed)
        ),
        if fit == 0 {
            "take a machine with more memory".to_owned()
        } else {
            format!("run fewer cells side by side: --jobs {fit}")
        },
    )
}

/// Bytes that the kernel would give without swapping (proc(5), `MemAvailable`).
fn available(meminfo: &str) -> Option<u64> {
    let line = meminfo
        .lines()
        .find_map(|line| line.strip_prefix("MemAvailable:"))?;
    let kib: u64 = line.split_whitespace().next()?.parse().ok()?;
    Some(kib * 1024)
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    #[rstest]
    #[case::usual("MemTotal: 9 kB\nMemAvailable:   2048 kB\n", Some(2 << 20))]
    #[case::old_kernel("MemTotal: 9 kB\n", None)]
    #[case::broken("MemAvailable: x kB\n", None)]
    fn memory_is_read_from_the_kernel(#[case] text: &str, #[case] expected: Option<u64>) {
        assert_eq!(available(text), expected);
    }

    #[rstest]
    #[case::closed(io::ErrorKind::PermissionDenied, "`sudo chmod 0666 /dev/kvm`")]
    #[case::missing(io::ErrorKind::NotFound, "`sudo modprobe kvm`")]
    fn a_device_has_a_cure(#[case] kind: io::ErrorKind, #[case] expected: &str) {
        let cure = to_open(&kind.into(), "/dev/kvm", "kvm");
        assert!(cure.starts_with(expected), "{cure}");
    }

    #[test]
    fn a_cell_more_than_fits_fails_and_says_how_many_fit() {
        let trial = memory(1 << 20);
        assert!(!trial.is_good(), "{trial:?}");
        assert!(memory(0).is_good());
    }
}
