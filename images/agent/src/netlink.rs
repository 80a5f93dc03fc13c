//! The little of rtnetlink that the agent needs: links, addresses, default
//! routes and neighbours. A message costs microseconds where a `busybox ip`
//! costs a fork and an exec under emulation.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::os::fd::{AsRawFd as _, OwnedFd};
use std::time::Duration;

use lanfence_frame::Mac;
use nix::errno::Errno;
use nix::sys::socket::{
    AddressFamily, MsgFlags, SockFlag, SockProtocol, SockType, recv, send, setsockopt, socket,
    sockopt,
};
use nix::sys::time::TimeVal;

use crate::message::{Body, Message, attributes, messages};

/// How long the kernel may take to answer; it answers within the call.
const PATIENCE: Duration = Duration::from_secs(5);

/// A netlink socket.
#[derive(Debug)]
pub struct Netlink {
    fd: OwnedFd,
    sequence: u32,
}

/// A network device as the kernel sees it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Link {
    /// Interface index.
    pub index: u32,
    /// `IFF_RUNNING`: set up and operational.
    pub running: bool,
    /// The driver reports a carrier.
    pub carrier: bool,
}

/// An address of a device.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Address {
    /// The address.
    pub ip: IpAddr,
    /// Prefix length.
    pub prefix: u8,
    /// Whether duplicate detection is still running, so that it can't be used.
    pub tentative: bool,
}

/// A default route of a device.
#[derive(Debug, Clone, PartialEq, Eq)]
struct DefaultRoute {
    family: u8,
    priority: Option<Vec<u8>>,
    gateway: Option<Vec<u8>>,
}

/// What the kernel knows about a neighbour.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Neighbour {
    /// Asked for, not answered; frames to it are queued.
    Pending,
    /// Asked for in vain, or never asked for.
    Unknown,
    /// Its MAC address.
    Known(Mac),
}

impl Netlink {
    /// Opens a socket.
    pub fn open() -> Result<Self, String> {
        let fd = socket(
            AddressFamily::Netlink,
            SockType::Raw,
            SockFlag::SOCK_CLOEXEC,
            SockProtocol::NetlinkRoute,
        )
        .map_err(|errno| format!("cannot open a netlink socket: {errno}"))?;
        let patience = TimeVal::new(PATIENCE.as_secs().cast_signed(), 0);
        setsockopt(&fd, sockopt::ReceiveTimeout, &patience)
            .map_err(|errno| format!("cannot bound the wait for netlink: {errno}"))?;
        Ok(Self { fd, sequence: 0 })
    }

    /// The device of this name.
    pub fn link_by_name(&mut self, name: &str) -> Result<Link, String> {
        let index = nix::net::if_::if_nametoindex(name)
            .map_err(|errno| format!("no network device {name}: {errno}"))?;
        self.link(index, name)
    }

    /// The device of this index, which has the name.
    pub fn link(&mut self, index: u32, name: &str) -> Result<Link, String> {
        let body = Body::link(index, 0, 0);
        let found = self
            .request(libc::RTM_GETLINK, 0, &body)
            .map_err(|errno| format!("cannot read the state of {name}: {errno}"))?;
        found
            .iter()
            .find_map(link)
            .ok_or_else(|| format!("the kernel says nothing about {name}"))
    }

    /// Index and name of the device with this MAC address.
    pub fn link_by_mac(&mut self, mac: Mac) -> Result<Option<(u32, String)>, String> {
        let found = self
            .dump(libc::RTM_GETLINK, &Body::link(0, 0, 0))
            .map_err(|errno| format!("cannot list the network devices: {errno}"))?;
        Ok(found.iter().find_map(|message| named(message, mac)))
    }

    /// Sets the device up.
    pub fn set_up(&mut self, index: u32) -> Result<(), String> {
        let up = libc::IFF_UP.cast_unsigned();
        let body = Body::link(index, up, up);
        self.request(libc::RTM_NEWLINK, 0, &body)
            .map(drop)
            .map_err(|errno| match errno {
                Errno::ENOENT => "cannot set the device up: its driver finds no firmware".into(),
                _ => format!("cannot set the device up: {errno}"),
            })
    }

    /// All addresses of the device.
    pub fn addresses(&mut self, index: u32) -> Result<Vec<Address>, String> {
        let body = Body::address(0, 0, 0, 0);
        let found = self
            .dump(libc::RTM_GETADDR, &body)
            .map_err(|errno| format!("cannot list addresses: {errno}"))?;
        Ok(found
            .iter()
            .filter_map(|message| address(message, index))
            .collect())
    }

