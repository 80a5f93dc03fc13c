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

/// The baseline is blessed from a run here, and goes into the host; its report comes back, and is held
/// against the same baseline here.
#[test]
fn a_run_in_a_host_is_held_against_a_baseline_from_here() {
    let directory = tempfile::tempdir().expect("scratch directory");
    let directory = directory.path();
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    fs::copy(root.join("lanfence.toml"), directory.join("lanfence.toml")).expect("the policy");
    let here = lanfence(directory, &["verify", "--tap", "--json", "here.json"]);
    is(&here, 0, "PASS");
    let blessed = lanfence(
        directory,
        &["bless", "here.json", "--baseline", "baseline.toml"],
    );
    is(&blessed, 0, "entries");
    let words = ["run", HOST, "--", "verify", "--tap", "--json", "there.json"];
    let more = ["--baseline", "baseline.toml", "--strict"];
    let Some(there) = unless_unfit(&mut hosts(directory, &[&words[..], &more].concat())) else {
        return;
    };
    is(&there, 0, "compared with baseline.toml");
    let again = [
        "report",
        "compare",
        "there.json",
        "--baseline",
        "baseline.toml",
    ];
    is(&lanfence(directory, &again), 0, "as before");
}

/// The scenario is a quick one that ends otherwise than it must in no host.
#[test]
fn the_table_of_hosts_is_held_against_a_baseline() {
    let directory = tempfile::tempdir().expect("scratch directory");
    let directory = directory.path();
    let test = |more: &[&str]| {
        let words = [&["test", "--scenario", "doctor"], more, &[HOST]].concat();
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
    // One of another verb is refused before a host is restored.
    let baseline = directory.join("baseline.toml");
    let was = fs::read_to_string(&baseline).expect("the baseline");
    fs::write(
        &baseline,
        was.replace("verb = \"hosts\"", "verb = \"check\""),
    )
    .expect("edited");
    let refused = test(&["--baseline", "baseline.toml"]).expect("a host");
    is(&refused, 2, "cure: ");
}
