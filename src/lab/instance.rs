//! A lab that is up: hosts, daemons and sensors together.

use super::checksums;
use super::daemon::Daemon;
use super::early_ends::EarlyEnds;
use super::error::LabError;
use super::first_look::first_look;
use super::libvirtd::{self, Libvirt};
use super::netns::Netns;
use super::network::{self, Network};
use super::packet_socket::PacketSocket;
use super::sender::Sender;
use super::sensor::Sensor;
use super::shortcuts::flush::flush_ruleset;
use super::shortcuts::{Shortcut, Shortcuts};
use super::slowness::Slowness;
use super::{dnsmasq, late, ruleset, tap};
use crate::layout::{Lan, Segment};
use crate::nwfilter::evaluate::Backend;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;
use tokio::signal::unix::{SignalKind, signal};

/// A lab that is up. Its processes end when it is dropped; its interfaces and
/// mounts when the process that entered the namespaces ends.
#[derive(Debug)]
pub struct Lab {
    /// The addresses of the hosts and of the guests to come.
    pub lan: Lan,
    /// How slow the machine was when the lab was set up; every wait is stretched by it.
    pub slowness: Slowness,
    /// The hosts' namespaces.
    pub network: Network,
    /// The connection to the private libvirtd.
    pub libvirt: Libvirt,
    /// The sensor at the LAN peer's interface.
    pub peer_sensor: Sensor,
    /// The sensor at the router's LAN interface.
    pub gateway_sensor: Sensor,
    /// The sensor at the WAN host's interface.
    pub wan_sensor: Sensor,
    /// Sends raw frames from the LAN peer.
    pub peer_sender: Sender,
    /// Sends raw frames from the router's LAN side.
    pub gateway_sender: Sender,
    /// What is done only to save time.
    pub shortcuts: Shortcuts,
    /// Which of its domains ended before they were ended.
    pub early_ends: EarlyEnds,
    dnsmasq: Daemon,
    /// A cell has begun.
    used: AtomicBool,
    /// Every rule has been flushed in this cell.
    flushed: AtomicBool,
}

impl Lab {
    /// Builds the lab in the namespaces that [`enter`](super::enter()) has made. Needs a
    /// multi-thread tokio runtime that was built there: calls of libvirt block, and are
    /// made with [`tokio::task::block_in_place`], which a current-thread runtime refuses.
    ///
    /// # Errors
    /// [`LabError::Host`] when the host lacks a program or a device; any other variant when
    /// a part of the lab does not start.
    pub async fn up(lan: Lan, shortcuts: Shortcuts, backend: Backend) -> Result<Self, LabError> {
        tap::check_device()?;
        ruleset::check_tools(backend)?;
        let started = Instant::now();
        let first_look = first_look()?;
        let libvirtd = libvirtd::start(shortcuts, backend)?;
        let network = network::build(&lan)?;
        if lan.segment == Segment::Network {
            checksums::finish(&network.gateway, backend)?;
        }
        let dnsmasq = dnsmasq::start(&lan, &network.gateway)?;
        let peer_sensor = sense("peer", &network.peer, "eth0")?;
        let gateway_sensor = sense("gateway", &network.gateway, "eth0")?;
        let wan_sensor = sense("wan", &network.wan, "eth0")?;
        let peer_sender = Sender::open(&network.peer, "eth0")?;
        let gateway_sender = Sender::open(&network.gateway, "eth0")?;
        dnsmasq::until_ready(&dnsmasq, &network.gateway, first_look).await?;
        let mut libvirt = Libvirt::connect(libvirtd, shortcuts, backend, first_look).await?;
        let slowness = Slowness::after_set_up(started.elapsed());
        libvirt.slowness = slowness;
        Ok(Self {
            lan,
            slowness,
            network,
            libvirt,
            peer_sensor,
            gateway_sensor,
            wan_sensor,
            peer_sender,
            gateway_sender,
            shortcuts,
            early_ends: EarlyEnds::default(),
            dnsmasq,
            used: AtomicBool::new(false),
            flushed: AtomicBool::new(false),
        })
    }

    /// Makes the lab ready for a cell, whose predecessor has ended: the sensors forget what
    /// they have seen, and with [`Shortcut::RestartLibvirtd`] there are no rules and a
    /// libvirtd that has run nothing. Many cells take no more memory than one.
    ///
    /// # Errors
    /// [`LabError`] when libvirtd does not start again or the rules cannot be removed.
    pub async fn begin_cell(&self) -> Result<(), LabError> {
        for sensor in [&self.peer_sensor, &self.gateway_sensor, &self.wan_sensor] {
            sensor.forget();
        }
        let flushed = self.flushed.swap(false, Ordering::Relaxed);
        let used = self.used.swap(true, Ordering::Relaxed);
        if !used || !self.shortcuts.has(Shortcut::RestartLibvirtd) {
            return Ok(());
        }
        self.libvirt.restart().await?;
        if !flushed {
            flush_ruleset(self.libvirt.backend())?;
        }
        Ok(())
    }

    /// Ends libvirtd before the last guest of a cell ends, where nobody needs it for that:
    /// nothing can be asked of libvirt until the next cell begins.
    pub fn end_cell(&self) {
        let unneeded = [Shortcut::RestartLibvirtd, Shortcut::KillGuests];
        if unneeded.into_iter().all(|one| self.shortcuts.has(one)) {
            self.libvirt.stop();
        }
    }

    /// Starts the next cell's libvirtd while this cell's guest ends. Call it after the
    /// evidence has been written, since the log of libvirtd is written to from then on.
    pub fn prepare_cell(&self) {
        self.libvirt.start_ahead();
    }

    /// Removes every rule from the kernel, at once and behind libvirt's back: nothing can
    /// be bound after that in this cell. See [`Shortcut::FlushRuleset`].
    ///
    /// # Errors
    /// [`LabError::Program`] with what a tool prints when it fails.
    pub fn flush_ruleset(&self) -> Result<(), LabError> {
        flush_ruleset(self.libvirt.backend())?;
        self.flushed.store(true, Ordering::Relaxed);
        ruleset::wait_for_rcu()
    }

    /// Has the DHCP server answer only when the guest at this tap has given up.
    ///
    /// # Errors
    /// When there is no such device, or the server is gone.
    pub fn delay_dhcp(&self, device: &str) -> Result<(), LabError> {
        late::hold(&self.dnsmasq, device)
    }

    /// Ends that.
    pub fn hasten_dhcp(&self) {
        self.dnsmasq.go_on();
    }

    /// Why the lab can no longer be trusted; none while its daemons run.
    pub fn fault(&self) -> Option<String> {
        self.libvirt.fault().or_else(|| self.dnsmasq.fault())
    }

    /// Resolves with the reason when the lab can no longer be trusted.
    ///
    /// # Errors
    /// [`LabError::System`] when the runtime cannot listen for the end of children.
    pub async fn broken(&self) -> Result<String, LabError> {
        // Listened for before the first look, so that no death falls in between.
        let mut ended = signal(SignalKind::child())
            .map_err(|source| LabError::system("listen for SIGCHLD", source))?;
        loop {
            if let Some(fault) = self.fault() {
                return Ok(fault);
            }
            ended.recv().await;
        }
    }
}

fn sense(name: &str, netns: &Netns, interface: &str) -> Result<Sensor, LabError> {
    let socket = netns.run(|| PacketSocket::open(interface))??;
    Sensor::start(name, socket)
}
