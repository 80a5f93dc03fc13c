//! DHCP clients of other systems, old ones above all: what they put on the wire, and what
//! they require of an answer.
//!
//! [`PROFILES`] is the table, [`play()`] the client that follows a profile. It sends and
//! receives whole Ethernet frames over a [`Wire`], as a client on a packet socket does, and
//! uses what the kernel knows about a checksum only where the profile's system does.

mod message;
mod play;
mod profiles;
#[cfg(feature = "client")]
mod socket;

pub use message::{Facts, frame};
pub use play::{Arrived, Order, Played, Step, Taken, Wire, nth, play, xid};
pub use profiles::{Claim, PROFILES, Profile, Sums, profile};
#[cfg(feature = "client")]
pub use socket::PacketWire;
