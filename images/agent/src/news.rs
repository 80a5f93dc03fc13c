//! The kernel's news about links and IPv6 addresses, for who waits for one to change.
//!
//! A look at everything every few milliseconds would cost an emulated guest more
//! than what it waits for.

use std::os::fd::{AsFd as _, AsRawFd as _, OwnedFd};
use std::time::Duration;

use nix::errno::Errno;
use nix::poll::PollFlags;
use nix::sys::socket::{
    AddressFamily, MsgFlags, NetlinkAddr, SockFlag, SockProtocol, SockType, bind, recv, socket,
};

use crate::wait::{Deadline, ready};

const GROUPS: i32 = libc::RTMGRP_LINK | libc::RTMGRP_IPV6_IFADDR;

/// A netlink socket that hears all news from its opening on.
#[derive(Debug)]
pub struct News(OwnedFd);

impl News {
    /// Opens the socket. What is looked at after that and changes later is told.
    pub fn subscribe() -> Result<Self, String> {
        let open = || {
            let fd = socket(
                AddressFamily::Netlink,
                SockType::Raw,
                SockFlag::SOCK_CLOEXEC | SockFlag::SOCK_NONBLOCK,
                SockProtocol::NetlinkRoute,
            )?;
            bind(fd.as_raw_fd(), &NetlinkAddr::new(0, GROUPS.cast_unsigned()))?;
            Ok(fd)
        };
        open()
            .map(Self)
            .map_err(|errno: Errno| format!("cannot subscribe to the kernel's news: {errno}"))
    }

    /// Waits for news, but not longer than this; whether there were any.
    pub fn wait(&self, longest: Duration) -> Result<bool, String> {
        let deadline = Deadline::after(longest);
        let told = ready(self.0.as_fd(), PollFlags::POLLIN, deadline)
            .and_then(|told| self.take_all().map(|()| told));
        told.map_err(|errno| format!("cannot wait for the kernel's news: {errno}"))
    }

    /// What they say is looked up by whoever waits, so they are only taken.
    fn take_all(&self) -> Result<(), Errno> {
        let mut byte = [0];
        loop {
            match recv(self.0.as_raw_fd(), &mut byte, MsgFlags::MSG_TRUNC) {
                // ENOBUFS: more than the socket could hold, which is news too.
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
    fn no_news_is_told_after_the_wait() {
        let news = News::subscribe().unwrap();
        // The machine's own links may change meanwhile; not all the time.
        let quiet = (0..100).any(|_| news.wait(Duration::from_millis(1)) == Ok(false));
        assert!(quiet);
    }
}
