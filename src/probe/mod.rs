//! The catalogue: from a policy to probes, each with a stimulus and an expected fate.

mod catalogue;
mod group;
mod lookup;
mod sentinel;
mod sighting;
mod types;

pub use catalogue::catalogue;
pub use lookup::Lookup;
pub use sentinel::{inbound_sentinels, sentinels};
pub use types::{Expect, Group, Host, Mac, Origin, Point, Probe, Scene, Sighting, Stimulus};
