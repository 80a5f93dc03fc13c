//! Exact sets: which destinations a filter lets out, over all frames there are.

mod cidr;
mod intervals;

pub use cidr::{addresses, prefixes, prefixes4, prefixes6};
pub use intervals::Set;
