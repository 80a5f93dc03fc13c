//! The catalogue: from a policy to probes, each with a stimulus and an expected outcome.

mod catalogue;
mod frames;
mod group;
mod lookup;
mod pass;
mod point;
mod sentinel;
mod sighting;
mod types;

pub use catalogue::{catalogue, firmware_catalogue};
pub use frames::Wire;
pub use lookup::Lookup;
pub use pass::{Pass, SENTINEL};
pub use point::{Origin, Point};
pub use sentinel::{inbound_sentinels, sentinels};
pub use types::{Expect, Group, Probe, Sighting, Stimulus};
