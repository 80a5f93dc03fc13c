use super::*;
use proptest::prelude::*;
use rstest::rstest;

use Outcome::{Delivered, Dropped, Lost, NeverSent, Unknown};

const LEAK: Verdict = Verdict::Fail(Failure::Leak);
const BLOCKED: Verdict = Verdict::Fail(Failure::Blocked);

#[rstest]
#[case::stopped_in_both(Expect::Drop, Delivered, [Dropped, Dropped], Verdict::Pass)]
#[case::tried_at_the_start_only(Expect::Drop, Delivered, [NeverSent, Dropped], Verdict::Pass)]
#[case::tried_while_it_ran_only(Expect::Drop, Delivered, [Dropped, NeverSent], Verdict::Pass)]
#[case::never_tried(Expect::Drop, Delivered, [NeverSent, NeverSent], Verdict::Inconclusive)]
#[case::leak_at_the_start(Expect::Drop, Delivered, [Dropped, Delivered], LEAK)]
#[case::leak_without_a_control(Expect::Drop, NeverSent, [Delivered, Unknown], LEAK)]
#[case::no_control(Expect::Drop, NeverSent, [Dropped, Dropped], Verdict::Inconclusive)]
#[case::lost(Expect::Drop, Delivered, [Dropped, Lost], Verdict::Inconclusive)]
#[case::broken_sensor(Expect::Drop, Delivered, [Unknown, Dropped], Verdict::Inconclusive)]
#[case::through(Expect::Pass, Delivered, [NeverSent, Delivered], Verdict::Pass)]
#[case::blocked(Expect::Pass, Delivered, [NeverSent, Dropped], BLOCKED)]
fn verdicts(
    #[case] expect: Expect,
    #[case] control: Outcome,
    #[case] outcomes: [Outcome; 2],
    #[case] expected: Verdict,
) {
    assert_eq!(settle(expect, control, &outcomes), expected);
}

const NOTHING: Expectations = Expectations {
    dhcp: Dhcp::Any,
    arp: Arp::Any,
    broadcast: Broadcast::Any,
    wan: Wan::Any,
};

#[rstest]
#[case::nothing(NOTHING, &["wan-inbound/ping"])]
#[case::a_lease(Expectations { dhcp: Dhcp::Bound, ..NOTHING }, &["dhcp/ack", "wan-inbound/ping"])]
#[case::everything(
    Expectations { arp: Arp::Seen, broadcast: Broadcast::Seen, wan: Wan::Attempted, ..NOTHING },
    &["broadcast/expected", "arp/expected", "wan-ipv4/expected", "wan-inbound/ping"]
)]
fn what_is_expected_and_never_seen_is_inconclusive(
    #[case] expect: Expectations,
    #[case] ids: &[&str],
) {
    let part = Part::default();
    let parts = Parts {
        control: &part,
        filtered: &part,
        leak_check: None,
        first_frame: Some(&part),
    };
    let rows = rows(&parts, expect, &Policy::example());
    let found: Vec<&str> = rows.iter().map(|row| row.id.as_str()).collect();
    assert_eq!(found, ids);
    assert!(
        rows.iter()
            .all(|row| row.verdict == Verdict::Inconclusive && row.note.is_some())
    );
}

fn any_outcome() -> impl Strategy<Value = Outcome> {
    prop_oneof![
        Just(Delivered),
        Just(Dropped),
        Just(NeverSent),
        Just(Lost),
        Just(Unknown)
    ]
}

proptest! {
    #[test]
    fn nothing_passes_without_a_delivered_control(
        control in any_outcome(),
        outcomes in proptest::collection::vec(any_outcome(), 0..3),
        drop: bool,
    ) {
        let expect = if drop { Expect::Drop } else { Expect::Pass };
        let verdict = settle(expect, control, &outcomes);
        if verdict == Verdict::Pass {
            prop_assert_eq!(control, Delivered);
            prop_assert!(!outcomes.contains(&Unknown) && !outcomes.contains(&Lost));
        }
        // A sighting behind the filter is a leak whatever else is known.
        prop_assert_eq!(verdict == LEAK, drop && outcomes.contains(&Delivered));
    }
}
