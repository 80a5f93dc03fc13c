//! What a claim is, and how it is held against the real thing.

use crate::kernel::{Answer, Case, Device, GUEST};
use crate::release::of_iptables;
use lanfence::nwfilter::evaluate::{
    Backend, CompileError, Compiled, Decision, IptablesRelease, Portability, Way,
};
use lanfence::nwfilter::{Filter, as_libvirt};
use std::process::Command;

/// A frame, what it is for people, and whether the guest sends it.
#[derive(Debug, Clone)]
pub struct Frame {
    pub what: &'static str,
    pub from_guest: bool,
    pub bytes: Vec<u8>,
}

/// Something that libvirt or the kernel is seen to do.
#[derive(Debug, Clone)]
pub enum Shows {
    /// The text stands in what libvirt prints of the filter.
    Dumps(&'static str),
    /// It does not.
    DumpsNot(&'static str),
    /// It is lost when libvirt reads its own words again, as at its next start.
    ForgetsNextTime(&'static str),
    /// It is kept then.
    Keeps(&'static str),
    /// A rule of the interface has the text.
    Rule(&'static str),
    /// No rule of the interface has it.
    NoRule(&'static str),
    /// The interface has no rule at all.
    NoRules,
    /// The filter is bound.
    Binds,
    /// libvirt refuses the filter with these words.
    Refuses(&'static str),
    /// The filter is bound if, and only if, this host's iptables takes such a thing.
    BindsWhereTaken(Portability),
    /// The frame gets through the bound filter.
    Passes(Frame),
    /// It does not, and does without the filter.
    Drops(Frame),
    /// It gets nowhere, with the filter or without.
    Lost(Frame),
    /// That, if this is the release of the host's iptables; else it gets through.
    DropsOn(IptablesRelease, Frame),
}

/// Filters, the last one bound, and what is seen of them.
#[derive(Debug, Clone)]
pub struct Side {
    pub filters: Vec<String>,
    pub shows: Vec<Shows>,
}

/// A lint's claim about libvirt: filters that trigger it with what is really
/// the matter with them, and such that do not with the difference.
#[derive(Debug, Clone)]
pub struct Claim {
    pub lint: &'static str,
    /// What is claimed, in a few words that make the name unique.
    pub about: &'static str,
    pub bad: Side,
    pub good: Side,
    pub parameters: Vec<(&'static str, &'static str)>,
    pub device: Option<Device>,
    pub bridge_nf: bool,
    /// The back end that it is about; none where it is about whichever has the lint.
    pub of: Option<Backend>,
}

/// A claim about filters by themselves.
pub fn claim(lint: &'static str, about: &'static str, bad: Side, good: Side) -> Claim {
    Claim {
        lint,
        about,
        bad,
        good,
        parameters: Vec::new(),
        device: None,
        bridge_nf: true,
        of: None,
    }
}

impl Claim {
    pub fn name(&self) -> String {
        format!("{}::{}", self.lint, self.about.replace(' ', "_"))
    }

    pub fn with(mut self, parameters: &[(&'static str, &'static str)]) -> Self {
        self.parameters = parameters.to_vec();
        self
    }

    pub fn on(mut self, device: &'static str) -> Self {
        self.device = Some(Device {
            name: device,
            exists: true,
        });
        self
    }

    /// On a host whose bridge does not call iptables.
    pub fn without_bridge_nf(mut self) -> Self {
        self.bridge_nf = false;
        self
    }

    /// About one back end only.
    pub fn of(mut self, backend: Backend) -> Self {
        self.of = Some(backend);
        self
    }

    /// Whether it says anything of the back end.
    pub fn is_about(&self, backend: Backend) -> bool {
        self.of.is_none_or(|of| of == backend)
    }

    /// What to ask the lab: the filters that trigger the lint, and those that do not.
    pub fn cases(&self) -> [Case; 2] {
        [&self.bad, &self.good].map(|side| Case {
            filters: side.named(),
            parameters: self.given(),
            bind: side.is_bound(),
            device: self.device.clone(),
            bridge_nf: self.bridge_nf,
            frames: side
                .frames()
                .map(|frame| (frame.from_guest, frame.bytes.clone()))
                .collect(),
        })
    }

    fn given(&self) -> Vec<(String, String)> {
        let given = self.parameters.iter();
        given
            .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
            .collect()
    }

    /// Holds what was seen, and what lint and evaluator say, against the claim. The lint may be
    /// silent under nftables, and then what it claims of the filter must not be so.
    pub fn judge(&self, backend: Backend, answers: &[Answer]) -> Result<(), String> {
        let sides = [(&self.bad, true), (&self.good, false)];
        let silent = backend == Backend::Nftables && self.is_silent(backend)?;
        for ((side, triggers), answer) in sides.into_iter().zip(answers) {
            let all = side.filters.join("\n");
            let wrong = |what: String| format!("{what}\n{all}\n{answer:#?}");
            let found = self.linted(backend, side)?;
            if found.iter().any(|name| name == self.lint) != (triggers && !silent) {
                return Err(wrong(format!("the lint triggers: {}", !triggers)));
            }
            if !(triggers && silent) {
                side.seen(backend, answer).map_err(wrong)?;
            } else if side.is_seen_otherwise(backend, answer)? == Some(false) {
                return Err(wrong("the lint is silent, and what it claims is so".into()));
            }
            self.evaluated(backend, side, answer).map_err(wrong)?;
        }
        Ok(())
    }

    /// Whether the lint says nothing of the filter that triggers it under ebtables.
    fn is_silent(&self, backend: Backend) -> Result<bool, String> {
        let found = self.linted(backend, &self.bad)?;
        Ok(!found.iter().any(|name| name == self.lint))
    }

    /// Names of the lints that `lanfence lint` finds.
    fn linted(&self, backend: Backend, side: &Side) -> Result<Vec<String>, String> {
        let directory = tempfile::tempdir().map_err(|error| error.to_string())?;
        let mut command = Command::new(env!("CARGO_BIN_EXE_lanfence"));
        command.args(["lint", "--format", "json", "--backend", backend.word()]);
        command.args(["--bind", &side.top()]);
        for (name, value) in &self.parameters {
            command.args(["--param", &format!("{name}={value}")]);
        }
        for (name, text) in side.named() {
            let file = directory.path().join(format!("{name}.xml"));
            std::fs::write(&file, text).map_err(|error| error.to_string())?;
            command.arg(file);
        }
        let output = command.output().map_err(|error| error.to_string())?;
        let document: serde_json::Value =
            serde_json::from_slice(&output.stdout).map_err(|_| format!("{output:?}"))?;
        let findings = document["lint"].as_array().ok_or("no findings")?;
        let name = |finding: &serde_json::Value| finding["rule"].as_str().map(str::to_owned);
        Ok(findings.iter().filter_map(name).collect())
    }

    /// The evaluator reproduces what libvirt does: it refuses what libvirt
    /// refuses, and of every frame it says what the kernel does.
    fn evaluated(&self, backend: Backend, side: &Side, answer: &Answer) -> Result<(), String> {
        let compiled = Compiled::with_backend(
            &side.understood()?,
            &side.top(),
            GUEST,
            &self.given(),
            backend,
        );
        let compiled = match compiled {
            Ok(_) if !answer.bound && side.must_bind() => {
                return Err("only the evaluator takes it".to_owned());
            }
            // libvirt learns it; until then its own rules are in force.
            Err(CompileError::Unset { name, .. }) if answer.bound && name == "IP" => return Ok(()),
            Err(error) if answer.bound => return Err(format!("the evaluator refuses: {error}")),
            Err(_) => return Ok(()),
            Ok(compiled) if self.bridge_nf => compiled,
            Ok(compiled) => compiled.without_bridge_nf(),
        };
        for (frame, passed) in side.frames().zip(&answer.passed) {
            let way = if frame.from_guest {
                Way::FromGuest
            } else {
                Way::ToGuest
            };
            let ours = compiled.decide(&frame.bytes, way);
            let same = match ours {
                Decision::Accept => *passed,
                Decision::Drop => !passed,
                // What is not modelled is not claimed either.
                Decision::Undecided(_) => true,
            };
            if !same {
                return Err(format!("{}: the evaluator says {ours:?}", frame.what));
            }
        }
        Ok(())
    }
}

impl Side {
    /// Name and text of each filter.
    fn named(&self) -> Vec<(String, String)> {
        let name = |text: &str| {
            let (_, rest) = text.split_once("name='").expect("a name");
            rest.split('\'').next().unwrap_or_default().to_owned()
        };
        let filters = self.filters.iter();
        filters.map(|text| (name(text), text.clone())).collect()
    }

    fn top(&self) -> String {
        self.named().pop().expect("a filter").0
    }

    fn understood(&self) -> Result<Vec<Filter>, String> {
        let read = |(name, text): (String, String)| {
            let document = as_libvirt(&text, &name).map_err(|error| error.to_string())?;
            Ok(document.filter)
        };
        self.named().into_iter().map(read).collect()
    }

    fn frames(&self) -> impl Iterator<Item = &Frame> {
        self.shows.iter().filter_map(Shows::frame)
    }

    /// Whether it has to be bound at all, which takes some tenths of a second.
    fn is_bound(&self) -> bool {
        let tried = |shows: &Shows| matches!(shows, Shows::Refuses(_) | Shows::BindsWhereTaken(_));
        self.must_bind() || self.shows.iter().any(tried)
    }

    /// Whether a claim about it needs a bound filter to be shown.
    fn must_bind(&self) -> bool {
        let bound = |shows: &Shows| {
            matches!(
                shows,
                Shows::Rule(_)
                    | Shows::NoRule(_)
                    | Shows::NoRules
                    | Shows::Binds
                    | Shows::Passes(_)
                    | Shows::Drops(_)
                    | Shows::Lost(_)
                    | Shows::DropsOn(..)
            )
        };
        self.shows.iter().any(bound)
    }

    /// All that it shows is seen, as far as it is about this back end.
    fn seen(&self, backend: Backend, answer: &Answer) -> Result<(), String> {
        if self.must_bind() && !answer.bound {
            return Err("it was not bound".to_owned());
        }
        let mut outcomes = answer.open.iter().zip(&answer.passed);
        for shows in &self.shows {
            let outcome = shows.frame().and_then(|_| outcomes.next());
            if shows.is_about(backend) && !shows.holds(answer, outcome)? {
                return Err(format!("not seen: {shows:?}"));
            }
        }
        Ok(())
    }

    /// Whether something of what rules and frames show is otherwise; none where it shows nothing of
    /// them that this back end has.
    fn is_seen_otherwise(&self, backend: Backend, answer: &Answer) -> Result<Option<bool>, String> {
        let mut outcomes = answer.open.iter().zip(&answer.passed);
        let mut otherwise = None;
        for shows in &self.shows {
            let outcome = shows.frame().and_then(|_| outcomes.next());
            if shows.is_about(backend) && shows.needs_rules() {
                let holds = shows.holds(answer, outcome)?;
                otherwise = Some(otherwise == Some(true) || !holds);
            }
        }
        Ok(otherwise)
    }
}

impl Shows {
    /// The frame that shows it.
    fn frame(&self) -> Option<&Frame> {
        match self {
            Self::Passes(frame)
            | Self::Drops(frame)
            | Self::Lost(frame)
            | Self::DropsOn(_, frame) => Some(frame),
            _ => None,
        }
    }

    /// Whether this back end can show it: the texts of rules are those of ebtables and iptables.
    fn is_about(&self, backend: Backend) -> bool {
        backend == Backend::Ebtables
            || !matches!(
                self,
                Self::Rule(_) | Self::NoRule(_) | Self::BindsWhereTaken(_) | Self::DropsOn(..)
            )
    }

    /// Whether it is seen of the rules, and not of the filter's text.
    fn needs_rules(&self) -> bool {
        !matches!(
            self,
            Self::Dumps(_) | Self::DumpsNot(_) | Self::ForgetsNextTime(_) | Self::Keeps(_)
        )
    }

    /// Whether it is so: `outcome` says of its frame whether it got through without the filter and
    /// with it.
    fn holds(&self, answer: &Answer, outcome: Option<(&bool, &bool)>) -> Result<bool, String> {
        let (dumped, redumped) = (answer.dumped.join("\n"), answer.redumped.join("\n"));
        let rule = |text: &str| answer.rules.iter().any(|rule| rule.contains(text));
        Ok(match self {
            Self::Dumps(text) => dumped.contains(text),
            Self::DumpsNot(text) => !dumped.is_empty() && !dumped.contains(text),
            Self::ForgetsNextTime(text) => {
                dumped.contains(text) && !redumped.is_empty() && !redumped.contains(text)
            }
            Self::Keeps(text) => redumped.contains(text),
            Self::Rule(text) => rule(text),
            Self::NoRule(text) => !rule(text),
            Self::NoRules => answer.rules.is_empty(),
            Self::Binds => answer.bound,
            Self::Refuses(text) => answer
                .refused
                .as_ref()
                .is_some_and(|why| why.contains(text)),
            Self::BindsWhereTaken(thing) => answer.bound == thing.is_taken_by(of_iptables()?),
            Self::Passes(_) => outcome == Some((&true, &true)),
            Self::Drops(_) => outcome == Some((&true, &false)),
            Self::Lost(_) => outcome == Some((&false, &false)),
            Self::DropsOn(on, _) => outcome == Some((&true, &(*on != of_iptables()?))),
        })
    }
}
