//! A run is repeated from the directory that `--out` wrote. The runs are real, on a tap.

use crate::common::{Verified, example, lanfence, verify_tap, verify_tap_policy};
use lanfence::frame::{TAG_LEN, Tag};
use lanfence::report::json::to_json;
use lanfence::report::model::{Failure, Run, Verdict};
use rstest::rstest;
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::Output;

fn bundle(done: &Verified) -> PathBuf {
    done.dir.path().join("out")
}

fn read(done: &Verified, file: &str) -> String {
    std::fs::read_to_string(bundle(done).join(file)).expect("a file of the bundle")
}

fn write(done: &Verified, file: &str, text: &str) {
    std::fs::write(bundle(done).join(file), text).expect("a file of the bundle");
}

/// One text of a file in the place of another.
fn edit(done: &Verified, file: &str, from: &str, to: &str) {
    let text = read(done, file);
    assert!(text.contains(from), "{file} lacks {from}");
    write(done, file, &text.replacen(from, to, 1));
}

/// Replays in a directory that has no policy and no filter: all comes from the bundle.
fn replay(done: &Verified, more: &[&str]) -> Output {
    let empty = tempfile::tempdir().expect("an empty directory");
    let output = lanfence()
        .args(["verify", "--replay"])
        .arg(bundle(done))
        .args(more)
        .current_dir(empty.path())
        .env("CI", "true")
        .env_remove("LANFENCE_GUEST")
        .env_remove("GITHUB_ACTIONS")
        .output();
    output.expect("lanfence can be started")
}

fn text(output: &Output) -> String {
    [&output.stdout, &output.stderr]
        .map(|bytes| String::from_utf8_lossy(bytes).into_owned())
        .concat()
}

/// The exit code, and that the text holds all of these.
#[track_caller]
fn told(output: &Output, code: i32, parts: &[&str]) {
    let text = text(output);
    assert_eq!(output.status.code(), Some(code), "{text}");
    for part in parts {
        assert!(text.contains(part), "{part} is not told in\n{text}");
    }
}

#[test]
fn a_green_run_is_repeated_with_its_own_policy_and_seed() {
    let policy = include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/lanfence.toml"));
    let policy = policy.replacen("192.168.1.", "192.168.77.", usize::MAX);
    let dir = tempfile::tempdir().expect("a directory for the policy");
    let file = dir.path().join("own.toml");
    std::fs::write(&file, policy).expect("the policy");
    let file = file.to_str().expect("a path in UTF-8");
    let done = verify_tap_policy(file, &[]);
    assert_eq!(done.code, 0, "{}", done.printed());
    drop(dir);
    let again = bundle(&done).join("again");
    let again = again.to_str().expect("a path in UTF-8");
    let report = done.dir.path().join("again.json");
    let report = report.to_str().expect("a path in UTF-8");
    let output = replay(&done, &["--out", again, "--json", report]);
    told(
        &output,
        0,
        &["PASS: ", "the verdicts are the same", "0 other"],
    );
    let run = std::fs::read_to_string(report).expect("the report of the replay");
    let run: Run = serde_json::from_str(&run).expect("a report");
    let (was, is) = (done.run(), &run);
    assert_eq!((&was.inputs, &was.identity), (&is.inputs, &is.identity));
    assert_eq!(was.policy, is.policy);
    let verdicts = |run: &Run| -> Vec<(String, Verdict)> {
        let probes = run.cells.iter().flat_map(|cell| &cell.probes);
        probes.map(|it| (it.id.clone(), it.verdict)).collect()
    };
    assert_eq!(verdicts(was), verdicts(is));
    // The replay's bundle is one too, with the seed of the first.
    let seed = |text: &str| {
        let inputs: serde_json::Value = serde_json::from_str(text).expect("JSON");
        inputs["job"]["seed"].as_u64().expect("a number")
    };
    let inputs = std::fs::read_to_string(PathBuf::from(again).join("replay.json"));
    let inputs = inputs.expect("what went into the replay");
    assert_eq!(seed(&read(&done, "replay.json")), seed(&inputs));
}

#[test]
fn a_red_run_is_as_red_again_and_its_exit_code_stays() {
    let filter = example("no-out-traffic.xml");
    let done = verify_tap(&[&filter]);
    assert_eq!(done.code, 1, "{}", done.printed());
    let causes = "IPv6 from the guest is not filtered at all: chain='ipv4' sees IPv4";
    let parts = ["FAIL: ", causes, "the verdicts are the same", "exit code 1"];
    let again = tempfile::tempdir().expect("a directory for the replay");
    let out = again.path().to_str().expect("a path in UTF-8");
    told(&replay(&done, &["--out", out]), 1, &parts);
    let numbers = |dir: &Path| -> BTreeSet<u32> {
        let capture = std::fs::read(dir.join("tap-raw/frames.pcapng")).expect("the capture");
        let tags = capture.windows(TAG_LEN).filter_map(Tag::find);
        tags.map(|tag| tag.run).collect()
    };
    let first = numbers(&bundle(&done));
    assert_eq!(first.len(), 1, "the frames of a cell carry one number");
    assert_eq!(first, numbers(again.path()), "the frames are the same");
    let other = verify_tap(&[&filter]);
    assert_ne!(
        first,
        numbers(&bundle(&other)),
        "a new run has its own number"
    );
}

