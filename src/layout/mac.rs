//! The MACs of the test hosts, all below QEMU's 52:54:00.

use crate::frame::Mac;

/// The router's LAN side.
pub const GATEWAY: Mac = [0x52, 0x54, 0x00, 0x00, 0x00, 0x01];
/// The LAN peer.
pub const PEER: Mac = [0x52, 0x54, 0x00, 0x00, 0x00, 0x0a];
/// The router's WAN side.
pub const UPLINK: Mac = [0x52, 0x54, 0x00, 0x00, 0x02, 0x01];
/// The WAN host.
pub const WAN: Mac = [0x52, 0x54, 0x00, 0x00, 0x02, 0x02];
/// The tap that stands in for a guest where vhost-net is looked at; no guest has this number.
pub const STAND_IN: Mac = guest(0xfe, None);

/// Another MAC for a host whose own is a guest's; no other host has such a one.
pub const fn beside(mut mac: Mac) -> Mac {
    mac[3] = 0x7f;
    mac
}

/// The first octets that guests' MACs have: QEMU's, and that of the one NIC model that writes
/// its own into every frame (`src/guest/models/quirks.rs`).
pub const FIRST_OCTETS: [u8; 2] = [0x52, 0x40];

/// The guest with this number. A few NIC models replace the first octet with one of their
/// own; the domain then has that octet too, since libvirt's filters know the domain's MAC only.
pub const fn guest(number: u8, first_octet: Option<u8>) -> Mac {
    let first = match first_octet {
        Some(octet) => octet,
        None => 0x52,
    };
    [first, 0x54, 0x00, 0x00, 0x01, number]
}
