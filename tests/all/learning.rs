//! The guest's address as libvirt has it: given, learnt, or refused. The filter pins the guest to
//! its address with `$IP`, as libvirt's own `no-ip-spoofing` does.

use crate::common::{Verified, verify, verify_tap};
use lanfence::nwfilter::learning::Learning;
use lanfence::nwfilter::{ParameterSource, generate, read, write};
use lanfence::policy::Policy;
use lanfence::report::model::{Cell, Failure, Verdict};
use rstest::rstest;

const WHILE_LEARNING: &str = "wan-ipv4/while-learning";

/// The generated filter behind rules that pin the guest to its address.
fn pinned() -> (tempfile::TempDir, String) {
    pinned_by("<filterref filter='pin'/>")
}

/// The same with this reference to the rules that pin it.
fn pinned_by(reference: &str) -> (tempfile::TempDir, String) {
    let dir = tempfile::tempdir().expect("a directory");
    let pin = "<filter name='pin' chain='ipv4-ip' priority='-710'>\
               <rule action='return' direction='out' priority='100'><ip srcipaddr='0.0.0.0' protocol='udp'/></rule>\
               <rule action='return' direction='out'><ip srcipaddr='$IP'/></rule>\
               <rule action='drop' direction='out' priority='1000'/></filter>";
    let top = &format!("<filter name='pinned'>{reference}<filterref filter='lan-only'/></filter>");
    let generated = generate(&Policy::example());
    for (name, text) in [("pin", pin), ("pinned", top)] {
        let text = write(&read(text, name).expect("a filter"));
        std::fs::write(dir.path().join(format!("{name}.xml")), text).expect("a file");
    }
    std::fs::write(dir.path().join("lan-only.xml"), write(&generated)).expect("a file");
    let path = dir.path().display().to_string();
    (dir, path)
}

fn verdict(cell: &Cell) -> Option<Verdict> {
    let found = cell.probes.iter().find(|probe| probe.id == WHILE_LEARNING);
    found.map(|probe| probe.verdict)
}

fn tap(parameters: &[&str]) -> Verified {
    let (_dir, path) = pinned();
    let mut arguments = vec!["--filter", path.as_str()];
    for parameter in parameters {
        arguments.extend(["--param", parameter]);
    }
    verify_tap(&arguments)
}

#[rstest]
#[case::by_default(&[], Learning::Any)]
#[case::any(&["CTRL_IP_LEARNING=any"], Learning::Any)]
#[case::from_the_lease(&["CTRL_IP_LEARNING=dhcp"], Learning::Dhcp)]
fn what_passes_while_libvirt_learns_is_told(#[case] given: &[&str], #[case] learning: Learning) {
    let done = tap(given);
    let run = done.run();
    let cell = &run.cells[0];
    let phase = cell
        .learning
        .first()
        .unwrap_or_else(|| panic!("{}", done.printed()));
    assert_eq!(phase.learning, learning);
    assert!(phase.in_force_after_ms.is_some(), "{}", done.printed());
    let ip = run
        .filter
        .parameters
        .iter()
        .find(|parameter| parameter.name == "IP");
    assert_eq!(ip.map(|ip| ip.source), Some(ParameterSource::Learnt));
    let (code, expected, open) = match learning {
        Learning::Any => (1, Verdict::Fail(Failure::Leak), true),
        Learning::Dhcp => (0, Verdict::Pass, false),
    };
    assert_eq!(done.code, code, "{}", done.printed());
    assert_eq!(verdict(cell), Some(expected));
    assert_eq!(phase.let_out > 0, open, "{phase:?}");
    assert!(
        done.stdout
            .contains("While libvirt learned the guest's address")
    );
}

#[test]
fn an_address_that_a_reference_gives_is_the_guests() {
    let (_dir, path) = pinned_by(
        "<filterref filter='pin'><parameter name='IP' value='192.168.1.77'/></filterref>",
    );
    let done = verify_tap(&["--filter", &path]);
    assert_eq!(done.code, 0, "{}", done.printed());
    let left_out = &done.run().filter.left_out;
    assert!(!left_out.is_empty(), "{}", done.printed());
    let note = format!("{} probes from other addresses of the LAN", left_out.len());
    assert!(done.stdout.contains(&note), "{}", done.printed());
}

#[test]
fn an_address_that_is_given_is_the_guests() {
    let done = tap(&["IP=192.168.1.77"]);
    assert_eq!(done.code, 0, "{}", done.printed());
    let run = done.run();
    assert!(run.cells[0].learning.is_empty());
    assert_eq!(verdict(&run.cells[0]), None);
    assert!(
        done.stdout.contains("IP=192.168.1.77"),
        "{}",
        done.printed()
    );
}

#[rstest]
#[case::none(&["CTRL_IP_LEARNING=none"], "unresolvable variables")]
#[case::outside_the_lan(&["IP=10.9.9.9"], "is in no IPv4 prefix of the")]
#[case::the_routers(&["IP=192.168.1.1"], "the router's")]
fn what_cannot_be_is_wrong_input(#[case] given: &[&str], #[case] why: &str) {
    let done = tap(given);
    assert_eq!(done.code, 2, "{}", done.printed());
    assert!(done.printed().contains(why), "{}", done.printed());
}

#[rstest]
#[case::given(&["--param", "IP=192.168.1.77"], 0)]
#[case::from_the_lease(&["--param", "CTRL_IP_LEARNING=dhcp"], 2)]
fn a_guest_with_a_stack_of_its_own(#[case] given: &[&str], #[case] phases: usize) {
    let (_dir, path) = pinned();
    let done = verify(&[&["--filter", &path, "--nic", "pcnet"][..], given].concat());
    assert_eq!(done.code, 0, "{}", done.printed());
    let cell = &done.run().cells[0];
    assert_eq!(cell.learning.len(), phases, "{}", done.printed());
    assert!(cell.learning.iter().all(|phase| phase.let_out == 0));
}
