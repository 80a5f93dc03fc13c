//! The changes that lanfence makes on a host: planned whole, shown, carried out, taken back.

pub mod apply;
mod execute;
mod lock;
mod plan;
mod proof;
mod record;
pub mod remove;
pub mod repair;
mod step;

pub use execute::{ExecuteError, Executor, Tell, binding};
pub use lock::Lock;
pub use plan::{Plan, Refusal};
pub use proof::Prover;
pub use record::{Record, file as record_file};
pub use step::{Change, Step, Target};