    /// Adds an address without duplicate detection, or renews the one that is there.
    pub fn add_address(&mut self, index: u32, ip: IpAddr, prefix: u8) -> Result<(), String> {
        let flags = if ip.is_ipv6() { IFA_F_NODAD } else { 0 };
        let mut body = Body::address(family(ip), prefix, flags, index);
        body.attribute(libc::IFA_LOCAL, &octets(ip));
        body.attribute(libc::IFA_ADDRESS, &octets(ip));
        if let (IpAddr::V4(ip), true) = (ip, prefix < 31) {
            let broadcast = u32::from(ip) | (u32::MAX >> prefix);
            body.attribute(libc::IFA_BROADCAST, &broadcast.to_be_bytes());
        }
        self.request(
            libc::RTM_NEWADDR,
            libc::NLM_F_CREATE | libc::NLM_F_REPLACE,
            &body,
        )
        .map(drop)
        .map_err(|errno| format!("cannot add the address {ip}/{prefix}: {errno}"))
    }

    /// Removes an address.
    pub fn remove_address(&mut self, index: u32, ip: IpAddr, prefix: u8) -> Result<(), String> {
        let mut body = Body::address(family(ip), prefix, 0, index);
        body.attribute(libc::IFA_LOCAL, &octets(ip));
        match self.request(libc::RTM_DELADDR, 0, &body) {
            // Gone with another one: the kernel removes secondary addresses with their primary.
            Ok(_) | Err(Errno::EADDRNOTAVAIL) => Ok(()),
            Err(errno) => Err(format!("cannot remove the address {ip}/{prefix}: {errno}")),
        }
    }

    /// Adds a default route through a router on the device's link.
    pub fn add_router(&mut self, index: u32, router: IpAddr, metric: u32) -> Result<(), String> {
        let mut body = Body::default_route(family(router));
        body.attribute(libc::RTA_GATEWAY, &octets(router));
        body.attribute(libc::RTA_OIF, &index.to_ne_bytes());
        body.attribute(libc::RTA_PRIORITY, &metric.to_ne_bytes());
        self.request(
            libc::RTM_NEWROUTE,
            libc::NLM_F_CREATE | libc::NLM_F_REPLACE,
            &body,
        )
        .map(drop)
        .map_err(|errno| format!("cannot add the default router {router}: {errno}"))
    }

    /// Removes the default routes of one family (`AF_INET`, `AF_INET6`) through the device.
    pub fn remove_routers(&mut self, index: u32, family: u8) -> Result<(), String> {
        let found = self
            .dump(libc::RTM_GETROUTE, &Body::default_route(family))
            .map_err(|errno| format!("cannot list routes: {errno}"))?;
        let routes: Vec<DefaultRoute> = found
            .iter()
            .filter_map(|message| default_route(message, index))
            .filter(|route| route.family == family)
            .collect();
        for route in routes {
            let mut body = Body::default_route(route.family);
            body.attribute(libc::RTA_OIF, &index.to_ne_bytes());
            if let Some(gateway) = &route.gateway {
                body.attribute(libc::RTA_GATEWAY, gateway);
            }
            if let Some(priority) = &route.priority {
                body.attribute(libc::RTA_PRIORITY, priority);
            }
            match self.request(libc::RTM_DELROUTE, 0, &body) {
                Ok(_) | Err(Errno::ESRCH) => {}
                Err(errno) => return Err(format!("cannot remove a default route: {errno}")),
            }
        }
        Ok(())
    }

    /// What the kernel knows about a neighbour on the device.
    pub fn neighbour(&mut self, index: u32, ip: IpAddr) -> Result<Neighbour, String> {
        let mut body = Body::neighbour(family(ip), index, 0, 0);
        body.attribute(NDA_DST, &octets(ip));
        match self.request(libc::RTM_GETNEIGH, 0, &body) {
            Ok(found) => Ok(found
                .iter()
                .find_map(neighbour)
                .unwrap_or(Neighbour::Unknown)),
            Err(Errno::ENOENT) => Ok(Neighbour::Unknown),
            Err(errno) => Err(format!("cannot look up the neighbour {ip}: {errno}")),
        }
    }

