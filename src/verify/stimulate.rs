//! Sends the probes of one phase from where they start.

use super::{sockets, ssh};
use crate::frame::Phase;
use crate::guest::{AgentClient, GuestError};
use crate::lab::topology::{WAN4, WAN6, mac_text};
use crate::lab::{Lab, LabError, Netns};
use crate::probe::{Expect, Origin, Probe, Scene, Stimulus};
use lanfence_agent::{Answer, DhcpStep, Op, to_hex};
use std::collections::HashMap;
use std::io::Write as _;
use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpStream, UdpSocket};
use std::thread::JoinHandle;
use std::time::Duration;

/// Longest answer of the agent to a request without a deadline of its own.
pub const ANSWER: Duration = Duration::from_secs(15);

/// Longest DHCP step: udhcpc repeats each second and gives up after three tries.
const DHCP: Duration = Duration::from_secs(6);

/// Longest wait for a neighbour's MAC: the kernel asks three times, once a second.
const NEIGHBOUR: Duration = Duration::from_millis(1500);

/// Longest SSH exchange with a guest under emulation.
pub const SSH: Duration = Duration::from_secs(8);

/// Why a probe's sender did not send it, by the probe's id.
pub type Refusals = HashMap<String, String>;

/// The guest's side of a phase.
pub struct Sender<'a> {
    /// The lab.
    pub lab: &'a Lab,
    /// The agent in the guest.
    pub agent: &'a mut AgentClient,
    /// Device name in the guest.
    pub dev: &'a str,
    /// Addresses.
    pub scene: &'a Scene,
    /// The key for SSH.
    pub key: &'a ssh::Key,
}

