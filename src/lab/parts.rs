//! The parts of a lab one by one, for those who need no whole one.

use super::daemon::Daemon;
use super::dnsmasq;
use super::error::LabError;
use super::first_look::first_look;
use super::libvirtd::{self, Libvirt};
use super::network::{self, Network};
use super::shortcuts::Shortcuts;
use super::tap;
use crate::layout::Lan;
use crate::nwfilter::evaluate::Backend;

/// The hosts of a lab with their bridge and the DHCP server, which ends when this is dropped.
#[derive(Debug)]
pub struct Hosts {
    /// Their namespaces.
    pub network: Network,
    _dnsmasq: Daemon,
}

/// The hosts of a lab and the DHCP server without libvirtd, in the namespaces that
/// [`enter`](super::enter()) has made.
///
/// # Errors
/// [`LabError`] when the network cannot be made, or dnsmasq does not listen.
pub async fn hosts(lan: &Lan) -> Result<Hosts, LabError> {
    let slowness = first_look()?;
    let network = network::build(lan)?;
    let dnsmasq = dnsmasq::start(lan, &network.gateway)?;
    dnsmasq::until_ready(&dnsmasq, &network.gateway, slowness).await?;
    Ok(Hosts {
        network,
        _dnsmasq: dnsmasq,
    })
}

/// Makes a tap in the caller's network namespace and takes it away again.
///
/// # Errors
/// [`LabError::Host`] with the cure when the device cannot be opened, [`LabError::System`] when
/// it makes no tap.
pub fn try_tap() -> Result<(), LabError> {
    tap::check_device()?;
    tap::make("lanfence-try", tap::Header::None)
        .map(drop)
        .map_err(|source| LabError::system("make a tap", source))
}

/// A private libvirtd without network and hosts, in the namespaces that
/// [`enter`](super::enter()) has made: enough to define filters. It ends when it is dropped.
///
/// # Errors
/// [`LabError`] when libvirtd does not start.
pub async fn filters_only() -> Result<Libvirt, LabError> {
    let (shortcuts, backend) = (Shortcuts::all(), Backend::default());
    let slowness = first_look()?;
    let libvirtd = libvirtd::start(shortcuts, backend)?;
    Libvirt::connect(libvirtd, shortcuts, backend, slowness).await
}

/// A bridge and a libvirtd in the namespaces that [`enter`](super::enter()) has made: what looks
/// like a small host to the verbs for hosts. libvirtd ends when this is dropped.
///
/// # Errors
/// [`LabError`] when the bridge cannot be made, or libvirtd does not start.
pub async fn small_host(backend: Backend) -> Result<Libvirt, LabError> {
    let shortcuts = Shortcuts::all();
    let slowness = first_look()?;
    let libvirtd = libvirtd::start(shortcuts, backend)?;
    network::bare_bridge()?;
    Libvirt::connect(libvirtd, shortcuts, backend, slowness).await
}
