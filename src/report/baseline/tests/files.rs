//! The file: what it looks like, and what is refused.

use super::{accept, blessed, day, observed, red, today};
use crate::probe::Expect;
use crate::report::baseline::{
    Accept, Baseline, BaselineError, Entry, Fact, Facts, Observed, Standing, Subject, Verb, bless,
};
use crate::report::examples;
use proptest::collection::{btree_map, vec};
use proptest::option;
use proptest::prelude::*;
use proptest::sample::select;
use rstest::rstest;
use std::collections::BTreeMap;

#[test]
fn what_it_looks_like() {
    insta::assert_snapshot!(blessed().text());
}

#[test]
fn a_file_that_is_cut_short_anywhere_is_refused() {
    let text = blessed().text();
    assert_eq!(Baseline::parse(&text, "b.toml").expect("whole"), blessed());
    let end = text.trim_end().len();
    for (cut, _) in text[..end].char_indices() {
        let error = Baseline::parse(&text[..cut], "b.toml").expect_err(&text[..cut]);
        let told = error.to_string();
        assert!(told.starts_with("b.toml:"), "{told}");
        assert!(told.contains("cure: "), "{told}");
    }
}

/// The baseline with one text in the place of another.
fn edited(from: &str, to: &str) -> String {
    let text = blessed().text();
    assert!(text.contains(from), "{from}");
    text.replacen(from, to, 1)
}

const FIRST: &str = "  { cell = \"linux/pcnet\", probe = \"multicast/ssm-232\", verdict = \"blocked\", reason = \"source-specific multicast is not used here\" },\n";

/// What a slip of the hand makes of a baseline: its name, and one text in the place of another.
const SLIPS: [(&str, &str, &str); 20] = [
    (
        "another version",
        "schema_version = 1",
        "schema_version = 2",
    ),
    ("no version", "schema_version = 1\n", ""),
    (
        "an unknown probe",
        "probe = \"wan-ipv6/udp-53\"",
        "probe = \"wan-ipv6/udp-54\"",
    ),
    (
        "an unknown cell",
        "cell = \"linux/pcnet\"",
        "cell = \"linux/pcnett\"",
    ),
    (
        "an unknown verdict",
        "verdict = \"leak\"",
        "verdict = \"leaky\"",
    ),
    (
        "a pass that needs no entry",
        "verdict = \"leak\"",
        "verdict = \"pass\"",
    ),
    (
        "a leak of what must pass",
        "verdict = \"blocked\"",
        "verdict = \"leak\"",
    ),
    ("no reason", ", reason = \"the LAN has no IPv6\"", ""),
    ("an empty reason", "\"the LAN has no IPv6\"", "\" \""),
    (
        "a day in words",
        "\"the LAN has no IPv6\"",
        "\"the LAN has no IPv6\", expires = \"soon\"",
    ),
    (
        "a time of day",
        "\"the LAN has no IPv6\"",
        "\"the LAN has no IPv6\", expires = 10:00:00",
    ),
    (
        "no day of the calendar",
        "\"the LAN has no IPv6\"",
        "\"the LAN has no IPv6\", expires = 2026-02-30",
    ),
    (
        "an unknown key",
        "\"the LAN has no IPv6\"",
        "\"the LAN has no IPv6\", until = 2026-02-03",
    ),
    ("an unknown fact", "kernel = ", "kernels = "),
    (
        "a probe twice",
        "\"wan-ipv4/udp-53\",\n",
        "\"wan-ipv4/udp-53\",\n  \"wan-ipv4/udp-53\",\n",
    ),
    (
        "a catalogue that is not there",
        "\"linux/virtio\" = \"linux\"",
        "\"linux/virtio\" = \"linus\"",
    ),
    (
        "a cell taken out",
        "[cells]\n\"linux/pcnet\" = \"linux\"\n",
        "[cells]\n",
    ),
    ("no prefix", "192.168.0.0/16", "192.168.0.0/40"),
    (
        "a merge conflict",
        "schema_version = 1",
        "<<<<<<< HEAD\nschema_version = 1",
    ),
    ("no toml", "schema_version = 1", "all is well"),
];

