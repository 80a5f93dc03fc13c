//! What a run concludes: green, red and inconclusive, each with real guests.

use crate::common::{example, is_client, verify, verify_policy};
use lanfence::report::model::{Failure, Outcome, ProbeResult, Step, Verdict};
use rstest::rstest;

#[test]
fn the_generated_filter_is_green_on_pcnet_and_virtio() {
    let done = verify(&["--nic", "pcnet", "--nic", "virtio"]);
    assert_eq!(done.code, 0, "{}", done.printed());
    let run = done.run();
    assert_eq!(run.cells.len(), 2);
    for cell in &run.cells {
        assert!(
            cell.probes.len() > 100,
            "{} has only {} probes",
            cell.name,
            cell.probes.len()
        );
        assert_eq!(cell.leak_check, Some(true), "{}", cell.name);
        let as_first_frame = |probe: &ProbeResult| probe.first_frame == Some(probe.filtered);
        // Clients of other systems are played in one order only.
        let mut probes = cell.probes.iter().filter(|probe| !is_client(probe));
        assert!(
            probes.all(as_first_frame),
            "with the filter there first, the same outcomes"
        );
        assert!(cell.evidence.is_empty(), "a green cell leaves no bundle");
    }
    assert!(
        run.cells
            .iter()
            .any(|cell| cell.driver.as_deref() == Some("pcnet32")),
        "{}",
        done.printed()
    );
    assert!(
        run.cells
            .iter()
            .any(|cell| cell.driver.as_deref() == Some("virtio_net")),
        "{}",
        done.printed()
    );
    let last = done.stdout.trim_end().lines().last().unwrap_or_default();
    assert!(last.contains(" passed, 0 failed"), "{last}");
}

/// A /28 has numbers for three guests: the fourth cell begins anew, and what the lab's
/// DHCP server remembers of the first one, whose MAC differs in its first octet
/// (usb-net's does), must not change the address it gets.
#[test]
fn the_cells_of_one_worker_share_its_lab_and_its_few_addresses() {
    let lan = "[lan]\nprefixes = [\"192.168.7.16/28\"]\n";
    let (_dir, file) = policy_file(lan);
    let cells = ["usb-net", "virtio", "pcnet", "rtl8139"];
    let nics = cells.iter().flat_map(|nic| ["--nic", *nic]);
    let one = ["--jobs", "1", "--attach", "before-first-frame"];
    let arguments: Vec<&str> = one.into_iter().chain(nics).collect();
    let done = verify_policy(&file, &arguments);
    assert_eq!(done.code, 0, "{}", done.printed());
    assert_eq!(done.run().cells.len(), cells.len(), "{}", done.printed());
}

fn policy_file(policy: &str) -> (tempfile::TempDir, String) {
    let dir = tempfile::tempdir().expect("a directory for the policy");
    let file = dir.path().join("policy.toml");
    std::fs::write(&file, policy).expect("the policy");
    let name = file.to_str().expect("a name in UTF-8").to_string();
    (dir, name)
}

/// Policies far from the shipped one: the generated filter and the catalogue's
/// expectations follow.
#[rstest]
#[case::a_small_ipv4_lan("[lan]\nprefixes = [\"192.168.7.16/28\"]\n")]
#[case::no_dhcp("[lan]\nprefixes = [\"192.168.1.0/24\", \"fe80::/10\"]\n[dhcp]\nclient = false\n")]
#[case::no_groups(
    "[lan]\nprefixes = [\"192.168.1.0/24\", \"fe80::/10\"]\n[multicast]\ngroups = []\n"
)]
#[case::nothing_but_unicast(
    "[lan]\nprefixes = [\"172.16.0.0/20\"]\n[dhcp]\nclient = false\n[broadcast]\nlimited = false\n[multicast]\ngroups = []\n"
)]
#[case::two_lans_and_a_host(
    "[lan]\nprefixes = [\"192.168.1.0/24\", \"10.20.0.0/16\", \"fd00:1::/64\", \"fe80::/10\"]\n[allow]\nhosts = [\"203.0.113.77/32\"]\n"
)]
fn other_policies_are_green_too(#[case] policy: &str) {
    let (_dir, file) = policy_file(policy);
    let done = verify_policy(&file, &["--nic", "virtio"]);
    assert_eq!(done.code, 0, "{}", done.printed());
}

