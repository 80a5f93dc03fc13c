//! The gate on real taps of a real bridge: what it lets through and what it stops.

use crate::own_network::{bridge, entered, run};
use lanfence::host::gate;
use lanfence::lab::{LARGEST_FRAME, Tap};
use std::collections::BTreeSet;
use std::time::{Duration, Instant};

/// Three taps on the bridge; the first is the guest's, the third is never closed.
struct Wires {
    guest: Tap,
    peer: Tap,
    sentinel: Tap,
    number: u32,
}

impl Wires {
    fn up() -> Self {
        bridge();
        let [guest, peer, sentinel] =
            ["tap0", "tap1", "tap2"].map(|name| Tap::open(name).expect("a tap"));
        Self {
            guest,
            peer,
            sentinel,
            number: 0,
        }
    }

    /// A broadcast frame that differs from all others.
    fn frame(&mut self) -> Vec<u8> {
        self.number += 1;
        let mut frame = vec![0xff; 6];
        frame.extend([0x02, 0, 0, 0, 0, 1, 0x88, 0xb5]);
        frame.extend(self.number.to_be_bytes());
        frame.resize(60, 0);
        frame
    }

    /// Whether a frame that is put into one tap comes out of the other. The sentinel, which
    /// goes after it, always comes out.
    fn passes(&mut self, from_guest: bool) -> bool {
        let (frame, last) = (self.frame(), self.frame());
        let (mut from, mut to) = (&self.guest, &self.peer);
        if !from_guest {
            std::mem::swap(&mut from, &mut to);
        }
        from.write(&frame).expect("the tap is up");
        if from_guest {
            self.sentinel.write(&last).expect("the tap is up");
            let got = until(to, &last).expect("the sentinel comes out");
            return got.contains(&frame);
        }
        // A closed guest gets no sentinel either: it is the third tap that tells when the
        // frame has gone through the bridge.
        until(&self.sentinel, &frame).expect("the frame comes out of the other tap");
        drain(to).contains(&frame)
    }

    fn both(&mut self) -> [bool; 2] {
        [self.passes(true), self.passes(false)]
    }
}

fn drain(tap: &Tap) -> Vec<Vec<u8>> {
    let mut buffer = vec![0; LARGEST_FRAME];
    let read = || {
        tap.read(&mut buffer)
            .expect("an open tap")
            .map(|length| buffer[..length].to_vec())
    };
    std::iter::from_fn(read).collect()
}

/// All frames that come out until the given one does.
fn until(tap: &Tap, last: &[u8]) -> Option<Vec<Vec<u8>>> {
    let deadline = Instant::now() + Duration::from_secs(10);
    let mut got = Vec::new();
    while Instant::now() < deadline {
        got.extend(drain(tap));
        if got.iter().any(|frame| frame == last) {
            return Some(got);
        }
        std::thread::sleep(Duration::from_millis(1));
    }
    None
}

fn closed() -> Vec<String> {
    gate::closed()
        .expect("the gate can be looked at")
        .into_iter()
        .collect()
}

#[test]
fn a_closed_tap_passes_nothing_in_either_direction_until_it_is_opened() {
    if !entered("gate::a_closed_tap_passes_nothing_in_either_direction_until_it_is_opened") {
        return;
    }
    let mut wires = Wires::up();
    assert_eq!(closed(), [""; 0]);
    assert_eq!(wires.both(), [true, true], "before");
    for _ in 0..2 {
        gate::close(&["tap0"]).expect("closed, and closed again");
        assert_eq!(wires.both(), [false, false], "closed");
        assert_eq!(closed(), ["tap0"]);
    }
    // A second interface comes and goes; the first stays as it is.
    gate::close(&["elsewhere", "tap0"]).expect("closed");
    gate::open(&["elsewhere", "never closed"]).expect("opened");
    assert_eq!(wires.both(), [false, false], "still closed");
    for _ in 0..2 {
        gate::open(&["tap0"]).expect("opened, and opened again");
        assert_eq!(wires.both(), [true, true], "open");
    }
    assert_eq!(run("nft", &["list", "tables"]), "", "nothing is left");
}

