//! The two sides of a pass: what stands at the guest's end of the wire, and
//! the hosts of the lab that send from outside.

use super::sockets;
use crate::frame::DhcpStep;
use crate::guest::GuestError;
use crate::lab::{Lab, LabError, Netns};
use crate::layout::Layout;
use crate::layout::wan::{WAN4, WAN6};
use crate::probe::{Origin, Pass, Probe, Stimulus};
use nix::errno::Errno;
use std::collections::HashMap;
use std::io::Write as _;
use std::net::{Ipv4Addr, SocketAddr, TcpStream, UdpSocket};
use std::thread::JoinHandle;
use std::time::Duration;

/// Why a probe's sender did not send it, by the probe's id.
pub type Refusals = HashMap<String, String>;

/// What stands at the guest's end of the wire: a guest, or the lab in its place.
pub trait Endpoint {
    /// Forgets the connections of an earlier pass, so that it connects anew.
    async fn start_afresh(&mut self) -> Result<(), GuestError>;

    /// Takes a DHCP client through the steps; which of them it completed.
    async fn dhcp(&mut self, steps: &[DhcpStep]) -> Result<Vec<(DhcpStep, bool)>, GuestError>;

    /// Finds out its neighbours' MACs before they are needed.
    async fn meet_neighbours(&mut self, pass: Pass) -> Result<(), GuestError>;

    /// Takes note of neighbours that the filter keeps from being asked.
    async fn tell_forbidden_neighbours(&mut self, probes: &[Probe]) -> Result<(), GuestError>;

    /// Lets the LAN peer begin to use its port 22, from this port.
    fn ssh(&mut self, port: u16) -> Result<Exchange, GuestError>;

    /// Joins the groups that probes are about, where they are to be joined at this moment
    /// of a pass.
    async fn join(
        &mut self,
        probes: &[Probe],
        pass: Pass,
        moment: Moment,
    ) -> Result<Refusals, GuestError>;

    /// Sends every probe that starts here and is not a DHCP step.
    async fn send(&mut self, probes: &[Probe], pass: Pass) -> Result<Refusals, GuestError>;

    /// Sends raw frames.
    async fn frames(&mut self, frames: &[Vec<u8>]) -> Result<(), GuestError>;
}

/// Moments of a pass at which groups can be joined apart from what else is sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Moment {
    /// Before anything else.
    First,
    /// When every exchange has come to its end.
    Last,
}

/// An SSH exchange under way.
pub struct Exchange(pub JoinHandle<Result<bool, LabError>>);

impl Exchange {
    /// Waits for its end, which has a deadline; whether it was answered.
    ///
    /// # Errors
    /// When the peer's namespace cannot be entered.
    pub fn end(self) -> Result<bool, LabError> {
        tokio::task::block_in_place(|| self.0.join())
            .unwrap_or_else(|panic| std::panic::resume_unwind(panic))
    }
}

/// The lab and who is where in it.
#[derive(Debug, Clone, Copy)]
pub struct Hosts<'a> {
    /// The lab.
    pub lab: &'a Lab,
    /// Addresses.
    pub layout: &'a Layout,
}

