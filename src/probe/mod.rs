//! The catalogue of probes: what is sent through a filter, and what the policy expects.
//!
//! [`catalogue`] makes the probes of a policy and a [`Layout`](crate::layout::Layout). Each
//! says which host sends it and how ([`Stimulus`]), how its frame is recognised
//! ([`Sighting`]) and at which [`Point`] it counts as delivered. `check` computes the frames
//! ([`Probe::wire`]) and evaluates the filter on them; `verify` has real hosts send them.
//!
//! ```
//! use lanfence::layout::Layout;
//! use lanfence::policy::Policy;
//! use lanfence::probe::{Expect, Pass, catalogue};
//!
//! let policy = Policy::example();
//! let layout = Layout::of(&policy)?;
//! let probes = catalogue(&policy, &layout, |index| Pass::Filtered.tag(1, index));
//! let ping = probes.iter().find(|probe| probe.id == "wan-ipv4/ping").unwrap();
//! assert_eq!(ping.expect, Expect::Drop);
//! # Ok::<(), lanfence::layout::LayoutError>(())
//! ```

mod backends;
mod catalogue;
mod frames;
mod group;
mod hearing;
mod lookup;
mod pass;
mod point;
mod sentinel;
mod sighting;
mod types;

pub use catalogue::{Shows, TFTP_PORT, catalogue, firmware_catalogue, learning_probe, source_port};
pub use frames::Wire;
pub use hearing::{hearing, wan_hearing};
pub use lookup::Lookup;
pub use pass::{HEARING, Pass, SENTINEL};
pub use point::{Origin, Point};
pub use sentinel::{inbound_sentinels, sentinels};
pub use sighting::file_name;
pub use types::{Expect, Group, Probe, Sighting, Stimulus};
