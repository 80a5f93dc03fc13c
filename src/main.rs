//! The `lanfence` command.
fn main() {}
