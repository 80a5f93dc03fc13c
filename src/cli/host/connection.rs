//! `--connect`, and which interfaces are meant.

use crate::cli::failure::Failure;
use crate::host::audit::Scope;
use crate::host::{Access, HostError, Libvirt, must_be_here};
use crate::verdict::Exit;
use clap::Args;

/// `--connect`.
#[derive(Debug, Args)]
#[command(next_help_heading = "Host")]
pub struct ConnectOption {
    /// URI of libvirt [default: LIBVIRT_DEFAULT_URI, else qemu:///system]
    #[arg(short = 'c', long, value_name = "URI")]
    pub connect: Option<String>,
}

/// Guests, bridges and networks.
#[derive(Debug, Args)]
#[command(next_help_heading = "Host")]
pub struct ScopeOptions {
    /// Guests, by name or UUID
    #[arg(value_name = "GUEST", display_order = 0)]
    pub guests: Vec<String>,
    /// All guests on this bridge
    #[arg(long, value_name = "BRIDGE")]
    pub bridge: Vec<String>,
    /// All guests on this network of libvirt
    #[arg(long, value_name = "NETWORK")]
    pub network: Vec<String>,
    /// The one interface of the guest that has this MAC address, device or alias
    #[arg(long, value_name = "MAC|DEVICE|ALIAS")]
    pub interface: Option<String>,
}

impl ConnectOption {
    /// That it is the libvirt of this host.
    pub fn must_be_here(&self) -> Result<(), Failure> {
        must_be_here(self.connect.as_deref()).map_err(failure)
    }

    /// Opens the connection.
    pub fn open(&self, access: Access) -> Result<Libvirt, Failure> {
        Libvirt::open(self.connect.as_deref(), access).map_err(failure)
    }
}

impl ScopeOptions {
    /// Which interfaces are meant.
    pub fn scope(&self) -> Scope {
        Scope {
            guests: self.guests.clone(),
            bridges: self.bridge.clone(),
            networks: self.network.clone(),
            interface: self.interface.clone(),
        }
    }
}

/// The exit code of what can go wrong on a host.
pub fn failure(error: HostError) -> Failure {
    let exit = match &error {
        HostError::Session { .. } | HostError::Refused { .. } => Exit::Usage,
        HostError::Deadline { .. } | HostError::Reference { .. } => Exit::Inconclusive,
        HostError::Domain { .. } => Exit::Internal,
        HostError::Unreachable { .. }
        | HostError::Libvirt { .. }
        | HostError::Tool { .. }
        | HostError::Rules { .. }
        | HostError::Gate(_)
        | HostError::Lab(_)
        | HostError::File { .. } => Exit::Host,
    };
    Failure::new(exit, error)
}
