//! Any history of what can be seen, and what must hold after each of its steps.

use super::{BOTH, World, judged, look};
use crate::host::watch::judged::Standing;
use crate::host::watch::links::LinkEvent;
use crate::host::watch::look::{Look, Ways};
use crate::host::watch::machine::{Action, Phase, Seen};
use proptest::prelude::*;
use std::collections::{BTreeMap, BTreeSet};

const DEVICES: [&str; 3] = ["vnet0", "vnet1", "vnet2"];

/// What can be seen, with any contents.
fn anything() -> impl Strategy<Value = Seen> {
    let device = || prop::sample::select(&DEVICES[..]).prop_map(String::from);
    let ways = (any::<bool>(), any::<bool>()).prop_map(|(from, to)| Ways { from, to });
    let looks = (1..4_u64, ways, any::<bool>())
        .prop_map(|(print, ways, rebuilding)| look(print, ways, rebuilding));
    let looks = || prop::collection::btree_map(device(), looks.clone(), 0..3);
    let standing = prop::sample::select(
        &[
            Standing::Holds,
            Standing::HoldsForNow,
            Standing::OtherContent,
            Standing::Open,
            Standing::Unfilterable,
            Standing::Unsure,
        ][..],
    );
    let one = (device(), standing).prop_map(|(device, standing)| judged(&device, standing));
    let link = (device(), device(), 0..5).prop_map(|(tap, to, kind)| match kind {
        0 => LinkEvent::Joined {
            tap,
            bridge: "br0".into(),
        },
        1 => LinkEvent::Left { tap },
        2 => LinkEvent::Early { tap },
        3 => LinkEvent::Renamed {
            from: tap,
            to,
            bridge: Some("br0".into()),
        },
        _ => LinkEvent::Gone { tap },
    });
    let set = prop::collection::btree_set(device(), 0..3);
    prop_oneof![
        4 => looks().prop_map(|looks| Seen::Looked { looks, culprits: BTreeSet::new() }),
        2 => (link, any::<bool>()).prop_map(|(link, covered)| Seen::Link(link, covered)),
        1 => (set, any::<bool>()).prop_map(|(set, whole)| Seen::Gate(set, whole)),
        1 => Just(Seen::Guest),
        4 => (prop::collection::vec(one, 0..3), looks(), looks(), any::<bool>()).prop_map(
            |(judged, before, other, same)| Seen::Judged {
                judged,
                after: if same { before.clone() } else { other },
                before,
            }
        ),
        1 => Just(Seen::NotJudged("away".into())),
        2 => Just(Seen::Mended(Ok(()))),
        3 => Just(Seen::Nothing),
    ]
}

/// The devices that an action opens may be opened.
fn check_opening(seen: &Seen, opened: &[String]) {
    for device in opened {
        match seen {
            Seen::Judged {
                judged,
                before,
                after,
            } => {
                let proven = judged
                    .iter()
                    .filter(|one| one.device == *device)
                    .any(|one| {
                        matches!(one.standing, Standing::Holds | Standing::HoldsForNow)
                            && before.get(device) == after.get(device)
                            && after.get(device).is_some_and(|look| !look.rebuilding)
                    });
                let claimed = judged.iter().any(|one| one.device == *device);
                assert!(proven || !claimed, "{device} is opened by {seen:?}");
            }
            Seen::Link(LinkEvent::Gone { tap }, _) => assert_eq!(device, tap),
            Seen::Link(LinkEvent::Renamed { from, .. }, _) => assert_eq!(device, from),
            _ => panic!("{device} is opened by {seen:?}"),
        }
    }
}

proptest! {
    #[test]
    fn whatever_is_seen(
        alert_only in any::<bool>(),
        history in prop::collection::vec((anything(), 0..70_000_u64), 1..60),
    ) {
        let mut world = World::new(alert_only);
        for (seen, pause) in history {
            // Jobs end only where one was begun.
            let ends = matches!(seen, Seen::Judged { .. } | Seen::NotJudged(_) | Seen::Mended(_));
            let seen = if ends && world.jobs == 0 { Seen::Nothing } else { seen };
            world.now += pause / 7;
            let phases: BTreeMap<String, Phase> = world.machine.devices.iter()
                .map(|(name, device)| (name.clone(), device.phase)).collect();
            let actions = world.step(seen.clone());
            prop_assert!(world.jobs <= 1);
            if alert_only {
                let quiet = |action: &Action| {
                    matches!(action, Action::Tell(_) | Action::Say(_) | Action::Audit)
                };
                prop_assert!(actions.iter().all(quiet), "{actions:?}");
                prop_assert!(world.machine.closed().is_empty());
                continue;
            }
            prop_assert!(world.machine.closed().is_subset(&world.gate));
            for action in &actions {
                if let Action::Open(opened) = action {
                    check_opening(&seen, opened);
                }
            }
            // A device whose proven rules are gone is closed in the same step.
            if let Seen::Looked { looks, .. } = &seen {
                for (name, look) in looks {
                    if let Some(Phase::Fenced(proven)) = phases.get(name)
                        && look.print != proven.print
                        && !(look.rebuilding && look.ways.cover(proven.ways))
                    {
                        prop_assert!(world.gate.contains(name), "{name} stands open");
                    }
                }
            }
            // What is fallen is closed.
            for (name, device) in &world.machine.devices {
                if device.phase == Phase::Fallen && device.wanted {
                    let opened = world.opened.contains(name);
                    prop_assert!(opened || world.gate.contains(name), "{name} is fallen and open");
                }
            }
        }
        // On a host where all is well in the end, all is fenced and open.
        let looks: BTreeMap<String, Look> = DEVICES
            .map(|name| (name.to_owned(), look(9, BOTH, false))).into();
        world.step(Seen::Looked { looks: looks.clone(), culprits: BTreeSet::new() });
        for _ in 0..10 {
            world.now = world.now.max(world.machine.next().min(world.now + 200_000));
            let actions = world.step(Seen::Nothing);
            for _ in 0..=usize::from(actions.iter().any(|it| matches!(it, Action::Mend(_)))) {
                world.now += 5;
                let all = DEVICES.map(|name| judged(name, Standing::Holds)).into();
                world.step(if world.jobs == 0 { Seen::Nothing } else {
                    Seen::Judged { judged: all, before: looks.clone(), after: looks.clone() }
                });
            }
        }
        prop_assert_eq!(world.machine.counts(), (3, 3));
        prop_assert!(alert_only || world.gate.is_empty(), "{:?}", world.gate);
    }
}