#[test]
fn nft_shows_the_gate_and_a_rule_that_somebody_took_away_comes_back() {
    if !entered("gate::nft_shows_the_gate_and_a_rule_that_somebody_took_away_comes_back") {
        return;
    }
    let mut wires = Wires::up();
    gate::close(&["tap0"]).expect("closed");
    let shown = run("nft", &["-s", "list", "table", "bridge", "lanfence"]);
    insta::assert_snapshot!(shown);
    for damage in [
        &["flush", "chain", "bridge", "lanfence", "from"][..],
        &["flush", "table", "bridge", "lanfence"],
        &["flush", "ruleset"],
        &["delete", "set", "bridge", "lanfence", "closed"],
    ] {
        if damage[0] == "delete" {
            run("nft", &["flush", "table", "bridge", "lanfence"]);
        }
        run("nft", damage);
        assert!(wires.passes(true), "{damage:?} opens");
        gate::close(&["tap0"]).expect("closed again");
        assert_eq!(wires.both(), [false, false], "after {damage:?}");
    }
    assert_eq!(
        run("nft", &["-s", "list", "table", "bridge", "lanfence"]),
        shown
    );
}

#[test]
fn any_name_that_an_interface_can_have_is_closed_and_no_other() {
    if !entered("gate::any_name_that_an_interface_can_have_is_closed_and_no_other") {
        return;
    }
    let mut wires = Wires::up();
    let rename = |from: &str, to: &str| {
        run("ip", &["link", "set", "dev", from, "down"]);
        run("ip", &["link", "set", "dev", from, "name", to]);
        run("ip", &["link", "set", "dev", to, "up"]);
    };
    let mut now = "tap0".to_owned();
    for name in [
        "fifteen-letters",
        "a.b-c_d",
        "t*",
        "*",
        "a\"b",
        "'",
        "@closed",
        "$x",
        "{}",
        ";",
        "\\*",
        "täp",
        "-n",
        "drop",
        "0x1",
        "tap0",
    ] {
        rename(&now, name);
        name.clone_into(&mut now);
        // Neither a longer name that begins like it nor a shorter one is meant.
        let longer: String = format!("{name}x").chars().take(15).collect();
        let shorter: String = name.chars().take(name.chars().count() - 1).collect();
        let others: Vec<&str> = [longer.as_str(), &shorter, "tap*"]
            .into_iter()
            .filter(|other| !other.is_empty() && *other != name)
            .collect();
        gate::close(&others).expect("closed");
        assert_eq!(wires.both(), [true, true], "{others:?} are not {name:?}");
        gate::close(&[name]).expect("closed");
        assert_eq!(wires.both(), [false, false], "{name:?}");
        let all: BTreeSet<String> = others
            .iter()
            .copied()
            .chain([name])
            .map(String::from)
            .collect();
        assert_eq!(gate::closed().expect("seen"), all);
        gate::open(&[name]).expect("opened");
        assert_eq!(wires.both(), [true, true], "{name:?} is open again");
        gate::open(&others).expect("opened");
    }
}

#[test]
fn thousands_of_interfaces_are_closed_at_once_and_two_processes_lose_none() {
    if !entered("gate::thousands_of_interfaces_are_closed_at_once_and_two_processes_lose_none") {
        return;
    }
    let names: Vec<String> = (0..3000).map(|number| format!("vnet{number}")).collect();
    let all: Vec<&str> = names.iter().map(String::as_str).collect();
    // A set that grows lacked elements in one look of twenty-five.
    for _ in 0..20 {
        gate::close(&all).expect("closed");
        assert_eq!(closed().len(), 3000);
        gate::open(&all).expect("opened");
        assert_eq!(closed().len(), 0);
    }
    // One keeps the table going and coming while the other closes: what was closed and
    // not opened is closed.
    std::thread::scope(|scope| {
        let other = scope.spawn(|| {
            for _ in 0..50 {
                gate::close(&["other"]).expect("closed");
                gate::open(&["other"]).expect("opened");
            }
        });
        while !other.is_finished() {
            gate::close(&["mine"]).expect("closed");
            assert!(closed().contains(&"mine".to_owned()));
            gate::open(&["mine"]).expect("opened");
        }
    });
    assert_eq!(closed(), [""; 0]);
}

#[test]
fn who_has_no_right_is_told_which_one_is_missing() {
    if !entered("gate::who_has_no_right_is_told_which_one_is_missing") {
        return;
    }
    let dropped = std::thread::spawn(|| {
        let nobody: libc::c_long = 65534;
        // Of this thread only; without a user namespace's map it cannot be done, and then
        // there is nothing to see.
        // SAFETY: the call takes three numbers and changes this thread's credentials.
        let done = unsafe { libc::syscall(libc::SYS_setresuid, nobody, nobody, nobody) };
        (done == 0).then(|| gate::close(&["tap0"]).expect_err("no rights"))
    });
    if let Some(error) = dropped.join().expect("no panic") {
        assert!(matches!(error, gate::GateError::NoRights { .. }), "{error}");
    }
    assert_eq!(closed(), [""; 0]);
}
