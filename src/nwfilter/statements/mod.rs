//! What a policy says of every frame, and where a filter does otherwise.
//!
//! Each frame with whole headers falls under exactly one [`Statement`] of its direction, which
//! requires it, forbids it, or says that the policy does not rule it. [`Rulings`] cuts all such
//! frames into regions of one statement each, once for a policy; [`Rulings::hold`] holds a filter
//! against them, exactly, over every value of every field. [`Rulings::open_differences`] names
//! the statements by which two filters differ that both keep the policy.
//!
//! Layer-3 rules are taken as the first packet of a connection meets them. Frames whose headers
//! are cut off or broken are not among the regions; the probes have some.

mod clause;
mod inbound4;
mod inbound6;
mod link;
mod outbound4;
mod outbound6;
mod places;
mod rulings;
mod statement;
#[cfg(test)]
mod tests;

pub use places::Places;
pub use rulings::{Held, OpenDifference, Rulings, Wrong};
pub use statement::{Ruling, Statement};
