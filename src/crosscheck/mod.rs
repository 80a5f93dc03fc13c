//! The evaluator against the kernel: random filters from the language, random
//! frames around their boundaries, and the same question put to both.
//!
//! A filter is bound through libvirt to a tap that the lab holds; each frame
//! is written into it and read at the other end, and the other way round.

mod comparison;
mod coordinator;
mod describe;
mod message;
mod model;
mod shrink;
mod throughput;
mod worker;

pub use coordinator::{Broken, Found, WORKER, given, measure, run};
pub use message::{BenchInput, CaseDone, Given, GivenFilter, Message, Request, Task, Throughput};
pub use model::Mutation;
pub use worker::run as run_worker;
