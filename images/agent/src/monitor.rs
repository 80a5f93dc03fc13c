//! An rtnetlink monitor: the kernel's notifications about links and IPv6 addresses, for
//! whoever waits for one to change.
//!
//! Polling every few milliseconds would cost an emulated guest more than what it waits for.

use std::os::fd::{AsFd as _, AsRawFd as _, OwnedFd};
use std::time::Duration;

use nix::errno::Errno;
use nix::poll::PollFlags;
use nix::sys::socket::{
    AddressFamily, MsgFlags, NetlinkAddr, SockFlag, SockProtocol, SockType, bind, recv, socket,
};

use crate::wait::{Deadline, ready};

const GROUPS: i32 = libc::RTMGRP_LINK | libc::RTMGRP_IPV6_IFADDR;

/// A netlink socket that receives all notifications from its opening on.
#[derive(Debug)]
pub struct Monitor(OwnedFd);

impl Monitor {
    /// Opens the socket. A change of anything that is read after that is notified.
    pub fn open() -> Result<Self, String> {
        let subscribe = || {
            let fd = socket(
                AddressFamily::Netlink,
                SockType::Raw,
                SockFlag::SOCK_CLOEXEC | SockFlag::SOCK_NONBLOCK,
                SockProtocol::NetlinkRoute,
            )?;
            bind(fd.as_raw_fd(), &NetlinkAddr::new(0, GROUPS.cast_unsigned()))?;
            Ok(fd)
        };
        subscribe().map(Self).map_err(|errno: Errno| {
            format!("cannot subscribe to the kernel's notifications: {errno}")
        })
    }

    /// Waits for a notification, but not longer than this; whether there was one.
    pub fn wait(&self, longest: Duration) -> Result<bool, String> {
        let deadline = Deadline::after(longest);
        let notified = ready(self.0.as_fd(), PollFlags::POLLIN, deadline)
            .and_then(|notified| self.discard_all().map(|()| notified));
        notified.map_err(|errno| format!("cannot wait for the kernel's notifications: {errno}"))
    }

    /// Whoever waits reads the new state itself, so the notifications are discarded.
    fn discard_all(&self) -> Result<(), Errno> {
        let mut byte = [0];
        loop {
            match recv(self.0.as_raw_fd(), &mut byte, MsgFlags::MSG_TRUNC) {
                // ENOBUFS: more than the socket could hold, so something has changed.
                Ok(_) | Err(Errno::EINTR | Errno::ENOBUFS) => {}
                Err(Errno::EAGAIN) => return Ok(()),
                Err(errno) => return Err(errno),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn without_a_change_the_wait_ends_at_its_limit() {
        let monitor = Monitor::open().unwrap();
        // The machine's own links may change meanwhile; not all the time.
        let quiet = (0..100).any(|_| monitor.wait(Duration::from_millis(1)) == Ok(false));
        assert!(quiet);
    }
}
