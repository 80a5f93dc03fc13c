//! Plan, run and judge: the cells of a matrix, each proven with a real guest.

mod accel;
mod assess;
mod bare;
mod bind;
mod cache;
mod catalogue;
mod cell;
mod coverage;
mod endpoint;
mod error;
mod evidence;
pub mod faults;
mod filter;
mod guests;
mod hearing;
pub mod job;
mod learning;
mod machine;
mod pass;
pub mod plan;
mod pool;
mod random;
mod record;
mod restore_failures;
mod run;
mod sentinels;
mod sockets;
mod trial;
mod watch;

pub use bare::{BareBootError, bare_boot};
pub use cache::{Cache, CacheError};
pub use error::VerifyError;
pub use faults::Reporter;
pub use filter::{FilterText, FilterUnderTest};
pub use pool::{Gathered, Message, Numbered, WORKER, Workers, run_cells, run_worker};
pub use run::{AccelChoice, Request, RunError, run};
