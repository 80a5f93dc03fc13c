//! What people accept of a check, of mutants and of a table of hosts: blessed once, then only what
//! changed is told. None of these needs a guest.

use crate::repository::{Done, ONE_MORE, Repository};
use rstest::rstest;
use serde_json::{Value, json};

/// A verb with what it needs to be blessed.
struct Verb {
    /// Its arguments.
    words: &'static [&'static str],
    /// Writes its report into `report.json`.
    report: fn(&Repository) -> Done,
    /// All rows that are wrong with the article's filter.
    rows: &'static [&'static str],
}

const CHECK: Verb = Verb {
    words: &["check", "filter.xml"],
    report: |repository| {
        let done = repository.run(&["check", "filter.xml", "--format", "json"]);
        repository.write("report.json", &String::from_utf8_lossy(&done.0.stdout));
        done
    },
    rows: &[
        "arp",
        "broadcast",
        "encapsulation",
        "in",
        "lan-inbound",
        "lan-unicast",
        "multicast",
        "out",
        "reach",
        "reflection",
        "rogue",
        "tunnels",
        "unreached",
        "wan-edges",
        "wan-inbound",
        "wan-ipv6",
    ],
};

const MUTATE: Verb = Verb {
    words: &["mutate", "filter.xml"],
    report: |repository| repository.run(&["mutate", "filter.xml", "--json", "report.json"]),
    rows: &["mask"],
};

impl Verb {
    fn run(&self, repository: &Repository, more: &[&str]) -> Done {
        repository.run(&[self.words, more].concat())
    }

    fn compare(&self, repository: &Repository, more: &[&str]) -> Done {
        self.run(
            repository,
            &[&["--baseline", "baseline.toml"], more].concat(),
        )
    }

    fn bless(&self, repository: &Repository, more: &[&str]) -> Done {
        (self.report)(repository);
        let words = ["bless", "report.json", "--baseline", "baseline.toml"];
        repository.run(&[&words, more].concat())
    }

    /// The article's filter with all of its findings accepted.
    fn blessed(&self) -> Repository {
        let repository = Repository::new();
        let globs: Vec<String> = self.rows.iter().map(|row| format!("{row}/*")).collect();
        let words = globs
            .iter()
            .flat_map(|glob| ["--accept", glob, "--reason", "it is mended later"]);
        self.bless(&repository, &words.collect::<Vec<_>>()).is(0);
        repository
    }
}

#[rstest]
#[case::check(&CHECK)]
#[case::mutate(&MUTATE)]
fn blessed_once_it_is_green(#[case] verb: &Verb) {
    let repository = Repository::new();
    verb.run(&repository, &[]).is(1);
    // Nothing is accepted that is not named.
    verb.bless(&repository, &[]).is(1);
    verb.compare(&repository, &[]).is(1);
    let repository = verb.blessed();
    let green = verb.compare(&repository, &["--strict"]);
    green.is(0).says("failing as accepted");
    assert_eq!(green.section("New"), None, "{}", green.text());
    assert_eq!(green.section("Suspects"), None, "{}", green.text());
    // The same from the report, later.
    let later = [
        "report",
        "compare",
        "report.json",
        "--baseline",
        "baseline.toml",
    ];
    repository.run(&later).is(0).says("failing as accepted");
    // Blessing it again changes no byte.
    let before = repository.read("baseline.toml");
    verb.bless(&repository, &[]).is(0);
    assert_eq!(repository.read("baseline.toml"), before);
}

#[test]
fn one_more_leak_of_a_check_is_red_with_its_suspects() {
    let repository = CHECK.blessed();
    repository.edit("filter.xml", "</filter>", ONE_MORE);
    let red = CHECK.compare(&repository, &[]);
    red.is(1);
    let leaks = red.section("New leaks (6)").expect("a leak");
    for name in ["wan-edges/dns-8-8-8-8", "reach/IPv4 tcp/8.8.8.8/32"] {
        assert!(leaks.contains(name), "{leaks}");
    }
    let suspects = red.section("Suspects").expect("the filter");
    assert!(
        suspects.contains("5 rules") && suspects.contains("→ 6 rules"),
        "{suspects}"
    );
    assert!(!suspects.contains("lanfence 0"), "{suspects}");
    // Nobody blesses it by the way, and machines are told too.
    let before = repository.read("baseline.toml");
    CHECK
        .bless(&repository, &[])
        .is(1)
        .says("wan-edges/dns-8-8-8-8");
    assert_eq!(repository.read("baseline.toml"), before);
    let sarif = CHECK.compare(&repository, &["--format", "sarif"]);
    let document: Value = serde_json::from_slice(&sarif.is(1).0.stdout).expect("SARIF");
    let results = document["runs"][0]["results"].as_array().expect("results");
    let of = |rule: &str| results.iter().filter(|it| it["ruleId"] == rule).count();
    assert_eq!((of("leak"), of("blocked")), (1, 0), "{results:#?}");
    sarif.says("New leaks (6)");
    // A denied lint is not for a baseline to accept.
    let denied = ["--deny", "default-accept"];
    CHECK
        .compare(&repository, &denied)
        .is(1)
        .says("which no baseline accepts");
}

