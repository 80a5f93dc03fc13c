//! Exact sets: which destinations a filter lets out, over all frames there are.

mod cidr;
mod classes;
mod differ;
mod intervals;
mod openings;
mod partition;
mod reach;
mod shapes;
mod space;
#[cfg(test)]
mod tests;
mod witness;
pub mod words;

pub use cidr::{addresses, prefixes, prefixes4, prefixes6};
pub use classes::{Class, Kind, classes};
pub use differ::{Comparison, Difference, differences};
pub use intervals::Set;
pub use openings::{Limit, Opening, openings};
pub use partition::{Fate, Part, partition};
pub use reach::{Reach, reach};
pub use shapes::{Shape, shapes};
pub use space::Region;
pub use witness::witness;