impl Sender<'_> {
    async fn ask(&mut self, op: Op) -> Result<Answer, GuestError> {
        self.agent.ask(op, ANSWER).await
    }

    /// Takes the guest's DHCP client through renew, release and a fresh lease,
    /// then puts the addresses back whatever came of it, so that a filter that
    /// stops DHCP does not hide everything else.
    pub async fn dhcp(&mut self, steps: &[DhcpStep]) -> Result<Vec<(DhcpStep, bool)>, GuestError> {
        let mut done = Vec::new();
        for step in steps {
            if done.iter().any(|(_, ok)| !ok) {
                // Without a lease there is none to renew or to give back.
                done.push((*step, false));
                continue;
            }
            let op = Op::Dhcp {
                dev: self.dev.into(),
                step: *step,
                deadline_ms: millis(DHCP),
            };
            let answer = self.agent.ask(op, DHCP + ANSWER).await;
            let ok = match answer {
                Ok(Answer::Dhcp { ok, .. }) => ok,
                // A client that is not bound cannot renew: that is an outcome, not a breakdown.
                Ok(_) | Err(GuestError::Agent { .. }) => false,
                Err(error) => return Err(error),
            };
            done.push((*step, ok));
        }
        self.configure().await?;
        Ok(done)
    }

    /// Gives the guest its addresses and routes.
    pub async fn configure(&mut self) -> Result<(), GuestError> {
        let guest = &self.scene.guest;
        let addresses = vec![
            format!("{}/{}", guest.v4, self.scene.lan4.prefix_len()),
            format!("{}/{}", guest.v6, self.lab.plan.lan6.prefix_len()),
            format!("{}/64", guest.link_local),
        ];
        let routers = vec![
            self.scene.gateway.v4.into(),
            self.scene.gateway.link_local.into(),
        ];
        self.ask(Op::Configure {
            dev: self.dev.into(),
            addresses,
            routers,
        })
        .await
        .map(drop)
    }

    /// Makes the guest known to its neighbours. In every phase anew: dnsmasq
    /// turns the entry of an address that it leases into one that ages.
    pub fn introduce(&self) -> Result<(), LabError> {
        let guest = &self.scene.guest;
        let addresses = [guest.v4.into(), guest.link_local.into(), guest.v6.into()];
        let network = &self.lab.network;
        tokio::task::block_in_place(|| network.introduce(guest.mac, &addresses))
    }

    /// Lets the guest's kernel find its neighbours, so that no probe waits in a
    /// queue behind an ARP question. One that is not found is no error here:
    /// its probes will be seen never to have left.
    pub async fn meet_neighbours(&mut self) -> Result<(), GuestError> {
        let (gateway, peer) = (&self.scene.gateway, &self.scene.peer);
        let neighbours: [IpAddr; 6] = [
            gateway.v4.into(),
            peer.v4.into(),
            gateway.link_local.into(),
            peer.link_local.into(),
            gateway.v6.into(),
            peer.v6.into(),
        ];
        for address in neighbours {
            let op = Op::Resolve {
                dev: self.dev.into(),
                address,
                deadline_ms: millis(NEIGHBOUR),
            };
            self.ask(op).await?;
        }
        Ok(())
    }

    /// Tells the guest the neighbours that the policy does not count as LAN. A
    /// filter that is there from the start stops the question for them, and the
    /// probes to them shall leave all the same.
    pub async fn tell_forbidden_neighbours(&mut self, probes: &[Probe]) -> Result<(), GuestError> {
        let (gateway, peer) = (&self.scene.gateway, &self.scene.peer);
        let hosts = [gateway, peer].map(|host| (host.mac, [host.v6, host.link_local]));
        for (kind, like) in [peer.v6, peer.link_local].into_iter().enumerate() {
            if !probes.iter().any(|probe| is_forbidden(probe, like.into())) {
                continue;
            }
            for (mac, addresses) in hosts {
                let op = Op::Know {
                    dev: self.dev.into(),
                    address: addresses[kind].into(),
                    mac: mac_text(mac),
                };
                self.ask(op).await?;
            }
        }
        Ok(())
    }

    /// Sends every probe that is not a DHCP step: first those that use the
    /// guest's stack, then the raw frames, then those from outside. Of the early
    /// phase the forbidden raw frames were the first of all.
    ///
    /// Returns what the guest's stack refused to send, and why, by probe.
    pub async fn send(&mut self, probes: &[Probe], phase: Phase) -> Result<Refusals, GuestError> {
        let mut raw = Vec::new();
        let mut refused = Refusals::new();
        for probe in probes.iter().filter(|probe| probe.origin == Origin::Guest) {
            match &probe.stimulus {
                Stimulus::Frames(_) if phase == Phase::Early && probe.expect == Expect::Drop => {}
                Stimulus::Frames(frames) => raw.extend(frames.iter().map(|frame| to_hex(frame))),
                Stimulus::Dhcp(_) | Stimulus::Ssh => {}
                other => {
                    if let Some(why) = self.through_stack(other).await? {
                        refused.insert(probe.id.clone(), why);
                    }
                }
            }
        }
        self.frames(raw).await?;
        for probe in probes.iter().filter(|probe| probe.origin != Origin::Guest) {
            self.send_from_outside(probe)?;
        }
        Ok(refused)
    }

    /// Writes the raw frames in the guest that must not get out.
    pub async fn forbidden_frames(&mut self, probes: &[Probe]) -> Result<(), GuestError> {
        let from_guest = |probe: &&Probe| probe.origin == Origin::Guest;
        let forbidden = |probe: &&Probe| probe.expect == Expect::Drop;
        let mut raw = Vec::new();
        for probe in probes.iter().filter(from_guest).filter(forbidden) {
            if let Stimulus::Frames(frames) = &probe.stimulus {
                raw.extend(frames.iter().map(|frame| to_hex(frame)));
            }
        }
        self.frames(raw).await
    }

    /// Takes the guest out of the groups and connections of an earlier phase,
    /// so that it joins and connects anew.
    pub async fn start_afresh(&mut self) -> Result<(), GuestError> {
        self.ask(Op::Leave).await.map(drop)
    }

    /// Writes raw frames in the guest.
    pub async fn frames(&mut self, frames: Vec<String>) -> Result<(), GuestError> {
        if frames.is_empty() {
            return Ok(());
        }
        self.ask(Op::Frames {
            dev: self.dev.into(),
            frames,
        })
        .await
        .map(drop)
    }

    async fn through_stack(&mut self, stimulus: &Stimulus) -> Result<Option<String>, GuestError> {
        let dev = self.dev.to_owned();
        let op = match stimulus {
            Stimulus::Udp {
                source_port,
                to,
                payload,
            } => Op::Udp {
                dev,
                source_port: *source_port,
                to: *to,
                payload: to_hex(payload),
            },
            Stimulus::Ping { to, payload } => Op::Ping {
                dev,
                to: *to,
                payload: to_hex(payload),
            },
            Stimulus::Tcp {
                source_port,
                to,
                payload,
            } => Op::Tcp {
                dev,
                source_port: *source_port,
                to: *to,
                payload: to_hex(payload),
                deadline_ms: 0,
            },
            Stimulus::Join { group, port } => Op::Join {
                dev,
                group: *group,
                port: *port,
            },
            Stimulus::Frames(_) | Stimulus::Dhcp(_) | Stimulus::Ssh => return Ok(None),
        };
        match self.ask(op).await {
            // A socket that refuses (no route, no address) has sent nothing; the tap's sensor says so.
            Ok(_) => Ok(None),
            Err(GuestError::Agent { message, .. }) => Ok(Some(message)),
            Err(error) => Err(error),
        }
    }

    fn send_from_outside(&mut self, probe: &Probe) -> Result<(), GuestError> {
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
        let far_side = probe.origin == Origin::Wan;
        match &probe.stimulus {
            Stimulus::Frames(frames) => frames.iter().try_for_each(|frame| sender.send(frame))?,
            Stimulus::Udp {
                source_port,
                to,
                payload,
            } => {
                in_namespace(netns, || {
                    udp(source(far_side, *to, *source_port), *to, payload)
                })?;
            }
            Stimulus::Ping { to, payload } => {
                in_namespace(netns, || sockets::ping(far_side, *to, payload))?;
            }
            Stimulus::Tcp {
                source_port,
                to,
                payload,
            } => {
                in_namespace(netns, || {
                    tcp(source(far_side, *to, *source_port), *to, payload)
                })?;
            }
            Stimulus::Join { .. } | Stimulus::Dhcp(_) | Stimulus::Ssh => {}
        }
        Ok(())
    }

    /// Begins to log in from the LAN peer and to run a command. The guest's CPU is
    /// busy with it for most of a phase, and the other probes need little of it.
    pub fn ssh(&self) -> Result<Exchange, LabError> {
        let to = SocketAddr::new(self.scene.guest.v4.into(), 22);
        let key = self.key.clone();
        let peer = &self.lab.network.peer;
        Ok(Exchange(peer.begin(move || ssh::exchange(to, &key, SSH))?))
    }
}

