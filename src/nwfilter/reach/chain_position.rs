//! Where a region of frames stands on its way through the chains.

/// The next step that a region meets.
#[derive(Debug, Clone, Copy)]
pub enum ChainPosition {
    /// A step of the root chain.
    Root(usize),
    /// A rule of a sub-chain.
    Sub {
        /// Which sub-chain.
        chain: usize,
        /// Which of its rules.
        at: usize,
        /// The step of the root chain that follows the jump.
        back: usize,
    },
    /// A layer-3 rule.
    Network(usize),
}

impl ChainPosition {
    /// The position behind this one.
    pub fn next(self) -> Self {
        match self {
            Self::Root(at) => Self::Root(at + 1),
            Self::Sub { chain, at, back } => Self::Sub {
                chain,
                at: at + 1,
                back,
            },
            Self::Network(at) => Self::Network(at + 1),
        }
    }
}
