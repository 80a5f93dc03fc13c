//! A copper NIC's transceiver, asked before the device is set up.

use std::io::Error;
use std::os::fd::{AsRawFd as _, OwnedFd};
use std::time::Duration;

use nix::errno::Errno;
use nix::libc;
use nix::sys::socket::{AddressFamily, SockFlag, SockType, socket};

use crate::wait::{Deadline, until};

/// How often the register is read.
const LOOK: Duration = Duration::from_millis(10);

/// The basic mode status register (IEEE 802.3, 22.2.4.2; linux/mii.h).
const BMSR: u16 = 1;
/// Its bit "link status".
const LINK: u16 = 1 << 2;

/// `struct ifreq` with `struct mii_ioctl_data` in it (linux/if.h, linux/mii.h).
#[repr(C)]
struct Request {
    name: [u8; libc::IFNAMSIZ],
    phy: u16,
    register: u16,
    given: u16,
    read: u16,
    rest: [u8; 16],
}

nix::ioctl_readwrite_bad!(read_register, libc::SIOCGMIIREG, Request);

/// Waits until the transceiver has a link. Without a link at the deadline, or where it cannot
/// be asked, this is no error: the device's carrier shows it later.
pub fn await_link(dev: &str, deadline: Deadline) -> Result<(), String> {
    let words = |error: Error| format!("cannot ask the transceiver of {dev}: {error}");
    let socket = socket(
        AddressFamily::Inet,
        SockType::Datagram,
        SockFlag::SOCK_CLOEXEC,
        None,
    )
    .map_err(|errno| words(errno.into()))?;
    let look = || match has_link(&socket, dev) {
        Ok(link) => Ok(link.then_some(())),
        Err(Errno::EOPNOTSUPP) => Ok(Some(())),
        Err(errno) => Err(words(errno.into())),
    };
    until(deadline, LOOK, look).map(drop)
}

fn has_link(socket: &OwnedFd, dev: &str) -> Result<bool, Errno> {
    let mut name = [0; libc::IFNAMSIZ];
    let bytes = dev.as_bytes();
    // The last byte ends the name.
    let place = name[..libc::IFNAMSIZ - 1].get_mut(..bytes.len());
    place.ok_or(Errno::ENAMETOOLONG)?.copy_from_slice(bytes);
    let mut request = Request {
        name,
        phy: 0,
        register: BMSR,
        given: 0,
        read: 0,
        rest: [0; 16],
    };
    // SAFETY: the request is as large as the kernel's, and lives through the call.
    unsafe { read_register(socket.as_raw_fd(), &raw mut request)? };
    Ok(request.read & LINK != 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_is_as_large_as_the_kernels() {
        assert_eq!(size_of::<Request>(), size_of::<libc::ifreq>());
    }

    /// Whether this process has CAP_NET_ADMIN (linux/capability.h), as the agent has in its
    /// guest; the kernel looks at that before it looks at the device.
    fn may_ask() -> bool {
        const NET_ADMIN: u32 = 12;
        let status = std::fs::read_to_string("/proc/self/status").unwrap();
        let mut lines = status.lines();
        let effective = lines.find_map(|line| line.strip_prefix("CapEff:\t"));
        let effective = u64::from_str_radix(effective.unwrap(), 16).unwrap();
        effective >> NET_ADMIN & 1 == 1
    }

    #[test]
    fn a_device_without_a_transceiver_is_not_waited_for() {
        let asked = await_link("lo", Deadline::in_ms(0));
        if may_ask() {
            assert_eq!(asked, Ok(()));
        } else {
            let refused = asked.unwrap_err();
            assert!(refused.contains("Operation not permitted"), "{refused}");
        }
        let absent = await_link("nothing0", Deadline::in_ms(0)).unwrap_err();
        assert!(absent.contains("nothing0"), "{absent}");
        let long = await_link("a-name-that-is-too-long", Deadline::in_ms(0));
        assert!(long.is_err());
    }
}
