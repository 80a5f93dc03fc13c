//! DHCP clients as legacy systems have them: what they put on the wire, and what
//! they insist on before they take an answer.
//!
//! [`PROFILES`] is the table, [`play()`] the client that acts it out. It speaks in
//! whole Ethernet frames over a [`Wire`], so that it sees what a client on a packet
//! socket sees, and it never looks at what the kernel knows about a checksum
//! unless the profile's system does.

mod message;
mod play;
mod profiles;
#[cfg(feature = "client")]
mod socket;

pub use play::{Arrived, Order, Played, Step, Taken, Wire, nth, play, xid};
pub use profiles::{Claim, PROFILES, Profile, Sums, profile};
#[cfg(feature = "client")]
pub use socket::PacketWire;