impl Hosts<'_> {
    /// Makes the guest known to its neighbours. In every pass anew: dnsmasq
    /// turns the entry of an address that it leases into one that ages.
    ///
    /// # Errors
    /// When a host does not take the entry.
    pub fn introduce(self) -> Result<(), LabError> {
        let guest = &self.layout.guest;
        let network = &self.lab.network;
        tokio::task::block_in_place(|| network.introduce(guest.mac, &guest.addresses()))
    }

    /// Sends every probe that starts at another host than the guest. Returns what the
    /// hosts' kernels refused to send, and why.
    ///
    /// # Errors
    /// When a frame cannot be written or a namespace not be entered.
    pub fn send_from_outside(self, probes: &[Probe]) -> Result<Refusals, LabError> {
        let mut refused = Refusals::new();
        for probe in probes.iter().filter(|probe| probe.origin != Origin::Guest) {
            if let Err(error) = self.send_one(probe)? {
                refused.insert(probe.id.clone(), error.to_string());
            }
        }
        Ok(refused)
    }

    fn send_one(self, probe: &Probe) -> Result<std::io::Result<()>, LabError> {
        let network = &self.lab.network;
        let netns = match probe.origin {
            Origin::Peer | Origin::Guest => &network.peer,
            Origin::Gateway => &network.gateway,
            Origin::Wan => &network.wan,
        };
        let sender = match probe.origin {
            Origin::Gateway => &self.lab.gateway_sender,
            _ => &self.lab.peer_sender,
        };
        let from_wan = probe.origin == Origin::Wan;
        match &probe.stimulus {
            Stimulus::Frames(frames) => {
                frames.iter().try_for_each(|frame| sender.send(frame))?;
                Ok(Ok(()))
            }
            Stimulus::Udp {
                source_port,
                to,
                payload,
            } => in_namespace(netns, || {
                udp(source(from_wan, *to, *source_port), *to, payload)
            }),
            Stimulus::Ping { to, payload } => {
                in_namespace(netns, || sockets::ping(from_wan, *to, payload))
            }
            Stimulus::Tcp {
                source_port,
                to,
                payload,
            } => in_namespace(netns, || {
                tcp(source(from_wan, *to, *source_port), *to, payload)
            }),
            Stimulus::Join { .. } | Stimulus::Dhcp(_) | Stimulus::Ssh => Ok(Ok(())),
        }
    }
}

/// Runs a sending closure in a namespace. That the kernel refuses to send is no
/// breakdown: the sensor at the origin will not have seen the frame.
fn in_namespace(
    netns: &Netns,
    send: impl FnOnce() -> std::io::Result<()> + Send,
) -> Result<std::io::Result<()>, LabError> {
    tokio::task::block_in_place(|| netns.run(send))
}

/// The source address: the WAN host has many and must use the documented one.
fn source(from_wan: bool, to: SocketAddr, port: u16) -> SocketAddr {
    match (from_wan, to) {
        (true, SocketAddr::V4(_)) => SocketAddr::new(WAN4.into(), port),
        (true, SocketAddr::V6(_)) => SocketAddr::new(WAN6.into(), port),
        (false, SocketAddr::V4(_)) => SocketAddr::new(Ipv4Addr::UNSPECIFIED.into(), port),
        (false, SocketAddr::V6(_)) => SocketAddr::new(std::net::Ipv6Addr::UNSPECIFIED.into(), port),
    }
}

fn udp(from: SocketAddr, to: SocketAddr, payload: &[u8]) -> std::io::Result<()> {
    let socket = UdpSocket::bind(from)?;
    socket
        .set_broadcast(true)
        .or_else(|error| if to.is_ipv4() { Err(error) } else { Ok(()) })?;
    socket.send_to(payload, sockets::scoped(to)).map(drop)
}

/// Long enough for the guest's SYN+ACK under emulation; the probe is the SYN.
const CONNECT: Duration = Duration::from_millis(300);

fn tcp(from: SocketAddr, to: SocketAddr, payload: &[u8]) -> std::io::Result<()> {
    let socket = sockets::stream_socket(from)?;
    let begun = nix::sys::socket::connect(
        std::os::fd::AsRawFd::as_raw_fd(&socket),
        &nix::sys::socket::SockaddrStorage::from(sockets::scoped(to)),
    );
    begun.or_else(|errno| match errno {
        Errno::EINPROGRESS => Ok(()),
        errno => Err(errno),
    })?;
    let mut stream = TcpStream::from(socket);
    stream.set_write_timeout(Some(CONNECT))?;
    // Writing succeeds only once connected; a refused or dropped SYN is decided by the sensors.
    let _ = stream.write_all(payload);
    Ok(())
}
