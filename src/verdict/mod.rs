//! What becomes of a probe, what is concluded from it, and the exit code that says so.
//!
//! `verify` (real guests) and `check` (the evaluator) judge with the same words: both turn
//! what they know of a probe into an [`Outcome`], and [`judge`] makes a [`Verdict`] of it.
//! Everything here is pure.

mod conclusion;
mod counts;
mod exit;
mod judge;
mod outcome;

pub use conclusion::Conclusion;
pub use counts::Counts;
pub use exit::Exit;
pub use judge::{Observation, control_outcome, filtered_outcome, judge, reason};
pub use outcome::{Failure, Outcome, Verdict};
