//! `Op::Dhcp`: busybox udhcpc, watched through its script.
//!
//! PID 1 acts on an event before it lets the script end: udhcpc goes on only once its script
//! has configured the device, as on any system.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv4Addr};
use std::os::fd::{AsFd, BorrowedFd};
use std::path::PathBuf;
use std::process::Command;
use std::time::{Duration, Instant};

use lanfence_agent::Answer;
use lanfence_frame::dhcp::{CLIENT_PORT, SERVER_PORT};
use lanfence_frame::{DhcpStep, Mac};
use nix::poll::PollFlags;
use nix::sys::signal::Signal;
use nix::unistd::Pid;

use crate::address::{Flush, flush, metric};
use crate::children::{Children, last_line};
use crate::neighbour_hold::NeighbourHold;
use crate::netlink::{Neighbour, Netlink};
use crate::script::{self, Event, Script};
use crate::wait::{Deadline, ms_since, ready, until};

const LOOPBACK: &str = "lo";

/// How often a client that may have died is looked at.
const LOOK_MS: u64 = 50;

/// The DHCP clients of the guest, one a device at most.
#[derive(Debug)]
pub struct Dhcp {
    script: Script,
    clients: HashMap<String, Client>,
}

#[derive(Debug)]
struct Client {
    pid: Pid,
    log: PathBuf,
    /// The last event that brought a lease.
    lease: Option<Event>,
}

impl Dhcp {
    /// Prepares what udhcpc will run and what that will talk to.
    pub fn new() -> Result<Self, String> {
        Ok(Self {
            script: Script::new()?,
            clients: HashMap::new(),
        })
    }

    /// Takes one step in the life of a lease.
    pub fn step(
        &mut self,
        netlink: &mut Netlink,
        children: &mut Children,
        dev: &str,
        step: DhcpStep,
        deadline_ms: u64,
    ) -> Result<Answer, String> {
        let start = Instant::now();
        let deadline = Deadline::in_ms(deadline_ms);
        // Events of the past, so that none is taken for the answer to this step.
        self.take_events(netlink)?;
        let event = match step {
            DhcpStep::Bind => {
                self.start(children, dev)?;
                let event = self.wait_for(netlink, children, dev, "bound", deadline)?;
                if event.is_none() {
                    // It would go on asking while the next probes run.
                    self.end(children, dev);
                }
                event
            }
            DhcpStep::Renew => {
                self.ask_to_renew(netlink, children, dev, deadline)?;
                self.wait_for(netlink, children, dev, "renew", deadline)?
            }
            DhcpStep::Release => {
                let (pid, _) = self.ready_for_unicast(netlink, dev, deadline)?;
                children.signal(pid, Signal::SIGUSR2)?;
                let event = self.wait_for(netlink, children, dev, "deconfig", deadline)?;
                // The release is sent; on SIGTERM, a client without `-R` sends nothing more.
                let _ = children.signal(pid, Signal::SIGTERM);
                self.end(children, dev);
                event
            }
        };
        Ok(answer(event.as_ref(), ms_since(start)))
    }

    /// Applies events that came on their own, such as a renewal at half time.
    pub fn serve(&mut self, netlink: &mut Netlink) -> Result<(), String> {
        self.take_events(netlink).map(drop)
    }

    /// Runs a client on the loopback device until it has called its script; the event is
    /// discarded.
    pub fn rehearse(
        &mut self,
        netlink: &mut Netlink,
        children: &mut Children,
        deadline: Deadline,
    ) -> Result<(), String> {
        let (pid, _) = self.spawn(children, LOOPBACK)?;
        let called = self.wait_for(netlink, children, LOOPBACK, "deconfig", deadline);
        children.end(pid);
        called.map(drop)
    }

    /// The device's client, bound, and the first hop to its server if that answers.
    fn ready_for_unicast(
        &self,
        netlink: &mut Netlink,
        dev: &str,
        deadline: Deadline,
    ) -> Result<(Pid, Option<Hop>), String> {
        let client = self.clients.get(dev);
        let Some((pid, lease)) = client.and_then(|it| Some((it.pid, it.lease.as_ref()?))) else {
            return Err(format!("no lease is bound on {dev}"));
        };
        Ok((pid, resolve_server(netlink, lease, deadline)?))
    }

    /// Tells the client to renew, and makes sure that it can receive the answer.
    fn ask_to_renew(
        &self,
        netlink: &mut Netlink,
        children: &mut Children,
        dev: &str,
        deadline: Deadline,
    ) -> Result<(), String> {
        let (pid, hop) = self.ready_for_unicast(netlink, dev, deadline)?;
        let Some(Hop { index, ip, mac }) = hop else {
            return children.signal(pid, Signal::SIGUSR1);
        };
        let hold = NeighbourHold::start(netlink, dev, index, ip, mac)?;
        children.signal(pid, Signal::SIGUSR1)?;
        hold.wait_for_sender(netlink, CLIENT_PORT, SERVER_PORT)?;
        hold.release(netlink)
    }

    fn start(&mut self, children: &mut Children, dev: &str) -> Result<(), String> {
        self.end(children, dev);
        let (pid, log) = self.spawn(children, dev)?;
        let client = Client {
            pid,
            log,
            lease: None,
        };
        self.clients.insert(dev.to_owned(), client);
        Ok(())
    }

    /// Ends the device's client, if any; it sends nothing more.
    fn end(&mut self, children: &mut Children, dev: &str) {
        if let Some(client) = self.clients.remove(dev) {
            children.end(client.pid);
        }
    }

