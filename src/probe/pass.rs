//! The passes of a cell: how often, and under what conditions, all probes are sent.

use crate::frame::Tag;

/// One pass over the catalogue: every probe that belongs to it is sent once.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[repr(u8)]
pub enum Pass {
    /// Without the filter: every frame must arrive, or nothing is proven about it.
    Control = 1,
    /// With the filter, attached to a guest that was already running.
    Filtered = 2,
    /// With the filter removed again: the probes that must be dropped have to arrive now.
    LeakCheck = 3,
    /// With the filter attached before the guest's first frame.
    FirstFrame = 5,
}

impl Pass {
    /// The number that marks this pass in a [`Tag`].
    pub const fn number(self) -> u8 {
        self as u8
    }

    /// The tag of the probe with this index in this pass of a run.
    pub fn tag(self, run: u32, index: u16) -> Tag {
        let pass = self.number();
        Tag { run, pass, index }
    }
}

/// The number that marks sentinels in a [`Tag`]: they belong to no pass,
/// but prove that a path still delivers.
pub const SENTINEL: u8 = 4;

/// The number that marks the frames of a hearing test in a [`Tag`]: they belong to no probe,
/// but prove that a sensor hears their kind.
pub const HEARING: u8 = 6;
