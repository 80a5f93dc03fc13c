//! BPF programs that hang on a device by TCX (Linux 6.6), which neither `tc` nor `ip` shows: they
//! have a device's frames before the bridge does, and before tc's own filters
//! (`sch_handle_ingress` in the kernel's `net/core/dev.c`).

use std::io;

/// `BPF_PROG_QUERY` of bpf(2).
const QUERY: libc::c_int = 16;
/// `BPF_TCX_INGRESS` (linux/bpf.h).
const INGRESS: u32 = 46;

/// What the kernel is asked, and where it answers (`union bpf_attr`, `query`, linux/bpf.h).
#[repr(C)]
#[derive(Debug, Default)]
struct Query {
    device: u32,
    place: u32,
    flags: u32,
    attach_flags: u32,
    ids: u64,
    count: u32,
    padding: u32,
    program_flags: u64,
    link_ids: u64,
    link_flags: u64,
    revision: u64,
}

/// How many programs have the frames that come in at a device, by its number.
///
/// None where the kernel has no TCX, or the device is gone. In a user namespace that is not the
/// first the kernel neither attaches a program nor tells of one; then there is none that anybody
/// in this world could have attached.
///
/// # Errors
/// When the kernel does not tell.
pub fn programs(device: u32) -> io::Result<u32> {
    match ask(device) {
        Ok(count) => Ok(count),
        Err(error) => match error.raw_os_error() {
            // No such place: the kernel is older, or was built without it.
            Some(libc::EINVAL | libc::ENOSYS | libc::ENODEV) => Ok(0),
            Some(libc::EPERM) if !is_first_user_namespace() => Ok(0),
            _ => Err(error),
        },
    }
}

fn ask(device: u32) -> io::Result<u32> {
    let mut query = Query {
        device,
        place: INGRESS,
        ..Query::default()
    };
    // SAFETY: the structure is as large as said and lives through the call; with no room for
    // identifiers the kernel writes nothing beyond it.
    let done = unsafe {
        libc::syscall(
            libc::SYS_bpf,
            QUERY,
            &raw mut query,
            std::mem::size_of::<Query>(),
        )
    };
    if done == 0 {
        return Ok(query.count);
    }
    Err(io::Error::last_os_error())
}

/// Whether this process is in the user namespace that the host began with
/// (user_namespaces(7): only there a map holds every number).
fn is_first_user_namespace() -> bool {
    let map = std::fs::read_to_string("/proc/self/uid_map").unwrap_or_default();
    map.split_whitespace().eq(["0", "0", "4294967295"])
}

#[cfg(test)]
mod tests {
    use super::*;
    use nix::sched::{CloneFlags, unshare};
    use std::os::fd::{AsRawFd as _, FromRawFd as _, OwnedFd};

    const LOAD: libc::c_int = 5;
    const CREATE_LINK: libc::c_int = 28;
    /// `BPF_PROG_TYPE_SCHED_CLS`.
    const CLASSIFIER: u32 = 3;
    /// `r0 = -1; exit`: `TCX_NEXT`, the frame goes on.
    const GO_ON: [u64; 2] = [0xffff_ffff_0000_00b7, 0x95];

    #[repr(C)]
    struct Program {
        kind: u32,
        length: u32,
        instructions: u64,
        license: u64,
        log: [u32; 2],
        buffer: u64,
    }

    #[repr(C)]
    struct Link {
        program: u32,
        device: u32,
        place: u32,
        flags: u32,
        others: [u64; 2],
    }

    fn bpf<T>(what: libc::c_int, attributes: &T) -> io::Result<OwnedFd> {
        // SAFETY: the attributes are as large as said, what they point to outlives the call.
        let fd = unsafe {
            libc::syscall(
                libc::SYS_bpf,
                what,
                std::ptr::from_ref(attributes),
                std::mem::size_of::<T>(),
            )
        };
        let fd = libc::c_int::try_from(fd).expect("a descriptor");
        if fd < 0 {
            return Err(io::Error::last_os_error());
        }
        // SAFETY: the kernel has just made it for this process.
        Ok(unsafe { OwnedFd::from_raw_fd(fd) })
    }

    /// Hangs a program on the device, as long as the link is held.
    fn attach(device: u32) -> io::Result<OwnedFd> {
        let program = bpf(
            LOAD,
            &Program {
                kind: CLASSIFIER,
                length: 2,
                instructions: GO_ON.as_ptr() as u64,
                license: c"MIT".as_ptr() as u64,
                log: [0; 2],
                buffer: 0,
            },
        )?;
        let link = Link {
            program: program.as_raw_fd().cast_unsigned(),
            device,
            place: INGRESS,
            flags: 0,
            others: [0; 2],
        };
        bpf(CREATE_LINK, &link)
    }

    /// Each thread of a test may have a network namespace of its own.
    #[test]
    fn a_program_is_counted_as_long_as_it_hangs_there() {
        let device = unshare(CloneFlags::CLONE_NEWNET)
            .map_err(io::Error::from)
            .and_then(|()| Ok(nix::net::if_::if_nametoindex("lo")?));
        let link = device.and_then(|device| Ok((device, attach(device)?)));
        let (device, link) = match link {
            Ok(found) => found,
            Err(error) => return println!("skipped: no TCX program can be attached here: {error}"),
        };
        assert_eq!(programs(device).expect("the kernel tells"), 1);
        drop(link);
        assert_eq!(programs(device).expect("the kernel tells"), 0);
    }

    #[test]
    fn a_device_that_is_gone_has_none() {
        if let Ok(count) = programs(u32::MAX >> 1) {
            assert_eq!(count, 0);
        }
    }
}
