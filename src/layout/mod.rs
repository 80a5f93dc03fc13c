//! Which addresses and MACs the test hosts have: the guest, the LAN peer, the router
//! and the WAN host.
//!
//! The layout follows from the policy alone and is the same for every use. `check`,
//! `explain` and `diff` build frames from it without a lab; the lab gives these addresses
//! to its network namespaces and to its DHCP server; `verify` sends its probes to them.
//!
//! ```text
//!  guest ──┐
//!          ├── bridge ── router ── 192.0.2.0/30 ── WAN host 203.0.113.10
//!  peer ───┘
//! ```
//!
//! ```
//! use lanfence::layout::Lan;
//! use lanfence::policy::Policy;
//!
//! let lan = Lan::of(&Policy::example()).expect("the example's prefix has room");
//! let layout = lan.layout(1, None);
//! assert_eq!(layout.gateway.v4.to_string(), "192.168.1.1");
//! assert_eq!(layout.peer.v4.to_string(), "192.168.1.10");
//! assert_eq!(layout.guest.v4.to_string(), "192.168.1.11");
//! ```

mod error;
mod host;
mod lan;
pub mod mac;
mod segment;
mod view;
pub mod wan;

pub use error::LayoutError;
pub use host::Host;
pub use lan::Lan;
pub use segment::Segment;
pub use view::Layout;
