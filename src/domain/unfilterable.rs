//! Interfaces whose filter libvirt drops or refuses.

use super::interface::{Interface, Kind};
use super::network::Network;
use thiserror::Error;

/// Why no filter can hold an interface. Displays the reason in one sentence.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum Unfilterable {
    /// macvtap.
    #[error(
        "its type is direct (macvtap): frames go past the host's bridges, and libvirt drops the \
         filterref without a word"
    )]
    Direct,
    /// slirp.
    #[error(
        "its type is user: QEMU itself speaks for the guest, no tap is there to filter, and \
         libvirt drops the filterref without a word"
    )]
    User,
    /// passt.
    #[error(
        "its back end is passt: a process of the host speaks for the guest, no tap is there to \
         filter, and libvirt drops the filterref without a word"
    )]
    Passt,
    /// A switch in another process.
    #[error(
        "its type is vhostuser: frames go through memory that a switch shares with the guest, \
         and libvirt drops the filterref without a word"
    )]
    VhostUser,
    /// A PCI function of the host.
    #[error(
        "its type is hostdev: the guest has the host's NIC itself, and libvirt drops the \
         filterref without a word"
    )]
    Hostdev,
    /// vDPA.
    #[error(
        "its type is vdpa: the guest has a queue of the host's NIC itself, and libvirt drops the \
         filterref without a word"
    )]
    Vdpa,
    /// A UDP tunnel.
    #[error(
        "its type is udp: QEMU itself sends the frames to another host, and libvirt drops the \
         filterref without a word"
    )]
    Udp,
    /// A multicast group.
    #[error(
        "its type is mcast: QEMU itself sends the frames to a multicast group, and libvirt drops \
         the filterref without a word"
    )]
    Mcast,
    /// A TCP tunnel.
    #[error(
        "its type is {0}: QEMU itself sends the frames through a TCP connection, and libvirt \
         drops the filterref without a word"
    )]
    Tunnel(&'static str),
    /// A kind of another hypervisor, or of none.
    #[error(
        "its type is {0}: it has no tap on this host, and libvirt drops the filterref without a word"
    )]
    NoTap(Kind),
    /// Open vSwitch.
    #[error(
        "its virtualport is of type openvswitch: its tap is a port of Open vSwitch and of no \
         Linux bridge, and libvirt does not start a guest with a filterref there"
    )]
    OpenVswitch,
    /// Another virtual port.
    #[error(
        "its virtualport is of type {0}: libvirt does not start a guest with a filterref there"
    )]
    VirtualPort(String),
    /// A network that hands out macvtap devices.
    #[error(
        "the network {0} gives it a macvtap device: libvirt does not start a guest with a \
         filterref there"
    )]
    MacvtapNetwork(String),
    /// A network that hands out PCI functions.
    #[error("the network {0} gives it a PCI function of the host's NIC: no tap is there to filter")]
    HostdevNetwork(String),
}

impl Unfilterable {
    /// A word for it that stays, for reports.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Direct => "direct",
            Self::User => "user",
            Self::Passt => "passt",
            Self::VhostUser => "vhostuser",
            Self::Hostdev => "hostdev",
            Self::Vdpa => "vdpa",
            Self::Udp => "udp",
            Self::Mcast => "mcast",
            Self::Tunnel(_) => "tunnel",
            Self::NoTap(_) => "no-tap",
            Self::OpenVswitch => "openvswitch",
            Self::VirtualPort(_) => "virtualport",
            Self::MacvtapNetwork(_) => "macvtap-network",
            Self::HostdevNetwork(_) => "hostdev-network",
        }
    }
}

impl Interface {
    /// Whether a filter can hold it, as far as its definition and that of its network tell.
    /// Without the network, one of type network is taken to be on a bridge; and whether the
    /// tap of one of type ethernet is in a bridge, which it must be, only the host knows.
    ///
    /// # Errors
    /// Why libvirt drops its filterref, or does not start the guest with it.
    pub fn filterable(&self, network: Option<&Network>) -> Result<(), Unfilterable> {
        if self.backend.as_deref() == Some("passt") {
            return Err(Unfilterable::Passt);
        }
        match &self.kind {
            Kind::Bridge | Kind::Ethernet => {}
            Kind::Network => network.map_or(Ok(()), hands_out_taps)?,
            // Some virtual ports make macvtap what it is; the kind comes first.
            Kind::Direct => return Err(Unfilterable::Direct),
            Kind::User => return Err(Unfilterable::User),
            Kind::VhostUser => return Err(Unfilterable::VhostUser),
            Kind::Hostdev => return Err(Unfilterable::Hostdev),
            Kind::Vdpa => return Err(Unfilterable::Vdpa),
            Kind::Udp => return Err(Unfilterable::Udp),
            Kind::Mcast => return Err(Unfilterable::Mcast),
            Kind::Server => return Err(Unfilterable::Tunnel("server")),
            Kind::Client => return Err(Unfilterable::Tunnel("client")),
            Kind::Internal | Kind::Null | Kind::Vds | Kind::Other(_) => {
                return Err(Unfilterable::NoTap(self.kind.clone()));
            }
        }
        self.ports(network).find_map(refuses).map_or(Ok(()), Err)
    }

    /// The virtual ports that count for it: its own, its port group's and its network's.
    fn ports<'a>(&'a self, network: Option<&'a Network>) -> impl Iterator<Item = &'a str> {
        let group = network.and_then(|found| found.portgroup(self.portgroup.as_deref()));
        let ports = [
            &self.virtualport,
            group.map_or(&None, |group| &group.virtualport),
            network.map_or(&None, |network| &network.virtualport),
        ];
        ports.into_iter().filter_map(|port| port.as_deref())
    }
}

/// That a network puts guests into a bridge.
fn hands_out_taps(network: &Network) -> Result<(), Unfilterable> {
    let name = || network.name.clone();
    match (network.forward.as_deref(), &network.bridge) {
        (Some("hostdev"), _) => Err(Unfilterable::HostdevNetwork(name())),
        // With a bridge it is the host's; without one the pool's devices carry macvtap.
        (Some("bridge"), None) | (Some("private" | "vepa" | "passthrough"), _) => {
            Err(Unfilterable::MacvtapNetwork(name()))
        }
        _ => Ok(()),
    }
}

/// Why a virtual port of this type takes no filter.
fn refuses(port: &str) -> Option<Unfilterable> {
    match port {
        "" => None,
        "openvswitch" => Some(Unfilterable::OpenVswitch),
        other => Some(Unfilterable::VirtualPort(other.to_owned())),
    }
}
