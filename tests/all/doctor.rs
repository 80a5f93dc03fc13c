//! `lanfence doctor` on this machine, whole and with something missing.

use crate::ordinary_user::{self, is_root};
use rstest::rstest;
use serde_json::Value;
use std::process::Output;

/// The document that it prints, held against its schema.
fn document(output: &Output) -> Value {
    let document: Value = serde_json::from_slice(&output.stdout)
        .unwrap_or_else(|error| panic!("{error}: {output:?}"));
    let schema = include_str!(concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/docs/doctor.schema.json"
    ));
    let schema = serde_json::from_str(schema).expect("the schema is JSON");
    let validator = jsonschema::draft202012::new(&schema).expect("of draft 2020-12");
    let errors = validator.iter_errors(&document);
    let errors: Vec<String> = errors.map(|error| error.to_string()).collect();
    assert_eq!(errors, Vec::<String>::new(), "{document:#}");
    document
}

/// The trials whose state is this, by their subject.
fn with_state<'a>(document: &'a Value, state: &str) -> Vec<&'a str> {
    let trials = document["trials"].as_array().expect("a list").iter();
    let of_it = trials.filter(|trial| trial["state"] == state);
    of_it
        .filter_map(|trial| trial["subject"].as_str())
        .collect()
}

/// What a host has that boots the guests of the other tests.
const WORKS: [&str; 7] = [
    "namespaces",
    "tun",
    "ebtables",
    "iptables",
    "nft",
    "dnsmasq",
    "libvirt",
];

#[test]
fn a_host_that_runs_the_lab_is_fit_for_an_ordinary_user() {
    let output = ordinary_user::run("nothing", &["doctor", "--json"]);
    let document = document(&output);
    let good = with_state(&document, "works");
    for subject in WORKS {
        assert!(good.contains(&subject), "{subject}: {document:#}");
    }
    let fit = document["fit"] == true;
    assert_eq!(
        output.status.code(),
        Some(if fit { 0 } else { 3 }),
        "{document:#}"
    );
}

#[rstest]
#[case::subordinate_ids("subuid", "namespaces", "usermod --add-subuids", &[], &WORKS[1..])]
#[case::a_closed_tun_device("tun", "tun", "chmod 0666 /dev/net/tun", &[], &[])]
#[case::dnsmasq("dnsmasq", "dnsmasq", "cargo xtask setup", &[], &[])]
// One program stands behind both names.
#[case::ebtables("ebtables", "ebtables", "modprobe", &["iptables"], &[])]
fn what_is_missing_is_named_with_its_cure_and_what_needs_it_is_not_tried(
    #[case] broken: &str,
    #[case] subject: &str,
    #[case] cure: &str,
    #[case] too: &[&str],
    #[case] not_tried: &[&str],
) {
    if !is_root() {
        println!("skipped: only root can break the host's view");
        return;
    }
    let output = ordinary_user::run(broken, &["doctor", "--json"]);
    let document = document(&output);
    assert_eq!(output.status.code(), Some(3), "{document:#}");
    assert_eq!(document["fit"], false);
    let inside = |subject: &&str| WORKS.contains(subject);
    let failed: Vec<&str> = with_state(&document, "fails");
    let failed: Vec<&str> = failed.into_iter().filter(inside).collect();
    assert_eq!(failed, [&[subject], too].concat(), "{document:#}");
    let open = with_state(&document, "not-tried");
    let open: Vec<&str> = open.into_iter().filter(inside).collect();
    assert_eq!(open, not_tried, "{document:#}");
    let trials = document["trials"].as_array().expect("a list");
    let trial = trials.iter().find(|trial| trial["subject"] == subject);
    let text = trial.and_then(|trial| trial["cure"].as_str());
    assert!(text.is_some_and(|text| text.contains(cure)), "{document:#}");
}
