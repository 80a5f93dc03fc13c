//! Sockets that the standard library has no constructor for.

use crate::layout::wan::{WAN4, WAN6};
use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::socket::{
    AddressFamily, MsgFlags, SockFlag, SockProtocol, SockType, SockaddrStorage, bind, connect,
    getsockopt, sendto, setsockopt, socket, sockopt,
};
use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr, SocketAddrV4, SocketAddrV6, TcpStream};
use std::os::fd::{AsFd as _, AsRawFd as _, OwnedFd};
use std::time::{Duration, Instant};

/// Link-local destinations need the interface; every host's LAN side is eth0.
pub fn scoped(to: SocketAddr) -> SocketAddr {
    match to {
        SocketAddr::V6(v6) if v6.ip().is_unicast_link_local() || v6.ip().is_multicast() => {
            let scope = nix::net::if_::if_nametoindex("eth0").unwrap_or(0);
            SocketAddrV6::new(*v6.ip(), v6.port(), 0, scope).into()
        }
        other => other,
    }
}

/// Sends one ICMP echo request from a raw socket in the current namespace.
///
/// # Errors
/// What the kernel says to the socket or the packet.
pub fn ping(from_wan: bool, to: IpAddr, payload: &[u8]) -> io::Result<()> {
    let (family, protocol, kind) = match to {
        IpAddr::V4(_) => (AddressFamily::Inet, SockProtocol::Icmp, 8),
        IpAddr::V6(_) => (AddressFamily::Inet6, SockProtocol::IcmpV6, 128),
    };
    let fd = socket(family, SockType::Raw, SockFlag::SOCK_CLOEXEC, protocol)?;
    if from_wan {
        let from: IpAddr = if to.is_ipv4() {
            WAN4.into()
        } else {
            WAN6.into()
        };
        bind(
            fd.as_raw_fd(),
            &SockaddrStorage::from(SocketAddr::new(from, 0)),
        )?;
    }
    // Type, code, checksum, identifier, sequence number (RFC 792, RFC 4443).
    let mut message = vec![kind, 0, 0, 0, 0x6c, 0x66, 0, 1];
    message.extend_from_slice(payload);
    if to.is_ipv4() {
        let sum = crate::frame::checksum::checksum(&message);
        message[2..4].copy_from_slice(&sum.to_be_bytes());
    }
    // The kernel fills ICMPv6 checksums in by itself (RFC 3542 section 3.1).
    let to = SockaddrStorage::from(scoped(SocketAddr::new(to, 0)));
    sendto(fd.as_raw_fd(), &message, &to, MsgFlags::empty())?;
    Ok(())
}

/// A non-blocking TCP socket bound to an address, not yet connected. Closing
/// it resets the connection at once, so that no retransmission outlives a pass.
///
/// # Errors
/// When there is no socket, or the address is in use.
pub fn stream_socket(from: SocketAddr) -> io::Result<OwnedFd> {
    let family = if from.is_ipv4() {
        AddressFamily::Inet
    } else {
        AddressFamily::Inet6
    };
    let flags = SockFlag::SOCK_CLOEXEC | SockFlag::SOCK_NONBLOCK;
    let fd = socket(family, SockType::Stream, flags, None)?;
    setsockopt(&fd, sockopt::ReuseAddr, &true)?;
    setsockopt(
        &fd,
        sockopt::Linger,
        &nix::libc::linger {
            l_onoff: 1,
            l_linger: 0,
        },
    )?;
    bind(fd.as_raw_fd(), &SockaddrStorage::from(from))?;
    Ok(fd)
}

/// A connection from a port of one's own, opened within the deadline. Closing it resets it at once.
///
/// # Errors
/// What the kernel says to the port or the connection, or that the time is over.
pub fn connected(port: u16, to: SocketAddrV4, longest: Duration) -> io::Result<TcpStream> {
    let end = Instant::now() + longest;
    let socket = stream_socket((Ipv4Addr::UNSPECIFIED, port).into())?;
    match connect(socket.as_raw_fd(), &SockaddrStorage::from(to)) {
        Ok(()) | Err(Errno::EINPROGRESS) => {}
        Err(errno) => return Err(errno.into()),
    }
    loop {
        let left = end.saturating_duration_since(Instant::now());
        let mut watched = [PollFd::new(socket.as_fd(), PollFlags::POLLOUT)];
        let timeout = PollTimeout::try_from(left).unwrap_or(PollTimeout::ZERO);
        match poll(&mut watched, timeout) {
            Ok(1..) => break,
            Err(Errno::EINTR) if !left.is_zero() => {}
            Ok(_) => return Err(io::ErrorKind::TimedOut.into()),
            Err(errno) => return Err(errno.into()),
        }
    }
    match getsockopt(&socket, sockopt::SocketError)? {
        0 => {}
        errno => return Err(io::Error::from_raw_os_error(errno)),
    }
    let stream = TcpStream::from(socket);
    stream.set_nonblocking(false)?;
    Ok(stream)
}
