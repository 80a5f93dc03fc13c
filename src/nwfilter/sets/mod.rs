//! Exact sets: which destinations a filter lets out, over all frames there are.

mod cidr;
mod classes;
mod intervals;
mod reach;
mod space;
#[cfg(test)]
mod tests;
mod witness;

pub use cidr::{addresses, prefixes, prefixes4, prefixes6};
pub use classes::{Class, Kind, classes};
pub use intervals::Set;
pub use reach::{Reach, reach};
pub use space::Region;
pub use witness::witness;