#[test]
fn what_is_edited_into_nonsense_is_refused() {
    let twice = FIRST.repeat(2);
    let mut slips = SLIPS.to_vec();
    slips.push(("an entry twice", FIRST, &twice));
    let told = slips.into_iter().map(|(name, from, to)| {
        let error = Baseline::parse(&edited(from, to), "b.toml").expect_err(name);
        format!("{name}:\n{error}")
    });
    insta::assert_snapshot!(told.collect::<Vec<_>>().join("\n\n"));
}

#[rstest]
#[case::another_filter("no-out-traffic", "lan-only", &["192.168.0.0/16"], Some("the filter `no-out-traffic`"))]
#[case::another_policy("lan-only", "home", &["192.168.0.0/16"], Some("the policy `lan-only`"))]
#[case::another_lan("lan-only", "lan-only", &["10.0.0.0/8", "fe80::/10"], Some("the LAN 192.168.0.0/16"))]
#[case::a_wider_lan("lan-only", "lan-only", &["192.0.0.0/8"], None)]
fn a_baseline_of_something_else_is_refused(
    #[case] from: &str,
    #[case] to: &str,
    #[case] lan: &[&str],
    #[case] refused: Option<&str>,
) {
    let ours = Subject {
        lan: ["192.168.0.0/16", "fe80::/10"]
            .map(|net| net.parse().expect("a prefix"))
            .to_vec(),
        ..blessed().subject
    };
    let swap = |name: &String| {
        if name == from {
            to.to_owned()
        } else {
            name.clone()
        }
    };
    let now = Subject {
        verb: ours.verb,
        filter: swap(&ours.filter),
        policy: swap(&ours.policy),
        lan: lan
            .iter()
            .map(|net| net.parse().expect("a prefix"))
            .collect(),
    };
    let checked = ours
        .check("b.toml", &now)
        .map_err(|error| error.to_string());
    match (checked, refused) {
        (Ok(()), None) => {}
        (Err(told), Some(word)) => {
            assert!(told.contains(word) && told.contains("cure: "), "{told}");
        }
        (checked, _) => panic!("{checked:?}"),
    }
}

#[test]
fn a_run_that_says_nothing_of_a_filter_is_refused() {
    let none = Observed::of(&examples::no_filter(), "run.json");
    assert!(
        matches!(none, Err(BaselineError::NoFilter { .. })),
        "{none:?}"
    );
    let mut old = examples::red();
    old.identity = None;
    let old = Observed::of(&old, "run.json");
    assert!(
        matches!(old, Err(BaselineError::NoIdentity { .. })),
        "{old:?}"
    );
}

#[rstest]
#[case::everything("*")]
#[case::every_row("*/*")]
#[case::a_part_of_the_row("wan-*/udp-53")]
#[case::nothing("")]
#[case::no_pattern("wan-ipv6/[")]
fn what_is_accepted_must_be_named(#[case] glob: &str) {
    let error = Accept::new(glob, None, "because", None).expect_err("too much");
    assert!(error.to_string().contains("cure: "), "{error}");
}

#[test]
fn nothing_is_accepted_without_a_reason() {
    assert!(Accept::new("wan-ipv6/*", None, " \n", None).is_err());
}

#[test]
fn only_what_is_named_is_accepted_and_the_rest_is_told() {
    let accepts = [accept("wan-ipv6/*", "the LAN has no IPv6")];
    let done = bless(None, &observed(&red()), &accepts, today());
    let wrong: Vec<&str> = done
        .left
        .changes
        .iter()
        .map(|it| it.probe.as_str())
        .collect();
    assert_eq!(
        wrong,
        ["wan-ipv4/udp-53", "multicast/ssm-232", "multicast/ssm-232"]
    );
    // Known gaps and two leaks.
    assert_eq!(done.baseline.accepted.len(), 4);
    let read = Baseline::parse(&done.baseline.text(), "b.toml").expect("a baseline");
    assert_eq!(read, done.baseline);
}

