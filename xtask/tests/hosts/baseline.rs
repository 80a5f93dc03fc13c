//! Baselines and hosts: that of a run in a host, and that of the table of hosts.

use crate::{HOST, hosts, text, unless_unfit};
use std::fs;
use std::path::Path;
use std::process::{Command, Output};

/// lanfence here, in this directory.
fn lanfence(directory: &Path, arguments: &[&str]) -> Output {
    let xtask = crate::xtask();
    let programs = xtask.parent().expect("a program is in a directory");
    let mut command = Command::new(programs.join("lanfence"));
    let command = command.args(arguments).current_dir(directory);
    command.output().expect("lanfence is built beside xtask")
}

#[track_caller]
fn is(output: &Output, code: i32, says: &str) {
    let said = format!("{}{}", text(&output.stdout), text(&output.stderr));
    assert_eq!(output.status.code(), Some(code), "{said}");
    assert!(said.contains(says), "{says} in {said}");
}

#[test]
fn a_run_in_a_host_is_held_against_a_baseline_from_here() {
    let directory = tempfile::tempdir().expect("scratch directory");
    let directory = directory.path();
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    fs::copy(root.join("lanfence.toml"), directory.join("lanfence.toml")).expect("the policy");
    let filter = root.join("examples/no-out-traffic.xml");
    fs::copy(filter, directory.join("filter.xml")).expect("the filter");
    let verify = |more: &[&str]| {
        let words = ["run", HOST, "--", "verify", "--tap", "filter.xml"];
        unless_unfit(&mut hosts(directory, &[&words, more].concat()))
    };
    let Some(first) = verify(&["--json", "run.json"]) else {
        return;
    };
    is(&first, 1, "219 failed");
    let bless = |more: &[&str]| {
        let words = ["bless", "run.json", "--baseline", "baseline.toml"];
        lanfence(directory, &[&words, more].concat())
    };
    let rows = [
        "wan-ipv6",
        "encapsulation",
        "broadcast",
        "wan-edges",
        "lan-unicast",
        "tunnels",
        "rogue",
        "arp",
        "multicast",
        "lan-inbound",
        "wan-inbound",
        "reflection",
    ];
    let globs = rows.map(|row| format!("{row}/*"));
    let words = globs
        .iter()
        .flat_map(|glob| ["--accept", glob, "--reason", "it is mended later"]);
    is(&bless(&words.collect::<Vec<_>>()), 0, "entries");
    let again = verify(&["--baseline", "baseline.toml", "--strict"]).expect("a host");
    is(&again, 0, "failing as accepted");
    let baseline = directory.join("baseline.toml");
    let whole = fs::read_to_string(&baseline).expect("the baseline");
    fs::write(&baseline, &whole[..whole.len() / 2]).expect("cut short");
    let cut = verify(&["--baseline", "baseline.toml"]).expect("a host");
    is(&cut, 2, "baseline.toml:");
}

#[test]
fn the_table_of_hosts_is_held_against_a_baseline() {
    let directory = tempfile::tempdir().expect("scratch directory");
    let directory = directory.path();
    let test = |more: &[&str]| {
        let words = [&["test", "--scenario", "tap"], more, &[HOST]].concat();
        unless_unfit(&mut hosts(directory, &words))
    };
    let Some(first) = test(&["--json", "table.json"]) else {
        return;
    };
    is(&first, 0, "ok");
    let words = ["bless", "table.json", "--baseline", "baseline.toml"];
    is(&lanfence(directory, &words), 0, "0 entries");
    let again = test(&["--baseline", "baseline.toml", "--strict"]).expect("a host");
    is(&again, 0, "1 as before");
    // Another scenario: that of the baseline is not as before.
    let other = [
        "test",
        "--scenario",
        "doctor",
        "--baseline",
        "baseline.toml",
        HOST,
    ];
    let other = hosts(directory, &other).output().expect("xtask runs");
    is(&other, 5, "Gone (1)");
    // One of another verb is refused before a host is restored.
    let baseline = directory.join("baseline.toml");
    let text = fs::read_to_string(&baseline).expect("the baseline");
    fs::write(
        &baseline,
        text.replace("verb = \"hosts\"", "verb = \"check\""),
    )
    .expect("edited");
    let refused = test(&["--baseline", "baseline.toml"]).expect("a host");
    is(&refused, 2, "cure: ");
}
