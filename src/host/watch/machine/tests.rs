//! What the machine does about what it sees.

mod histories;

use super::*;
use crate::host::watch::judged::Standing;
use crate::host::watch::look::Ways;
use rstest::rstest;

const BOTH: Ways = Ways {
    from: true,
    to: true,
};
const NONE: Ways = Ways {
    from: false,
    to: false,
};

fn look(print: u64, ways: Ways, rebuilding: bool) -> Look {
    Look {
        print,
        ways,
        rebuilding,
    }
}

fn nic() -> Nic {
    Nic {
        guest: "g1".into(),
        mac: "52:54:00:00:00:01".into(),
        network: "br0".into(),
    }
}

fn judged(device: &str, standing: Standing) -> Judged {
    Judged {
        nic: nic(),
        device: device.into(),
        is_wanted: Some(true),
        standing,
        reasons: vec![format!("{standing:?}")],
    }
}

/// A machine, with the gate as its actions have left it and the time.
struct World {
    machine: Machine,
    gate: BTreeSet<String>,
    now: Millis,
    jobs: usize,
    /// What repairs have opened.
    opened: BTreeSet<String>,
}

impl World {
    fn new(alert_only: bool) -> Self {
        let orders = Orders {
            alert_only,
            interval: 60_000,
        };
        Self {
            machine: Machine::new(orders),
            gate: BTreeSet::new(),
            now: 0,
            jobs: 0,
            opened: BTreeSet::new(),
        }
    }

    fn step(&mut self, seen: Seen) -> Vec<Action> {
        let ends_job = matches!(
            seen,
            Seen::Judged { .. } | Seen::NotJudged(_) | Seen::Mended(_)
        );
        self.jobs -= usize::from(ends_job && self.jobs > 0);
        if let Seen::Gate(closed, _) = &seen {
            self.gate.clone_from(closed);
            self.opened
                .extend(self.machine.mending.difference(closed).cloned());
        }
        let actions = self.machine.step(self.now, seen);
        for action in &actions {
            match action {
                Action::Close(falls) => {
                    self.gate
                        .extend(falls.iter().map(|fall| fall.device.clone()));
                }
                Action::CloseAgain(devices) => self.gate.extend(devices.iter().cloned()),
                Action::Open(devices) => self.gate.retain(|device| !devices.contains(device)),
                Action::Audit | Action::Mend(_) => self.jobs += 1,
                Action::Tell(_) | Action::Say(_) => {}
            }
        }
        actions
    }

    fn judge(&mut self, device: &str, standing: Standing, look: Look) -> Vec<Action> {
        let looks = BTreeMap::from([(device.to_owned(), look)]);
        self.step(Seen::Judged {
            judged: vec![judged(device, standing)],
            before: looks.clone(),
            after: looks,
        })
    }

    fn looked(&mut self, device: &str, look: Look) -> Vec<Action> {
        let looks = BTreeMap::from([(device.to_owned(), look)]);
        self.step(Seen::Looked {
            looks,
            culprits: BTreeSet::new(),
        })
    }

    /// With `vnet0` fenced.
    fn fenced() -> Self {
        let mut world = Self::new(false);
        assert_eq!(world.step(Seen::Nothing), [Action::Audit]);
        world.now += 100;
        world.judge("vnet0", Standing::Holds, look(1, BOTH, false));
        assert_eq!(world.machine.counts(), (1, 1));
        assert!(world.gate.is_empty());
        world.now += 1000;
        world
    }
}

fn words(actions: &[Action]) -> Vec<&'static str> {
    let word = |action: &Action| match action {
        Action::Close(_) => "close",
        Action::Tell(_) => "tell",
        Action::CloseAgain(_) => "close again",
        Action::Open(_) => "open",
        Action::Audit => "audit",
        Action::Mend(_) => "mend",
        Action::Say(note) => note.event,
    };
    actions.iter().map(word).collect()
}

#[test]
fn a_fence_that_falls_is_closed_mended_proven_and_opened() {
    let mut world = World::fenced();
    let actions = world.looked("vnet0", look(2, NONE, false));
    assert_eq!(words(&actions), ["close", "mend"]);
    world.now += 500;
    assert_eq!(words(&world.step(Seen::Mended(Ok(())))), ["audit"]);
    assert_eq!(world.gate.len(), 1, "mended is not proven");
    world.now += 100;
    let actions = world.judge("vnet0", Standing::Holds, look(3, BOTH, false));
    assert_eq!(words(&actions), ["fenced", "open"]);
    assert!(world.gate.is_empty());
}

