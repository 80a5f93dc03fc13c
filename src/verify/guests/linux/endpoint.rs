//! A real guest at the guest's end of the wire: its stack sends, its agent is told what to send.

use super::ssh;
use crate::frame::{DhcpStep, Mac, mac_text, to_hex};
use crate::guest::{AgentClient, AgentWords, GuestError};
use crate::probe::{Expect, Origin, Pass, Probe, Stimulus};
use crate::verify::endpoint::{Endpoint, Exchange, Hosts, Moment, Refusals};
use lanfence_agent::{Answer, Op};
use std::net::{IpAddr, SocketAddrV4};
use std::time::Duration;

/// Longest answer of the agent to a request without a deadline of its own.
pub const ANSWER: Duration = Duration::from_secs(15);

/// Longest DHCP step: udhcpc repeats each second, and a busy machine loses some.
const DHCP: Duration = Duration::from_secs(6);

/// Longest wait for a neighbour's MAC: the kernel asks anew after a second.
const NEIGHBOUR: Duration = Duration::from_millis(1500);

/// Longest SSH exchange with a guest under emulation.
pub const SSH: Duration = Duration::from_secs(8);

/// A real guest, through the agent in it.
pub struct LinuxEndpoint<'a> {
    /// The lab and its addresses.
    pub hosts: Hosts<'a>,
    /// The agent in the guest.
    pub agent: &'a mut AgentClient,
    /// Device name in the guest.
    pub dev: &'a str,
    /// The guest's SSH host key.
    pub host_key: &'a str,
    /// Whether its NIC has a receive blackout after each change of its groups.
    pub has_rx_blackout: bool,
}

impl LinuxEndpoint<'_> {
    async fn ask(&mut self, op: Op) -> Result<Answer, GuestError> {
        self.agent.ask(op, ANSWER).await
    }

    async fn tell_neighbour(&mut self, address: IpAddr, mac: Mac) -> Result<(), GuestError> {
        self.ask(Op::SetNeighbour {
            dev: self.dev.into(),
            address,
            mac: mac_text(mac),
        })
        .await
        .map(drop)
    }

    /// Gives the guest its addresses and routes.
    ///
    /// # Errors
    /// When the agent does not answer or fails the request.
    pub async fn configure(&mut self) -> Result<(), GuestError> {
        let layout = self.hosts.layout;
        let guest = &layout.guest;
        let addresses = vec![
            format!("{}/{}", guest.v4, layout.lan4.prefix_len()),
            format!("{}/{}", guest.v6, layout.lan6.prefix_len()),
            format!("{}/64", guest.link_local),
        ];
        let routers = vec![layout.gateway.v4.into(), layout.gateway.link_local.into()];
        self.ask(Op::Configure {
            dev: self.dev.into(),
            addresses,
            routers,
        })
        .await
        .map(drop)
    }

    /// Writes the raw frames in the guest that must not get out.
    ///
    /// # Errors
    /// When the agent does not answer or fails the request.
    pub async fn forbidden_frames(&mut self, probes: &[Probe]) -> Result<(), GuestError> {
        let from_guest = |probe: &&Probe| probe.origin == Origin::Guest;
        let forbidden = |probe: &&Probe| probe.expect == Expect::Drop;
        let mut raw = Vec::new();
        for probe in probes.iter().filter(from_guest).filter(forbidden) {
            if let Stimulus::Frames(frames) = &probe.stimulus {
                raw.extend(frames.iter().cloned());
            }
        }
        self.frames(&raw).await
    }

    /// Has the guest's stack send the probes that it can; what it refused, and why. A socket
    /// that refuses (no route, no address) has sent nothing; the tap's sensor says so.
    async fn through_stack(
        &mut self,
        before: Option<Op>,
        probes: impl Iterator<Item = &Probe>,
    ) -> Result<Refusals, GuestError> {
        let (ids, asked): (Vec<String>, Vec<Op>) = probes
            .filter_map(|probe| Some((probe.id.clone(), self.op(&probe.stimulus)?)))
            .unzip();
        let unasked = before.iter().len();
        let ops = before.into_iter().chain(asked).collect();
        let results = self.agent.ask_several(ops, ANSWER).await?;
        let refused = ids.into_iter().zip(results.into_iter().skip(unasked));
        Ok(refused
            .filter_map(|(id, result)| Some((id, result.err()?)))
            .collect())
    }

    /// What the agent is asked for a probe that the guest's stack sends.
    fn op(&self, stimulus: &Stimulus) -> Option<Op> {
        let dev = self.dev.to_owned();
        Some(match stimulus {
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
            Stimulus::Frames(_) | Stimulus::Dhcp(_) | Stimulus::Ssh => return None,
        })
    }
}

