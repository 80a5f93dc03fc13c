//! What the LAN of the guests is to libvirt.

use serde::{Deserialize, Serialize};

/// A bridge or a network, as the type of an `<interface>` says.
///
/// The difference is in the answers of a DHCP server that runs on the host itself. Their UDP checksums
/// are left to the NIC, and a tap has none: behind vhost-net they reach the guest unfinished. libvirt
/// has them finished in its own networks (measured: docs/measurements.md#M46).
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Segment {
    /// A bridge of the host's own, with a DHCP server on the host.
    #[default]
    Bridge,
    /// A network of libvirt's own, with its DHCP server.
    Network,
}

impl Segment {
    /// The type of an interface there.
    pub fn word(self) -> &'static str {
        match self {
            Self::Bridge => "bridge",
            Self::Network => "network",
        }
    }

    /// The one with this word.
    pub fn from_word(word: &str) -> Option<Self> {
        [Self::Bridge, Self::Network]
            .into_iter()
            .find(|one| one.word() == word)
    }
}
