//! `lanfence fix` on the built program: what it proposes is what `check` proves, what `patch` would
//! make of the file, and what the real libvirt and kernel keep to.

use crate::common::guest_image;
use rstest::rstest;
use std::process::Command;

const ARTICLE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/examples/no-out-traffic.xml");
const POLICY: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/lanfence.toml");

fn lanfence(arguments: &[&str]) -> (i32, String, String) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_lanfence"));
    let output = command.args(arguments).output().unwrap();
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    (
        output.status.code().unwrap_or(-1),
        text(&output.stdout),
        text(&output.stderr),
    )
}

/// Arguments that write the fixed filter to a file.
fn fixing<'a>(filter: &'a str, fixed: &'a str) -> [&'a str; 6] {
    ["fix", filter, "--policy", POLICY, "-o", fixed]
}

#[test]
fn the_articles_filter_is_fixed_and_check_proves_it() {
    let dir = tempfile::tempdir().unwrap();
    let fixed = dir.path().join("fixed.xml").display().to_string();
    let (code, stdout, stderr) = lanfence(&fixing(ARTICLE, &fixed));
    assert_eq!(code, 0, "{stdout}{stderr}");
    for part in [
        "rules added",
        "the chain becomes root",
        "this rule has nothing left to do and can go: drop out <ip match='no'",
        "Known gaps (9 probes)",
        "reflection/loose-route",
        "-    <ip dstipaddr='255.255.255.255' dstipmask='24'/>",
        "   <uuid>03dc0f80-c95a-11e3-9c1a-0800200c9a66</uuid>",
    ] {
        assert!(stdout.contains(part), "{part} is missing:\n{stdout}");
    }
    let check = lanfence(&["check", &fixed, "--policy", POLICY]);
    assert_eq!(check.0, 0, "{}", check.1);
    let (code, stdout, _) = lanfence(&["fix", &fixed, "--policy", POLICY]);
    assert_eq!(code, 0);
    assert!(stdout.contains("fix     nothing: "), "{stdout}");
    assert!(!stdout.contains("\n--- "), "{stdout}");
}

#[test]
fn the_difference_is_one_that_patch_takes() {
    if Command::new("patch").arg("--version").output().is_err() {
        // Set-up does not install it; the diff is checked by the snapshot too.
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let folder = dir.path();
    std::fs::copy(ARTICLE, folder.join("mine.xml")).unwrap();
    let run = |arguments: &[&str]| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_lanfence"));
        let output = command.args(arguments).current_dir(folder).output();
        output.unwrap()
    };
    let output = run(&fixing("mine.xml", "fixed.xml"));
    std::fs::write(folder.join("fix.diff"), &output.stdout).unwrap();
    let mut patch = Command::new("patch");
    let status = patch
        .args(["-p1", "-i", "fix.diff"])
        .current_dir(folder)
        .status();
    assert!(status.unwrap().success());
    let text = |name: &str| std::fs::read_to_string(folder.join(name)).unwrap();
    assert_eq!(text("mine.xml"), text("fixed.xml"));
}

/// Filter, MAC address and parameters of a guest's interface, as `check` takes them.
#[test]
fn the_filter_of_a_guest_is_fixed_for_that_guest() {
    let dir = tempfile::tempdir().unwrap();
    let path = |name: &str| dir.path().join(name).display().to_string();
    let (own, guest, fixed) = (path("own.xml"), path("web.xml"), path("fixed.xml"));
    let filter = "<filter name='own'>\n  <!-- the guest's own MAC only -->\n  \
        <rule action='drop' direction='out' priority='-500'><mac match='no' srcmacaddr='52:54:00:aa:bb:02'/></rule>\n  \
        <rule action='drop' direction='out'><ip match='no' dstipaddr='$NET' dstipmask='24'/></rule>\n</filter>\n";
    let domain = "<domain type='kvm'><name>web</name><devices><interface type='bridge'>\
        <mac address='52:54:00:aa:bb:02'/><source bridge='br0'/><filterref filter='own'>\
        <parameter name='NET' value='192.168.1.0'/></filterref></interface></devices></domain>";
    std::fs::write(&own, filter).unwrap();
    std::fs::write(&guest, domain).unwrap();
    let of_guest = ["--domain-xml", &guest, "--policy", POLICY];
    let words = [&["fix", &own, "-o", &fixed, "--verify"], &of_guest[..]].concat();
    let (code, stdout, stderr) = lanfence(&words);
    assert_eq!(code, 0, "{stdout}{stderr}");
    assert!(
        stdout.contains("guest   web, interface 52:54:00:aa:bb:02"),
        "{stdout}"
    );
    assert!(stdout.contains("PASS: 1 of 1 cell green"), "{stdout}");
    let check = lanfence(&[&["check", &fixed], &of_guest[..]].concat());
    assert_eq!(check.0, 0, "{}", check.1);
    let text = std::fs::read_to_string(&fixed).unwrap();
    assert!(text.contains("<filter name='own'"), "{text}");
}

/// A real libvirt, kernel and sensors.
#[rstest]
#[case::the_articles(ARTICLE)]
#[case::one_chain(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/arp-and-ipv4.xml"))]
fn the_tap_test_proves_it(#[case] filter: &str) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_lanfence"));
    command.env("LANFENCE_GUEST", guest_image());
    let output = command
        .args(["fix", filter, "--policy", POLICY, "--verify"])
        .output()
        .unwrap();
    let stdout = String::from_utf8_lossy(&output.stdout);
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(0), "{stdout}{stderr}");
    assert!(stdout.contains("PASS: 1 of 1 cell green"), "{stdout}");
}

#[rstest]
#[case::no_filter(&["fix"], 2, "FILTER")]
#[case::no_guest(&["fix", "--domain-xml", "/nonexistent.xml"], 2, "/nonexistent.xml")]
#[case::no_json(&["fix", ARTICLE, "--json", "/nonexistent/x.json"], 2, "/nonexistent")]
#[case::no_file(&["fix", "/nonexistent.xml"], 2, "nonexistent")]
#[case::a_policy(&["fix", POLICY], 2, "lanfence.toml")]
#[case::no_directory(&["fix", ARTICLE, "-o", "/nonexistent/x.xml"], 2, "/nonexistent")]
fn what_cannot_be_used_is_said(#[case] arguments: &[&str], #[case] code: i32, #[case] part: &str) {
    let (found, stdout, stderr) = lanfence(arguments);
    assert_eq!(found, code, "{stdout}{stderr}");
    assert!(stderr.contains(part), "{stderr}");
}