/// An SSH exchange under way.
pub struct Exchange(JoinHandle<Result<bool, LabError>>);

impl Exchange {
    /// Waits for its end, which has a deadline; whether it was answered.
    pub fn end(self) -> Result<bool, LabError> {
        tokio::task::block_in_place(|| self.0.join())
            .unwrap_or_else(|panic| std::panic::resume_unwind(panic))
    }
}

/// Whether the probe is sent to the address by the guest's own stack and must be stopped.
fn is_forbidden(probe: &Probe, address: IpAddr) -> bool {
    let to = match &probe.stimulus {
        Stimulus::Udp { to, .. } | Stimulus::Tcp { to, .. } => to.ip(),
        Stimulus::Ping { to, .. } => *to,
        _ => return false,
    };
    probe.origin == Origin::Guest && probe.expect == Expect::Drop && to == address
}

/// Runs a sending closure in a namespace. That the kernel refuses to send is no
/// breakdown: the sensor at the origin will not have seen the frame.
fn in_namespace(
    netns: &Netns,
    send: impl FnOnce() -> std::io::Result<()> + Send,
) -> Result<(), LabError> {
    tokio::task::block_in_place(|| netns.run(|| drop(send())))
}

/// The source address: the far side has many and must use the documented one.
fn source(far_side: bool, to: SocketAddr, port: u16) -> SocketAddr {
    match (far_side, to) {
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
    let _ = nix::sys::socket::connect(
        std::os::fd::AsRawFd::as_raw_fd(&socket),
        &nix::sys::socket::SockaddrStorage::from(sockets::scoped(to)),
    );
    let mut stream = TcpStream::from(socket);
    stream.set_write_timeout(Some(CONNECT))?;
    // Writing succeeds only once connected; a refused or dropped SYN is decided by the sensors.
    let _ = stream.write_all(payload);
    Ok(())
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}
