//! The verbs that need no guest, from the command line.

use assert_cmd::Command;
use rstest::rstest;

const ARTICLE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/examples/no-out-traffic.xml");
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
        stdout.contains("PASS: 0 leaks, 0 wrong blocks, 0 inconclusive"),
        "{stdout}"
    );
}

#[test]
fn the_articles_filter_fails_with_its_leaks_and_examples() {
    let (code, brief, _) = lanfence(&["check", ARTICLE, "--policy", POLICY]);
    assert_eq!(code, 1);
    assert!(!brief.contains("wan-ipv6/udp-53"), "{brief}");
    let (_, stdout, _) = lanfence(&["check", ARTICLE, "--policy", POLICY, "-v"]);
    for part in [
        "chain='ipv4' sees IPv4 only",
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

/// A filter that libvirt reads otherwise than it is written.
const SLOPPY: &str = "<filter name='x'>
  <rule action='drop' direction='out' priority='5000'>
    <ip dstipadr='1.2.3.4' srcipaddr='12'/>
  </rule>
</filter>
";

fn sloppy() -> (tempfile::TempDir, String) {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("x.xml");
    std::fs::write(&path, SLOPPY).unwrap();
    let path = path.display().to_string();
    (dir, path)
}

#[test]
fn lint_shows_what_libvirt_reads() {
    let (_dir, path) = sloppy();
    let (code, stdout, _) = lanfence(&["lint", &path]);
    assert_eq!(code, 1, "{stdout}");
    for part in [
        "unknown attribute dstipadr in <ip>",
        "mean dstipaddr?",
        "x.xml:3:5",
        "priority 5000 is none",
        "<ip srcipaddr='0.0.0.12'/>",
        "3 errors, 2 warnings, 1 note",
    ] {
        assert!(stdout.contains(part), "{part} is missing:\n{stdout}");
    }
    let (code, _, stderr) = lanfence(&["check", &path, "--policy", POLICY]);
    assert_eq!(code, 2, "the strict reader refuses it");
    assert!(stderr.contains("x.xml:2:3"), "{stderr}");
    let (code, stdout, _) = lanfence(&["check", &path, "--policy", POLICY, "--lenient"]);
    assert_eq!(code, 1, "{stdout}");
    assert!(stdout.contains("error[silently-ignored]"), "{stdout}");
}

#[test]
fn explain_and_diff_read_as_libvirt_does_where_they_are_asked_to() {
    let (_dir, path) = sloppy();
    assert_eq!(lanfence(&["explain", &path]).0, 2);
    let (code, stdout, stderr) = lanfence(&["explain", &path, "--lenient"]);
    assert_eq!(code, 0, "{stderr}");
    assert!(stdout.contains("error[silently-ignored]"), "{stdout}");
    assert_eq!(lanfence(&["diff", &path, ARTICLE]).0, 2);
    let (code, stdout, stderr) = lanfence(&["diff", &path, &path, "--lenient"]);
    assert_eq!(code, 0, "{stdout}{stderr}");
}

#[rstest]
fn a_domain_is_answered_with_what_to_give(#[values("check", "explain")] verb: &str) {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("guest.xml");
    let text = "<domain type='kvm'><devices><interface type='bridge'><mac address='52:54:00:00:00:07'/>\
        <filterref filter='lan-only'><parameter name='IP' value='192.168.1.77'/></filterref></interface></devices></domain>";
    std::fs::write(&path, text).unwrap();
    let (code, _, stderr) = lanfence(&[verb, &path.display().to_string()]);
    assert_eq!(code, 2, "{stderr}");
    let wanted =
        "nwfilter-dumpxml lan-only` prints, with --mac 52:54:00:00:00:07 --param IP=192.168.1.77";
    assert!(stderr.contains(wanted), "{stderr}");
}

/// Nothing is left out because something is not given, and that counts.
#[rstest]
#[case::unset(
    "<rule action='drop' direction='out'><ip dstipaddr='$SERVER' dscp='46'/></rule>",
    "unset-variable"
)]
#[case::dangling(
    "<filterref filter='gone'/><rule action='drop' direction='out'><ip dscp='46'/></rule>",
    "missing-filter"
)]
fn lint_looks_at_everything(#[case] rules: &str, #[case] lint: &str) {
    let (_dir, paths) = folder(&[("a.xml", rules)]);
    let (code, stdout, stderr) = lanfence(&["lint", &paths[0]]);
    assert_eq!(code, 1, "{stderr}");
    for part in [
        &format!("error[{lint}]"),
        "error[dscp-is-tos]",
        "warning[default-accept]",
    ] {
        assert!(stdout.contains(part), "{part} is missing:\n{stdout}");
    }
}

