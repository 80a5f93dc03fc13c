//! From what the sensors saw to outcomes, and from outcomes to verdicts.

use super::outcome::{Failure, Outcome, Verdict};
use crate::probe::Expect;

/// What the sensors said of one probe in one pass.
#[expect(
    clippy::struct_excessive_bools,
    reason = "five independent observations, not a state machine"
)]
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Observation {
    /// The frame left its origin.
    pub sent: bool,
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

/// The outcome of a probe in the control pass or the leak check: only the place where it must
/// arrive counts.
pub fn control_outcome(seen: Observation) -> Outcome {
    outcome(seen, seen.arrived)
}

/// The outcome of a probe with the filter in place. Of a frame that must be
/// stopped, one sighting anywhere behind the filter is enough to call it delivered.
pub fn filtered_outcome(seen: Observation, expect: Expect) -> Outcome {
    let delivered = match expect {
        Expect::Pass => seen.arrived,
        Expect::Drop => seen.arrived || seen.escaped,
    };
    outcome(seen, delivered)
}

fn outcome(seen: Observation, delivered: bool) -> Outcome {
    // A sighting proves delivery even when another sensor is broken; an absence proves nothing then.
    if delivered {
        Outcome::Delivered
    } else if !seen.sound {
        Outcome::Unknown
    } else if !seen.sent {
        Outcome::NeverSent
    } else if seen.bounded {
        Outcome::Dropped
    } else {
        Outcome::Lost
    }
}

/// The verdict of a probe from its outcomes without the filter (`control`) and with it.
///
/// `known_gap` says that no nwfilter can treat the frame as the policy wants. `check` sends
/// nothing and needs no control: it passes [`Outcome::Delivered`] for it.
pub fn judge(expect: Expect, known_gap: bool, control: Outcome, filtered: Outcome) -> Verdict {
    match (control, filtered, expect) {
        // A leak is a leak whatever became of the control: the frame was seen.
        (_, Outcome::Delivered, Expect::Drop)
        | (Outcome::Delivered, Outcome::Dropped, Expect::Pass)
            if known_gap =>
        {
            Verdict::KnownGap
        }
        (_, Outcome::Delivered, Expect::Drop) => Verdict::Fail(Failure::Leak),
        (Outcome::Delivered, Outcome::Delivered, Expect::Pass)
        | (Outcome::Delivered, Outcome::Dropped, Expect::Drop) => Verdict::Pass,
        (Outcome::Delivered, Outcome::Dropped, Expect::Pass) => Verdict::Fail(Failure::Blocked),
        _ => Verdict::Inconclusive,
    }
}

/// Why a verdict is inconclusive, in words.
pub fn reason(control: Outcome, filtered: Outcome) -> String {
    if control != Outcome::Delivered {
        return format!(
            "without the filter the frame was {}, so nothing is proven about the filter",
            words(control)
        );
    }
    format!("with the filter the frame was {}", words(filtered))
}

fn words(outcome: Outcome) -> &'static str {
    match outcome {
        Outcome::Delivered => "delivered",
        Outcome::Dropped => "stopped",
        Outcome::NeverSent => "never seen leaving its sender",
        Outcome::Lost => "not seen again, and no sentinel sent after it arrived either",
        Outcome::Unknown => "not watched: a sensor died, lost packets or was not reached",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use rstest::rstest;

    const ALL: Observation = Observation {
        sent: true,
        arrived: true,
        escaped: true,
        bounded: true,
        sound: true,
    };

    #[rstest]
    #[case::arrived(ALL, Outcome::Delivered)]
    #[case::stopped(Observation { arrived: false, escaped: false, ..ALL }, Outcome::Dropped)]
    #[case::no_sentinel(Observation { arrived: false, escaped: false, bounded: false, ..ALL }, Outcome::Lost)]
    #[case::not_sent(Observation { sent: false, arrived: false, escaped: false, ..ALL }, Outcome::NeverSent)]
    #[case::dead_sensor(Observation { arrived: false, escaped: false, sound: false, ..ALL }, Outcome::Unknown)]
    #[case::seen_in_spite_of_a_dead_sensor(Observation { sound: false, ..ALL }, Outcome::Delivered)]
    fn outcomes(#[case] seen: Observation, #[case] expected: Outcome) {
        assert_eq!(filtered_outcome(seen, Expect::Pass), expected);
    }

    #[test]
    fn an_escape_off_the_expected_path_is_a_leak_but_no_delivery() {
        let seen = Observation {
            arrived: false,
            ..ALL
        };
        assert_eq!(filtered_outcome(seen, Expect::Drop), Outcome::Delivered);
        assert_eq!(filtered_outcome(seen, Expect::Pass), Outcome::Dropped);
        assert_eq!(control_outcome(seen), Outcome::Dropped);
    }

    #[rstest]
    #[case::stopped_as_wanted(Expect::Drop, Outcome::Delivered, Outcome::Dropped, Verdict::Pass)]
    #[case::through_as_wanted(Expect::Pass, Outcome::Delivered, Outcome::Delivered, Verdict::Pass)]
    #[case::leak(
        Expect::Drop,
        Outcome::Delivered,
        Outcome::Delivered,
        Verdict::Fail(Failure::Leak)
    )]
    #[case::blocked(
        Expect::Pass,
        Outcome::Delivered,
        Outcome::Dropped,
        Verdict::Fail(Failure::Blocked)
    )]
    #[case::no_control(Expect::Drop, Outcome::Lost, Outcome::Dropped, Verdict::Inconclusive)]
    #[case::lost(Expect::Drop, Outcome::Delivered, Outcome::Lost, Verdict::Inconclusive)]
    fn verdicts(
        #[case] expect: Expect,
        #[case] control: Outcome,
        #[case] filtered: Outcome,
        #[case] expected: Verdict,
    ) {
        assert_eq!(judge(expect, false, control, filtered), expected);
    }

    #[test]
    fn a_known_gap_that_is_stopped_passes() {
        assert_eq!(
            judge(Expect::Drop, true, Outcome::Delivered, Outcome::Dropped),
            Verdict::Pass
        );
        assert_eq!(
            judge(Expect::Drop, true, Outcome::Delivered, Outcome::Delivered),
            Verdict::KnownGap
        );
    }

    fn any_outcome() -> impl Strategy<Value = Outcome> {
        prop_oneof![
            Just(Outcome::Delivered),
            Just(Outcome::Dropped),
            Just(Outcome::NeverSent),
            Just(Outcome::Lost),
            Just(Outcome::Unknown)
        ]
    }

    proptest! {
        #[test]
        fn nothing_passes_without_a_delivered_control(control in any_outcome(), filtered in any_outcome(), drop: bool, known_gap: bool) {
            let expect = if drop { Expect::Drop } else { Expect::Pass };
            if judge(expect, known_gap, control, filtered) == Verdict::Pass {
                prop_assert_eq!(control, Outcome::Delivered);
            }
        }

        #[test]
        fn a_drop_needs_every_part_of_its_proof(sent: bool, bounded: bool, sound: bool) {
            let seen = Observation { sent, arrived: false, escaped: false, bounded, sound };
            prop_assert_eq!(filtered_outcome(seen, Expect::Drop) == Outcome::Dropped, sent && bounded && sound);
        }
    }
}
