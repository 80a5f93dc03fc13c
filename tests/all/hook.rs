//! `lanfence hook` as libvirt calls it.

use assert_cmd::Command;
use proptest::prelude::*;
use rstest::rstest;
use std::ffi::OsString;
use std::os::unix::ffi::OsStringExt as _;
use std::path::Path;
use std::time::Duration;
use tempfile::TempDir;

/// Of no interest but where it hangs: the busiest machine gets there.
const DEADLINE: Duration = Duration::from_secs(500);

const POLICY: &str = "[lan]\nprefixes = ['192.0.2.0/24']\n[fence]\nbridges = ['br0']\n";

const OPEN: &str = "<domain>\n<name>web</name> <!-- kept --><devices>\
     <interface type='bridge'><source bridge='br0'/></interface></devices></domain>\n";

fn filtered() -> String {
    OPEN.replace("br0'/>", "br0'/><filterref filter='lan-only'/>")
}

/// A policy file with this text.
fn policy(text: &str) -> TempDir {
    let dir = tempfile::tempdir().expect("a folder");
    std::fs::write(dir.path().join("lanfence.toml"), text).expect("room for a file");
    dir
}

/// Exit code and what is printed.
fn hook(policy: &Path, arguments: &[&str], definition: &str) -> (i32, String, String) {
    let output = Command::new(env!("CARGO_BIN_EXE_lanfence"))
        .args(["hook", "--policy"])
        .arg(policy.join("lanfence.toml"))
        .arg("--")
        .args(arguments)
        .write_stdin(definition)
        .timeout(DEADLINE)
        .output()
        .expect("it ends within the deadline");
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let code = output.status.code().unwrap_or(-1);
    (code, text(&output.stdout), text(&output.stderr))
}

#[rstest]
#[case::prepare(&["web", "prepare", "begin", "-"])]
#[case::start(&["web", "start", "begin", "-"])]
fn a_guest_starts_fenced_or_not_at_all(#[case] arguments: &[&str]) {
    let dir = policy(POLICY);
    let started = hook(dir.path(), arguments, &filtered());
    assert_eq!(started, (0, String::new(), String::new()));
    let (code, out, error) = hook(dir.path(), arguments, OPEN);
    assert_eq!((code, out.as_str()), (1, ""));
    assert!(
        error.starts_with("error: the guest web may not start"),
        "{error}"
    );
    assert!(error.ends_with("cure: lanfence apply web\n"), "{error}");
}

#[rstest]
#[case::restore(&["web", "restore", "begin", "-"])]
#[case::migrate(&["web", "migrate", "begin", "-"])]
fn a_guest_comes_back_fenced(#[case] arguments: &[&str]) {
    let dir = policy(POLICY);
    let back = (0, filtered(), String::new());
    assert_eq!(hook(dir.path(), arguments, OPEN), back);
    assert_eq!(hook(dir.path(), arguments, &filtered()), back);
}

#[rstest]
fn what_cannot_be_read_lets_nothing_start(
    #[values("prepare", "start", "restore", "migrate")] operation: &str,
) {
    let arguments = ["web", operation, "begin", "-"];
    let good = policy(POLICY);
    let bad = policy("[lan\n");
    let missing = tempfile::tempdir().unwrap();
    for (policy, definition) in [
        (bad.path(), filtered().as_str()),
        (missing.path(), &filtered()),
        (good.path(), ""),
        (good.path(), "<domain>"),
        (good.path(), "<network><name>web</name></network>"),
    ] {
        let (code, out, error) = hook(policy, &arguments, definition);
        assert_eq!((code, out.as_str()), (1, ""), "{definition}: {error}");
        assert!(error.starts_with("error: "), "{error}");
    }
}

#[rstest]
fn a_guest_that_runs_or_has_run_is_left_alone(
    #[values(
        "reconnect",
        "started",
        "stopped",
        "release",
        "attach",
        "detach",
        "else"
    )]
    operation: &str,
    #[values(POLICY, "[lan\n")] text: &str,
    #[values(OPEN, "no definition")] definition: &str,
) {
    let dir = policy(text);
    let answer = hook(dir.path(), &["web", operation, "begin", "-"], definition);
    assert_eq!(answer, (0, String::new(), String::new()));
}

/// Bytes as an argument can have them.
fn argument() -> impl Strategy<Value = OsString> {
    let odd = prop::sample::select(vec!["--help", "--policy", "-", "--", ""]);
    prop_oneof![
        odd.prop_map(OsString::from),
        prop::collection::vec(1..=255_u8, 0..20).prop_map(OsString::from_vec),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, failure_persistence: None, ..ProptestConfig::default() })]

    /// libvirt ends a guest whose hook fails while it reconnects.
    #[test]
    fn a_reconnect_never_fails(
        guest in argument(),
        rest in prop::collection::vec(argument(), 0..4),
        definition in prop::collection::vec(any::<u8>(), 0..200),
    ) {
        let output = Command::new(env!("CARGO_BIN_EXE_lanfence"))
            .args(["hook", "--policy=/none"])
            .arg("--")
            .args([&guest, &OsString::from("reconnect")])
            .args(&rest)
            .write_stdin(definition)
            .timeout(DEADLINE)
            .output()
            .expect("it ends within the deadline");
        prop_assert_eq!(output.status.code(), Some(0), "{:?}", output);
        prop_assert!(output.stdout.is_empty() && output.stderr.is_empty(), "{:?}", output);
    }
}

/// The script asks lanfence only where a guest starts: it works where lanfence is gone.
#[rstest]
fn the_script_does_without_lanfence(#[values("reconnect", "stopped")] operation: &str) {
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/dist/hooks/qemu.d/lanfence");
    let output = Command::new(script)
        .args(["web", operation, "begin", "-"])
        .env("PATH", "/nowhere")
        .timeout(DEADLINE)
        .output()
        .expect("it ends within the deadline");
    assert_eq!(output.status.code(), Some(0));
    let text = std::fs::read_to_string(script).unwrap();
    assert_eq!(text.lines().count(), 2);
}
