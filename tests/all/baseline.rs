//! A filter that is not perfect in CI: blessed once with reasons, then every run tells only what
//! changed. The runs are real, on a tap.

use crate::common::lanfence;
use crate::repository::{Done, ONE_MORE, Repository};

/// The rows in which the article's filter fails, with why somebody may live with that.
const REASONS: [(&str, &str); 12] = [
    ("wan-ipv6/*", "the LAN has no IPv6 router"),
    ("encapsulation/*", "the switch stops other EtherTypes"),
    ("broadcast/*", "nobody relays DHCP here"),
    ("wan-edges/*", "the mask of 255.255.255.255 is mended later"),
    ("lan-unicast/*", "the link's prefix is the LAN's"),
    ("tunnels/*", "no host of the LAN ends a tunnel"),
    ("rogue/*", "the switch has RA and DHCP guard"),
    ("arp/*", "169.254.0.0/16 is not used"),
    ("multicast/*", "source-specific multicast is not used"),
    ("lan-inbound/*", "the link's prefix is the LAN's"),
    ("wan-inbound/*", "the router stops it"),
    ("reflection/*", "the router stops it"),
];

impl Repository {
    fn verify(&self, more: &[&str]) -> Done {
        let arguments = ["verify", "--tap", "filter.xml", "--json", "run.json"];
        self.run(&[&arguments, more].concat())
    }

    fn compare(&self, more: &[&str]) -> Done {
        self.verify(&[&["--baseline", "baseline.toml"], more].concat())
    }

    fn bless(&self, more: &[&str]) -> Done {
        let arguments = ["bless", "run.json", "--baseline", "baseline.toml"];
        self.run(&[&arguments, more].concat())
    }

    /// The whole filter accepted as it is.
    fn blessed() -> Self {
        let repository = Self::new();
        repository.verify(&[]).is(1);
        let words = REASONS
            .iter()
            .flat_map(|(glob, reason)| ["--accept", glob, "--reason", reason]);
        repository.bless(&words.collect::<Vec<_>>()).is(0);
        repository
    }
}

/// As on a runner of GitHub: annotations, JUnit and the page tell what changed, not what is accepted.
#[test]
fn what_is_accepted_is_red_in_no_view() {
    let repository = Repository::blessed();
    let as_on_github = |exit: i32| {
        let compared = "verify --tap filter.xml --baseline baseline.toml";
        let views = "--junit junit.xml --html page.html --sarif run.sarif";
        let output = lanfence()
            .args(compared.split(' ').chain(views.split(' ')))
            .current_dir(repository.0.path())
            .env("GITHUB_ACTIONS", "true")
            .env("GITHUB_STEP_SUMMARY", repository.path("summary.md"))
            .env_remove("LANFENCE_GUEST")
            .output();
        let done = Done(output.expect("lanfence can be started"));
        done.is(exit);
        done
    };
    let green = as_on_github(0);
    assert!(!green.text().contains("::error"), "{}", green.text());
    let sarif = || -> serde_json::Value {
        let document = serde_json::from_str(&repository.read("run.sarif"));
        let document: serde_json::Value = document.expect("SARIF");
        document["runs"][0]["results"].clone()
    };
    assert_eq!(sarif(), serde_json::json!([]));
    let junit = repository.read("junit.xml");
    assert!(
        !junit.contains("<failure") && !junit.contains("<error"),
        "{junit}"
    );
    assert!(junit.contains("name=\"accepted\""));
    assert!(repository.read("page.html").contains("Nothing changed"));

    repository.edit("filter.xml", "</filter>", ONE_MORE);
    let red = as_on_github(1);
    let text = red.text();
    let errors: Vec<&str> = text
        .lines()
        .filter(|line| line.starts_with("::error"))
        .collect();
    assert_eq!(errors.len(), 1, "{errors:#?}");
    assert!(errors[0].contains("file=filter.xml,line="), "{}", errors[0]);
    assert!(errors[0].contains("wan-edges/dns-8-8-8-8"), "{}", errors[0]);
    assert_eq!(repository.read("junit.xml").matches("<failure").count(), 1);
    assert!(repository.read("page.html").contains("new leak"));
    let results = sarif();
    assert_eq!(results.as_array().map(Vec::len), Some(1), "{results:#}");
    let place = &results[0]["locations"][0]["physicalLocation"];
    assert_eq!(place["artifactLocation"]["uri"], "filter.xml");
    assert_eq!(place["region"]["startLine"], 18);
    assert!(repository.read("summary.md").contains("New leaks (1)"));
}

