//! One frame: build, tag with a nonce, parse back, print on one line.
//!
//! Frames are composed from the inside out: an application payload, a segment
//! ([`l4`]), a packet ([`Ip4`], [`Ip6`]) and at last a frame ([`Link`]). All
//! checksums are right and every frame has at least [`MIN_FRAME`] bytes.
//!
//! The crate stands below both `lanfence` and the agent in its guests. What needs pnet is
//! behind the feature of that name, which the agent leaves out.
//!
//! ```
//! # #[cfg(feature = "pnet")] {
//! use lanfence_frame::{Ip4, Link, View, ethertype, summary};
//!
//! let ip = Ip4::new([192, 168, 1, 50].into(), [203, 0, 113, 10].into());
//! let link = Link::new([0x52, 0x54, 0, 0, 0, 1], [0x52, 0x54, 0, 0, 0, 2]);
//! let frame = link.frame(ethertype::IPV4, &ip.udp(40000, 53, b"hello"));
//!
//! let view = View::parse(&frame).expect("a whole frame");
//! let upper = view.upper().expect("IP");
//! assert_eq!((upper.ports(), upper.sum_ok()), (Some((40000, 53)), Some(true)));
//! assert_eq!(summary(&frame), "192.168.1.50:40000 > 203.0.113.10:53 udp 5 bytes");
//! # }
//! ```

pub mod arp;
pub mod checksum;
pub mod datagram;
pub mod dhcp;
mod ether;
pub mod ethertype;
pub mod group;
mod hex;
#[cfg(feature = "pnet")]
mod ip4;
#[cfg(feature = "pnet")]
mod ip6;
#[cfg(feature = "pnet")]
pub mod l4;
pub mod link;
mod mac;
pub mod names;
pub mod nd;
pub mod protocol;
#[cfg(feature = "pnet")]
mod summary;
mod tag;
#[cfg(feature = "pnet")]
mod view;

pub use arp::Arp;
pub use checksum::Ends;
pub use datagram::{Checksum, Datagram};
pub use dhcp::DhcpStep;
pub use ether::{Link, MAX_FRAME, MIN_FRAME, VlanTag};
pub use hex::{from_hex, to_hex};
#[cfg(feature = "pnet")]
pub use ip4::{Ip4, options4};
#[cfg(feature = "pnet")]
pub use ip6::{Ext, Ip6};
pub use mac::{
    BROADCAST, Mac, group_mac4, group_mac6, link_local, mac_text, parse_mac, solicited_node,
};
#[cfg(feature = "pnet")]
pub use summary::summary;
pub use tag::{LEN as TAG_LEN, Tag};
#[cfg(feature = "pnet")]
pub use view::{Body, Packet4, Packet6, Upper, View};