    /// Makes the kernel resolve a neighbour as if it had something to send to it.
    pub fn solicit(&mut self, index: u32, ip: IpAddr) -> Result<(), String> {
        let mut body = Body::neighbour(family(ip), index, 0, NTF_USE);
        body.attribute(NDA_DST, &octets(ip));
        self.request(libc::RTM_NEWNEIGH, libc::NLM_F_CREATE, &body)
            .map(drop)
            .map_err(|errno| format!("cannot solicit the neighbour {ip}: {errno}"))
    }

    /// Removes what the kernel knows about a neighbour.
    pub fn forget(&mut self, index: u32, ip: IpAddr) -> Result<(), String> {
        let mut body = Body::neighbour(family(ip), index, 0, 0);
        body.attribute(NDA_DST, &octets(ip));
        match self.request(libc::RTM_DELNEIGH, 0, &body) {
            Ok(_) | Err(Errno::ENOENT) => Ok(()),
            Err(errno) => Err(format!("cannot forget the neighbour {ip}: {errno}")),
        }
    }

    /// Tells the kernel a neighbour's MAC address as if it had just been heard.
    pub fn set_neighbour(&mut self, index: u32, ip: IpAddr, mac: Mac) -> Result<(), String> {
        let mut body = Body::neighbour(family(ip), index, NUD_REACHABLE, 0);
        body.attribute(NDA_DST, &octets(ip));
        body.attribute(NDA_LLADDR, &mac);
        let flags = libc::NLM_F_CREATE | libc::NLM_F_REPLACE;
        self.request(libc::RTM_NEWNEIGH, flags, &body)
            .map(drop)
            .map_err(|errno| format!("cannot set the neighbour {ip}: {errno}"))
    }

    fn request(&mut self, kind: u16, flags: i32, body: &Body) -> Result<Vec<Message>, Errno> {
        self.exchange(kind, flags | libc::NLM_F_ACK, body)
    }

    fn dump(&mut self, kind: u16, body: &Body) -> Result<Vec<Message>, Errno> {
        self.exchange(kind, libc::NLM_F_DUMP, body)
    }

    /// Sends one request and collects everything up to the kernel's final word.
    fn exchange(&mut self, kind: u16, flags: i32, body: &Body) -> Result<Vec<Message>, Errno> {
        self.sequence += 1;
        let bytes = body.framed(kind, flags | libc::NLM_F_REQUEST, self.sequence);
        send(self.fd.as_raw_fd(), &bytes, MsgFlags::empty())?;
        let mut found = Vec::new();
        let mut buffer = vec![0; 32 * 1024];
        loop {
            let length = match recv(self.fd.as_raw_fd(), &mut buffer, MsgFlags::empty()) {
                Err(Errno::EINTR) => continue,
                other => other?,
            };
            for message in messages(&buffer[..length]) {
                // An answer to an earlier request whose wait was given up.
                if message.sequence != self.sequence {
                    continue;
                }
                match i32::from(message.kind) {
                    libc::NLMSG_DONE => return Ok(found),
                    libc::NLMSG_ERROR => {
                        return message
                            .error()
                            .map_or(Ok(found), |raw| Err(Errno::from_raw(raw)));
                    }
                    _ => found.push(message),
                }
            }
        }
    }
}

const IFA_F_NODAD: u8 = 0x02;
const IFA_F_TENTATIVE: u8 = 0x40;
const NTF_USE: u8 = 0x01;
const NDA_DST: u16 = 1;
const NDA_LLADDR: u16 = 2;
const IFLA_CARRIER: u16 = 33;
const NUD_INCOMPLETE: u16 = 0x01;
const NUD_REACHABLE: u16 = 0x02;
const NUD_FAILED: u16 = 0x20;

fn family(ip: IpAddr) -> u8 {
    // Both constants are below 256.
    match ip {
        IpAddr::V4(_) => libc::AF_INET.to_le_bytes()[0],
        IpAddr::V6(_) => libc::AF_INET6.to_le_bytes()[0],
    }
}

fn octets(ip: IpAddr) -> Vec<u8> {
    match ip {
        IpAddr::V4(ip) => ip.octets().to_vec(),
        IpAddr::V6(ip) => ip.octets().to_vec(),
    }
}

fn ip_from(octets: &[u8]) -> Option<IpAddr> {
    if let Ok(four) = <[u8; 4]>::try_from(octets) {
        return Some(Ipv4Addr::from(four).into());
    }
    let sixteen = <[u8; 16]>::try_from(octets).ok()?;
    Some(Ipv6Addr::from(sixteen).into())
}