#[test]
fn a_rebuild_of_libvirt_is_no_fall_and_is_judged_when_it_is_quiet() {
    let mut world = World::fenced();
    for print in [5, 6, 7] {
        world.now += 20;
        assert_eq!(
            words(&world.looked("vnet0", look(print, BOTH, true))),
            [""; 0]
        );
    }
    world.now += 20;
    assert_eq!(words(&world.looked("vnet0", look(8, BOTH, false))), [""; 0]);
    world.now += QUIET - 1;
    assert_eq!(
        words(&world.step(Seen::Nothing)),
        [""; 0],
        "it is not quiet yet"
    );
    assert_eq!(world.machine.next(), world.now + 1);
    world.now += 1;
    assert_eq!(words(&world.step(Seen::Nothing)), ["audit"]);
    world.now += 50;
    assert_eq!(
        words(&world.judge("vnet0", Standing::Holds, look(8, BOTH, false))),
        [""; 0]
    );
    assert_eq!(world.machine.counts(), (1, 1));
}

#[rstest]
#[case::with_the_same_rules_in_the_end(&[(4, true), (1, false)], &[])]
#[case::that_loses_a_direction(&[(4, true), (4, false)], &["close", "mend"])]
#[case::without_a_rebuild(&[(4, false)], &["close", "mend"])]
fn what_becomes_of_a_change(#[case] looks: &[(u64, bool)], #[case] wanted: &[&str]) {
    let mut world = World::fenced();
    let mut all = Vec::new();
    for (at, (print, rebuilding)) in looks.iter().enumerate() {
        world.now += 10;
        let loses = wanted.len() == 2 && at == 1;
        let ways = if loses {
            Ways { to: false, ..BOTH }
        } else {
            BOTH
        };
        all.extend(words(
            &world.looked("vnet0", look(*print, ways, *rebuilding)),
        ));
    }
    assert_eq!(all, wanted);
}

#[test]
fn a_rebuild_that_does_not_end_is_a_fall() {
    let mut world = World::fenced();
    world.looked("vnet0", look(4, BOTH, true));
    world.now += REBUILD;
    let actions = words(&world.step(Seen::Nothing));
    assert_eq!(actions, ["close", "mend"]);
}

#[test]
fn what_an_earlier_watcher_left_closed_opens_when_it_is_proven_or_gone() {
    let mut world = World::new(false);
    world.gate = ["vnet0", "gone"].map(String::from).into();
    let actions = world.step(Seen::GateAtStart(world.gate.clone()));
    assert_eq!(words(&actions), ["taken-over", "taken-over", "audit"]);
    let actions = world.judge("vnet0", Standing::Holds, look(1, BOTH, false));
    assert_eq!(words(&actions), ["open"]);
    world.now += UNCLAIMED;
    world.step(Seen::Nothing);
    let actions = world.judge("vnet0", Standing::Holds, look(1, BOTH, false));
    assert_eq!(words(&actions), ["unclaimed", "open"]);
    assert!(world.gate.is_empty());
}

#[test]
fn a_new_tap_on_a_covered_bridge_is_closed_until_it_is_fenced() {
    let mut world = World::fenced();
    let joined = |tap: &str| LinkEvent::Joined {
        tap: tap.into(),
        bridge: "br0".into(),
    };
    assert_eq!(
        words(&world.step(Seen::Link(joined("vnet7"), true))),
        ["close"]
    );
    assert_eq!(
        words(&world.step(Seen::Link(joined("vnet8"), false))),
        [""; 0]
    );
    world.now += QUIET;
    assert_eq!(words(&world.step(Seen::Nothing)), ["audit"]);
    world.now += 10;
    assert_eq!(
        words(&world.judge("vnet7", Standing::Open, look(0, NONE, false))),
        ["close", "mend"]
    );
    world.step(Seen::Mended(Ok(())));
    world.now += 10;
    let actions = world.judge("vnet7", Standing::Holds, look(2, BOTH, false));
    assert_eq!(words(&actions), ["fenced", "open"]);
    // A tap that has left its bridge and comes back is as fenced as before.
    assert_eq!(
        words(&world.step(Seen::Link(joined("vnet7"), true))),
        [""; 0]
    );
}