#[test]
fn a_filter_that_stops_everything_is_called_so() {
    let dir = tempfile::tempdir().expect("a directory for the filter");
    let file = dir.path().join("f.xml");
    let xml = "<filter name='all'><rule action='drop' direction='inout' priority='0'/></filter>";
    std::fs::write(&file, xml).expect("the filter");
    let file = file.to_str().expect("a name in UTF-8");
    let done = verify(&["--nic", "virtio", "--filter", file]);
    assert_eq!(done.code, 1, "{}", done.printed());
    assert!(
        done.with(Verdict::Fail(Failure::Blocked)).len() > 40,
        "{}",
        done.printed()
    );
    assert!(done.with(Verdict::Fail(Failure::Leak)).is_empty());
}

#[test]
fn the_articles_filter_is_red_and_its_leaks_are_named() {
    let done = verify(&["--nic", "pcnet", "--filter", &example("no-out-traffic.xml")]);
    assert_eq!(done.code, 1, "{}", done.printed());
    let leaks: Vec<&str> = done
        .with(Verdict::Fail(Failure::Leak))
        .iter()
        .map(|probe| probe.id.as_str())
        .collect();
    for group in [
        "wan-ipv6/",
        "encapsulation/",
        "reflection/",
        "wan-edges/",
        "tunnels/",
        "rogue/",
        "wan-inbound/",
    ] {
        assert!(
            leaks.iter().any(|id| id.starts_with(group)),
            "no leak in {group}: {leaks:?}"
        );
    }
    let blocked: Vec<&str> = done
        .with(Verdict::Fail(Failure::Blocked))
        .iter()
        .map(|probe| probe.id.as_str())
        .collect();
    assert!(
        blocked.iter().any(|id| id.starts_with("multicast/")),
        "{blocked:?}"
    );
    // The WAN over plain IPv4 is what the article's filter does close.
    assert!(
        done.with(Verdict::Pass)
            .iter()
            .any(|probe| probe.id.starts_with("wan-ipv4/")),
        "{}",
        done.printed()
    );
    let run = done.run();
    for leak in leaks {
        let mut causes = run.causes.iter();
        let named = causes.any(|cause| cause.explained && cause.probes.iter().any(|id| id == leak));
        assert!(named, "no cause names {leak}");
    }
}

#[test]
fn a_red_cell_leaves_its_evidence() {
    let done = verify(&[
        "--nic",
        "virtio",
        "--filter",
        &example("no-out-traffic.xml"),
    ]);
    let cell = &done.run().cells[0];
    let out = done.dir.path().join("out");
    for name in [
        "frames.pcapng",
        "rules.txt",
        "filter-no-out-traffic.xml",
        "domain.xml",
        "serial.log",
        "libvirtd.log",
    ] {
        let file = cell.evidence.iter().find(|file| file.ends_with(name));
        let file = file.unwrap_or_else(|| panic!("{name} is not among {:?}", cell.evidence));
        let content = std::fs::read(out.join(file)).expect("the file that the report names");
        assert!(!content.is_empty(), "{file} is empty");
    }
    let rules = std::fs::read_to_string(out.join("linux-virtio/rules.txt")).expect("the rules");
    assert!(
        rules.contains("192.168.1.0/24"),
        "the rules of the filter with their counters: {rules}"
    );
    let capture = std::fs::read(out.join("linux-virtio/frames.pcapng")).expect("the capture");
    let text = String::from_utf8_lossy(&capture);
    assert!(
        text.contains("leak"),
        "the capture's comments name the verdict"
    );
}

#[test]
fn without_a_filter_everything_leaks() {
    let done = verify(&["--nic", "virtio", "--no-filter"]);
    assert_eq!(done.code, 1, "{}", done.printed());
    let stopped = done.run().cells[0]
        .probes
        .iter()
        .filter(|probe| probe.verdict == Verdict::Pass);
    let stopped: Vec<&str> = stopped
        .filter(|probe| probe.expect == lanfence::probe::Expect::Drop)
        .map(|probe| probe.id.as_str())
        .collect();
    assert!(
        stopped.is_empty(),
        "nothing can be stopped without a filter: {stopped:?}"
    );
}

#[rstest]
#[case::a_dead_sensor("sensor")]
#[case::a_link_that_is_down("link")]
#[case::a_paused_guest("pause")]
fn what_breaks_in_mid_run_is_inconclusive(#[case] part: &str) {
    let done = verify(&["--nic", "virtio", "--inject", part]);
    assert_eq!(done.code, 5, "{}", done.printed());
    let believed: Vec<&str> = done
        .with(Verdict::Pass)
        .iter()
        .map(|probe| probe.id.as_str())
        .filter(|id| id.starts_with("wan-ipv4/") || id.starts_with("wan-ipv6/"))
        .collect();
    assert!(
        believed.is_empty(),
        "no drop may be believed: {believed:?}\n{}",
        done.printed()
    );
}

