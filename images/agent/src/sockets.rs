//! `Op::Udp`, `Op::Ping`, `Op::Join`, `Op::Listen` and `Op::Received`: datagrams
//! through the guest's own stack.

use std::ffi::OsString;
use std::io::ErrorKind;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV6, UdpSocket};
use std::os::fd::{AsRawFd, OwnedFd};

use lanfence_agent::{Answer, Datagram};
use lanfence_frame::to_hex;
use nix::errno::Errno;
use nix::sys::socket::{
    AddressFamily, SockFlag, SockProtocol, SockType, SockaddrStorage, bind, setsockopt, socket,
    sockopt,
};

/// TTL and hop limit of everything the guest sends on request.
const HOPS: libc::c_int = 64;

/// Room for what arrives between two `Op::Received`, in bytes.
const RECEIVE_BUFFER: libc::c_int = 1 << 20;

/// What a socket is for; kinds differ in socket type and protocol.
#[derive(Debug, Clone, Copy)]
pub enum Kind {
    /// Datagrams.
    Udp,
    /// Echo requests from an unprivileged ping socket.
    Ping,
    /// Connections.
    Tcp,
}

/// Opens a socket of the family of `peer`.
pub fn open(kind: Kind, peer: IpAddr) -> Result<OwnedFd, Errno> {
    let family = match peer {
        IpAddr::V4(_) => AddressFamily::Inet,
        IpAddr::V6(_) => AddressFamily::Inet6,
    };
    let (socket_type, protocol) = match (kind, peer) {
        (Kind::Udp, _) => (SockType::Datagram, SockProtocol::Udp),
        (Kind::Ping, IpAddr::V4(_)) => (SockType::Datagram, SockProtocol::Icmp),
        (Kind::Ping, IpAddr::V6(_)) => (SockType::Datagram, SockProtocol::IcmpV6),
        (Kind::Tcp, _) => (SockType::Stream, SockProtocol::Tcp),
    };
    let flags = SockFlag::SOCK_CLOEXEC | SockFlag::SOCK_NONBLOCK;
    let fd = socket(family, socket_type, flags, protocol)?;
    if peer.is_ipv6() {
        set(&fd, libc::IPPROTO_IPV6, libc::IPV6_V6ONLY, &1)?;
    }
    Ok(fd)
}

/// Ties a socket to the device.
pub fn tie(fd: &OwnedFd, dev: &str, peer: IpAddr) -> Result<(), Errno> {
    setsockopt(fd, sockopt::BindToDevice, &OsString::from(dev))?;
    setsockopt(fd, sockopt::ReuseAddr, &true)?;
    if peer.is_ipv6() {
        set(fd, libc::IPPROTO_IPV6, libc::IPV6_UNICAST_HOPS, &HOPS)
    } else {
        set(fd, libc::IPPROTO_IP, libc::IP_TTL, &HOPS)
    }
}

/// Ties a datagram socket to the device and lets it send to groups and
/// broadcast addresses there, without hearing itself.
fn tie_datagrams(fd: &OwnedFd, dev: &str, index: u32, peer: IpAddr) -> Result<(), Errno> {
    tie(fd, dev, peer)?;
    setsockopt(fd, sockopt::Broadcast, &true)?;
    let index = index.cast_signed();
    if peer.is_ipv6() {
        let level = libc::IPPROTO_IPV6;
        set(fd, level, libc::IPV6_MULTICAST_HOPS, &HOPS)?;
        set(fd, level, libc::IPV6_MULTICAST_LOOP, &0)?;
        set(fd, level, libc::IPV6_MULTICAST_IF, &index)
    } else {
        let level = libc::IPPROTO_IP;
        set(fd, level, libc::IP_MULTICAST_TTL, &HOPS)?;
        set(fd, level, libc::IP_MULTICAST_LOOP, &0)?;
        let device = membership(Ipv4Addr::UNSPECIFIED, index);
        set(fd, level, libc::IP_MULTICAST_IF, &device)
    }
}

fn membership(group: Ipv4Addr, index: i32) -> libc::ip_mreqn {
    libc::ip_mreqn {
        imr_multiaddr: libc::in_addr {
            s_addr: u32::from_ne_bytes(group.octets()),
        },
        imr_address: libc::in_addr { s_addr: 0 },
        imr_ifindex: index,
    }
}

