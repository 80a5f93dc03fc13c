//! The place of a chain among those that the root chain jumps to.

/// Where the root chain jumps to a chain. What has the same place comes in random order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct ChainPlace {
    /// Priority of the jump.
    pub priority: i16,
    /// Its place among those of the same priority.
    pub tie: usize,
}
