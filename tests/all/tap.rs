//! The tap test, which has no guest: it comes to the same verdicts as a test with one, in
//! the time that the bind takes.

use crate::common::{Verified, example, is_client, verify, verify_tap, verify_tap_policy};
use lanfence::probe::Expect;
use lanfence::report::model::{Failure, ProbeResult, Verdict};
use rstest::rstest;
use std::collections::{BTreeMap, BTreeSet};

fn ids(done: &Verified, verdict: Verdict) -> Vec<&str> {
    let found = done.with(verdict);
    found.into_iter().map(|probe| probe.id.as_str()).collect()
}

#[test]
fn the_generated_filter_is_green() {
    let done = verify_tap(&[]);
    assert_eq!(done.code, 0, "{}", done.printed());
    let cell = &done.run().cells[0];
    assert_eq!(cell.name, "tap/raw");
    assert_eq!(cell.leak_check, Some(true));
    assert!(ids(&done, Verdict::Pass).len() > 200, "{}", done.printed());
    assert!(cell.evidence.is_empty(), "a green cell leaves no bundle");
}

#[test]
fn the_articles_filter_is_red_and_its_leaks_are_named() {
    let done = verify_tap(&["--filter", &example("no-out-traffic.xml")]);
    assert_eq!(done.code, 1, "{}", done.printed());
    let leaks = ids(&done, Verdict::Fail(Failure::Leak));
    for group in [
        "wan-ipv6/",
        "encapsulation/",
        "reflection/",
        "rogue/",
        "wan-inbound/",
    ] {
        let named = leaks.iter().any(|id| id.starts_with(group));
        assert!(named, "no leak in {group}: {leaks:?}");
    }
    let blocked = ids(&done, Verdict::Fail(Failure::Blocked));
    let causes = &done.run().causes;
    assert!(leaks.len() > 200 && causes.len() <= 15, "{causes:#?}");
    for cause in causes {
        assert!(cause.explained && cause.place.is_some(), "{cause:#?}");
    }
    let of = |failure| {
        let causes = causes.iter().filter(|cause| cause.failure == failure);
        let ids: BTreeSet<&str> = causes
            .flat_map(|cause| cause.probes.iter().map(String::as_str))
            .collect();
        ids
    };
    assert_eq!(of(Failure::Leak), leaks.into_iter().collect());
    assert_eq!(of(Failure::Blocked), blocked.iter().copied().collect());
    assert!(
        done.stdout
            .contains("IPv6 from the guest is not filtered at all: chain='ipv4' sees IPv4"),
        "{}",
        done.stdout
    );
    assert!(
        blocked.iter().any(|id| id.starts_with("multicast/")),
        "{blocked:?}"
    );
    let bundle = done.dir.path().join("out/tap-raw");
    for file in [
        "binding.xml",
        "rules.txt",
        "frames.pcapng",
        "filter-no-out-traffic.xml",
    ] {
        let content = std::fs::read(bundle.join(file)).expect("evidence");
        assert!(!content.is_empty(), "{file} is empty");
    }
}

/// A guest's own stack adds nothing to what the filter does with its frames.
#[rstest]
#[case::of_the_generated_filter(None)]
#[case::of_the_articles_filter(Some("no-out-traffic.xml"))]
fn a_guest_comes_to_the_same_verdicts(#[case] filter: Option<&str>) {
    let file = filter.map(example);
    let arguments: Vec<&str> = file.iter().flat_map(|file| ["--filter", file]).collect();
    let verdicts = |done: &Verified| -> BTreeMap<String, Verdict> {
        let probes = &done.run().cells[0].probes;
        assert!(probes.len() > 200, "{}", done.printed());
        let pair = |probe: &ProbeResult| (probe.id.clone(), probe.verdict);
        // DHCP clients of other systems are played through a guest's NIC only.
        let probes = probes.iter().filter(|probe| !is_client(probe));
        probes.map(pair).collect()
    };
    let with_guest = verify(&[&["--nic", "virtio"], arguments.as_slice()].concat());
    assert_eq!(verdicts(&verify_tap(&arguments)), verdicts(&with_guest));
}