#[test]
fn an_address_that_libvirt_learns_is_an_example() {
    let rule = "<rule action='drop' direction='out'><ip match='no' srcipaddr='$IP'/></rule>";
    let (_dir, paths) = folder(&[("a.xml", rule)]);
    let (code, stdout, _) = lanfence(&["lint", &paths[0]]);
    assert_eq!(code, 0, "{stdout}");
    let line = "IP=192.168.1.50, which libvirt learns from the guest's traffic";
    assert!(stdout.contains(line), "{stdout}");
}

#[rstest]
#[case::as_it_is(&[], 0)]
#[case::denied(&["--deny", "broadcast-mask"], 1)]
#[case::all_denied(&["--deny", "all"], 1)]
#[case::all_but_what_is_found(
    &["--deny", "all", "--allow", "broadcast-mask", "--allow", "part-of-multicast",
      "--allow", "chain-end-accepts", "--allow", "direction-unfiltered", "--allow", "default-accept"],
    0
)]
#[case::unknown(&["--deny", "nothing-like-it"], 2)]
fn lints_have_levels(#[case] arguments: &[&str], #[case] expected: i32) {
    let (code, stdout, stderr) = lanfence(&[&["lint", ARTICLE], arguments].concat());
    assert_eq!(code, expected, "{stdout}{stderr}");
}

#[test]
fn denied_lints_fail_a_check_that_is_proven() {
    let dir = tempfile::tempdir().unwrap();
    let folder = dir.path().display().to_string();
    let (code, path, _) = lanfence(&["generate", "--policy", POLICY, "--dir", &folder]);
    assert_eq!(code, 0);
    let text = std::fs::read_to_string(path.trim()).unwrap();
    // A rule that changes nothing, behind the one that drops everything.
    let odd = "  <rule action='drop' direction='out' priority='1000'><ip dstipaddr='1.2.3.4' dstipmask='24'/></rule>\n</filter>";
    std::fs::write(path.trim(), text.replace("</filter>", odd)).unwrap();
    let check =
        |more: &[&str]| lanfence(&[&["check", path.trim(), "--policy", POLICY], more].concat());
    assert_eq!(check(&[]).0, 0);
    assert_eq!(check(&["--deny", "host-bits"]).0, 1);
    let allowed = ["--deny", "all", "--allow", "host-bits"];
    assert_eq!(
        check(&allowed).0,
        1,
        "a rule that changes nothing is a finding"
    );
    let allowed = [&allowed[..], &["--allow", "redundant-rule"]].concat();
    assert_eq!(check(&allowed).0, 0);
}

