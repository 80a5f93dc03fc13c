//! What `cargo xtask hosts test` found, from the JSON that it writes.

use super::facts::{Fact, Facts, Subject};
use super::observed::{Observed, Probe};
use super::standing::Standing;
use super::verb::Verb;
use crate::probe::Expect;
use crate::report::text::clean;
use serde::Deserialize;
use std::collections::{BTreeMap, BTreeSet};

/// What is read of `hosts test --json`.
#[derive(Deserialize)]
pub(super) struct Hosts {
    version: String,
    hosts: Vec<Tested>,
}

#[derive(Deserialize)]
struct Tested {
    host: String,
    /// What made the host; none where it could not be made.
    key: Option<String>,
    scenarios: Vec<Trial>,
}

#[derive(Deserialize)]
struct Trial {
    scenario: String,
    outcome: Outcome,
    why: Option<String>,
}

#[derive(Deserialize, PartialEq, Eq, Clone, Copy)]
#[serde(rename_all = "kebab-case")]
enum Outcome {
    Passed,
    Refused,
    Failed,
    Skipped,
}

impl Hosts {
    /// Each host is a cell with its scenarios. A host in which none was run is one that cannot run
    /// here.
    pub(super) fn observed(self) -> Observed {
        let (mut cells, mut skipped) = (BTreeMap::new(), BTreeMap::new());
        let keys = self.hosts.iter().filter_map(|host| {
            let key = host.key.as_ref()?;
            Some(format!("{} {key}", clean(&host.host)))
        });
        let mut facts = Facts::default();
        facts.add(Fact::Hosts, &keys.collect::<Vec<_>>().join(", "));
        facts.add(Fact::Lanfence, &self.version);
        for host in self.hosts {
            let was_run = |scenario: &Trial| scenario.outcome != Outcome::Skipped;
            if host.scenarios.iter().any(was_run) {
                let probes = host.scenarios.into_iter().map(Trial::named);
                cells.insert(host.host, probes.collect::<BTreeMap<_, _>>());
            } else {
                let why = host.scenarios.into_iter().find_map(|it| it.why);
                let why = why.unwrap_or_else(|| "no scenario was selected".to_owned());
                skipped.insert(host.host, clean(&why));
            }
        }
        Observed {
            subject: Subject {
                verb: Verb::Hosts,
                // The scenarios have policies and filters of their own.
                filter: "of each scenario".to_owned(),
                policy: "of each scenario".to_owned(),
                lan: Vec::new(),
            },
            facts,
            cells,
            skipped,
            elsewhere: BTreeSet::new(),
            error: None,
        }
    }
}

impl Trial {
    fn named(self) -> (String, Probe) {
        let standing = match self.outcome {
            Outcome::Passed | Outcome::Refused => Standing::Pass,
            Outcome::Failed => Standing::Failed,
            Outcome::Skipped => Standing::Inconclusive,
        };
        let why = self.why.as_deref().unwrap_or_default();
        let why = why.lines().next().unwrap_or_default();
        let probe = Probe {
            expect: Expect::Pass,
            standing,
            summary: "it ends as it must".to_owned(),
            note: Some(clean(why)).filter(|why| !why.is_empty()),
        };
        (self.scenario, probe)
    }
}
