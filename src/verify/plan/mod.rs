//! The planner: which cells of the matrix run, in what order, and why others cannot.

mod error;
mod foreign;
mod listing;
mod partition;
mod select;
mod selection;
mod times;

pub use error::PlanError;
pub use partition::Partition;
pub use select::Plan;
pub use selection::{Matrix, Selection};
pub use times::{Times, longest_first};
