//! One probe frame: build, tag with a nonce, parse back, print on one line.

mod tag;

pub use tag::{Phase, Tag};
