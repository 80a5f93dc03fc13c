//! The evaluator against the kernel: random filters from the language, random
//! frames around their boundaries, and the same question put to both.
//!
//! A filter is bound through libvirt to a tap that the lab holds; each frame
//! is written into it and read at the other end, and the other way round.

mod aim;
mod belief;
mod bout;
mod coverage;
mod describe;
mod frames;
mod front;
mod grammar;
mod hints;
mod random;
mod shrink;
mod speed;
mod values;
mod worker;

pub use belief::Mistake;
pub use front::{Broken, Found, WORKER, run};
pub use speed::{Course, Pace, measure};
pub use worker::{CaseDone, Line, Request, Task, run as run_worker};
