//! The hermetic world: namespaces, topology, private libvirtd, DHCP server and sensors.

mod accounts;
mod binding;
mod daemon;
mod dnsmasq;
mod enter;
mod error;
mod graft;
mod http;
mod idmap;
mod libvirtd;
mod linger;
mod mask;
mod mounts;
mod netns;
mod packet_socket;
mod pair;
mod process;
pub mod ruleset;
mod sender;
mod sensor;
mod tap;
mod tftp;
pub mod topology;
mod vhost;

pub use binding::{Binding, BindingSpec};
pub use daemon::{Daemon, log_path};
pub use dnsmasq::DOMAIN;
pub use enter::{EnterOptions, enter};
pub use error::LabError;
pub use http::Http;
pub use libvirtd::{LOG as LIBVIRTD_LOG, Libvirt, qemu_log_path};
pub use mask::EMULATOR;
pub use mounts::{STATE, image_path};
pub use netns::Netns;
pub use packet_socket::PacketSocket;
pub use pair::Pair;
pub use process::Process;
pub use sender::Sender;
pub use sensor::{Direction, Sensor, Sighted};
pub use tap::{LARGEST as LARGEST_FRAME, Tap};
pub use tftp::Tftp;
pub use topology::Topology;
pub use vhost::VhostTap;

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use tokio::signal::unix::{SignalKind, signal};

/// Longest wait for dnsmasq's sockets; tens of milliseconds here.
const DNSMASQ_START: Duration = Duration::from_secs(10);

/// A lab that is up. Its processes end when it is dropped; its interfaces and
/// mounts when the process that entered the namespaces ends.
#[derive(Debug)]
pub struct Lab {
    /// Who is where.
    pub plan: Topology,
    /// The hosts' namespaces.
    pub network: topology::Network,
    /// The connection to the private libvirtd.
    pub libvirt: Libvirt,
    /// What the LAN peer's interface saw.
    pub peer_sensor: Sensor,
    /// What the router's LAN interface saw.
    pub gateway_sensor: Sensor,
    /// What the far side saw.
    pub wan_sensor: Sensor,
    /// Raw frames from the LAN peer.
    pub peer_sender: Sender,
    /// Raw frames from the router's LAN side.
    pub gateway_sender: Sender,
    dnsmasq: Daemon,
    /// A cell has begun.
    used: AtomicBool,
    /// Every rule has been taken out of the kernel since.
    stripped: AtomicBool,
}

impl Lab {
    /// Builds the lab in the namespaces that [`enter`] has made.
    pub async fn up(plan: Topology) -> Result<Self, LabError> {
        tun_device()?;
        ruleset::tools()?;
        let libvirtd = libvirtd::start()?;
        let network = topology::build(&plan)?;
        let dnsmasq = dnsmasq::start(&plan, &network.gateway)?;
        let peer_sensor = sense("peer", &network.peer, "eth0")?;
        let gateway_sensor = sense("gateway", &network.gateway, "eth0")?;
        let wan_sensor = sense("wan", &network.wan, "eth0")?;
        let peer_sender = Sender::open(&network.peer, "eth0")?;
        let gateway_sender = Sender::open(&network.gateway, "eth0")?;
        dnsmasq
            .until("dnsmasq's DHCP socket", DNSMASQ_START, || {
                dnsmasq::ready(&network.gateway)
            })
            .await?;
        let libvirt = Libvirt::connect(libvirtd).await?;
        Ok(Self {
            plan,
            network,
            libvirt,
            peer_sensor,
            gateway_sensor,
            wan_sensor,
            peer_sender,
            gateway_sender,
            dnsmasq,
            used: AtomicBool::new(false),
            stripped: AtomicBool::new(false),
        })
    }

    /// Makes it as new for a cell, whose predecessor has ended: nothing that was seen,
    /// no rule, and a libvirtd that has run nothing. Many cells take no more memory than one.
    ///
    /// # Errors
    /// When libvirtd does not start again or rules cannot be taken away.
    pub async fn begin_cell(&self) -> Result<(), LabError> {
        for sensor in [&self.peer_sensor, &self.gateway_sensor, &self.wan_sensor] {
            sensor.forget();
        }
        if !self.used.swap(true, Ordering::Relaxed) {
            return Ok(());
        }
        self.libvirt.renew().await?;
        if !self.stripped.swap(false, Ordering::Relaxed) {
            ruleset::strip()?;
        }
        Ok(())
    }

    /// Ends what only a living guest needs, before the last guest of a cell ends: nothing
    /// can be asked of libvirt until the next cell begins.
    pub fn end_cell(&self) {
        self.libvirt.rest();
    }

    /// Starts what the next cell needs while this one's guest ends, after whose evidence
    /// has been written: the log of libvirtd goes on.
    pub fn prepare_cell(&self) {
        self.libvirt.prepare();
    }

    /// Takes every rule out of the kernel, at once and behind libvirt's back: nothing can
    /// be bound after that in this cell.
    ///
    /// # Errors
    /// What the tools say.
    pub fn strip(&self) -> Result<(), LabError> {
        ruleset::strip()?;
        self.stripped.store(true, Ordering::Relaxed);
        ruleset::settle()
    }

    /// Why the lab can no longer be trusted; none while its daemons run.
    pub fn fault(&self) -> Option<String> {
        self.libvirt.fault().or_else(|| self.dnsmasq.fault())
    }

    /// Resolves with the reason when the lab can no longer be trusted.
    ///
    /// # Errors
    /// When the runtime cannot listen for the end of children.
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

/// A private libvirtd without network and hosts, in the namespaces that
/// [`enter`] has made: enough to define filters. It ends when it is dropped.
pub async fn filters_only() -> Result<Libvirt, LabError> {
    Libvirt::connect(libvirtd::start()?).await
}

/// Whether a program can be found.
fn in_path(program: &str) -> bool {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path).any(|dir| dir.join(program).exists())
}

fn sense(name: &str, netns: &Netns, interface: &str) -> Result<Sensor, LabError> {
    let socket = netns.run(|| PacketSocket::open(interface))??;
    Sensor::start(name, socket)
}

/// QEMU's taps come from /dev/net/tun; libvirt's own message does not name a cure.
fn tun_device() -> Result<(), LabError> {
    let path = "/dev/net/tun";
    let Err(error) = std::fs::File::options().read(true).write(true).open(path) else {
        return Ok(());
    };
    let cure = match error.kind() {
        std::io::ErrorKind::PermissionDenied => {
            "`sudo chmod 0666 /dev/net/tun` (udev's default), or run as root"
        }
        _ => "`sudo modprobe tun`; in a container, pass the device in",
    };
    Err(LabError::host(
        format!("{path} cannot be opened: {error}"),
        cure,
    ))
}
