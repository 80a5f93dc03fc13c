//! The evaluator against the kernel: random filters from the language, random
//! frames around their boundaries, and the same question put to both.
//!
//! A filter is bound through libvirt to a tap that the lab holds; each frame
//! is written into it and read at the other end, and the other way round.

mod bout;
mod describe;
mod frames;
mod front;
mod grammar;
mod hints;
mod random;
mod shrink;
mod values;
mod worker;

pub use front::{Broken, Found, WORKER, run};
pub use worker::{CaseDone, Line, Request, run as run_worker};