/// Sets an option that nix has no type for.
pub fn set<T>(
    fd: &impl AsRawFd,
    level: libc::c_int,
    name: libc::c_int,
    value: &T,
) -> Result<(), Errno> {
    let length = u32::try_from(size_of::<T>()).map_err(|_| Errno::EINVAL)?;
    let value: *const T = value;
    // SAFETY: `value` points to `length` readable bytes for the whole call.
    let result = unsafe { libc::setsockopt(fd.as_raw_fd(), level, name, value.cast(), length) };
    Errno::result(result).map(drop)
}

/// The address with the device as its scope where a link-local one needs it.
pub fn scoped(to: SocketAddr, index: u32) -> SocketAddr {
    match to {
        SocketAddr::V6(v6) if needs_scope(*v6.ip()) => {
            SocketAddrV6::new(*v6.ip(), v6.port(), 0, index).into()
        }
        _ => to,
    }
}

/// Unicast link-local, and multicast of interface-local and link-local scope.
fn needs_scope(ip: Ipv6Addr) -> bool {
    ip.is_unicast_link_local() || (ip.is_multicast() && ip.segments()[0] & 0x0f <= 2)
}

/// Sends one datagram from the given port, or from any with 0.
pub fn udp(
    dev: &str,
    index: u32,
    source_port: u16,
    to: SocketAddr,
    payload: &[u8],
) -> Result<Answer, String> {
    let made = open(Kind::Udp, to.ip()).and_then(|fd| {
        tie_datagrams(&fd, dev, index, to.ip())?;
        bind_to(&fd, SocketAddr::new(any(to.ip()), source_port))?;
        Ok(fd)
    });
    let fd =
        made.map_err(|errno| format!("cannot open UDP port {source_port} on {dev}: {errno}"))?;
    UdpSocket::from(fd)
        .send_to(payload, scoped(to, index))
        .map_err(|error| format!("cannot send UDP to {to} through {dev}: {error}"))?;
    Ok(Answer::Done)
}

/// Sends one echo request; the kernel fills in identifier and checksum.
pub fn ping(dev: &str, index: u32, to: IpAddr, payload: &[u8]) -> Result<Answer, String> {
    let made = open(Kind::Ping, to).and_then(|fd| {
        tie_datagrams(&fd, dev, index, to)?;
        Ok(fd)
    });
    let fd = made.map_err(|errno| format!("cannot open a ping socket on {dev}: {errno}"))?;
    // Echo request (RFC 792, RFC 4443), code 0, sequence number 1.
    let kind = if to.is_ipv4() { 8 } else { 128 };
    let mut message = vec![kind, 0, 0, 0, 0, 0, 0, 1];
    message.extend(payload);
    UdpSocket::from(fd)
        .send_to(&message, scoped(SocketAddr::new(to, 0), index))
        .map_err(|error| format!("cannot ping {to} through {dev}: {error}"))?;
    Ok(Answer::Done)
}

/// Binds the socket.
pub fn bind_to(fd: &OwnedFd, to: SocketAddr) -> Result<(), Errno> {
    bind(fd.as_raw_fd(), &SockaddrStorage::from(to))
}

/// The wildcard address of the same family.
pub fn any(ip: IpAddr) -> IpAddr {
    match ip {
        IpAddr::V4(_) => Ipv4Addr::UNSPECIFIED.into(),
        IpAddr::V6(_) => Ipv6Addr::UNSPECIFIED.into(),
    }
}

/// The sockets that listen until `Op::Leave`.
#[derive(Debug, Default)]
pub struct Listeners(Vec<(u16, UdpSocket)>);

impl Listeners {
    /// Joins the group on the device and listens on the port.
    pub fn join(
        &mut self,
        dev: &str,
        index: u32,
        group: IpAddr,
        port: u16,
    ) -> Result<Answer, String> {
        if !group.is_multicast() {
            return Err(format!("not a multicast group: {group}"));
        }
        let socket = joined(dev, index, group, port)
            .map_err(|errno| format!("cannot join {group} port {port} on {dev}: {errno}"))?;
        self.0.push((port, socket));
        Ok(Answer::Done)
    }

