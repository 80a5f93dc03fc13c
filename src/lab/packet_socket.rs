//! An AF_PACKET socket that keeps what the kernel knows about each frame (packet(7)).

use super::error::LabError;
use std::io;
use std::mem::{size_of, zeroed};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd as _, OwnedFd, RawFd};

/// Largest frame kept: a TSO burst of a virtio guest is at most 64 KiB plus headers.
const MAX_FRAME: usize = 65_536 + 128;

/// Receive buffer in bytes. A cell sends a few thousand frames of some 100 bytes;
/// the default of 208 KiB would lose some of them on a busy machine.
const BUFFER: libc::c_int = 32 << 20;

/// `TP_STATUS_CSUMNOTREADY`, `TP_STATUS_VLAN_VALID` and `TP_STATUS_VLAN_TPID_VALID` of linux/if_packet.h.
const CSUM_NOT_READY: u32 = 1 << 3;
const VLAN_VALID: u32 = 1 << 4;
const VLAN_TPID_VALID: u32 = 1 << 6;

/// A frame as received.
#[derive(Debug)]
pub struct Received {
    /// The host sent it out of the interface.
    pub outgoing: bool,
    /// Kernel time, nanoseconds since the epoch.
    pub at_ns: u64,
    /// The L4 checksum is only the pseudo-header's.
    pub checksum_pending: bool,
    /// The frame, VLAN tag put back.
    pub frame: Vec<u8>,
}

/// A bound, non-blocking socket. It stays in the namespace it was opened in.
#[derive(Debug)]
pub struct PacketSocket(OwnedFd);

impl AsFd for PacketSocket {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

impl AsRawFd for PacketSocket {
    fn as_raw_fd(&self) -> RawFd {
        self.0.as_raw_fd()
    }
}

impl PacketSocket {
    /// Opens a socket on the interface in the calling thread's namespace. All
    /// options are set before it is bound, so no frame is taken without them.
    ///
    /// # Errors
    /// When there is no such interface, or the privilege for packet sockets is missing.
    pub fn open(interface: &str) -> Result<Self, LabError> {
        Self::try_open(interface)
            .map_err(|source| LabError::system(format!("open a sensor on {interface}"), source))
    }

    fn try_open(interface: &str) -> io::Result<Self> {
        let index = nix::net::if_::if_nametoindex(interface)?;
        // SAFETY: socket(2) takes no pointers; the result is checked before use.
        let fd = unsafe {
            libc::socket(
                libc::AF_PACKET,
                libc::SOCK_RAW | libc::SOCK_NONBLOCK | libc::SOCK_CLOEXEC,
                0,
            )
        };
        if fd < 0 {
            return Err(io::Error::last_os_error());
        }
        // SAFETY: the descriptor is new and owned by nobody else.
        let socket = Self(unsafe { OwnedFd::from_raw_fd(fd) });
        socket.set(libc::SOL_PACKET, libc::PACKET_AUXDATA, &1)?;
        socket.set(libc::SOL_SOCKET, libc::SO_TIMESTAMPNS, &1)?;
        if socket
            .set(libc::SOL_SOCKET, libc::SO_RCVBUFFORCE, &BUFFER)
            .is_err()
        {
            // Forcing needs CAP_NET_ADMIN in the host's namespace; an ordinary user gets net.core.rmem_max.
            socket.set(libc::SOL_SOCKET, libc::SO_RCVBUF, &BUFFER)?;
        }
        socket.promiscuous(index)?;
        socket.bind(index)?;
        Ok(socket)
    }

    fn set(&self, level: libc::c_int, name: libc::c_int, value: &libc::c_int) -> io::Result<()> {
        // SAFETY: the pointer and the length describe one c_int that outlives the call.
        let done = unsafe {
            libc::setsockopt(
                self.as_raw_fd(),
                level,
                name,
                std::ptr::from_ref(value).cast(),
                length::<libc::c_int>(),
            )
        };
        check(done)
    }

    fn promiscuous(&self, index: u32) -> io::Result<()> {
        let request = libc::packet_mreq {
            mr_ifindex: index.cast_signed(),
            mr_type: u16::try_from(libc::PACKET_MR_PROMISC).expect("a small constant"),
            mr_alen: 0,
            mr_address: [0; 8],
        };
        // SAFETY: the pointer and the length describe one packet_mreq that outlives the call.
        let done = unsafe {
            libc::setsockopt(
                self.as_raw_fd(),
                libc::SOL_PACKET,
                libc::PACKET_ADD_MEMBERSHIP,
                std::ptr::from_ref(&request).cast(),
                length::<libc::packet_mreq>(),
            )
        };
        check(done)
    }