#[test]
fn blessed_once_it_is_green_and_one_more_leak_is_red() {
    let repository = Repository::blessed();
    let green = repository.compare(&["--strict"]);
    green.is(0);
    assert_eq!(green.section("New leaks"), None);
    assert_eq!(green.section("Suspects"), None);
    repository.edit("filter.xml", "</filter>", ONE_MORE);
    let red = repository.compare(&[]);
    red.is(1);
    let leaks = red.section("New leaks").expect("a leak");
    assert!(
        leaks.starts_with(
            "New leaks (1): the policy forbids these frames, and they got through \
             wan-edges/dns-8-8-8-8 "
        ),
        "{leaks}"
    );
    let suspects = red.section("Suspects").expect("the filter");
    let expected = "Suspects: what differs from baseline.toml filter 5 rules, sha256 ";
    assert!(suspects.starts_with(expected), "{suspects}");
    assert!(suspects.contains(" → 6 rules, sha256 "), "{suspects}");
    assert!(!suspects.contains("kernel"), "{suspects}");
    for title in [
        "New blocks",
        "Fixed",
        "Newly inconclusive",
        "Gone",
        "Not run",
    ] {
        assert_eq!(red.section(title), None, "{}", red.text());
    }
    // Nobody blesses it by the way.
    let before = repository.read("baseline.toml");
    repository.bless(&[]).is(1).says("wan-edges/dns-8-8-8-8");
    assert_eq!(repository.read("baseline.toml"), before);
    let named = [
        "--accept",
        "wan-edges/dns-8-8-8-8",
        "--reason",
        "DNS until May",
    ];
    repository.bless(&named).is(0);
    repository.compare(&["--strict"]).is(0);
    let was: Vec<&str> = before.lines().collect();
    let now = repository.read("baseline.toml");
    let new: Vec<&str> = now.lines().filter(|line| !was.contains(line)).collect();
    assert_eq!(new.len(), 2, "the entry and the fact: {new:?}");
}

#[test]
fn a_fixed_leak_is_told_and_blessed_away() {
    let repository = Repository::blessed();
    repository.edit(
        "filter.xml",
        "dstipaddr='255.255.255.255' dstipmask='24'",
        "dstipaddr='255.255.255.255' dstipmask='32'",
    );
    let better = repository.compare(&[]);
    better.is(0);
    let fixed = better.section("Fixed").expect("class E is stopped");
    assert!(
        fixed.contains("the mask of 255.255.255.255 is mended later"),
        "{fixed}"
    );
    assert!(fixed.contains("it was: leak"), "{fixed}");
    repository.compare(&["--strict"]).is(1);
    let entries = |text: &str| text.matches("verdict = ").count();
    let before = entries(&repository.read("baseline.toml"));
    repository.bless(&[]).is(0).says("Dropped");
    assert!(entries(&repository.read("baseline.toml")) < before);
    let again = repository.compare(&["--strict"]);
    again.is(0);
    assert_eq!(again.section("Fixed"), None);
}

#[test]
fn what_is_no_longer_proven_is_not_hidden() {
    let repository = Repository::blessed();
    let blind = repository.compare(&["--inject", "sensor"]);
    blind.is(5);
    let unproven = blind.section("Newly inconclusive").expect("a dead sensor");
    // What passed and what leaked before, both.
    assert!(unproven.contains("it was: pass"), "{unproven}");
    assert!(unproven.contains("it was: leak"), "{unproven}");
    repository.bless(&[]).is(5);
    repository.compare(&[]).is(0);
}

#[test]
fn an_entry_that_has_expired_counts_no_more() {
    let repository = Repository::blessed();
    let reason = "reason = \"the LAN has no IPv6 router\"";
    let day = |day: &str| format!("{reason}, expires = {day}");
    repository.edit("baseline.toml", reason, &day("9999-12-31"));
    repository.compare(&[]).is(0);
    repository.edit("baseline.toml", &day("9999-12-31"), &day("2020-01-31"));
    let red = repository.compare(&[]);
    red.is(1);
    let expired = red.section("Expired (1)").expect("one entry");
    assert!(expired.contains("accepted until 2020-01-31"), "{expired}");
}

#[test]
fn what_is_not_about_this_run_is_refused_before_it() {
    let repository = Repository::blessed();
    let other_filter = repository.run(&["verify", "--tap", "--baseline", "baseline.toml"]);
    other_filter
        .is(2)
        .says("the filter `no-out-traffic`")
        .says("cure: ");
    repository.edit("lanfence.toml", "192.168.1.0/24", "10.20.0.0/16");
    repository.edit("lanfence.toml", "192.168.1.1", "10.20.0.1");
    let other_lan = repository.compare(&[]);
    other_lan
        .is(2)
        .says("the LAN 192.168.1.0/24")
        .says("cure: ");
    let text = repository.read("baseline.toml");
    repository.write("baseline.toml", &text[..text.len() / 2]);
    repository
        .compare(&[])
        .is(2)
        .says("baseline.toml:")
        .says("cure: ");
    repository.compare(&["--no-filter"]).is(2);
}

