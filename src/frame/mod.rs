//! One probe frame: build, tag with a nonce, parse back, print on one line.
//!
//! Frames are composed from the inside out: an application payload, a segment
//! ([`l4`]), a packet ([`Ip4`], [`Ip6`]) and at last a frame ([`Link`]). All
//! checksums are right and every frame has at least [`MIN_FRAME`] bytes.

pub mod arp;
pub mod dhcp;
mod ether;
pub mod group;
mod ip4;
mod ip6;
pub mod l4;
pub mod link;
pub mod names;
pub mod nd;
mod summary;
mod tag;
mod view;

pub use ether::{Link, MAX_FRAME, MIN_FRAME, VlanTag, ethertype, link_local};
pub use ip4::{Ip4, options4, protocol};
pub use ip6::{Ext, Ip6};
pub use l4::Ends;
pub use summary::summary;
pub use tag::{LEN as TAG_LEN, Tag};
pub use view::{Arp, Body, Packet4, Packet6, Upper, View};

/// A MAC address.
pub type Mac = [u8; 6];

/// The MAC address of broadcast frames.
pub const BROADCAST: Mac = [0xff; 6];

/// The MAC address that an IPv4 group is sent to (RFC 1112 6.4).
pub fn group_mac4(group: std::net::Ipv4Addr) -> Mac {
    let [_, b, c, d] = group.octets();
    [0x01, 0x00, 0x5e, b & 0x7f, c, d]
}

/// The MAC address that an IPv6 group is sent to (RFC 2464 7).
pub fn group_mac6(group: std::net::Ipv6Addr) -> Mac {
    let octets = group.octets();
    [0x33, 0x33, octets[12], octets[13], octets[14], octets[15]]
}

/// The solicited-node group of an address (RFC 4291 2.7.1).
pub fn solicited_node(address: std::net::Ipv6Addr) -> std::net::Ipv6Addr {
    let [.., a, b, c] = address.octets();
    let low = u16::from_be_bytes([b, c]);
    std::net::Ipv6Addr::new(0xff02, 0, 0, 0, 0, 1, 0xff00 | u16::from(a), low)
}
