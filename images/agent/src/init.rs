//! What PID 1 does before it can serve: mounts, sysctls, randomness, loopback.

use std::fs::{File, OpenOptions};
use std::os::fd::AsRawFd as _;
use std::path::Path;

use nix::errno::Errno;
use nix::mount::{MntFlags, MsFlags, mount, umount2};
use nix::sched::{CloneFlags, unshare};

use crate::netlink::Netlink;

/// Kind and place of every mount, in order. The image may lack the directories.
const MOUNTS: &[(&str, &str)] = &[
    ("proc", "/proc"),
    ("sysfs", "/sys"),
    ("devtmpfs", "/dev"),
    // An interactive login over SSH needs a terminal.
    ("devpts", "/dev/pts"),
    ("tmpfs", "/run"),
    ("tmpfs", "/tmp"),
];

/// Set before any NIC driver is loaded, because a device copies `default` when it appears.
const SYSCTLS: &[(&str, &str)] = &[
    // An address is usable at once: every guest's MAC is unique on the test LAN.
    ("net/ipv6/conf/all/accept_dad", "0"),
    ("net/ipv6/conf/default/accept_dad", "0"),
    ("net/ipv6/conf/all/dad_transmits", "0"),
    ("net/ipv6/conf/default/dad_transmits", "0"),
    // Addresses and routes are the host's to give; nothing is sent or learned unasked.
    ("net/ipv6/conf/all/accept_ra", "0"),
    ("net/ipv6/conf/default/accept_ra", "0"),
    ("net/ipv6/conf/all/router_solicitations", "0"),
    ("net/ipv6/conf/default/router_solicitations", "0"),
    // EUI-64, so that the host can tell the link-local address from the MAC.
    ("net/ipv6/conf/default/addr_gen_mode", "0"),
    // Two NICs on one bridge must not answer for each other.
    ("net/ipv4/conf/all/arp_ignore", "1"),
    ("net/ipv4/conf/all/arp_announce", "2"),
    // Ping sockets for everybody.
    ("net/ipv4/ping_group_range", "0 2147483647"),
    // Probes come in bursts, and an answer held back would look like a drop.
    ("net/ipv4/icmp_ratelimit", "0"),
    ("net/ipv4/icmp_msgs_per_sec", "100000"),
    ("net/ipv4/icmp_msgs_burst", "100000"),
    ("net/ipv6/icmp/ratelimit", "0"),
    // Nobody looks at statistics of memory, and there is nothing to tidy up in it.
    ("vm/stat_interval", "3600"),
    ("vm/compaction_proactiveness", "0"),
];

/// Mounts the file systems that everything else reads.
pub fn mount_all() -> Result<(), String> {
    for (kind, place) in MOUNTS {
        if !Path::new(place).is_dir() {
            std::fs::create_dir_all(place)
                .map_err(|error| format!("cannot create {place}: {error}"))?;
        }
        match mount(
            Some(*kind),
            *place,
            Some(*kind),
            MsFlags::empty(),
            None::<&str>,
        ) {
            // EBUSY: the kernel was built to mount it by itself.
            Ok(()) | Err(Errno::EBUSY) => {}
            Err(errno) => return Err(format!("cannot mount {kind} on {place}: {errno}")),
        }
    }
    Ok(())
}

/// Sets the sysctls; returns those that the kernel refused. A younger or smaller
/// kernel may lack one, which is no reason not to come up.
pub fn set_sysctls() -> Vec<String> {
    let set = |(name, value): &(&str, &str)| {
        let error = std::fs::write(Path::new("/proc/sys").join(name), value).err()?;
        Some(format!("cannot set {name} to {value}: {error}"))
    };
    SYSCTLS.iter().filter_map(set).collect()
}

/// Makes the calling process see no `/proc`, and no other process with it.
///
/// For dropbear, which hashes a dozen of its files at the start of each session and before
/// each command (its `dbrandom.c`), besides the kernel's random pool, which is all it needs.
/// Printing them is a lot of code that an emulator has to translate in every restored guest.
pub fn leave_proc() -> nix::Result<()> {
    unshare(CloneFlags::CLONE_NEWNS)?;
    umount2("/proc", MntFlags::MNT_DETACH)
}

/// Free memory that is left alone, in KiB, for the other processes.
const LEFT_KIB: usize = 4 * 1024;

/// Size of a page of memory.
const PAGE: usize = 4096;

/// Overwrites free memory with zeros, which take no room in a snapshot and no time to
/// restore. Before, it holds remains of the boot, such as the archive of the image.
pub fn blank_free_memory() {
    let text = std::fs::read_to_string("/proc/meminfo").unwrap_or_default();
    let Some(free) = free_kib(&text).and_then(|free| free.checked_sub(LEFT_KIB)) else {
        return;
    };
    // The kernel gives out zeros; a page is given out when it is first written to.
    let mut zeros = vec![0_u8; free * 1024];
    for page in zeros.chunks_mut(PAGE) {
        page[0] = std::hint::black_box(0);
    }
    std::hint::black_box(zeros);
}

/// What `/proc/meminfo` says is free.
fn free_kib(meminfo: &str) -> Option<usize> {
    let line = meminfo
        .lines()
        .find_map(|line| line.strip_prefix("MemFree:"))?;
    line.trim().strip_suffix(" kB")?.parse().ok()
}

/// Sets the loopback device up.
pub fn loopback_up(netlink: &mut Netlink) -> Result<(), String> {
    let lo = netlink.link_by_name("lo")?;
    netlink.set_up(lo.index)
}

