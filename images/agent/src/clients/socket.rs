//! A packet socket on a device: what DHCP clients on Linux use.

use super::play::{Arrived, Wire};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::socket::{AddressFamily, MsgFlags, SockFlag, SockType, send, socket};
use std::io;
use std::mem::{size_of, zeroed};
use std::os::fd::{AsFd as _, AsRawFd as _, OwnedFd};
use std::time::Instant;

/// Largest frame kept; DHCP messages have under 600 bytes.
const ROOM: usize = 2048;

/// `TP_STATUS_CSUMNOTREADY` of linux/if_packet.h.
const CSUM_NOT_READY: u32 = 1 << 3;

/// An open socket, bound to one device, in the namespace it was opened in.
#[derive(Debug)]
pub struct PacketWire(OwnedFd);

impl PacketWire {
    /// Opens a socket on the device with this index.
    ///
    /// # Errors
    /// Without CAP_NET_RAW, and for an index that no device has.
    pub fn open(index: u32) -> io::Result<Self> {
        let flags = SockFlag::SOCK_CLOEXEC | SockFlag::SOCK_NONBLOCK;
        let fd = socket(AddressFamily::Packet, SockType::Raw, flags, None)?;
        let on: libc::c_int = 1;
        // SAFETY: the pointer and the length describe one c_int that outlives the call.
        let done = unsafe {
            libc::setsockopt(
                fd.as_raw_fd(),
                libc::SOL_PACKET,
                libc::PACKET_AUXDATA,
                (&raw const on).cast(),
                length::<libc::c_int>(),
            )
        };
        check(done)?;
        // SAFETY: sockaddr_ll is plain data for which all zeroes is a value.
        let mut address: libc::sockaddr_ll = unsafe { zeroed() };
        address.sll_family = u16::try_from(libc::AF_PACKET).expect("a small constant");
        let all = u16::try_from(libc::ETH_P_ALL).expect("a small constant");
        address.sll_protocol = all.to_be();
        address.sll_ifindex = index.cast_signed();
        // SAFETY: the pointer and the length describe one sockaddr_ll that outlives the call.
        let done = unsafe {
            libc::bind(
                fd.as_raw_fd(),
                (&raw const address).cast(),
                length::<libc::sockaddr_ll>(),
            )
        };
        check(done)?;
        Ok(Self(fd))
    }

    /// Waits until the socket is ready; false at the deadline.
    fn ready(&self, events: PollFlags, deadline: Instant) -> io::Result<bool> {
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            // Rounded up, so that the last fraction of a millisecond does not spin.
            let ms = left.as_micros().div_ceil(1000);
            let wait = PollTimeout::try_from(ms).unwrap_or(PollTimeout::MAX);
            match poll(&mut [PollFd::new(self.0.as_fd(), events)], wait) {
                Ok(0) if left.is_zero() => return Ok(false),
                Ok(0) | Err(nix::errno::Errno::EINTR) => {}
                Ok(_) => return Ok(true),
                Err(errno) => return Err(errno.into()),
            }
        }
    }

    /// What is there now, unless it is the client's own.
    fn take(&self) -> io::Result<Option<Arrived>> {
        let mut frame = vec![0_u8; ROOM];
        let mut control = [0_u64; 16];
        let mut part = libc::iovec {
            iov_base: frame.as_mut_ptr().cast(),
            iov_len: frame.len(),
        };
        // SAFETY: sockaddr_ll and msghdr are plain data for which all zeroes is a value.
        let (mut from, mut message): (libc::sockaddr_ll, libc::msghdr) =
            unsafe { (zeroed(), zeroed()) };
        message.msg_name = (&raw mut from).cast();
        message.msg_namelen = length::<libc::sockaddr_ll>();
        message.msg_iov = &raw mut part;
        message.msg_iovlen = 1;
        message.msg_control = control.as_mut_ptr().cast();
        message.msg_controllen = size_of_val(&control);
        // SAFETY: every pointer in the header describes a buffer above that outlives the call.
        let got = unsafe { libc::recvmsg(self.0.as_raw_fd(), &raw mut message, 0) };
        let Ok(got) = usize::try_from(got) else {
            return Err(io::Error::last_os_error());
        };
        frame.truncate(got);
        let pending = is_pending(&message);
        let own = from.sll_pkttype == libc::PACKET_OUTGOING;
        Ok((!own).then_some(Arrived { frame, pending }))
    }
}

impl Wire for PacketWire {
    fn send(&mut self, frame: &[u8]) -> io::Result<()> {
        let deadline = Instant::now() + std::time::Duration::from_secs(2);
        loop {
            match send(self.0.as_raw_fd(), frame, MsgFlags::empty()) {
                Ok(_) => return Ok(()),
                Err(nix::errno::Errno::EINTR) => {}
                Err(nix::errno::Errno::EAGAIN) => {
                    if !self.ready(PollFlags::POLLOUT, deadline)? {
                        return Err(io::ErrorKind::TimedOut.into());
                    }
                }
                Err(errno) => return Err(errno.into()),
            }
        }
    }

    fn receive(&mut self, deadline: Instant) -> io::Result<Option<Arrived>> {
        while self.ready(PollFlags::POLLIN, deadline)? {
            match self.take() {
                Ok(None) => {}
                Err(error)
                    if matches!(
                        error.kind(),
                        io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted
                    ) => {}
                taken => return taken,
            }
        }
        Ok(None)
    }
}

/// Whether the kernel says that the checksum was left to an offload.
fn is_pending(message: &libc::msghdr) -> bool {
    // SAFETY: the header was filled by recvmsg and its control buffer is still alive.
    let mut next = unsafe { libc::CMSG_FIRSTHDR(message) };
    while !next.is_null() {
        // SAFETY: CMSG_FIRSTHDR and CMSG_NXTHDR return headers inside the buffer.
        let header = unsafe { &*next };
        if (header.cmsg_level, header.cmsg_type) == (libc::SOL_PACKET, libc::PACKET_AUXDATA) {
            // SAFETY: the data of a header lies behind it in the same buffer.
            let data = unsafe { libc::CMSG_DATA(next) };
            // SAFETY: the kernel puts a tpacket_auxdata there; it may be unaligned.
            let aux: libc::tpacket_auxdata =
                unsafe { data.cast::<libc::tpacket_auxdata>().read_unaligned() };
            return aux.tp_status & CSUM_NOT_READY != 0;
        }
        // SAFETY: as for CMSG_FIRSTHDR.
        next = unsafe { libc::CMSG_NXTHDR(message, next) };
    }
    false
}

fn length<T>() -> libc::socklen_t {
    libc::socklen_t::try_from(size_of::<T>()).expect("socket structures are small")
}

fn check(done: libc::c_int) -> io::Result<()> {
    if done < 0 {
        Err(io::Error::last_os_error())
    } else {
        Ok(())
    }
}
