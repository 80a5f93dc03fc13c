//! Which way a frame goes.

/// Which way a frame goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Way {
    /// The guest sends it.
    FromGuest,
    /// It is on its way to the guest.
    ToGuest,
}

impl Way {
    /// Both.
    pub const ALL: [Self; 2] = [Self::FromGuest, Self::ToGuest];
}