/// Whatever notices it first: the agent's port, libvirt's monitor, the tap or its rules.
#[rstest]
#[case::reset(
    "linux/pcnet",
    "reset",
    "QEMU's reason: host-qmp-system-reset; its log ends with:"
)]
#[case::reset_firmware("ipxe/pcnet", "reset", "QEMU's reason: host-qmp-system-reset;")]
#[case::killed("linux/pcnet", "kill", "QEMU gave no reason; its log ends with:")]
#[case::killed_firmware("ipxe/pcnet", "kill", "QEMU gave no reason; its log ends with:")]
fn a_domain_that_ends_names_qemus_reason(
    #[case] cell: &str,
    #[case] fault: &str,
    #[case] reason: &str,
) {
    let done = verify(&["--cell", cell, "--inject", fault]);
    assert_eq!(done.code, 5, "{}", done.printed());
    // The table breaks its lines.
    let printed = done.printed();
    let printed = printed.split_whitespace().collect::<Vec<_>>().join(" ");
    assert!(printed.contains(reason), "{printed}");
}

#[test]
fn rules_that_vanish_behind_libvirts_back_are_a_leak() {
    let done = verify(&["--nic", "virtio", "--inject", "flush"]);
    assert_eq!(done.code, 1, "{}", done.printed());
    assert!(
        done.with(Verdict::Fail(Failure::Leak)).len() > 50,
        "{}",
        done.printed()
    );
}

#[test]
fn a_filter_that_is_missing_at_the_first_frame_only_is_a_leak() {
    let done = verify(&["--nic", "virtio", "--inject", "flush-before-first-frame"]);
    assert_eq!(done.code, 1, "{}", done.printed());
    let leaks = done.with(Verdict::Fail(Failure::Leak));
    assert!(leaks.len() > 50, "{}", done.printed());
    for leak in leaks {
        let outcomes = (leak.filtered, leak.first_frame);
        assert_eq!(
            outcomes,
            (Outcome::Dropped, Some(Outcome::Delivered)),
            "{}",
            leak.id
        );
        let note = leak.note.as_deref().unwrap_or_default();
        assert!(note.contains("before its first frame"), "{note}");
    }
}

/// If a guest cannot start with the filter, the NIC alone must still work: the filter is to blame.
#[rstest]
#[case::restored("linux/pcnet")]
#[case::of_usb("linux/usb-net")]
#[case::firmware("ipxe/pcnet")]
fn a_filter_that_libvirt_refuses_is_the_users_error(#[case] cell: &str) {
    let dir = tempfile::tempdir().expect("a directory for the filter");
    let file = dir.path().join("f.xml");
    // libvirt takes the definition; the rules cannot be made.
    let rule = "<rule action='continue' direction='out'><tcp/></rule>";
    std::fs::write(&file, format!("<filter name='f'>{rule}</filter>")).expect("the filter");
    let file = file.to_str().expect("a name in UTF-8");
    let done = verify(&["--cell", cell, "--filter", file]);
    assert_eq!(done.code, 2, "{}", done.printed());
    let text = done.printed();
    assert!(
        text.contains("takes the NIC only without the filter"),
        "{text}"
    );
}

/// The first cell of a kind goes through both orders, the others through one.
#[test]
fn one_cell_of_a_kind_has_the_filter_put_on_its_running_guest() {
    let done = verify(&["--nic", "virtio", "--nic", "pcnet"]);
    assert_eq!(done.code, 0, "{}", done.printed());
    let steps = |cell: usize| {
        let timings = done.run().cells[cell].timings.clone();
        timings
            .into_iter()
            .map(|timing| timing.step)
            .collect::<Vec<_>>()
    };
    assert!(steps(0).contains(&Step::Filtered), "{:?}", steps(0));
    assert!(!steps(1).contains(&Step::Filtered), "{:?}", steps(1));
    for cell in &done.run().cells {
        assert_eq!(cell.leak_check, Some(true), "{}", cell.name);
        assert!(cell.probes.iter().any(|probe| probe.first_frame.is_some()));
    }
}

#[test]
fn without_the_early_run_nothing_is_said_of_it() {
    let done = verify(&["--nic", "virtio", "--attach", "running"]);
    assert_eq!(done.code, 0, "{}", done.printed());
    let probes = &done.run().cells[0].probes;
    assert!(probes.iter().all(|probe| probe.first_frame.is_none()));
}
