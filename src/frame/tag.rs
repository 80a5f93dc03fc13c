//! The nonce that makes a probe frame recognisable wherever it is seen.

use std::fmt;

/// First bytes of every tag, so that a sensor can find it at any offset.
const MAGIC: [u8; 8] = *b"lanfence";

/// Length of a tag on the wire in bytes.
pub const LEN: usize = 16;

/// Identity of one probe in one pass of one cell of one run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Tag {
    /// Random per cell, so that frames of another run or cell never match.
    pub run: u32,
    /// Which pass over the catalogue the frame belongs to; whoever sends it gives the
    /// number its meaning.
    pub pass: u8,
    /// Number of the probe in its catalogue, or of the sentinel.
    pub index: u16,
}

impl Tag {
    /// The bytes to embed in a payload: `lanfence`, run, pass, index and a check byte.
    pub fn to_bytes(self) -> [u8; LEN] {
        let mut out = [0; LEN];
        out[..8].copy_from_slice(&MAGIC);
        out[8..12].copy_from_slice(&self.run.to_be_bytes());
        out[12] = self.pass;
        out[13..15].copy_from_slice(&self.index.to_be_bytes());
        out[15] = self.check();
        out
    }

    /// The first whole tag anywhere in the bytes.
    ///
    /// ```
    /// use lanfence_frame::{Tag, arp};
    ///
    /// let tag = Tag { run: 7, pass: 1, index: 3 };
    /// let guest = ([0x52, 0x54, 0, 0, 0, 1], [192, 168, 1, 50].into());
    /// let frame = arp::request(guest, [192, 168, 1, 1].into(), &tag.to_bytes());
    /// assert_eq!(Tag::find(&frame), Some(tag));
    /// ```
    pub fn find(bytes: &[u8]) -> Option<Self> {
        bytes.windows(LEN).find_map(Self::from_window)
    }

    fn from_window(window: &[u8]) -> Option<Self> {
        if window[..8] != MAGIC {
            return None;
        }
        let tag = Self {
            run: u32::from_be_bytes(window[8..12].try_into().ok()?),
            pass: window[12],
            index: u16::from_be_bytes(window[13..15].try_into().ok()?),
        };
        (tag.check() == window[15]).then_some(tag)
    }

    /// Tells a whole tag from one that was cut or overwritten.
    fn check(self) -> u8 {
        let run = self.run.to_be_bytes();
        let index = self.index.to_be_bytes();
        run.iter()
            .chain(&index)
            .fold(self.pass ^ 0xa5, |sum, byte| sum.rotate_left(3) ^ byte)
    }
}

impl fmt::Display for Tag {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:08x}/{}/{}", self.run, self.pass, self.index)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn is_found_at_any_offset(run: u32, index: u16, before in proptest::collection::vec(any::<u8>(), 0..80), after in proptest::collection::vec(any::<u8>(), 0..80)) {
            let tag = Tag { run, pass: 2, index };
            let bytes = [before, tag.to_bytes().to_vec(), after].concat();
            prop_assert_eq!(Tag::find(&bytes), Some(tag));
        }

        #[test]
        fn a_cut_tag_is_none(run: u32, index: u16, cut in 0..LEN) {
            let bytes = Tag { run, pass: 1, index }.to_bytes();
            prop_assert_eq!(Tag::find(&bytes[..cut]), None);
        }
    }
}
