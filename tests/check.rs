//! The verbs that need no guest, from the command line.

use assert_cmd::Command;
use rstest::rstest;

const ARTICLE: &str = concat!(
    env!("CARGO_MANIFEST_DIR"),
    "/tests/fixtures/no-out-traffic.xml"
);
const POLICY: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/lanfence.toml");

/// UDP of the guest from 192.168.1.77 to port 443 of 203.0.113.10.
const TO_THE_WAN: &str = "525400000001525400000101080045000020000000004011\
    7ccdc0a8014dcb00710a9c4001bb000c0000deadbeef";

fn lanfence(arguments: &[&str]) -> (i32, String, String) {
    let output = Command::new(env!("CARGO_BIN_EXE_lanfence"))
        .args(arguments)
        .output()
        .expect("lanfence can be started");
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    (
        output.status.code().unwrap_or(-1),
        text(&output.stdout),
        text(&output.stderr),
    )
}

#[test]
fn the_generated_filter_is_proven() {
    let (code, stdout, stderr) = lanfence(&["check", "--policy", POLICY]);
    assert_eq!(code, 0, "{stdout}{stderr}");
    assert!(
        stdout.contains("PROVEN: 0 leaks, 0 wrong blocks"),
        "{stdout}"
    );
}

#[test]
fn the_articles_filter_fails_with_its_leaks_and_examples() {
    let (code, stdout, _) = lanfence(&["check", ARTICLE, "--policy", POLICY]);
    assert_eq!(code, 1);
    for part in [
        "wan-ipv6/udp-53",
        "multicast/block-225",
        "broadcast-mask",
        "255.255.255.0/24",
        "accepted     ::/0",
    ] {
        assert!(stdout.contains(part), "{part} is missing:\n{stdout}");
    }
}

#[rstest]
#[case::no_file("/nonexistent.xml", "nonexistent")]
#[case::no_filter(POLICY, "lanfence.toml")]
fn what_cannot_be_read_is_said(#[case] file: &str, #[case] part: &str) {
    let (code, _, stderr) = lanfence(&["check", file, "--policy", POLICY]);
    assert_eq!(code, 2);
    assert!(stderr.contains(part), "{stderr}");
}

#[test]
fn explain_names_the_rule_and_its_line() {
    let (code, stdout, stderr) = lanfence(&["explain", ARTICLE, "--frame", TO_THE_WAN]);
    assert_eq!(code, 0, "{stderr}");
    assert!(stdout.contains("from the guest, is dropped"), "{stdout}");
    assert!(stdout.contains("no-out-traffic.xml:3:3"), "{stdout}");
}

#[test]
fn explain_reads_captures() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("frames.pcap");
    let bytes: Vec<u8> = (0..TO_THE_WAN.len())
        .step_by(2)
        .map(|at| u8::from_str_radix(&TO_THE_WAN[at..at + 2], 16).unwrap())
        .collect();
    let length = u32::try_from(bytes.len()).unwrap().to_le_bytes();
    // Header of a little-endian pcap file of Ethernet frames, then one packet.
    let mut file = vec![
        0xd4, 0xc3, 0xb2, 0xa1, 2, 0, 4, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 4, 0, 1, 0, 0, 0,
    ];
    file.extend([[0; 4], [0; 4], length, length].concat());
    file.extend(bytes);
    std::fs::write(&path, file).unwrap();
    let path = path.display().to_string();
    let (code, stdout, stderr) =
        lanfence(&["explain", ARTICLE, "--pcap", &path, "--direction", "in"]);
    assert_eq!(code, 0, "{stderr}");
    assert!(stdout.contains("to the guest, passes"), "{stdout}");
}