#[test]
fn a_renamed_tap_is_closed_under_its_new_name() {
    let mut world = World::fenced();
    let renamed = |from: &str, to: &str| {
        let (from, to) = (from.to_owned(), to.to_owned());
        Seen::Link(
            LinkEvent::Renamed {
                from,
                to,
                bridge: Some("br0".into()),
            },
            false,
        )
    };
    assert_eq!(words(&world.step(renamed("vnet0", "x"))), ["close", "mend"]);
    assert_eq!(world.gate, BTreeSet::from(["x".to_owned()]));
    assert_eq!(words(&world.step(renamed("x", "vnet0"))), ["close", "open"]);
    assert_eq!(world.gate, BTreeSet::from(["vnet0".to_owned()]));
}

#[test]
fn who_opens_the_gate_finds_it_closed_again() {
    let mut world = World::fenced();
    world.looked("vnet0", look(2, NONE, false));
    world.step(Seen::Mended(Err("not yet".into())));
    assert_eq!(
        words(&world.step(Seen::Gate(world.gate.clone(), true))),
        [""; 0]
    );
    assert_eq!(
        words(&world.step(Seen::Gate(world.gate.clone(), false))),
        ["close again"]
    );
    assert_eq!(
        words(&world.step(Seen::Gate(BTreeSet::new(), true))),
        ["close again"]
    );
}

#[test]
fn what_a_repair_opens_is_open_until_its_rules_change_again() {
    let mut world = World::fenced();
    let mend = world.looked("vnet0", look(2, NONE, false));
    assert_eq!(words(&mend), ["close", "mend"]);
    world.looked("vnet0", look(3, BOTH, false));
    assert_eq!(
        words(&world.step(Seen::Gate(BTreeSet::new(), false))),
        [""; 0]
    );
    assert_eq!(words(&world.looked("vnet0", look(3, BOTH, false))), [""; 0]);
    assert_eq!(
        words(&world.looked("vnet0", look(4, NONE, false))),
        ["close again"]
    );
    assert_eq!(words(&world.step(Seen::Mended(Ok(())))), ["audit"]);
    assert_eq!(world.gate.len(), 1);
}

#[test]
fn an_audit_that_fails_is_tried_again_and_takes_nothing_for_gone() {
    let mut world = World::fenced();
    world.now += 60_000;
    assert_eq!(words(&world.step(Seen::Nothing)), ["audit"]);
    let mut pauses = Vec::new();
    for _ in 0..8 {
        let told = words(&world.step(Seen::NotJudged("libvirt is away".into())));
        assert_eq!(told == ["audit-failed"], pauses.is_empty());
        pauses.push(world.machine.next() - world.now);
        world.now = world.machine.next();
        assert_eq!(words(&world.step(Seen::Nothing)), ["audit"]);
    }
    assert_eq!(pauses, [1000, 2000, 4000, 8000, 16000, 32000, 60000, 60000]);
    assert_eq!(world.machine.counts(), (1, 1));
    assert!(world.gate.is_empty());
}

#[test]
fn a_repair_that_does_not_help_is_tried_again_ever_more_rarely() {
    let mut world = World::fenced();
    world.looked("vnet0", look(2, NONE, false));
    let mut pauses = Vec::new();
    for _ in 0..8 {
        let began = world.now;
        world.step(Seen::Mended(Err("no".into())));
        world.judge("vnet0", Standing::Open, look(2, NONE, false));
        while world.jobs == 0 {
            world.now = world.machine.next();
            world.step(Seen::Nothing);
        }
        pauses.push(world.now - began);
        assert_eq!(world.gate.len(), 1);
    }
    assert_eq!(pauses, [1000, 2000, 4000, 8000, 16000, 32000, 60000, 60000]);
}

/// Who takes a fence away on purpose finds the tap open; one of which that cannot be told stays closed.
#[rstest]
#[case::taken_away(Some(false), false)]
#[case::unknown(None, true)]
#[case::meant(Some(true), true)]
fn what_is_no_longer_meant_is_opened(#[case] is_wanted: Option<bool>, #[case] is_closed: bool) {
    let mut world = World::fenced();
    world.looked("vnet0", look(2, NONE, false));
    assert!(world.gate.contains("vnet0"));
    let looks = BTreeMap::from([("vnet0".to_owned(), look(2, NONE, false))]);
    world.step(Seen::Judged {
        judged: vec![Judged {
            is_wanted,
            ..judged("vnet0", Standing::Open)
        }],
        before: looks.clone(),
        after: looks,
    });
    assert_eq!(world.gate.contains("vnet0"), is_closed);
}