/// Addresses that could be reached and cannot are no change for the worse, though the list of what
/// can be reached is another.
#[test]
fn less_that_leaks_is_as_accepted_and_what_is_gone_is_fixed() {
    let repository = CHECK.blessed();
    let stop = "<rule action='drop' direction='out' priority='10'><ipv6 dstipaddr='2001:db8::' dstipmask='32'/></rule>\n</filter>";
    repository.edit("filter.xml", "</filter>", stop);
    repository.edit("filter.xml", "chain='ipv4'", "chain='root'");
    let better = CHECK.compare(&repository, &[]);
    assert_eq!(better.section("New"), None, "{}", better.text());
    better.is(0).says("its entry is unused");
    CHECK.compare(&repository, &["--strict"]).is(1);
    CHECK.bless(&repository, &[]).is(0).says("Dropped");
    CHECK.compare(&repository, &["--strict"]).is(0);
}

#[test]
fn a_new_survivor_is_red_and_a_rule_that_moved_is_not() {
    let repository = MUTATE.blessed();
    let first =
        "<rule action='drop' direction='in' priority='20'><mac protocolid='0x88b5'/></rule>\n";
    let text = repository.read("filter.xml");
    let at = text.find("<rule").expect("a rule");
    repository.write("filter.xml", &[&text[..at], first, &text[at..]].concat());
    let moved = MUTATE.compare(&repository, &[]);
    assert_eq!(moved.section("Fixed"), None, "{}", moved.text());
    repository.write("filter.xml", &text);
    // The entry of one survivor is taken out by hand.
    let baseline = repository.read("baseline.toml");
    let mut entries = 0;
    let without: Vec<&str> = baseline
        .lines()
        .filter(|line| {
            entries += usize::from(line.contains("verdict = \"survived\""));
            !line.contains("verdict = \"survived\"") || entries > 1
        })
        .collect();
    assert_eq!(entries, 2, "{baseline}");
    repository.write("baseline.toml", &(without.join("\n") + "\n"));
    let red = MUTATE.compare(&repository, &[]);
    let survivor = red.is(1).section("New survivors (1)").expect("a survivor");
    assert!(survivor.contains("and with the edit it"), "{survivor}");
    // What nothing finds any more is told, and strictly must go.
    repository.write("baseline.toml", &baseline);
    let slip = "dstipaddr='255.255.255.255' dstipmask='24'";
    repository.edit("filter.xml", slip, &slip.replace("24", "32"));
    let mended = MUTATE.compare(&repository, &[]);
    mended.is(0).says("its entry is unused: it is mended later");
    MUTATE.compare(&repository, &["--strict"]).is(1);
    MUTATE.bless(&repository, &[]).is(0).says("Dropped");
    MUTATE.compare(&repository, &["--strict"]).is(0);
}

#[rstest]
#[case::check(&CHECK)]
#[case::mutate(&MUTATE)]
fn an_entry_that_has_expired_counts_no_more(#[case] verb: &Verb) {
    let repository = verb.blessed();
    let reason = "reason = \"it is mended later\"";
    repository.edit(
        "baseline.toml",
        reason,
        &format!("{reason}, expires = 9999-12-31"),
    );
    verb.compare(&repository, &[]).is(0);
    repository.edit("baseline.toml", "9999-12-31", "2020-01-31");
    let red = verb.compare(&repository, &[]);
    let expired = red.is(1).section("Expired (1)").expect("one entry");
    assert!(expired.contains("accepted until 2020-01-31"), "{expired}");
}

/// An entry that is over when it is written would accept nothing.
#[test]
fn a_day_that_is_over_is_refused_and_the_file_stays() {
    let repository = CHECK.blessed();
    let before = repository.read("baseline.toml");
    let over = [
        "--accept",
        "out/*",
        "--reason",
        "for now",
        "--expires",
        "2020-01-31",
    ];
    CHECK
        .bless(&repository, &over)
        .is(2)
        .says("2020-01-31 is over")
        .says("cure: ");
    assert_eq!(repository.read("baseline.toml"), before);
}

