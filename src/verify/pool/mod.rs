//! Workers: processes that each run cells in a lab of their own, and the process that
//! hands the cells out.

mod coordinator;
mod message;
mod queue;
mod retry;
mod review;
mod worker;

pub use coordinator::{Gathered, WORKER, Workers, run_cells};
pub use message::{Message, Numbered};
pub use worker::run as run_worker;
