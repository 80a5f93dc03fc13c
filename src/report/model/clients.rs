//! What the DHCP clients of other systems found in a cell.

use crate::frame::Checksum;
use serde::{Deserialize, Serialize};

/// The DHCP clients of one cell.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DhcpClients {
    /// Those that were played through the guest's NIC, in the order of the table of clients; or
    /// the one that the guest itself is.
    pub clients: Vec<DhcpClient>,
    /// The same server heard on a tap as vhost-net reads it, without a guest; empty
    /// where vhost-net cannot carry the NIC or the answers reach its tap finished.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub vhost: Vec<DhcpClient>,
}

/// One client.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DhcpClient {
    /// Stable name, `windows-2003`.
    pub name: String,
    /// The systems that it stands for.
    pub system: String,
    /// Whether it adds up UDP checksums itself.
    pub strict: bool,
    /// Whether it is the software itself, and not a client that is played.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub real: bool,
    /// Without the filter.
    pub control: ClientRun,
    /// With the filter; none where the policy wants no DHCP, or when not reached.
    pub filtered: Option<ClientRun>,
    /// Without the filter, and with a server whose answers have unfinished checksums; only of
    /// real software, and only where that was tried.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unfinished: Option<ClientRun>,
}

/// What came of a client once.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ClientRun {
    /// Microseconds from its first DISCOVER to its lease; none without one.
    pub bound_us: Option<u64>,
    /// Microseconds for a renewal with the ARP question before it; none without one.
    pub renewed_us: Option<u64>,
    /// Microseconds for an INFORM; none without one.
    pub informed_us: Option<u64>,
    /// The worst checksum of the server's answers to it, as they reached the tap.
    pub at_tap: Option<Checksum>,
    /// The same as the client received them.
    pub at_guest: Option<Checksum>,
    /// Why it did not come to its end.
    pub failure: Option<String>,
    /// It threw answers away for their checksum, and so did not come to its end.
    pub refused: bool,
}

impl DhcpClients {
    /// The worst checksum of the server's answers at the tap.
    pub fn at_tap(&self) -> Option<Checksum> {
        worst(&self.clients, |run| run.at_tap)
    }

    /// The worst checksum of the server's answers at the guest.
    pub fn at_guest(&self) -> Option<Checksum> {
        worst(&self.clients, |run| run.at_guest)
    }
}

fn worst(
    clients: &[DhcpClient],
    of: impl Fn(&ClientRun) -> Option<Checksum> + Copy,
) -> Option<Checksum> {
    let runs = clients.iter().flat_map(|client| {
        let filtered = client.filtered.iter();
        std::iter::once(&client.control).chain(filtered)
    });
    runs.filter_map(of).max()
}
