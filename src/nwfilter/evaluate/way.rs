//! Which way a frame goes.

use std::fmt;

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

impl fmt::Display for Way {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::FromGuest => "from the guest",
            Self::ToGuest => "to the guest",
        })
    }
}