    fn bind(&self, index: u32) -> io::Result<()> {
        // SAFETY: sockaddr_ll is plain data for which all zeroes is a value.
        let mut address: libc::sockaddr_ll = unsafe { zeroed() };
        address.sll_family = u16::try_from(libc::AF_PACKET).expect("a small constant");
        address.sll_protocol = u16::try_from(libc::ETH_P_ALL)
            .expect("a small constant")
            .to_be();
        address.sll_ifindex = index.cast_signed();
        // SAFETY: the pointer and the length describe one sockaddr_ll that outlives the call.
        let done = unsafe {
            libc::bind(
                self.as_raw_fd(),
                std::ptr::from_ref(&address).cast(),
                length::<libc::sockaddr_ll>(),
            )
        };
        check(done)
    }

    /// The next frame; none when there is none now.
    ///
    /// # Errors
    /// When the interface is gone or the socket broke.
    pub fn receive(&self) -> io::Result<Option<Received>> {
        let mut frame = vec![0_u8; MAX_FRAME];
        let mut control = [0_u64; 32];
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
        let length =
            unsafe { libc::recvmsg(self.as_raw_fd(), &raw mut message, libc::MSG_DONTWAIT) };
        let Ok(length) = usize::try_from(length) else {
            let error = io::Error::last_os_error();
            let again = matches!(
                error.kind(),
                io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted
            );
            return if again { Ok(None) } else { Err(error) };
        };
        frame.truncate(length);
        frame.shrink_to_fit();
        let outgoing = from.sll_pkttype == libc::PACKET_OUTGOING;
        let mut received = Received {
            outgoing,
            at_ns: 0,
            checksum_pending: false,
            frame,
        };
        received.take_control(&message);
        Ok(Some(received))
    }

    /// Sends a frame out of the interface: at a tap, to whoever has it open, past the bridge.
    ///
    /// # Errors
    /// When the interface is gone or down, or its queue is full.
    pub fn send(&self, frame: &[u8]) -> io::Result<()> {
        let (start, size) = (frame.as_ptr(), frame.len());
        // SAFETY: the pointer and the length describe the frame, which outlives the call.
        let sent = unsafe { libc::send(self.as_raw_fd(), start.cast(), size, libc::MSG_DONTWAIT) };
        if sent < 0 {
            return Err(io::Error::last_os_error());
        }
        Ok(())
    }

    /// Packets lost since the last call (the kernel clears the counter).
    ///
    /// # Errors
    /// The operating system's error.
    pub fn lost(&self) -> io::Result<u64> {
        // SAFETY: tpacket_stats is plain data for which all zeroes is a value.
        let mut stats: libc::tpacket_stats = unsafe { zeroed() };
        let mut size = length::<libc::tpacket_stats>();
        // SAFETY: the pointers describe one tpacket_stats and its length, both outlive the call.
        let done = unsafe {
            libc::getsockopt(
                self.as_raw_fd(),
                libc::SOL_PACKET,
                libc::PACKET_STATISTICS,
                (&raw mut stats).cast(),
                &raw mut size,
            )
        };
        check(done)?;
        Ok(u64::from(stats.tp_drops))
    }
}

impl Received {
    /// Reads the control messages that came with the frame.
    fn take_control(&mut self, message: &libc::msghdr) {
        // SAFETY: the header was filled by recvmsg and its control buffer is still alive.
        let mut next = unsafe { libc::CMSG_FIRSTHDR(message) };
        while !next.is_null() {
            // SAFETY: CMSG_FIRSTHDR and CMSG_NXTHDR return headers inside the buffer.
            let header = unsafe { &*next };
            // SAFETY: the data of a header lies behind it in the same buffer.
            let data = unsafe { libc::CMSG_DATA(next) };
            match (header.cmsg_level, header.cmsg_type) {
                (libc::SOL_SOCKET, libc::SCM_TIMESTAMPNS) => {
                    // SAFETY: the kernel puts a timespec there; it may be unaligned.
                    let time: libc::timespec =
                        unsafe { data.cast::<libc::timespec>().read_unaligned() };
                    self.at_ns = u64::try_from(time.tv_sec).unwrap_or(0) * 1_000_000_000
                        + u64::try_from(time.tv_nsec).unwrap_or(0);
                }
                (libc::SOL_PACKET, libc::PACKET_AUXDATA) => {
                    // SAFETY: the kernel puts a tpacket_auxdata there; it may be unaligned.
                    let aux: libc::tpacket_auxdata =
                        unsafe { data.cast::<libc::tpacket_auxdata>().read_unaligned() };
                    self.take_auxdata(&aux);
                }
                _ => {}
            }
            // SAFETY: as for CMSG_FIRSTHDR.
            next = unsafe { libc::CMSG_NXTHDR(message, next) };
        }
    }

    fn take_auxdata(&mut self, aux: &libc::tpacket_auxdata) {
        self.checksum_pending = aux.tp_status & CSUM_NOT_READY != 0;
        if aux.tp_status & VLAN_VALID != 0 && self.frame.len() >= 12 {
            let protocol = if aux.tp_status & VLAN_TPID_VALID != 0 {
                aux.tp_vlan_tpid
            } else {
                0x8100
            };
            let tag = [protocol.to_be_bytes(), aux.tp_vlan_tci.to_be_bytes()].concat();
            self.frame.splice(12..12, tag);
        }
    }
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
