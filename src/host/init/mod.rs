//! A policy from what is on the host: the addresses of the bridge or network that guests are
//! on, each with where it comes from.

mod gather;
mod policy;

pub use gather::{Facts, Place, candidates, gather};
pub use policy::policy;