#[test]
fn cells_are_named_too() {
    let cell = Some(glob::Pattern::new("linux/pc*").expect("a glob"));
    let expires = Some(day("2026-12-31"));
    let accept = Accept::new("wan-ipv6/*", cell, "until the router is there", expires);
    let accepts = [accept.expect("a pattern")];
    let done = bless(None, &observed(&red()), &accepts, today());
    let name = ("linux/pcnet".to_owned(), "wan-ipv6/udp-53".to_owned());
    assert_eq!(done.accepted.iter().filter(|it| **it == name).count(), 1);
    assert_eq!(done.baseline.accepted[&name].expires, expires);
    let other = ("linux/virtio".to_owned(), name.1);
    assert!(!done.baseline.accepted.contains_key(&other));
}

/// Any text that may stand in a report or be written by hand.
fn text() -> impl Strategy<Value = String> {
    prop_oneof![
        "[a-z]{1,8}/[a-z0-9-]{1,8}",
        proptest::string::string_regex("\\PC{1,12}").expect("a pattern"),
        Just("\"'\\\n\u{7f}\u{1b}'''#".to_owned()),
    ]
}

fn baseline() -> impl Strategy<Value = Baseline> {
    let expect = select(&[Expect::Pass, Expect::Drop]);
    let probes = btree_map(text(), expect, 0..5);
    let cells = btree_map(text(), probes, 0..4);
    let entry = (0_usize..20, option::of(1_u8..=28), "[a-z ]{1,9}x");
    let facts = vec(
        (
            select(&[Fact::Filter, Fact::Kernel, Fact::GuestKernel]),
            text(),
        ),
        0..4,
    );
    (text(), text(), cells, vec(entry, 0..6), facts).prop_map(
        |(filter, policy, cells, entries, facts)| {
            let all: Vec<(String, String, Expect)> = cells
                .iter()
                .flat_map(|(cell, probes)| {
                    let own =
                        |(id, expect): (&String, &Expect)| (cell.clone(), id.clone(), *expect);
                    probes.iter().map(own).collect::<Vec<_>>()
                })
                .collect();
            let mut accepted = BTreeMap::new();
            for (at, expires, reason) in entries {
                let Some((cell, id, expect)) = all.get(at) else {
                    continue;
                };
                let standing = match expect {
                    Expect::Pass => Standing::Blocked,
                    Expect::Drop => Standing::Leak,
                };
                let expires = expires.map(|number| day(&format!("2026-02-{number:02}")));
                let entry = Entry {
                    standing,
                    reason,
                    expires,
                };
                accepted.insert((cell.clone(), id.clone()), entry);
            }
            let mut known = Facts::default();
            for (fact, value) in facts {
                known.add(fact, &value);
            }
            let lan = vec!["10.0.0.0/8".parse().expect("a prefix")];
            Baseline {
                subject: Subject {
                    verb: Verb::Verify,
                    filter,
                    policy,
                    lan,
                },
                facts: known,
                cells,
                accepted,
            }
        },
    )
}

proptest! {
    #[test]
    fn a_written_baseline_is_read_back(baseline in baseline()) {
        let text = baseline.text();
        let read = Baseline::parse(&text, "b.toml").expect("own text");
        prop_assert_eq!(read, baseline);
    }

    #[test]
    fn an_entry_is_a_line(baseline in baseline()) {
        let text = baseline.text();
        let entries = text.lines().filter(|line| line.starts_with("  { cell = "));
        prop_assert_eq!(entries.count(), baseline.accepted.len());
    }
}
