//! The hosts that send, and the points at which sensors see frames.

use serde::{Deserialize, Serialize};

/// A host that sends probes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Origin {
    /// The guest.
    Guest,
    /// The LAN peer.
    Peer,
    /// The router, on its LAN side.
    Gateway,
    /// The WAN host, through the router.
    Wan,
}

/// A point at which a sensor sees frames: an interface, and the way the frames go.
///
/// Reports name the first five only: they say at which host a frame was seen last, for
/// which the direction does not matter (see [`Point::host`]).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Point {
    /// The guest's tap, frames that the guest sent: before the filter.
    TapFromGuest,
    /// The guest's tap, frames for the guest: behind the filter.
    TapToGuest,
    /// The LAN peer's interface, frames that reached it over the bridge. It is one end of
    /// a veth pair and the bridge's port is the other, with no queue in between: a frame
    /// that left the port is seen here.
    Peer,
    /// The router's LAN interface, frames that reached it over the bridge; it too is the
    /// other end of a port.
    Gateway,
    /// The WAN host's interface, frames that the router forwarded.
    Wan,
    /// The LAN peer's interface, frames that the peer sent.
    FromPeer,
    /// The router's LAN interface, frames that the router sent or forwarded to the LAN.
    FromGateway,
    /// The WAN host's interface, frames that the WAN host sent.
    FromWan,
}

impl Origin {
    /// Where its frames must be seen to count as sent.
    pub const fn sent_at(self) -> Point {
        match self {
            Self::Guest => Point::TapFromGuest,
            Self::Peer => Point::FromPeer,
            Self::Gateway => Point::FromGateway,
            Self::Wan => Point::FromWan,
        }
    }
}

impl Point {
    /// All of them, in the order of a frame's way from the guest, then of one to it.
    pub const ALL: [Self; 8] = [
        Self::TapFromGuest,
        Self::Peer,
        Self::Gateway,
        Self::Wan,
        Self::FromWan,
        Self::FromGateway,
        Self::FromPeer,
        Self::TapToGuest,
    ];

    /// The word for it in reports, the same as in JSON.
    pub const fn word(self) -> &'static str {
        match self {
            Self::TapFromGuest => "tap-from-guest",
            Self::TapToGuest => "tap-to-guest",
            Self::Peer => "peer",
            Self::Gateway => "gateway",
            Self::Wan => "wan",
            Self::FromPeer => "from-peer",
            Self::FromGateway => "from-gateway",
            Self::FromWan => "from-wan",
        }
    }

    /// The point that reports name: the same interface without regard to the direction,
    /// except at the guest's tap, where it says on which side of the filter a frame was.
    #[must_use]
    pub const fn host(self) -> Self {
        match self {
            Self::FromPeer => Self::Peer,
            Self::FromGateway => Self::Gateway,
            Self::FromWan => Self::Wan,
            Self::TapFromGuest | Self::TapToGuest | Self::Peer | Self::Gateway | Self::Wan => self,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_printed_word_is_the_one_in_json() {
        for point in Point::ALL {
            let json = serde_json::to_string(&point).expect("a point is a word");
            assert_eq!(json, format!("\"{}\"", point.word()));
        }
    }
}
