//! The evaluator against the kernel: what `check` says of every probe is what
//! `verify` sees with a real guest behind the same filter.

use crate::common::{example, is_client, lanfence, verify};
use lanfence::report::model::{Outcome, ProbeResult};
use rstest::rstest;
use std::collections::BTreeMap;

/// Outcomes by probe, as `check --json` prints them.
fn evaluated(filters: &[String]) -> BTreeMap<String, String> {
    let policy = concat!(env!("CARGO_MANIFEST_DIR"), "/lanfence.toml");
    let output = lanfence()
        .args(["check", "--format", "json", "--policy", policy])
        .args(filters)
        .output()
        .expect("lanfence can be started");
    let document: serde_json::Value =
        serde_json::from_slice(&output.stdout).expect("check prints JSON");
    let probes = document["probes"].as_array().expect("a list of probes");
    let text =
        |probe: &serde_json::Value, name: &str| probe[name].as_str().unwrap_or_default().to_owned();
    probes
        .iter()
        .map(|probe| (text(probe, "id"), text(probe, "outcome")))
        .collect()
}

#[rstest]
#[case::of_the_generated_filter(None)]
#[case::of_the_articles_filter(Some("no-out-traffic.xml"))]
fn the_evaluator_agrees_with_the_kernel(#[case] filter: Option<&str>) {
    let files: Vec<String> = filter.map(example).into_iter().collect();
    let mut arguments = vec!["--nic", "virtio"];
    for file in &files {
        arguments.extend(["--filter", file]);
    }
    let done = verify(&arguments);
    let ours = evaluated(&files);
    let results = &done.run().cells[0].probes;
    // Whole exchanges of other systems' DHCP clients, not frames of the catalogue.
    let probes = results.iter().filter(|probe| !is_client(probe));
    let probes: Vec<&ProbeResult> = probes.collect();
    assert!(probes.len() > 100, "{}", done.printed());
    for probe in &probes {
        let seen = match probe.filtered {
            Outcome::Delivered => "delivered",
            Outcome::Dropped => "dropped",
            other => panic!("{}: {other:?} proves nothing\n{}", probe.id, done.printed()),
        };
        let said = ours.get(&probe.id).map(String::as_str);
        assert_eq!(said, Some(seen), "{}", probe.id);
    }
    assert_eq!(ours.len(), probes.len());
}
