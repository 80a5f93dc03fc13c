//! Random filters of the whole language and frames at their boundaries, the same for the same
//! seed: for the crosscheck, and for tests of what must hold of every filter.

mod boundary;
mod coverage;
mod frames;
mod generator;
mod grammar;
#[cfg(test)]
mod properties;
mod seeds;
mod values;

pub use boundary::boundary_frames;
pub use coverage::Coverage;
pub use frames::{frame, spoil};
pub use generator::Random;
pub use grammar::{Case, GUEST, case};
pub use seeds::Seeds;
