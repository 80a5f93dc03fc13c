//! What `check` and `mutate` found, from the JSON that they write.

use super::error::BaselineError;
use super::facts::{Fact, Facts, Subject};
use super::observed::{Observed, Probe};
use super::standing::Standing;
use super::verb::{REACHED, UNREACHED, Verb};
use crate::nwfilter::Parameter;
use crate::probe::Expect;
use crate::report::model::Identity;
use crate::report::text::clean;
use crate::verdict::Conclusion;
use serde::Deserialize;
use std::collections::BTreeMap;

/// The cell that stands for a check.
const CHECK: &str = "check";

/// The cell that stands for the mutants of a filter.
const MUTATE: &str = "mutate";

/// What both say of what they looked at.
#[derive(Deserialize)]
struct About {
    version: String,
    filter: String,
    #[serde(default)]
    rules: usize,
    #[serde(default)]
    parameters: Vec<Parameter>,
    identity: Option<Identity>,
    backend: String,
}

/// What is read of `check --format json`.
#[derive(Deserialize)]
pub(super) struct Check {
    #[serde(flatten)]
    about: About,
    #[serde(default = "yes")]
    bridge_nf: bool,
    #[serde(default)]
    denied: Vec<String>,
    learning: Option<Learning>,
    probes: Vec<JudgedProbe>,
    statements: Vec<Ruled>,
    classes: Vec<Class>,
}

fn yes() -> bool {
    true
}

#[derive(Deserialize)]
struct JudgedProbe {
    id: String,
    summary: String,
    expect: Expect,
    verdict: Standing,
    note: Option<String>,
}

#[derive(Deserialize)]
struct Learning {
    #[serde(default)]
    judged: Vec<JudgedProbe>,
}

#[derive(Deserialize)]
struct Ruled {
    id: String,
    statement: String,
    requires: bool,
    wrong: Vec<Wrong>,
    inexact: Option<String>,
}

#[derive(Deserialize)]
struct Wrong {
    frames: String,
}

#[derive(Deserialize)]
struct Class {
    name: String,
    leaked: Vec<String>,
    blocked: Vec<String>,
}

/// What is read of `mutate --json`.
#[derive(Deserialize)]
pub(super) struct Mutate {
    #[serde(flatten)]
    about: About,
    mutants: Vec<Mutant>,
}

#[derive(Deserialize)]
struct Mutant {
    operator: String,
    filter: String,
    /// The rule in words.
    text: Option<String>,
    edit: String,
    class: String,
    note: Option<String>,
    example: Option<Example>,
}

#[derive(Deserialize)]
struct Example {
    summary: String,
    passes_original: bool,
    passes_mutant: bool,
}

impl About {
    /// The findings of one cell.
    fn observed(
        self,
        verb: Verb,
        cell: &str,
        probes: BTreeMap<String, Probe>,
        name: &str,
    ) -> Result<Observed, BaselineError> {
        let Some(identity) = &self.identity else {
            let run = clean(name);
            return Err(BaselineError::NoIdentity { run, verb });
        };
        let mut facts = Facts::of(self.rules, &self.parameters, identity, &self.version);
        facts.add(Fact::Backend, &self.backend);
        Ok(Observed {
            subject: Subject {
                verb,
                ..Subject::of(&self.filter, identity)
            },
            facts,
            cells: [(cell.to_owned(), probes)].into(),
            skipped: BTreeMap::new(),
            elsewhere: std::collections::BTreeSet::new(),
            error: None,
        })
    }
}

impl Check {
    /// The probes, the time while libvirt learns the address, the statements with each kind of frames
    /// that breaks them, and every block of addresses that can be reached and must not.
    pub(super) fn observed(self, name: &str) -> Result<Observed, BaselineError> {
        let mut all = BTreeMap::new();
        all.extend(self.probes.into_iter().map(JudgedProbe::named));
        let learnt = self.learning.into_iter().flat_map(|it| it.judged);
        all.extend(learnt.map(|judged| {
            let (id, mut probe) = judged.named();
            probe.summary = format!("while libvirt learns the address: {}", probe.summary);
            (format!("learning/{id}"), probe)
        }));
        for statement in self.statements {
            statement.add_to(&mut all);
        }
        for class in self.classes {
            class.add_to(&mut all);
        }
        let mut observed = self.about.observed(Verb::Check, CHECK, all, name)?;
        if !self.bridge_nf {
            let sysctl = "net.bridge.bridge-nf-call-iptables=0";
            observed.facts.add(Fact::Sysctls, sysctl);
        }
        observed.error = (!self.denied.is_empty()).then_some(Conclusion::Fail);
        Ok(observed)
    }
}