#[test]
fn without_a_filter_everything_leaks() {
    let done = verify_tap(&["--no-filter"]);
    assert_eq!(done.code, 1, "{}", done.printed());
    let stopped = done.with(Verdict::Pass).into_iter();
    let stopped: Vec<_> = stopped
        .filter(|probe| probe.expect == Expect::Drop)
        .collect();
    assert!(stopped.is_empty(), "nothing can be stopped: {stopped:?}");
}

#[test]
fn a_filter_that_stops_everything_is_called_so() {
    let dir = tempfile::tempdir().expect("a directory for the filter");
    let file = dir.path().join("f.xml");
    let xml = "<filter name='all'><rule action='drop' direction='inout' priority='0'/></filter>";
    std::fs::write(&file, xml).expect("the filter");
    let done = verify_tap(&["--filter", file.to_str().expect("a name in UTF-8")]);
    assert_eq!(done.code, 1, "{}", done.printed());
    assert!(ids(&done, Verdict::Fail(Failure::Blocked)).len() > 40);
    assert!(ids(&done, Verdict::Fail(Failure::Leak)).is_empty());
}

#[test]
fn rules_that_vanish_behind_libvirts_back_are_a_leak() {
    let done = verify_tap(&["--inject", "flush"]);
    assert_eq!(done.code, 1, "{}", done.printed());
    assert!(ids(&done, Verdict::Fail(Failure::Leak)).len() > 50);
}

#[rstest]
#[case::a_dead_sensor("sensor")]
#[case::a_link_that_is_down("link")]
fn what_breaks_in_mid_run_is_inconclusive(#[case] part: &str) {
    let done = verify_tap(&["--inject", part]);
    assert_eq!(done.code, 5, "{}", done.printed());
    let believed = ids(&done, Verdict::Pass);
    let wan = |id: &&str| id.starts_with("wan-ipv4/") || id.starts_with("wan-ipv6/");
    assert!(
        !believed.iter().any(wan),
        "no drop may be believed: {believed:?}"
    );
}

#[rstest]
#[case::a_nic_without_a_guest(&["--nic", "pcnet"], 2, "the tap test has none")]
#[case::another_cell(&["--cell", "linux/*"], 4, "no cell matches")]
#[case::a_filter_that_libvirt_refuses(&["--filter", "REFUSED"], 2, "continue")]
fn what_cannot_be_run_says_so(#[case] arguments: &[&str], #[case] code: i32, #[case] words: &str) {
    let dir = tempfile::tempdir().expect("a directory for the filter");
    let file = dir.path().join("f.xml");
    let rule = "<rule action='continue' direction='out'><tcp/></rule>";
    std::fs::write(&file, format!("<filter name='f'>{rule}</filter>")).expect("the filter");
    let file = file.to_str().expect("a name in UTF-8");
    let named = |word: &&str| if *word == "REFUSED" { file } else { word }.to_owned();
    let arguments: Vec<String> = arguments.iter().map(named).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let done = verify_tap(&arguments);
    assert_eq!(done.code, code, "{}", done.printed());
    assert!(
        done.printed().to_lowercase().contains(words),
        "{}",
        done.printed()
    );
}

/// Another policy is the cure, not another host.
#[rstest]
#[case::too_small("192.168.1.0/30", "192.168.1.0/30 is too small for the test hosts")]
#[case::the_labs_own_wan("203.0.113.0/24", "an address of the lab's WAN side")]
fn a_lan_without_a_place_for_the_lab_is_wrong_input(#[case] prefix: &str, #[case] words: &str) {
    let dir = tempfile::tempdir().expect("a directory for the policy");
    let file = dir.path().join("p.toml");
    let policy = format!("[lan]\nprefixes = [\"{prefix}\", \"fe80::/10\"]\n");
    std::fs::write(&file, policy).expect("the policy");
    let file = file.to_str().expect("a name in UTF-8");
    let done = verify_tap_policy(file, &[]);
    assert_eq!(done.code, 2, "{}", done.printed());
    assert!(done.printed().contains(words), "{}", done.printed());
}
