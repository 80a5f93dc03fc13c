//! From what the sensors saw to fates, and from fates to verdicts. Pure.

use crate::probe::Expect;
use crate::report::model::{Failure, Fate, Verdict};

/// What the sensors said of one probe in one phase.
#[expect(
    clippy::struct_excessive_bools,
    reason = "five independent observations, not a state machine"
)]
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Seen {
    /// The frame left its origin.
    pub near: bool,
    /// The frame was seen where it must arrive, and the exchange that it
    /// belongs to was completed where the probe asks for one.
    pub arrived: bool,
    /// The frame was seen at any place behind the filter.
    pub escaped: bool,
    /// A sentinel sent later on the same path arrived.
    pub bounded: bool,
    /// Every sensor on the path was alive throughout and lost nothing.
    pub sound: bool,
}

/// The fate of a probe in the control or teeth phase: only the place where it must arrive counts.
pub fn control_fate(seen: Seen) -> Fate {
    fate(seen, seen.arrived)
}

/// The fate of a probe with the filter in place. Of a frame that must be
/// stopped, one sighting anywhere behind the filter is enough to call it delivered.
pub fn filtered_fate(seen: Seen, expect: Expect) -> Fate {
    let delivered = match expect {
        Expect::Pass => seen.arrived,
        Expect::Drop => seen.arrived || seen.escaped,
    };
    fate(seen, delivered)
}

fn fate(seen: Seen, delivered: bool) -> Fate {
    // A sighting proves delivery even when another sensor is broken; an absence proves nothing then.
    if delivered {
        Fate::Delivered
    } else if !seen.sound {
        Fate::Unknown
    } else if !seen.near {
        Fate::NeverSent
    } else if seen.bounded {
        Fate::Dropped
    } else {
        Fate::Lost
    }
}

/// The verdict of a probe.
pub fn judge(expect: Expect, residual: bool, control: Fate, filtered: Fate) -> Verdict {
    match (control, filtered, expect) {
        // A leak is a leak whatever became of the control: the frame was seen.
        (_, Fate::Delivered, Expect::Drop) if residual => Verdict::Residual,
        (_, Fate::Delivered, Expect::Drop) => Verdict::Fail(Failure::Leak),
        (Fate::Delivered, Fate::Delivered, Expect::Pass)
        | (Fate::Delivered, Fate::Dropped, Expect::Drop) => Verdict::Pass,
        (Fate::Delivered, Fate::Dropped, Expect::Pass) => Verdict::Fail(Failure::Blocked),
        _ => Verdict::Inconclusive,
    }
}

/// Why a verdict is inconclusive, in words.
pub fn reason(control: Fate, filtered: Fate) -> String {
    if control != Fate::Delivered {
        return format!(
            "without the filter the frame was {}, so nothing is proven about the filter",
            words(control)
        );
    }
    format!("with the filter the frame was {}", words(filtered))
}

fn words(fate: Fate) -> &'static str {
    match fate {
        Fate::Delivered => "delivered",
        Fate::Dropped => "stopped",
        Fate::NeverSent => "never seen leaving its sender",
        Fate::Lost => "not seen again, and no sentinel sent after it arrived either",
        Fate::Unknown => "not watched: a sensor died, lost packets or was not reached",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use rstest::rstest;

    const ALL: Seen = Seen {
        near: true,
        arrived: true,
        escaped: true,
        bounded: true,
        sound: true,
    };

    #[rstest]
    #[case::arrived(ALL, Fate::Delivered)]
    #[case::stopped(Seen { arrived: false, escaped: false, ..ALL }, Fate::Dropped)]
    #[case::no_sentinel(Seen { arrived: false, escaped: false, bounded: false, ..ALL }, Fate::Lost)]
    #[case::not_sent(Seen { near: false, arrived: false, escaped: false, ..ALL }, Fate::NeverSent)]
    #[case::dead_sensor(Seen { arrived: false, escaped: false, sound: false, ..ALL }, Fate::Unknown)]
    #[case::seen_in_spite_of_a_dead_sensor(Seen { sound: false, ..ALL }, Fate::Delivered)]
    fn fates(#[case] seen: Seen, #[case] expected: Fate) {
        assert_eq!(filtered_fate(seen, Expect::Pass), expected);
    }

    #[test]
    fn an_escape_off_the_expected_path_is_a_leak_but_no_delivery() {
        let seen = Seen {
            arrived: false,
            ..ALL
        };
        assert_eq!(filtered_fate(seen, Expect::Drop), Fate::Delivered);
        assert_eq!(filtered_fate(seen, Expect::Pass), Fate::Dropped);
        assert_eq!(control_fate(seen), Fate::Dropped);
    }

    #[rstest]
    #[case::stopped_as_wanted(Expect::Drop, Fate::Delivered, Fate::Dropped, Verdict::Pass)]
    #[case::through_as_wanted(Expect::Pass, Fate::Delivered, Fate::Delivered, Verdict::Pass)]
    #[case::leak(
        Expect::Drop,
        Fate::Delivered,
        Fate::Delivered,
        Verdict::Fail(Failure::Leak)
    )]
    #[case::blocked(
        Expect::Pass,
        Fate::Delivered,
        Fate::Dropped,
        Verdict::Fail(Failure::Blocked)
    )]
    #[case::no_control(Expect::Drop, Fate::Lost, Fate::Dropped, Verdict::Inconclusive)]
    #[case::lost(Expect::Drop, Fate::Delivered, Fate::Lost, Verdict::Inconclusive)]
    fn verdicts(
        #[case] expect: Expect,
        #[case] control: Fate,
        #[case] filtered: Fate,
        #[case] expected: Verdict,
    ) {
        assert_eq!(judge(expect, false, control, filtered), expected);
    }

    #[test]
    fn a_residual_that_is_stopped_passes() {
        assert_eq!(
            judge(Expect::Drop, true, Fate::Delivered, Fate::Dropped),
            Verdict::Pass
        );
        assert_eq!(
            judge(Expect::Drop, true, Fate::Delivered, Fate::Delivered),
            Verdict::Residual
        );
    }

    fn any_fate() -> impl Strategy<Value = Fate> {
        prop_oneof![
            Just(Fate::Delivered),
            Just(Fate::Dropped),
            Just(Fate::NeverSent),
            Just(Fate::Lost),
            Just(Fate::Unknown)
        ]
    }

    proptest! {
        #[test]
        fn nothing_passes_without_a_delivered_control(control in any_fate(), filtered in any_fate(), drop: bool, residual: bool) {
            let expect = if drop { Expect::Drop } else { Expect::Pass };
            if judge(expect, residual, control, filtered) == Verdict::Pass {
                prop_assert_eq!(control, Fate::Delivered);
            }
        }

        #[test]
        fn a_drop_needs_every_part_of_its_proof(near: bool, bounded: bool, sound: bool) {
            let seen = Seen { near, arrived: false, escaped: false, bounded, sound };
            prop_assert_eq!(filtered_fate(seen, Expect::Drop) == Fate::Dropped, near && bounded && sound);
        }
    }
}