impl Endpoint for LinuxEndpoint<'_> {
    /// Takes the guest's DHCP client through renew, release and a fresh lease,
    /// then puts the addresses back even where that failed, so that a filter that
    /// stops DHCP does not hide everything else.
    async fn dhcp(&mut self, steps: &[DhcpStep]) -> Result<Vec<(DhcpStep, bool)>, GuestError> {
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
                deadline_ms: millis(self.agent.stretch(DHCP)),
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

    /// Lets the guest's kernel find its neighbours, so that no probe waits in a
    /// queue behind an ARP question. Where a filter may have stopped the question the
    /// guest is told the answer, since the probes shall leave all the same. Without
    /// one its probes will be seen never to have left.
    async fn meet_neighbours(&mut self, pass: Pass) -> Result<(), GuestError> {
        let (gateway, peer) = (&self.hosts.layout.gateway, &self.hosts.layout.peer);
        let neighbours: [(IpAddr, Mac); 6] = [
            (gateway.v4.into(), gateway.mac),
            (peer.v4.into(), peer.mac),
            (gateway.link_local.into(), gateway.mac),
            (peer.link_local.into(), peer.mac),
            (gateway.v6.into(), gateway.mac),
            (peer.v6.into(), peer.mac),
        ];
        let ops = neighbours.map(|(address, _)| Op::Resolve {
            dev: self.dev.into(),
            address,
            deadline_ms: millis(self.agent.stretch(NEIGHBOUR)),
        });
        // One after the other, and all of them may be silent.
        let longest = NEIGHBOUR * u32::try_from(ops.len()).unwrap_or(u32::MAX);
        let asked = self.agent.ask_several(ops.to_vec(), longest + ANSWER);
        for ((address, mac), result) in neighbours.into_iter().zip(asked.await?) {
            let answer = result.map_err(|words| GuestError::Agent {
                doing: "resolve".into(),
                source: AgentWords(words),
            })?;
            let silent = matches!(answer, Answer::Neighbour { mac: None });
            if silent && matches!(pass, Pass::FirstFrame | Pass::Filtered) {
                self.tell_neighbour(address, mac).await?;
            }
        }
        Ok(())
    }

    /// Tells the guest the neighbours that the policy does not count as LAN. A
    /// filter that is there from the start stops the question for them, and the
    /// probes to them shall leave all the same.
    async fn tell_forbidden_neighbours(&mut self, probes: &[Probe]) -> Result<(), GuestError> {
        let (gateway, peer) = (&self.hosts.layout.gateway, &self.hosts.layout.peer);
        let hosts = [gateway, peer].map(|host| (host.mac, [host.v6, host.link_local]));
        for (kind, like) in [peer.v6, peer.link_local].into_iter().enumerate() {
            if !probes.iter().any(|probe| is_forbidden(probe, like.into())) {
                continue;
            }
            for (mac, addresses) in hosts {
                self.tell_neighbour(addresses[kind].into(), mac).await?;
            }
        }
        Ok(())
    }

    async fn start_afresh(&mut self) -> Result<(), GuestError> {
        self.ask(Op::Reset).await.map(drop)
    }

    /// Leaves the groups of an earlier pass and joins them anew. A NIC with a
    /// receive blackout joins at the end of a pass, when nothing is awaited any more; in the
    /// first-frame pass at its beginning, since the NIC has just been set up.
    async fn join(
        &mut self,
        probes: &[Probe],
        pass: Pass,
        moment: Moment,
    ) -> Result<Refusals, GuestError> {
        let best = match pass {
            Pass::FirstFrame => Moment::First,
            _ => Moment::Last,
        };
        if !self.has_rx_blackout || moment != best || !probes.iter().any(is_join) {
            return Ok(Refusals::new());
        }
        if moment == Moment::First {
            // A report names the guest's address.
            self.configure().await?;
        }
        self.through_stack(Some(Op::Leave), probes.iter().filter(|it| is_join(it)))
            .await
    }

    /// First those that use the guest's stack, then the raw frames, of which in
    /// the first-frame pass the forbidden ones were the first of all. Returns what the
    /// stack refused to send, and why.
    async fn send(&mut self, probes: &[Probe], pass: Pass) -> Result<Refusals, GuestError> {
        let mut raw = Vec::new();
        let mut others = Vec::new();
        for probe in probes.iter().filter(|probe| probe.origin == Origin::Guest) {
            match &probe.stimulus {
                Stimulus::Frames(_) if pass == Pass::FirstFrame && probe.expect == Expect::Drop => {
                }
                Stimulus::Frames(frames) => raw.extend(frames.iter().cloned()),
                Stimulus::Join { .. } if self.has_rx_blackout => {}
                _ => others.push(probe),
            }
        }
        let leave = (!self.has_rx_blackout).then_some(Op::Leave);
        let refused = self.through_stack(leave, others.into_iter()).await?;
        self.frames(&raw).await?;
        Ok(refused)
    }

    async fn frames(&mut self, frames: &[Vec<u8>]) -> Result<(), GuestError> {
        if frames.is_empty() {
            return Ok(());
        }
        self.ask(Op::Frames {
            dev: self.dev.into(),
            frames: frames.iter().map(|frame| to_hex(frame)).collect(),
        })
        .await
        .map(drop)
    }

    /// Begins to log in and to run a command. The guest's CPU is busy with it for
    /// most of a pass, and the other probes need little CPU time.
    fn ssh(&mut self, port: u16) -> Result<Exchange, GuestError> {
        let Hosts { lab, layout } = self.hosts;
        let ends = (port, SocketAddrV4::new(layout.guest.v4, 22));
        let host_key = self.host_key.to_owned();
        let longest = lab.slowness.stretch(SSH);
        let begun = lab
            .network
            .peer
            .begin(move || ssh::exchange(ends, &host_key, longest));
        Ok(Exchange(begun?))
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

fn is_join(probe: &Probe) -> bool {
    matches!(probe.stimulus, Stimulus::Join { .. })
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}
