//! Where the time goes, measured side by side in one run: what `lanfence bench` prints.

mod apply;
mod audit;
mod cells;
mod error;
mod figures;
mod grid;
mod job;
mod memory;
mod others;
mod pure;
mod shortcuts;
mod soak;
mod tap;

pub use apply::table as apply;
pub use audit::table as audit;
pub use cells::all as cells;
pub use error::BenchError;
pub use figures::{REFERENCE, bare, table};
pub use grid::table as grid;
pub use job::job;
pub use pure::table as pure;
pub use shortcuts::table as shortcuts;
pub use soak::tables as soak;
pub use tap::table as tap;
