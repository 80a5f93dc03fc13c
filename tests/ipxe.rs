//! iPXE guests: a network stack that is not Linux's, judged by sensors alone.
#![cfg(feature = "lab")]

mod common;

use common::{fixture, verify};
use lanfence::report::model::{Failure, Verdict};
use rstest::rstest;

#[rstest]
#[case::what_old_guests_want("ipxe/pcnet")]
#[case::what_linux_wants_firmware_for("ipxe/i82551")]
fn the_generated_filter_is_green(#[case] cell: &str) {
    let done = verify(&["--cell", cell]);
    assert_eq!(done.code, 0, "{}", done.printed());
    let cell = &done.run().cells[0];
    assert_eq!(cell.teeth, Some(true));
    let ids: Vec<&str> = cell.probes.iter().map(|probe| probe.id.as_str()).collect();
    let expected = [
        "dhcp/discover",
        "dhcp/offer",
        "dhcp/request",
        "dhcp/ack",
        "lan-unicast/tftp-lan",
        "lan-inbound/tftp-answer",
        "wan-ipv4/tftp-wan",
    ];
    assert_eq!(ids, expected);
}

#[test]
fn the_articles_filter_stops_what_its_guests_were_meant_to_send() {
    let filter = fixture("no-out-traffic.xml");
    let done = verify(&["--cell", "ipxe/pcnet", "--filter", &filter]);
    assert_eq!(done.code, 0, "{}", done.printed());
}

#[rstest]
#[case::no_filter(&["--no-filter"])]
#[case::rules_that_vanish(&["--break", "flush"])]
fn what_reaches_the_wan_is_a_leak(#[case] arguments: &[&str]) {
    let done = verify(&[&["--cell", "ipxe/pcnet"], arguments].concat());
    assert_eq!(done.code, 1, "{}", done.printed());
    let leaks = done.with(Verdict::Fail(Failure::Leak));
    assert_eq!(leaks.len(), 1, "{}", done.printed());
    assert_eq!(leaks[0].id, "wan-ipv4/tftp-wan");
}

#[rstest]
#[case::a_dead_sensor("sensor")]
#[case::a_link_that_is_down("link")]
#[case::a_paused_guest("pause")]
fn what_breaks_in_mid_run_is_inconclusive(#[case] part: &str) {
    let done = verify(&["--cell", "ipxe/pcnet", "--break", part]);
    assert_eq!(done.code, 5, "{}", done.printed());
}
