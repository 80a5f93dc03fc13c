//! `Op::Frames`: raw Ethernet frames through the device's driver.

use std::os::fd::{AsFd as _, AsRawFd as _, OwnedFd};
use std::time::Duration;

use lanfence_agent::Answer;
use lanfence_frame::from_hex;
use nix::errno::Errno;
use nix::poll::PollFlags;
use nix::sys::socket::{AddressFamily, MsgFlags, SockFlag, SockType, send, socket};

use crate::netlink::Netlink;
use crate::wait::{Deadline, ready};

/// How long one frame may wait for room in the driver's queue.
const PATIENCE_MS: u64 = 2000;

/// Sends the frames in order; stops at the first that the kernel refuses.
pub fn frames(netlink: &mut Netlink, dev: &str, frames: &[String]) -> Result<Answer, String> {
    let index = netlink.link_by_name(dev)?.index;
    // All are checked first, so that a typing error leaves nothing half sent.
    let bytes = frames
        .iter()
        .enumerate()
        .map(|(at, hex)| from_hex(hex).ok_or_else(|| format!("frame {at} is not hex")))
        .collect::<Result<Vec<_>, _>>()?;
    let socket = open(index).map_err(|errno| format!("cannot open {dev} for frames: {errno}"))?;
    for (at, frame) in bytes.iter().enumerate() {
        if let Err(errno) = send_one(&socket, frame) {
            return Ok(Answer::Sent {
                frames: at,
                error: Some(format!("frame {at} of {} bytes: {errno}", frame.len())),
            });
        }
    }
    Ok(Answer::Sent {
        frames: bytes.len(),
        error: None,
    })
}

/// A packet socket that sends only: with protocol 0 it takes no copy of what arrives.
fn open(index: u32) -> Result<OwnedFd, Errno> {
    let fd = socket(
        AddressFamily::Packet,
        SockType::Raw,
        SockFlag::SOCK_CLOEXEC | SockFlag::SOCK_NONBLOCK,
        None,
    )?;
    // SAFETY: all-zero is a valid sockaddr_ll.
    let mut address: libc::sockaddr_ll = unsafe { std::mem::zeroed() };
    address.sll_family = u16::try_from(libc::AF_PACKET).map_err(|_| Errno::EINVAL)?;
    address.sll_ifindex = index.cast_signed();
    let length = u32::try_from(size_of::<libc::sockaddr_ll>()).map_err(|_| Errno::EINVAL)?;
    // SAFETY: `address` is a sockaddr_ll of the given length and outlives the call.
    let result = unsafe { libc::bind(fd.as_raw_fd(), (&raw const address).cast(), length) };
    Errno::result(result)?;
    Ok(fd)
}

fn send_one(socket: &OwnedFd, frame: &[u8]) -> Result<(), Errno> {
    let deadline = Deadline::in_ms(PATIENCE_MS);
    loop {
        match send(socket.as_raw_fd(), frame, MsgFlags::empty()) {
            Ok(_) => return Ok(()),
            Err(Errno::EINTR) => {}
            Err(full @ (Errno::ENOBUFS | Errno::EAGAIN)) if deadline.passed() => return Err(full),
            // The socket's own buffer is full: it says when there is room again.
            Err(Errno::EAGAIN) => {
                ready(socket.as_fd(), PollFlags::POLLOUT, deadline)?;
            }
            // The device's queue is full, and nothing tells when it has drained.
            Err(Errno::ENOBUFS) => std::thread::sleep(Duration::from_millis(1)),
            Err(errno) => return Err(errno),
        }
    }
}