#[test]
fn what_was_recorded_otherwise_is_named_with_what_may_be_why() {
    let done = verify_tap(&[]);
    assert_eq!(done.code, 0, "{}", done.printed());
    let mut run: Run = serde_json::from_str(&read(&done, "run.json")).expect("a report");
    let mut probes = run.cells[0].probes.iter_mut();
    let probe = probes.find(|it| it.id.starts_with("wan-") && it.verdict == Verdict::Pass);
    let probe = probe.expect("a probe to the WAN");
    probe.verdict = Verdict::Fail(Failure::Leak);
    let id = probe.id.clone();
    "9.9.9".clone_into(&mut run.host.libvirt);
    write(&done, "run.json", &to_json(&run));
    let parts = ["the verdicts are not the same", "1 other", &id, "9.9.9 →"];
    told(&replay(&done, &[]), 1, &parts);
}

#[test]
fn what_was_not_proven_in_both_runs_is_not_the_same() {
    let done = verify_tap(&["--inject", "deaf-wan-ipv6"]);
    assert_eq!(done.code, 5, "{}", done.printed());
    let parts = ["not all verdicts can be compared", "exit code 5"];
    told(&replay(&done, &[]), 5, &parts);
}

#[rstest]
#[case::a_changed_policy("replay.json", "192.168.1.0/24", "192.168.0.0/16")]
#[case::a_changed_filter("replay.json", "action='drop'", "action='accept'")]
#[case::verdicts_of_another_policy("run.json", "\"inputs\": \"", "\"inputs\": \"0")]
fn a_bundle_that_was_changed_is_noticed(#[case] file: &str, #[case] from: &str, #[case] to: &str) {
    let done = verify_tap(&[]);
    edit(&done, file, from, to);
    let output = replay(&done, &[]);
    told(&output, 2, &["one of the files was changed", "cure: "]);
    let text = text(&output);
    assert!(!text.contains("[tap/raw]"), "a cell was run: {text}");
}

#[rstest]
#[case::no_bundle(
    "replay.json",
    None,
    "name the directory that `lanfence verify --out` wrote"
)]
#[case::a_run_that_did_not_end("run.json", None, "a run that was cut short leaves no run.json")]
#[case::inputs_cut_short("replay.json", Some(2_000), "is the file cut short")]
#[case::verdicts_cut_short("run.json", Some(2_000), "the report cannot be read")]
#[case::empty("replay.json", Some(0), "is the file cut short")]
fn what_is_no_whole_bundle_says_so(
    #[case] file: &str,
    #[case] left: Option<usize>,
    #[case] part: &str,
) {
    let done = verify_tap(&[]);
    match left {
        Some(left) => write(&done, file, &read(&done, file)[..left]),
        None => std::fs::remove_file(bundle(&done).join(file)).expect("a file of the bundle"),
    }
    told(&replay(&done, &[]), 2, &[file, part]);
}

#[rstest]
#[case::inputs("replay.json")]
#[case::verdicts("run.json")]
fn a_bundle_of_another_version_is_not_guessed_at(#[case] file: &str) {
    let done = verify_tap(&[]);
    edit(
        &done,
        file,
        "\"schema_version\": 1",
        "\"schema_version\": 7",
    );
    let parts = ["schema version 7", "the lanfence that wrote it"];
    told(&replay(&done, &[]), 2, &parts);
}

#[test]
fn a_replay_takes_nothing_else_and_spares_its_bundle() {
    let done = verify_tap(&[]);
    let before = (read(&done, "replay.json"), read(&done, "run.json"));
    let out = bundle(&done);
    let out = out.to_str().expect("a path in UTF-8");
    let output = replay(&done, &["--out", out]);
    told(&output, 2, &["would overwrite the run that is replayed"]);
    for more in [["--policy", "other.toml"], ["--nic", "virtio"]] {
        told(&replay(&done, &more), 2, &["cannot be used with"]);
    }
    let after = (read(&done, "replay.json"), read(&done, "run.json"));
    assert!(before == after, "the bundle was changed");
    let unfiltered = verify_tap(&["--no-filter"]);
    told(&replay(&unfiltered, &[]), 2, &["filter"]);
}