/// `struct rand_pool_info` of `linux/random.h` with room for [`SEED`] bytes.
#[repr(C)]
struct PoolInfo {
    entropy_bits: libc::c_int,
    bytes: libc::c_int,
    seed: [u8; SEED],
}

/// As many bytes as the kernel wants before it calls its pool ready (256 bits).
const SEED: usize = 32;

nix::ioctl_none!(draw_anew, b'R', 0x07);

nix::ioctl_write_ptr_bad!(
    add_entropy,
    nix::request_code_write!(b'R', 0x03, size_of::<[libc::c_int; 2]>()),
    PoolInfo
);

/// Fills the kernel's random pool from the nonce and the clocks, and says it is full.
///
/// That overstates the entropy on purpose: without virtio-rng an emulated
/// CPU may need a minute to gather it, and dropbear and udhcpc would block in
/// `getrandom` until then. The guest lives for seconds on a network without an
/// uplink, its host key guards nothing, and the host learns that key over the
/// virtio port. Guests that are restored from one snapshot share these
/// numbers until [`reseed`].
pub fn seed_random(nonce: &str) -> Result<(), String> {
    feed(&random_device()?, seed_from(&[&clocks(), nonce.as_bytes()]))
}

/// Feeds the kernel's pool with the host's random bytes and has it draw from
/// them at once: by itself it would go on with the old key for up to a minute.
pub fn reseed(bytes: &[u8]) -> Result<(), String> {
    if bytes.len() < SEED {
        return Err(format!(
            "{} bytes are no seed; it takes {SEED}",
            bytes.len()
        ));
    }
    let random = random_device()?;
    feed(&random, seed_from(&[bytes]))?;
    // SAFETY: the call takes no argument.
    unsafe { draw_anew(random.as_raw_fd()) }
        .map_err(|errno| format!("cannot make the kernel draw from the new seed: {errno}"))?;
    Ok(())
}

fn random_device() -> Result<File, String> {
    OpenOptions::new()
        .write(true)
        .open("/dev/urandom")
        .map_err(|error| format!("cannot open /dev/urandom: {error}"))
}

fn feed(random: &File, seed: [u8; SEED]) -> Result<(), String> {
    let pool = PoolInfo {
        entropy_bits: 8 * libc::c_int::try_from(SEED).unwrap_or(0),
        bytes: libc::c_int::try_from(SEED).unwrap_or(0),
        seed,
    };
    // SAFETY: the structure has the layout that the call expects, `bytes` long.
    unsafe { add_entropy(random.as_raw_fd(), &raw const pool) }
        .map_err(|errno| format!("cannot seed the random pool: {errno}"))?;
    Ok(())
}

/// Sets the wall clock, which a restored guest has from its snapshot.
pub fn set_clock(unix_ns: u64) -> Result<(), String> {
    let seconds = unix_ns / 1_000_000_000;
    let time = libc::timespec {
        tv_sec: seconds
            .try_into()
            .map_err(|_| format!("{seconds} s since 1970 are no time"))?,
        tv_nsec: (unix_ns % 1_000_000_000).try_into().unwrap_or(0),
    };
    // SAFETY: `time` is a valid timespec that the call reads.
    let done = unsafe { libc::clock_settime(libc::CLOCK_REALTIME, &raw const time) };
    Errno::result(done)
        .map(drop)
        .map_err(|errno| format!("cannot set the clock: {errno}"))
}

fn clocks() -> [u8; 16] {
    let since_1970 = std::time::SystemTime::now()
        .duration_since(std::time::UNIX_EPOCH)
        .map_or(0, |since| since.as_nanos());
    since_1970.to_ne_bytes()
}

/// Every byte of the parts reaches the seed; the kernel hashes it before use.
fn seed_from(parts: &[&[u8]]) -> [u8; SEED] {
    let mut seed = [0u8; SEED];
    for (at, byte) in parts.iter().copied().flatten().enumerate() {
        let slot = &mut seed[at % SEED];
        *slot = slot.rotate_left(3) ^ byte;
    }
    seed
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_seed_depends_on_nonce_and_time() {
        let base = seed_from(&[&[1; 16], b"nonce"]);
        assert_ne!(base, seed_from(&[&[1; 16], b"nonsense"]));
        assert_ne!(base, seed_from(&[&[2; 16], b"nonce"]));
        assert_eq!(base, seed_from(&[&[1; 16], b"nonce"]));
    }

    #[test]
    fn every_byte_of_a_long_seed_counts() {
        let base = [7; 2 * SEED];
        for at in 0..base.len() {
            let mut other = base;
            other[at] = 8;
            assert_ne!(seed_from(&[&base]), seed_from(&[&other]), "byte {at}");
        }
    }

    #[test]
    fn free_memory_is_read_from_the_kernels_table() {
        let text = "MemTotal:         107344 kB\nMemFree:           60120 kB\n";
        assert_eq!(free_kib(text), Some(60_120));
        assert_eq!(free_kib("MemFree: much\n"), None);
    }

    #[test]
    fn a_short_seed_is_refused() {
        assert!(reseed(&[1; SEED - 1]).is_err_and(|why| why.contains("31 bytes")));
    }

    #[test]
    fn the_request_code_is_the_kernels() {
        let code = nix::request_code_write!(b'R', 0x03, size_of::<[libc::c_int; 2]>());
        assert_eq!(code, 0x4008_5203);
        assert_eq!(nix::request_code_none!(b'R', 0x07), 0x5207);
    }
}
