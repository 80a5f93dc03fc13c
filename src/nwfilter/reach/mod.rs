//! Which frames pass a filter: exact sets of values over all frames there are.

mod accepted;
mod chain_position;
mod cidr;
mod classes;
mod course;
mod cover;
pub mod describe;
mod differences;
mod frame_kinds;
mod partition;
mod random_order;
mod region;
mod summary;
#[cfg(test)]
mod tests;
mod witness;

pub use accepted::{AcceptedValues, accepted_values};
pub use cidr::{addresses, prefixes, prefixes4, prefixes6};
pub use classes::{Dimension, TrafficClass, classes};
pub use course::{End, Ending, Event, Packets, course};
pub use differences::{Comparison, Difference, differences};
pub use frame_kinds::{FrameKind, cut_kinds, frame_kinds, headless_kinds};
pub use partition::{RegionPart, partition, visit};
pub use random_order::random_order;
pub use region::Region;
pub use summary::{Form, Summary, summaries};
pub use witness::witness;