impl JudgedProbe {
    fn named(self) -> (String, Probe) {
        let probe = Probe {
            expect: self.expect,
            standing: self.verdict,
            summary: clean(&self.summary),
            note: self.note.as_deref().map(clean),
        };
        (self.id, probe)
    }
}

impl Ruled {
    fn add_to(self, all: &mut BTreeMap<String, Probe>) {
        let (expect, wrong) = if self.requires {
            (Expect::Pass, Standing::Blocked)
        } else {
            (Expect::Drop, Standing::Leak)
        };
        let inexact = self.inexact.as_deref().map(clean);
        let probe = |standing, summary: String, note| Probe {
            expect,
            standing,
            summary,
            note,
        };
        let sentence = clean(&self.statement);
        if let (Some(why), false) = (&inexact, self.wrong.is_empty()) {
            let summary = format!("{sentence} More frames may break it");
            let inexact = probe(Standing::Inconclusive, summary, Some(why.clone()));
            all.insert(format!("{}/more", self.id), inexact);
        }
        for kind in &self.wrong {
            let kind = clean(&kind.frames);
            let frames = probe(wrong, format!("{sentence} Broken by: {kind}"), None);
            all.insert(format!("{}/{kind}", self.id), frames);
        }
        let standing = match (self.wrong.is_empty(), &inexact) {
            (false, _) => wrong,
            (true, Some(_)) => Standing::Inconclusive,
            (true, None) => Standing::Pass,
        };
        let note = inexact.filter(|_| standing == Standing::Inconclusive);
        all.insert(self.id, probe(standing, sentence, note));
    }
}

impl Class {
    fn add_to(self, all: &mut BTreeMap<String, Probe>) {
        let name = clean(&self.name);
        let kinds = [
            (REACHED, Expect::Drop, Standing::Leak, self.leaked),
            (UNREACHED, Expect::Pass, Standing::Blocked, self.blocked),
        ];
        for (row, expect, standing, blocks) in kinds {
            all.extend(blocks.into_iter().map(|block| {
                let block = clean(&block);
                let summary = match standing {
                    Standing::Leak => format!("{name} gets out for {block}"),
                    _ => format!("{name} is stopped for {block}"),
                };
                let probe = Probe {
                    expect,
                    standing,
                    summary,
                    note: None,
                };
                (format!("{row}/{name}/{block}"), probe)
            }));
        }
    }
}

impl Mutate {
    /// The mutants, named by edit and rule in words, so that a rule may move.
    pub(super) fn observed(self, name: &str) -> Result<Observed, BaselineError> {
        let mut all: BTreeMap<String, Probe> = BTreeMap::new();
        for mutant in self.mutants {
            let (id, probe) = mutant.named();
            // A rule may stand in a filter twice.
            let mut free = id.clone();
            let mut number = 1;
            while all.contains_key(&free) {
                number += 1;
                free = format!("{id} #{number}");
            }
            all.insert(free, probe);
        }
        self.about.observed(Verb::Mutate, MUTATE, all, name)
    }
}

impl Mutant {
    fn named(self) -> (String, Probe) {
        let place = match &self.text {
            Some(text) => format!("{}: {}", clean(&self.filter), clean(text)),
            None => clean(&self.filter),
        };
        let id = format!("{}/{place}: {}", self.operator, clean(&self.edit));
        let standing = match self.class.as_str() {
            "survived" => Standing::Survived,
            "unproven" => Standing::Inconclusive,
            _ => Standing::Pass,
        };
        let does = |passes: bool| if passes { "passes" } else { "is dropped" };
        let summary = match &self.example {
            Some(example) => format!(
                "{} {}, and with the edit it {}",
                clean(&example.summary),
                does(example.passes_original),
                does(example.passes_mutant)
            ),
            None => "this edit".to_owned(),
        };
        let probe = Probe {
            expect: Expect::Drop,
            standing,
            summary,
            note: self.note.as_deref().map(clean),
        };
        (id, probe)
    }
}