/// The line of its subject is named, and that of what is no text.
#[test]
fn a_baseline_that_is_of_something_else_is_shown_by_its_line() {
    let repository = CHECK.blessed();
    let text = repository.read("baseline.toml");
    let before = text.split("[subject]").next().expect("a subject");
    let line = before.lines().count() + 1;
    let other = text.replace("filter = \"", "filter = \"another-");
    repository.write("baseline.toml", &other);
    let place = format!("baseline.toml:{line}:1 is about the filter");
    CHECK
        .compare(&repository, &[])
        .is(2)
        .says(&place)
        .says("cure: ");
    CHECK
        .bless(&repository, &[])
        .is(2)
        .says(&place)
        .says("cure: ");
    std::fs::remove_file(repository.path("baseline.toml")).expect("the baseline");
    let missing = CHECK.compare(&repository, &[]);
    missing
        .is(2)
        .says("there is no baseline baseline.toml")
        .says("cure: ");
    let bytes = [before.as_bytes(), &[0xff, 0xfe], text.as_bytes()].concat();
    let file = repository.path("baseline.toml");
    std::fs::write(file, bytes).expect("bytes that are no text");
    let place = format!("baseline.toml:{line}:1: the file is no text in UTF-8");
    CHECK
        .compare(&repository, &[])
        .is(2)
        .says(&place)
        .says("cure: ");
}

#[test]
fn a_baseline_of_another_verb_policy_or_filter_is_refused() {
    let check = CHECK.blessed();
    let other = MUTATE.compare(&check, &[]);
    other
        .is(2)
        .says("accepts findings of `lanfence check`, and these are of `lanfence mutate`")
        .says("cure: ");
    let mutate = MUTATE.blessed();
    CHECK
        .compare(&mutate, &[])
        .is(2)
        .says("`lanfence mutate`")
        .says("cure: ");
    mutate
        .run(&["bless", "report.json", "--baseline", "baseline.toml"])
        .is(0);
    (CHECK.report)(&mutate);
    let blessed = mutate.run(&["bless", "report.json", "--baseline", "baseline.toml"]);
    blessed.is(2).says("`lanfence mutate`").says("cure: ");
    for verb in ["check", "mutate"] {
        let repository = if verb == "check" { &check } else { &mutate };
        let generated = [verb, "--baseline", "baseline.toml"];
        repository
            .run(&generated)
            .is(2)
            .says("the filter `no-out-traffic`")
            .says("cure: ");
        let policy = repository.read("lanfence.toml");
        repository.edit("lanfence.toml", "192.168.1.0/24", "10.20.0.0/16");
        repository.edit("lanfence.toml", "192.168.1.1", "10.20.0.1");
        let other_lan = [verb, "filter.xml", "--baseline", "baseline.toml"];
        repository
            .run(&other_lan)
            .is(2)
            .says("the LAN 192.168.1.0/24")
            .says("cure: ");
        repository.write("lanfence.toml", &policy);
    }
}

#[rstest]
#[case::cut_short(|text: &str| text[..text.len() / 2].to_owned())]
#[case::another_version(|text: &str| text.replace("schema_version = 1", "schema_version = 7"))]
#[case::an_entry_twice(|text: &str| {
    let entry = text.lines().find(|line| line.contains("verdict = ")).expect("an entry");
    text.replacen(entry, &format!("{entry}\n{entry}"), 1)
})]
#[case::an_unknown_entry(|text: &str| text.replacen("probe = \"", "probe = \"no", 1))]
#[case::an_unknown_verb(|text: &str| text.replacen("verb = \"", "verb = \"no", 1))]
#[case::a_verdict_of_another_verb(|text: &str| {
    let failed = "verdict = \"failed\"";
    text.replacen("verdict = \"leak\"", failed, 1).replacen("verdict = \"survived\"", failed, 1)
})]
#[case::the_leak_check_of_a_guest(|text: &str| {
    let at = text.find("probe = \"").expect("an entry") + 9;
    let end = at + text[at..].find("\", verdict").expect("its end");
    [&text[..at], "leak-check", &text[end..]].concat()
})]
#[case::nonsense(|_: &str| "all is well".to_owned())]
fn a_baseline_edited_into_nonsense_is_refused(#[case] edit: fn(&str) -> String) {
    for verb in [&CHECK, &MUTATE] {
        let repository = verb.blessed();
        let text = repository.read("baseline.toml");
        let edited = edit(&text);
        assert_ne!(text, edited);
        repository.write("baseline.toml", &edited);
        let refused = verb.compare(&repository, &[]);
        refused.is(2).says("baseline.toml:").says("cure: ");
        assert!(!refused.text().contains("as before"), "{}", refused.text());
    }
}

