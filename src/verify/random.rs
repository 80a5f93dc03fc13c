//! The numbers of a run. One is drawn for it, its seed; all that a cell needs is made from that, so
//! that a replay sends the same frames.

use sha2::{Digest as _, Sha256};

/// A number that no other run has: a seed, or what tells the messages of a run's workers from those of
/// another. Whatever a cell needs comes from [`Numbers`].
pub fn fresh() -> u32 {
    let mut bytes = [0; 4];
    let read = std::fs::File::open("/dev/urandom")
        .and_then(|mut file| std::io::Read::read_exact(&mut file, &mut bytes));
    if read.is_err() {
        // Without /dev/urandom the clock still differs between runs.
        let clock = std::time::SystemTime::now()
            .duration_since(std::time::UNIX_EPOCH)
            .map_or(0, |time| time.subsec_nanos());
        return clock ^ std::process::id();
    }
    u32::from_ne_bytes(bytes)
}

/// The seed of another try of the same cells: a late frame of one must not count for the other.
pub fn of_try(seed: u32, again: u32) -> u32 {
    u32::from_be_bytes(digest(seed, &["try", &again.to_string()]))
}

/// The numbers of one cell: those of no other cell and no other run, and the same in a replay.
#[derive(Debug, Clone, Copy)]
pub struct Numbers<'a> {
    seed: u32,
    cell: &'a str,
}

impl<'a> Numbers<'a> {
    /// Those of the cell with this name, in the run with this seed.
    pub fn new(seed: u32, cell: &'a str) -> Self {
        Self { seed, cell }
    }

    /// The number for what has this name in the cell.
    pub fn number(&self, what: &str) -> u32 {
        u32::from_be_bytes(self.bytes(what))
    }

    /// A number as a word, to tell one boot's READY from another's.
    pub fn nonce(&self, what: &str) -> String {
        format!("{:08x}", self.number(what))
    }

    /// As many bytes, of 32 at most.
    pub fn bytes<const N: usize>(&self, what: &str) -> [u8; N] {
        digest(self.seed, &[self.cell, what])
    }
}

/// The first bytes of a digest; each name ends where the next begins.
fn digest<const N: usize>(seed: u32, names: &[&str]) -> [u8; N] {
    const { assert!(N <= 32, "a digest has no more") };
    let mut digest = Sha256::new().chain_update(seed.to_be_bytes());
    for name in names {
        digest.update(name);
        digest.update([0]);
    }
    let mut bytes = [0; N];
    bytes.copy_from_slice(&digest.finalize()[..N]);
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    #[test]
    fn a_seed_repeats_its_numbers_and_no_others() {
        let of = |seed, cell, what| Numbers::new(seed, cell).number(what);
        let first = of(7, "linux/pcnet", "frames");
        assert_eq!(first, of(7, "linux/pcnet", "frames"));
        let others = [
            of(7, "linux/virtio", "frames"),
            of(8, "linux/pcnet", "frames"),
            of(7, "linux/pcnet", "lease"),
            of(7, "linux/pcnetf", "rames"),
            of(of_try(7, 1), "linux/pcnet", "frames"),
            of(of_try(7, 2), "linux/pcnet", "frames"),
        ];
        let all: HashSet<u32> = others.into_iter().chain([first]).collect();
        assert_eq!(all.len(), 1 + others.len(), "{all:?}");
    }

    #[test]
    fn a_seed_is_of_no_other_run() {
        assert_ne!((fresh(), fresh()), (fresh(), fresh()));
    }
}
