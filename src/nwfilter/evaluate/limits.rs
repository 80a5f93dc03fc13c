//! How much of a filter is compiled at most.

/// Most rules that a filter may expand to. libvirt needs 15 ms for each, so
/// that this many take five minutes to bind (measured: docs/measurements.md#M13).
pub const MAX_RULES: usize = 20_000;

/// Most list elements that all rules of a filter together step through; rules
/// whose elements are all alike make only one rule of them, but take their time.
pub const MAX_STEPS: usize = 2_000_000;

/// Most references that lead into each other. libvirt has no limit but its
/// stack; the deepest tree that it ships has three levels.
pub const MAX_LEVELS: usize = 100;