fn link(message: &Message) -> Option<Link> {
    let head = message.body.get(..16)?;
    let flags = u32::from_ne_bytes(head[8..12].try_into().ok()?);
    let carrier = attributes(&message.body[16..])
        .find(|(kind, _)| *kind == IFLA_CARRIER)
        .is_some_and(|(_, value)| value == [1]);
    Some(Link {
        index: u32::from_ne_bytes(head[4..8].try_into().ok()?),
        running: flags & libc::IFF_RUNNING.cast_unsigned() != 0,
        carrier,
    })
}

/// Index and name of the link if it has this MAC address.
fn named(message: &Message, mac: Mac) -> Option<(u32, String)> {
    let index = message.body.get(4..8)?.try_into().ok()?;
    let of = |wanted| {
        attributes(message.body.get(16..)?)
            .find(|(kind, _)| *kind == wanted)
            .map(|(_, value)| value)
    };
    if of(libc::IFLA_ADDRESS)? != mac {
        return None;
    }
    let name = std::ffi::CStr::from_bytes_until_nul(of(libc::IFLA_IFNAME)?).ok()?;
    Some((u32::from_ne_bytes(index), name.to_str().ok()?.to_owned()))
}

fn address(message: &Message, index: u32) -> Option<Address> {
    let head = message.body.get(..8)?;
    if u32::from_ne_bytes(head[4..8].try_into().ok()?) != index {
        return None;
    }
    // IFA_LOCAL where there is one: on IPv4, IFA_ADDRESS is the peer of a point-to-point link.
    let of = |wanted| {
        attributes(&message.body[8..])
            .find(|(kind, _)| *kind == wanted)
            .and_then(|(_, value)| ip_from(value))
    };
    Some(Address {
        ip: of(libc::IFA_LOCAL).or_else(|| of(libc::IFA_ADDRESS))?,
        prefix: head[1],
        tentative: head[2] & IFA_F_TENTATIVE != 0,
    })
}

fn default_route(message: &Message, index: u32) -> Option<DefaultRoute> {
    let head = message.body.get(..12)?;
    let is_default = head[1] == 0 && head[4] == libc::RT_TABLE_MAIN && head[7] == libc::RTN_UNICAST;
    let of = |wanted| {
        attributes(&message.body[12..])
            .find(|(kind, _)| *kind == wanted)
            .map(|(_, value)| value.to_vec())
    };
    let through = of(libc::RTA_OIF)? == index.to_ne_bytes();
    (is_default && through).then(|| DefaultRoute {
        family: head[0],
        priority: of(libc::RTA_PRIORITY),
        gateway: of(libc::RTA_GATEWAY),
    })
}

fn neighbour(message: &Message) -> Option<Neighbour> {
    let head = message.body.get(..12)?;
    let state = u16::from_ne_bytes(head[8..10].try_into().ok()?);
    let mac = attributes(&message.body[12..])
        .find(|(kind, _)| *kind == NDA_LLADDR)
        .and_then(|(_, value)| value.try_into().ok());
    Some(match (state, mac) {
        (NUD_INCOMPLETE, _) => Neighbour::Pending,
        (0 | NUD_FAILED, _) | (_, None) => Neighbour::Unknown,
        (_, Some(mac)) => Neighbour::Known(mac),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Every network namespace has a loopback device, and reading it takes no privilege.
    #[test]
    fn reads_the_loopback_device() {
        let mut netlink = Netlink::open().unwrap();
        let lo = netlink.link_by_name("lo").unwrap();
        assert_eq!(lo.index, 1);
        netlink.addresses(lo.index).unwrap();
        let zero = netlink.link_by_mac([0; 6]);
        assert_eq!(zero, Ok(Some((1, "lo".to_owned()))));
        assert_eq!(
            netlink.link_by_mac([0x02, 0, 0, 0xff, 0xee, 0xdd]),
            Ok(None)
        );
        let nobody = IpAddr::from([127, 0, 0, 77]);
        assert_eq!(netlink.neighbour(1, nobody), Ok(Neighbour::Unknown));
    }

    #[test]
    fn a_missing_device_is_named() {
        let error = Netlink::open()
            .unwrap()
            .link_by_name("nosuch0")
            .unwrap_err();
        assert!(error.contains("nosuch0"), "{error}");
    }
}