    fn wait_for(
        &mut self,
        netlink: &mut Netlink,
        children: &mut Children,
        dev: &str,
        wanted: &str,
        deadline: Deadline,
    ) -> Result<Option<Event>, String> {
        loop {
            let mut events = self.take_events(netlink)?.into_iter();
            if let Some(event) = events.find(|it| it.interface == dev && it.name == wanted) {
                return Ok(Some(event));
            }
            if let Some(client) = self.clients.get(dev)
                && let Some(end) = children.ended(client.pid)
            {
                let log = last_line(&client.log);
                self.clients.remove(dev);
                return Err(format!("udhcpc on {dev} ended with {end}: {log}"));
            }
            if deadline.passed() {
                return Ok(None);
            }
            let look = Deadline::in_ms(LOOK_MS.min(ms(deadline.left())));
            ready(self.as_fd(), PollFlags::POLLIN, look)
                .map_err(|errno| format!("cannot wait for udhcpc: {errno}"))?;
        }
    }

    /// Takes the events that there are, applies each, and lets its udhcpc go on.
    fn take_events(&mut self, netlink: &mut Netlink) -> Result<Vec<Event>, String> {
        let events = self.script.events()?;
        let mut all = Ok(());
        for event in &events {
            all = all.and(self.apply(netlink, event));
            self.script.resume(event);
        }
        all.map(|()| events)
    }

    fn apply(&mut self, netlink: &mut Netlink, event: &Event) -> Result<(), String> {
        // The event is of a client that has been replaced.
        let Some(client) = self.clients.get_mut(&event.interface) else {
            return Ok(());
        };
        let index = netlink.link_by_name(&event.interface)?.index;
        match event.name.as_str() {
            "deconfig" => {
                client.lease = None;
                flush(netlink, index, Flush::V4)
            }
            "bound" | "renew" => {
                client.lease = Some(event.clone());
                let ip = event.ip.ok_or("udhcpc names no address")?;
                netlink.add_address(index, ip.into(), event.prefix.unwrap_or(32))?;
                let router =
                    |router: Ipv4Addr| netlink.add_router(index, router.into(), metric(index, 0));
                event.router.map_or(Ok(()), router)
            }
            // `leasefail` and `nak`: it tries again by itself.
            _ => Ok(()),
        }
    }

    /// Starts udhcpc on the device; its process and its log.
    fn spawn(&mut self, children: &mut Children, dev: &str) -> Result<(Pid, PathBuf), String> {
        self.script.expect(dev)?;
        let log = PathBuf::from(format!("/run/udhcpc.{dev}.log"));
        // Tries every second; the step's own deadline ends that.
        let words = [
            "udhcpc",
            "-i",
            dev,
            "-f",
            "-t",
            "600",
            "-T",
            "1",
            "-A",
            "1",
            "-s",
            script::PATH,
        ];
        let pid = children.start(Command::new("/bin/busybox").args(words), &log)?;
        Ok((pid, log))
    }
}

impl AsFd for Dhcp {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.script.as_fd()
    }
}

fn ms(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

/// The first hop to a server.
#[derive(Debug)]
struct Hop {
    index: u32,
    ip: IpAddr,
    mac: Mac,
}

/// Has the way to the server resolved before udhcpc speaks to it alone: a
/// DHCPRELEASE that is queued behind the resolution would be dropped when its
/// source address goes away. Nothing if nobody answers.
fn resolve_server(
    netlink: &mut Netlink,
    lease: &Event,
    deadline: Deadline,
) -> Result<Option<Hop>, String> {
    let Some(ip) = first_hop(lease).map(IpAddr::from) else {
        return Ok(None);
    };
    let index = netlink.link_by_name(&lease.interface)?.index;
    netlink.solicit(index, ip)?;
    let known = until(deadline, Duration::from_millis(1), || {
        let state = netlink.neighbour(index, ip)?;
        Ok::<_, String>((state != Neighbour::Pending).then_some(state))
    })?;
    Ok(match known {
        Some(Neighbour::Known(mac)) => Some(Hop { index, ip, mac }),
        _ => None,
    })
}

/// The server itself when it is on the lease's own network, else the router.
fn first_hop(lease: &Event) -> Option<Ipv4Addr> {
    let (ip, server) = (lease.ip?, lease.server?);
    if same_net(ip, server, lease.prefix?) {
        return Some(server);
    }
    lease.router
}

fn same_net(one: Ipv4Addr, other: Ipv4Addr, prefix: u8) -> bool {
    let mask = u32::MAX
        .checked_shl(32 - u32::from(prefix.min(32)))
        .unwrap_or(0);
    (u32::from(one) ^ u32::from(other)) & mask == 0
}

fn answer(event: Option<&Event>, took_ms: u64) -> Answer {
    Answer::Dhcp {
        ok: event.is_some(),
        address: event.and_then(|event| event.ip),
        prefix: event.and_then(|event| event.prefix),
        router: event.and_then(|event| event.router),
        server: event.and_then(|event| event.server),
        took_ms,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn on_link_is_told_from_off_link() {
        let [one, other] = [[192, 168, 1, 7], [192, 168, 2, 7]].map(Ipv4Addr::from);
        assert!(same_net(one, other, 16));
        assert!(!same_net(one, other, 24));
        assert!(!same_net(one, other, 32));
        assert!(same_net(one, other, 0));
    }

    #[test]
    fn no_event_is_a_step_that_failed() {
        let Answer::Dhcp { ok, address, .. } = answer(None, 5) else {
            panic!("not an answer of DHCP");
        };
        assert_eq!((ok, address), (false, None));
    }
}
