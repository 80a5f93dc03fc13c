//! A replay sends what its run sent: every number that lanfence draws for a cell comes from the seed
//! of the run. What the stacks of guests and hosts choose themselves (ports, sequence numbers,
//! identifications, times) is theirs and is not compared.

use crate::capture::{asked_file, captured};
use crate::common::{Verified, lanfence, verify, verify_tap};
use lanfence::frame::{TAG_LEN, Tag, View};
use lanfence::probe::SENTINEL;
use rstest::rstest;
use std::collections::BTreeSet;
use std::path::Path;

/// Stops nothing: its cells are red, so that there are captures.
const OPEN: &str =
    "<filter name='open'><rule action='accept' direction='inout' priority='500'/></filter>";

/// What lanfence has put into a frame: its mark with the ends that carry it, or the name of the file
/// that a firmware was told to ask for.
fn mark(frame: &[u8]) -> Option<String> {
    let ends = &frame[..12];
    if let Some(tag) = frame.windows(TAG_LEN).find_map(Tag::find) {
        // How many sentinels are sent depends on how soon they arrive.
        if tag.pass == SENTINEL {
            return None;
        }
        // An error message quotes a frame, and how much of it its sender decides.
        let error = View::parse(frame).and_then(|view| view.upper().map(|it| it.protocol));
        return (error != Some(1) && error != Some(58)).then(|| format!("{ends:?} {tag:?}"));
    }
    let (_, name) = asked_file(frame)?;
    Some(format!("{ends:?} {name}"))
}

/// What lanfence has put into the frames of a capture.
fn marks(capture: &Path) -> BTreeSet<String> {
    captured(capture)
        .iter()
        .filter_map(|it| mark(&it.frame))
        .collect()
}

/// The exchanges of DHCP that the server of the cell's lab has heard of.
fn exchanges(cell: &Path) -> BTreeSet<u32> {
    let log = std::fs::read_to_string(cell.join("dnsmasq.log")).expect("the server's log");
    let numbers = log.lines().filter_map(|line| {
        let (_, told) = line.split_once("]: ")?;
        let (number, rest) = told.split_once(' ')?;
        let number = number.parse().ok()?;
        rest.starts_with("DHCP").then_some(number)
    });
    numbers.collect()
}

/// Runs the bundle again; the directory of the replay's evidence.
fn replay(done: &Verified, more: &[&str]) -> tempfile::TempDir {
    let again = tempfile::tempdir().expect("a directory for the replay");
    let output = lanfence()
        .args(["verify", "--replay"])
        .arg(done.dir.path().join("out"))
        .arg("--out")
        .arg(again.path())
        .args(more)
        .env("CI", "true")
        .output()
        .expect("lanfence can be started");
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(text.contains("the verdicts are the same"), "{text}");
    again
}

fn open_filter(dir: &Path) -> String {
    let file = dir.join("open.xml");
    std::fs::write(&file, OPEN).expect("the filter");
    file.display().to_string()
}

/// The captures of the cell in a run and in its replay hold the same marks.
#[track_caller]
fn same(cell: &str, run: &Path, replay: &Path) {
    let capture = format!("{cell}/frames.pcapng");
    let (was, is) = (marks(&run.join(&capture)), marks(&replay.join(&capture)));
    assert!(was.len() > 8, "{cell} has {} marks", was.len());
    let other: Vec<&String> = was.symmetric_difference(&is).take(9).collect();
    assert!(
        other.is_empty(),
        "{cell}: {} of {} marks differ, the first: {other:#?}",
        was.symmetric_difference(&is).count(),
        was.len()
    );
}

/// Whatever worker runs a cell, its guest has the address and the numbers of the first run.
#[rstest]
#[case::ipxe(&["ipxe/pcnet", "ipxe/virtio"])]
#[case::grub(&["grub/pcnet"])]
#[case::u_boot(&["uboot/virtio-non-transitional"])]
#[case::edk2(&["edk2/virtio"])]
#[case::linux(&["linux/pcnet", "linux/virtio", "linux/e1000"])]
fn guests_send_in_a_replay_what_they_sent(#[case] cells: &[&str]) {
    let dir = tempfile::tempdir().expect("a directory for the filter");
    let filter = open_filter(dir.path());
    let mut arguments = vec!["--filter", &filter, "--jobs", "2"];
    for cell in cells {
        arguments.extend(["--cell", cell]);
    }
    let done = verify(&arguments);
    assert_eq!(done.code, 1, "{}", done.printed());
    let again = replay(&done, &["--jobs", "1"]);
    for cell in cells {
        same(
            &cell.replace('/', "-"),
            &done.dir.path().join("out"),
            again.path(),
        );
    }
}

/// Those that the agent plays, in two passes: four exchanges a client at most.
#[test]
fn the_played_clients_ask_with_the_same_numbers() {
    let dir = tempfile::tempdir().expect("a directory for the filter");
    let filter = open_filter(dir.path());
    let done = verify(&["--filter", &filter, "--cell", "linux/pcnet"]);
    let again = replay(&done, &[]);
    let cell = "linux-pcnet";
    let was = exchanges(&done.dir.path().join("out").join(cell));
    let is = exchanges(&again.path().join(cell));
    let played = 2 * lanfence_agent::clients::PROFILES.len();
    let both = was.intersection(&is).count();
    assert!(both >= played, "{both} of {} exchanges", was.len());
    let other = verify(&["--filter", &filter, "--cell", "linux/pcnet"]);
    let theirs = exchanges(&other.dir.path().join("out").join(cell));
    assert_eq!(
        was.intersection(&theirs).count(),
        0,
        "another run has its own"
    );
}

/// Without a guest lanfence writes every frame. A second try has numbers of its own, and they come
/// from the seed too.
#[test]
fn a_tap_sends_in_a_replay_what_it_sent_on_each_try() {
    let dir = tempfile::tempdir().expect("a directory for the filter");
    let filter = open_filter(dir.path());
    let done = verify_tap(&["--filter", &filter, "--retries", "1"]);
    assert_eq!(done.code, 1, "{}", done.printed());
    let again = replay(&done, &[]);
    let out = done.dir.path().join("out");
    for cell in ["tap-raw", "retry-1/tap-raw"] {
        same(cell, &out, again.path());
        let was = exchanges(&out.join(cell));
        assert!(!was.is_empty());
        assert_eq!(was, exchanges(&again.path().join(cell)));
    }
    let tries =
        ["tap-raw", "retry-1/tap-raw"].map(|cell| marks(&out.join(cell).join("frames.pcapng")));
    assert_eq!(tries[0].intersection(&tries[1]).count(), 0);
}
