//! Workers: processes that each run cells in a lab of their own, and the process that
//! hands the cells out.

mod coordinator;
mod queue;
mod retry;
mod worker;

pub use coordinator::{Workers, search_path, silence};
pub use worker::run as run_worker;
