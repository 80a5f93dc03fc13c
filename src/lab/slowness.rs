//! How slow the machine is, as the lab's own set-up shows: what every wait is multiplied by.

use serde::{Deserialize, Serialize};
use std::fmt;
use std::time::Duration;

/// What the lab's set-up takes on a quick machine that does other things as well (measured:
/// docs/measurements.md#M45).
const SET_UP: Duration = Duration::from_millis(500);

/// What a program takes there to start and to end.
const START: Duration = Duration::from_millis(10);

/// More than this is no slow machine but one that stood still meanwhile.
const MOST: f64 = 60.0;

/// A factor, at least 1: how many times longer this machine takes than a quick one. A wait
/// that is too short ends in an error and a verdict that is inconclusive, never in another
/// verdict; so the factor decides how long one waits, and nothing else.
#[derive(Debug, Clone, Copy, PartialEq, PartialOrd, Serialize, Deserialize)]
pub struct Slowness(f64);

impl Slowness {
    /// That of a quick machine.
    pub const NONE: Self = Self(1.0);

    /// Of a machine that took so long for what takes a quick one `quick`.
    fn of(took: Duration, quick: Duration) -> Self {
        Self(took.div_duration_f64(quick).clamp(1.0, MOST))
    }

    /// After the start of a program that does nothing took so long.
    pub fn after_starts(took: Duration) -> Self {
        Self::of(took, START)
    }

    /// After a lab's whole set-up, which shows more than the first look: a program that starts
    /// while others run may be late by chance.
    pub fn after_set_up(took: Duration) -> Self {
        Self::of(took, SET_UP)
    }

    /// A wait that is right on a quick machine, for this one.
    pub fn stretch(self, wait: Duration) -> Duration {
        wait.mul_f64(self.0)
    }
}

/// What an error says of a wait that was stretched; nothing on a quick machine.
impl fmt::Display for Slowness {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0 > 1.0 {
            write!(f, " ({:.1} times a quick machine's wait)", self.0)
        } else {
            Ok(())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    #[rstest]
    #[case::quick(100, 2000, "")]
    #[case::slow(7500, 30_000, " (15.0 times a quick machine's wait)")]
    #[case::stood_still(3_600_000, 120_000, " (60.0 times a quick machine's wait)")]
    fn a_wait_is_never_shorter_than_on_a_quick_machine(
        #[case] set_up_ms: u64,
        #[case] wait_ms: u128,
        #[case] words: &str,
    ) {
        let took = Duration::from_millis(set_up_ms);
        let slowness = Slowness::after_set_up(took);
        let wait = slowness.stretch(Duration::from_secs(2));
        assert_eq!(wait.as_millis(), wait_ms);
        assert_eq!(slowness.to_string(), words);
    }
}
