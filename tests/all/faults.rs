//! The proving machinery itself under attack: every fault that can be injected, one at a time,
//! with the generated filter, in the tap test. None may be green, and docs/faults.md says what
//! each comes to.

use crate::common::verify_tap;
use lanfence::report::model::{Step, Verdict};
use lanfence::verify::faults::InjectedFault;
use rstest::rstest;
use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

/// The table with a line for each fault.
const TABLE: &str = include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/docs/faults.md"));

/// The faults that are noticed and mended.
const HARMLESS: &[&str] = &["loses-one-once"];

/// The lines of the tables in the document: the cells of each by the first one.
fn lines() -> BTreeMap<&'static str, Vec<&'static str>> {
    let rows = TABLE.lines().filter_map(|line| line.strip_prefix("| `"));
    let cells = |row: &'static str| row.trim_end_matches(" |").split(" | ");
    rows.map(|row| {
        let mut cells = cells(row);
        let name = cells.next().unwrap_or_default().trim_end_matches('`');
        (name, cells.collect())
    })
    .collect()
}

/// What the document says that a fault comes to: an exit code.
fn written(name: &str) -> Option<i32> {
    let lines = lines();
    let verdict = lines.get(name)?.get(2)?;
    verdict.split_once(' ')?.0.parse().ok()
}

#[rstest]
#[case::sensor("sensor")]
#[case::link("link")]
#[case::flush("flush")]
#[case::deaf_arp("deaf-arp")]
#[case::deaf_wan_ipv6("deaf-wan-ipv6")]
#[case::deaf_wan("deaf-wan")]
#[case::deaf_vlan("deaf-vlan")]
#[case::deaf_groups("deaf-groups")]
#[case::deaf_others("deaf-others")]
#[case::deaf_inbound("deaf-inbound")]
#[case::deaf_outbound("deaf-outbound")]
#[case::strips_tags("strips-tags")]
#[case::truncates("truncates")]
#[case::replays("replays")]
#[case::loses_silently("loses-silently")]
#[case::clock_back("clock-back")]
#[case::nonce_of_pass("nonce-of-pass")]
#[case::nonce_of_run("nonce-of-run")]
#[case::lost_control("lost-control")]
#[case::filter_in_control("filter-in-control")]
#[case::filter_stays("filter-stays")]
#[case::no_leak_check("no-leak-check")]
#[case::early_sentinels("early-sentinels")]
#[case::no_sentinels("no-sentinels")]
#[case::other_device("other-device")]
#[case::wrong_mac("wrong-mac")]
#[case::not_bound("not-bound")]
#[case::older_content("older-content")]
#[case::one_rule_less("one-rule-less")]
#[case::flush_outbound("flush-outbound")]
#[case::flush_inbound("flush-inbound")]
#[case::foreign_rule("foreign-rule")]
#[case::sends_less("sends-less")]
#[case::sends_others("sends-others")]
#[case::sends_old("sends-old")]
#[case::sends_from_mac("sends-from-mac")]
#[case::claims_dhcp("claims-dhcp")]
#[case::deaf_server("deaf-server")]
#[case::peer_dead("peer-dead")]
#[case::gateway_dead("gateway-dead")]
#[case::wan_dead("wan-dead")]
#[case::no_forwarding("no-forwarding")]
#[case::no_forwarding6("no-forwarding6")]
#[case::bridge_drops("bridge-drops")]
#[case::bridge_table("bridge-table")]
#[case::stp("stp")]
#[case::flipped("flipped")]
#[case::other_policy("other-policy")]
#[case::short_catalogue("short-catalogue")]
#[case::missing_results("missing-results")]
#[case::doubled_result("doubled-result")]
#[case::swallowed_verdicts("swallowed-verdicts")]
#[case::other_run("other-run")]
#[case::other_cell("other-cell")]
#[case::lost_cell("lost-cell")]
#[case::doubled_cell("doubled-cell")]
#[case::lost_report("lost-report")]
#[case::last_words("last-words")]
fn no_fault_is_green(#[case] name: &str) {
    let done = verify_tap(&["--inject", name]);
    let written = written(name);
    assert_ne!(done.code, 0, "{name} is green:\n{}", done.printed());
    assert_eq!(Some(done.code), written, "{name}:\n{}", done.printed());
}

/// Nothing is known of such a frame, so that it may be sent again; it is told.
#[rstest]
#[case::loses_one("loses-one", Verdict::Inconclusive)]
#[case::loses_one_once("loses-one-once", Verdict::Pass)]
fn a_frame_that_did_not_leave_is_sent_once_more(#[case] name: &str, #[case] verdict: Verdict) {
    let done = verify_tap(&["--inject", name]);
    assert_eq!(Some(done.code), written(name), "{}", done.printed());
    let cell = &done.run().cells[0];
    let [again] = &cell.sent_again[..] else {
        panic!("{:?}\n{}", cell.sent_again, done.printed());
    };
    assert_eq!(again.step, Step::Filtered);
    let probe = cell.probes.iter().find(|probe| probe.id == again.probe);
    assert_eq!(probe.map(|probe| probe.verdict), Some(verdict));
    let told = format!("{} in filtered", again.probe);
    assert!(done.printed().contains(&told), "{}", done.printed());
}

#[test]
fn the_table_has_each_fault_and_its_test() {
    let lines = lines();
    for fault in InjectedFault::ALL {
        let (name, what) = (fault.name(), fault.what());
        let line = lines.get(name);
        let line = line.unwrap_or_else(|| panic!("docs/faults.md lacks {name}"));
        assert_eq!(line.first(), Some(&what.as_str()), "{name}");
    }
    for (name, line) in &lines {
        let [_, _, _, test] = line[..] else {
            panic!("{name}: {line:?}");
        };
        assert!(
            written(name).is_some_and(|code| (code == 0) == HARMLESS.contains(name)),
            "{name}: {line:?}"
        );
        let (test, file) = test.split_once(" in ").expect("a test in a file");
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(file);
        let source = fs::read_to_string(&path).expect("the file of a test");
        let test = test.trim_matches('`');
        let is_there = [format!("fn {test}("), format!("#[case::{test}(")];
        assert!(
            is_there.iter().any(|it| source.contains(it)),
            "{name}: no {test} in {file}"
        );
    }
}
