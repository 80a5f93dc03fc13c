//! Numbers that look random and are the same for the same seed on every machine.

/// A generator (SplitMix64, Steele et al. 2014): small, and good enough to pick tests.
#[derive(Debug, Clone)]
pub struct Random(u64);

impl Random {
    /// The numbers of one case of a run.
    pub fn of(seed: u64, case: u64) -> Self {
        let mut of_seed = Self(seed);
        Self(of_seed.next() ^ case.wrapping_mul(0x9e37_79b9_7f4a_7c15))
    }

    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut word = self.0;
        word = (word ^ (word >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        word = (word ^ (word >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        word ^ (word >> 31)
    }

    /// A number below the limit, which must not be zero.
    pub fn below(&mut self, limit: usize) -> usize {
        let limit = u64::try_from(limit).expect("limits are small");
        usize::try_from(self.next() % limit).expect("below a usize")
    }

    /// True in this many of a hundred cases.
    pub fn chance(&mut self, percent: usize) -> bool {
        self.below(100) < percent
    }

    /// One of them.
    pub fn pick<'a, T>(&mut self, from: &'a [T]) -> &'a T {
        &from[self.below(from.len())]
    }

    /// Any byte.
    pub fn byte(&mut self) -> u8 {
        self.next().to_be_bytes()[0]
    }

    /// Any 16 bits.
    pub fn word(&mut self) -> u16 {
        u16::from_be_bytes([self.byte(), self.byte()])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Recorded once: a seed in a bug report must stay good.
    #[test]
    fn a_seed_gives_the_same_numbers_for_ever() {
        let mut random = Random::of(1, 2);
        let numbers: Vec<usize> = (0..6).map(|_| random.below(1000)).collect();
        insta::assert_debug_snapshot!(numbers);
    }

    #[test]
    fn cases_differ() {
        let first = |case| Random::of(1, case).below(1 << 30);
        let all: std::collections::BTreeSet<usize> = (0..100).map(first).collect();
        assert_eq!(all.len(), 100);
    }
}