#[test]
fn reports_that_cannot_be_compared_are_refused() {
    let repository = CHECK.blessed();
    let text = repository.read("report.json");
    let other = |edit: &dyn Fn(&mut Value)| {
        let mut document: Value = serde_json::from_str(&text).expect("JSON");
        edit(&mut document);
        repository.write("other.json", &document.to_string());
        repository.run(&[
            "report",
            "compare",
            "other.json",
            "--baseline",
            "baseline.toml",
        ])
    };
    let schema = other(&|it| it["schema_version"] = json!(99));
    schema.is(2).says("schema version 99").says("cure: ");
    let verb = other(&|it| it["verb"] = json!("lint"));
    verb.is(2).says("`lint`").says("cure: ");
    let old = other(&|it| {
        it.as_object_mut().expect("a report").remove("identity");
    });
    old.is(2)
        .says("an earlier lanfence wrote it")
        .says("lanfence check --format json");
    let word = other(&|it| it["probes"][0]["verdict"] = json!("well"));
    word.is(2).says("other.json: ").says("cure: ");
    repository.write("other.json", &text[..text.len() / 2]);
    let cut = [
        "report",
        "compare",
        "other.json",
        "--baseline",
        "baseline.toml",
    ];
    repository.run(&cut).is(2).says("other.json: ");
    repository
        .run(&["report", "compare", "report.json"])
        .is(2)
        .says("cure: ");
}

/// The table of `cargo xtask hosts test`, as it writes it.
fn table(tap: &str, hosts: &[&str]) -> String {
    let host = |name: &&str| {
        json!({ "host": name, "key": format!("key-of-{name}"), "scenarios": [
            { "scenario": "tap", "outcome": tap, "seconds": 7, "why": "it ended with exit code 1\nmore" },
            { "scenario": "pcnet", "outcome": "passed", "seconds": 9, "why": null },
        ]})
    };
    let hosts: Vec<Value> = hosts.iter().map(host).collect();
    json!({ "schema_version": 1, "verb": "hosts test", "version": "0.1.0", "hosts": hosts })
        .to_string()
}

#[test]
fn the_table_of_hosts_is_blessed_and_compared() {
    let repository = Repository::new();
    let compare = |table: &str, more: &[&str]| {
        repository.write("table.json", table);
        let words = [
            "report",
            "compare",
            "table.json",
            "--baseline",
            "hosts.toml",
        ];
        repository.run(&[&words, more].concat())
    };
    let bless = |more: &[&str]| {
        let words = ["bless", "table.json", "--baseline", "hosts.toml"];
        repository.run(&[&words, more].concat())
    };
    let both = ["debian-12", "debian-13"];
    repository.write("table.json", &table("failed", &both));
    bless(&[]).is(1).says("it ended with exit code 1");
    bless(&["--accept", "tap", "--reason", "the old libvirt"]).is(0);
    compare(&table("failed", &both), &["--strict"]).is(0);
    let better = compare(&table("passed", &both), &[]);
    better.is(0).says("its entry is unused: the old libvirt");
    compare(&table("passed", &both), &["--strict"]).is(1);
    bless(&[]).is(0);
    let worse = compare(&table("failed", &both), &[]);
    worse
        .is(1)
        .says("New failures (1)")
        .says("[debian-12, debian-13]");
    // A host or a scenario that was not run is never as before.
    compare(&table("passed", &["debian-12"]), &[])
        .is(5)
        .says("debian-13");
    compare(&table("skipped", &both), &[])
        .is(5)
        .says("Newly inconclusive");
    let other = compare(&table("passed", &["my-host"]), &[]);
    other.is(2).says("none of the cells my-host").says("cure: ");
    let moved = table("failed", &both).replace("key-of-debian-12", "another");
    compare(&moved, &[]).is(1).says("Suspects").says("another");
    (CHECK.report)(&repository);
    let check = [
        "report",
        "compare",
        "report.json",
        "--baseline",
        "hosts.toml",
    ];
    repository
        .run(&check)
        .is(2)
        .says("`cargo xtask hosts test`")
        .says("cure: ");
}