#[rstest]
#[case::of_lint(&["lint", ARTICLE, "--format", "sarif"], "broadcast-mask")]
#[case::of_check(&["check", ARTICLE, "--policy", POLICY, "--format", "sarif"], "leak")]
fn sarif_names_places(#[case] arguments: &[&str], #[case] rule: &str) {
    let (_, stdout, stderr) = lanfence(arguments);
    let document: serde_json::Value = serde_json::from_str(&stdout).expect(&stderr);
    assert_eq!(document["version"], "2.1.0");
    let run = &document["runs"][0];
    let results = run["results"].as_array().unwrap();
    let found = results.iter().find(|result| result["ruleId"] == rule);
    let found = found.expect("the article's filter has it");
    let place = &found["locations"][0]["physicalLocation"];
    let uri = place["artifactLocation"]["uri"].as_str().unwrap();
    assert!(uri.ends_with("no-out-traffic.xml"), "{uri}");
    assert!(
        place["region"]["startLine"]
            .as_u64()
            .is_some_and(|line| line >= 1)
    );
    let at = usize::try_from(found["ruleIndex"].as_u64().unwrap()).unwrap();
    assert_eq!(run["tool"]["driver"]["rules"][at]["id"], rule);
}

/// Files of one filter each, by name.
fn folder(files: &[(&str, &str)]) -> (tempfile::TempDir, Vec<String>) {
    let dir = tempfile::tempdir().unwrap();
    let path = |(name, rules): &(&str, &str)| {
        let path = dir.path().join(name);
        std::fs::write(&path, format!("<filter name='x'>{rules}</filter>")).unwrap();
        path.display().to_string()
    };
    let paths = files.iter().map(path).collect();
    (dir, paths)
}

const HALVES: &str = "<rule action='drop' direction='out'><ip dstipaddr='10.0.0.0' dstipmask='25'/></rule>\
    <rule action='drop' direction='out'><ip dstipaddr='10.0.0.128' dstipmask='25'/></rule>";
const WHOLE: &str =
    "<rule action='drop' direction='out'><ip dstipaddr='10.0.0.0' dstipmask='24'/></rule>";
const WIDER: &str =
    "<rule action='drop' direction='out'><ip dstipaddr='10.0.0.0' dstipmask='23'/></rule>";
const SETS: &str = "<rule action='drop' direction='out'><all ipset='s' ipsetflags='dst'/></rule>";

#[rstest]
#[case::the_same(HALVES, WHOLE, 0, "SAME: 0 differences")]
#[case::a_second_net(WHOLE, WIDER, 1, "IPv4 tcp from the guest: 10.0.1.0/24")]
#[case::not_modelled(SETS, "", 5, "INCONCLUSIVE: 0 differences")]
#[case::unreadable("<rule/>", "", 2, "lacks the attribute action")]
fn diff_says_which_frames(
    #[case] one: &str,
    #[case] other: &str,
    #[case] expected: i32,
    #[case] part: &str,
) {
    let (_dir, paths) = folder(&[("a.xml", one), ("b.xml", other)]);
    let (code, stdout, stderr) = lanfence(&["diff", &paths[0], &paths[1]]);
    assert_eq!(code, expected, "{stdout}{stderr}");
    assert!(
        format!("{stdout}{stderr}").contains(part),
        "{stdout}{stderr}"
    );
}

#[test]
fn diff_of_one_filter_is_about_its_back_ends() {
    let dscp = "<rule action='drop' direction='out'><ip dscp='46'/></rule>";
    let (_dir, paths) = folder(&[("a.xml", dscp), ("b.xml", WHOLE)]);
    let (code, stdout, _) = lanfence(&["diff", &paths[0], "--format", "json"]);
    assert_eq!(code, 1, "{stdout}");
    let document: serde_json::Value = serde_json::from_str(&stdout).unwrap();
    assert_eq!(document["b"]["backend"], "nftables");
    let frame = document["differences"][0]["frame"].as_str().unwrap();
    for (backend, side) in [("ebtables", "a"), ("nftables", "b")] {
        let (_, explained, _) =
            lanfence(&["explain", &paths[0], "--backend", backend, "--frame", frame]);
        let decision = document["differences"][0][side]["decision"]
            .as_str()
            .unwrap();
        assert!(explained.contains(decision), "{backend}: {explained}");
    }
    let (code, stdout, _) = lanfence(&["diff", &paths[1]]);
    assert_eq!(code, 0, "{stdout}");
}