    /// Listens on the port for unicast and broadcast of both families.
    pub fn listen(&mut self, port: u16) -> Result<Answer, String> {
        for ip in [
            any(Ipv4Addr::UNSPECIFIED.into()),
            any(Ipv6Addr::UNSPECIFIED.into()),
        ] {
            let socket = listening(SocketAddr::new(ip, port))
                .map_err(|errno| format!("cannot listen on UDP port {port}: {errno}"))?;
            self.0.push((port, socket));
        }
        Ok(Answer::Done)
    }

    /// Everything that has arrived since the last call.
    pub fn received(&mut self) -> Result<Answer, String> {
        let mut datagrams = Vec::new();
        for (port, socket) in &self.0 {
            drain(*port, socket, &mut datagrams)?;
        }
        Ok(Answer::Received { datagrams })
    }

    /// Leaves all groups and stops listening.
    pub fn leave(&mut self) -> Answer {
        self.0.clear();
        Answer::Done
    }
}

/// The socket is bound to the group itself: bound to the wildcard it would also
/// get what is sent to other groups, and broadcasts a second time.
fn joined(dev: &str, index: u32, group: IpAddr, port: u16) -> Result<UdpSocket, Errno> {
    let fd = open(Kind::Udp, group)?;
    tie_datagrams(&fd, dev, index, group)?;
    match group {
        IpAddr::V4(group) => {
            let membership = membership(group, index.cast_signed());
            set(&fd, libc::IPPROTO_IP, libc::IP_ADD_MEMBERSHIP, &membership)?;
        }
        IpAddr::V6(group) => {
            let membership = libc::ipv6_mreq {
                ipv6mr_multiaddr: libc::in6_addr {
                    s6_addr: group.octets(),
                },
                ipv6mr_interface: index,
            };
            set(
                &fd,
                libc::IPPROTO_IPV6,
                libc::IPV6_ADD_MEMBERSHIP,
                &membership,
            )?;
        }
    }
    set(&fd, libc::SOL_SOCKET, libc::SO_RCVBUFFORCE, &RECEIVE_BUFFER)?;
    bind_to(&fd, scoped(SocketAddr::new(group, port), index))?;
    Ok(UdpSocket::from(fd))
}

fn listening(at: SocketAddr) -> Result<UdpSocket, Errno> {
    let fd = open(Kind::Udp, at.ip())?;
    setsockopt(&fd, sockopt::ReuseAddr, &true)?;
    // Groups that other sockets have joined are theirs alone.
    if at.is_ipv4() {
        set(&fd, libc::IPPROTO_IP, libc::IP_MULTICAST_ALL, &0)?;
    } else {
        set(&fd, libc::IPPROTO_IPV6, libc::IPV6_MULTICAST_ALL, &0)?;
    }
    set(&fd, libc::SOL_SOCKET, libc::SO_RCVBUFFORCE, &RECEIVE_BUFFER)?;
    bind_to(&fd, at)?;
    Ok(UdpSocket::from(fd))
}

fn drain(port: u16, socket: &UdpSocket, into: &mut Vec<Datagram>) -> Result<(), String> {
    let mut buffer = vec![0; 65536];
    loop {
        match socket.recv_from(&mut buffer) {
            Ok((length, from)) => into.push(Datagram {
                port,
                from: unscoped(from),
                payload: to_hex(&buffer[..length]),
            }),
            Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(()),
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) => return Err(format!("cannot read UDP port {port}: {error}")),
        }
    }
}

/// Without the guest's own interface index, which means nothing to the host.
fn unscoped(from: SocketAddr) -> SocketAddr {
    SocketAddr::new(from.ip(), from.port())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_link_local_addresses_get_a_scope() {
        let scope = |text: &str| match scoped(text.parse().unwrap(), 7) {
            SocketAddr::V6(v6) => v6.scope_id(),
            SocketAddr::V4(_) => 0,
        };
        assert_eq!(scope("[fe80::1]:9"), 7);
        assert_eq!(scope("[ff02::fb]:5353"), 7);
        assert_eq!(scope("[ff05::2]:9"), 0);
        assert_eq!(scope("[2001:db8::1]:9"), 0);
        assert_eq!(scope("192.168.1.1:9"), 0);
    }

    #[test]
    fn a_unicast_address_is_no_group() {
        let error = Listeners::default().join("lo", 1, IpAddr::from([10, 0, 0, 1]), 9);
        assert!(error.unwrap_err().contains("not a multicast group"));
    }
}