#[test]
fn two_runs_are_told_apart_and_each_view_is_made_later() {
    let repository = Repository::new();
    repository.verify(&["--junit", "run.xml"]).is(1);
    std::fs::copy(repository.path("run.json"), repository.path("main.json")).expect("a copy");
    let same = repository.run(&["report", "diff", "main.json", "run.json"]);
    same.is(0);
    assert_eq!(same.section("Suspects"), None, "{}", same.text());
    let junit = repository.run(&["report", "junit", "main.json"]);
    assert_eq!(
        String::from_utf8_lossy(&junit.is(0).0.stdout),
        repository.read("run.xml")
    );
    let markdown = repository.run(&["report", "markdown", "main.json"]);
    markdown.is(0).says("rogue/ra");
    let sarif = repository.run(&["report", "sarif", "main.json"]);
    let sarif: serde_json::Value =
        serde_json::from_slice(&sarif.is(0).0.stdout).expect("a JSON document");
    let results = sarif["runs"][0]["results"].as_array().expect("results");
    assert_eq!(results.len(), 222, "219 leaks and 3 blocks");
    for result in results {
        let file = &result["locations"][0]["physicalLocation"]["artifactLocation"]["uri"];
        assert_eq!(file, "filter.xml");
    }
    // Each stands at the rule that decides: the mask of 255.255.255.255 is in line 10.
    let at = |probe: &str| {
        let text = |it: &&serde_json::Value| {
            let text = it["message"]["text"].as_str().expect("a message");
            text.starts_with(&format!("{probe}: "))
        };
        let result = results.iter().find(text).expect("the probe");
        let region = &result["locations"][0]["physicalLocation"]["region"];
        (
            region["startLine"].clone(),
            result["message"]["text"].to_string(),
        )
    };
    let (line, text) = at("wan-edges/class-e-last");
    assert_eq!(line, 9);
    assert!(text.contains("rule 3 of no-out-traffic"), "{text}");
    let (line, text) = at("wan-ipv6/udp-53");
    assert_eq!(line, 1);
    assert!(text.contains("chain='ipv4'"), "{text}");
    repository.edit("filter.xml", "</filter>", ONE_MORE);
    repository.verify(&[]).is(1);
    let worse = repository.run(&["report", "diff", "main.json", "run.json"]);
    worse.is(1).says("+ rule 6 of no-out-traffic accept out");
    let leaks = worse.section("New leaks (1)").expect("a leak");
    assert!(leaks.contains("wan-edges/dns-8-8-8-8"), "{leaks}");
    assert!(worse.section("Suspects").expect("one").contains("5 rules"));
    let better = repository.run(&["report", "diff", "run.json", "main.json"]);
    better.is(0).says("Fixed (1)");
}

#[test]
fn each_view_is_printed_or_written_and_is_the_same() {
    let repository = Repository::new();
    repository.verify(&["--html", "run.html"]).is(1);
    for view in ["html", "markdown", "junit", "sarif"] {
        let printed = repository.run(&["report", view, "run.json"]);
        let printed = String::from_utf8_lossy(&printed.is(0).0.stdout).into_owned();
        repository
            .run(&["report", view, "run.json", "-o", "view"])
            .is(0);
        assert_eq!(printed, repository.read("view"), "{view}");
    }
    repository
        .run(&["report", "html", "run.json", "-o", "view"])
        .is(0);
    assert_eq!(repository.read("run.html"), repository.read("view"));
    // A report in which nothing was begun says nothing that could be accepted.
    let mut empty: serde_json::Value =
        serde_json::from_str(&repository.read("run.json")).expect("a report");
    empty["cells"] = serde_json::json!([]);
    repository.write("empty.json", &empty.to_string());
    let blessed = repository.run(&["bless", "empty.json", "--baseline", "new.toml"]);
    blessed.is(2).says("no cell that was begun").says("cure: ");
    assert!(!repository.path("new.toml").exists());
}

#[test]
fn reports_that_cannot_be_compared_are_refused() {
    let repository = Repository::new();
    repository.verify(&[]).is(1);
    std::fs::copy(repository.path("run.json"), repository.path("own.json")).expect("a copy");
    let diff = |other: &str| repository.run(&["report", "diff", "own.json", other]);
    repository
        .run(&["verify", "--tap", "--json", "generated.json"])
        .is(0);
    diff("generated.json")
        .is(2)
        .says("the filter `no-out-traffic`");
    repository
        .run(&["verify", "--tap", "--no-filter", "--json", "none.json"])
        .is(1);
    diff("none.json").is(2).says("ran without a filter");
    let text = repository.read("own.json");
    repository.write("cut.json", &text[..text.len() / 2]);
    diff("cut.json").is(2).says("cut.json: ");
    repository.write("other.json", &text.replace("tap/raw", "tap/cooked"));
    diff("other.json").is(2).says("tap/cooked").says("cure: ");
    let mut old: serde_json::Value = serde_json::from_str(&text).expect("JSON");
    old.as_object_mut().expect("a run").remove("identity");
    repository.write("old.json", &old.to_string());
    diff("old.json").is(2).says("an earlier lanfence wrote it");
    repository
        .run(&["bless", "old.json", "--baseline", "baseline.toml"])
        .is(2);
    assert!(!repository.path("baseline.toml").exists());
}
