//! The action of action.yml: its steps as a runner runs them, and that its parts fit together.
//!
//! What a runner does besides, the cache and the uploads, is other people's code; what is given
//! to it is looked at.

use crate::common::{example, guest_image};
use saphyr::{LoadableYamlNode as _, Yaml};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

const ACTION: &str = include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/action.yml"));

/// What is between `${{` and `}}`, each with its place.
fn expressions(text: &str) -> Vec<&str> {
    let inner = text.split("${{").skip(1);
    inner
        .filter_map(|rest| Some(rest.split_once("}}")?.0.trim()))
        .collect()
}

/// A step of the action.
struct Step<'a> {
    id: Option<&'a str>,
    name: &'a str,
    run: Option<&'a str>,
    uses: Option<&'a str>,
    /// `env` and `with`.
    values: BTreeMap<&'a str, &'a str>,
    when: Option<&'a str>,
}

fn text<'a>(of: &'a Yaml<'a>, key: &str) -> Option<&'a str> {
    of.as_mapping_get(key)?.as_str()
}

fn steps<'a>(action: &'a Yaml<'a>) -> Vec<Step<'a>> {
    let steps = action["runs"]["steps"].as_sequence().expect("steps");
    let step = |step: &'a Yaml<'a>| {
        let values = ["env", "with"]
            .into_iter()
            .filter_map(|key| step.as_mapping_get(key));
        let values = values.filter_map(Yaml::as_mapping).flatten();
        Step {
            id: text(step, "id"),
            name: text(step, "name").expect("every step has a name"),
            run: text(step, "run"),
            uses: text(step, "uses"),
            values: values
                .filter_map(|(key, value)| Some((key.as_str()?, value.as_str()?)))
                .collect(),
            when: text(step, "if"),
        }
    };
    steps.iter().map(step).collect()
}

fn action() -> Yaml<'static> {
    let mut documents = Yaml::load_from_str(ACTION).expect("action.yml is YAML");
    assert_eq!(documents.len(), 1);
    documents.remove(0)
}

/// A runner as far as a composite action sees one.
struct Runner {
    dir: tempfile::TempDir,
    inputs: BTreeMap<String, String>,
    outputs: BTreeMap<String, String>,
    env: BTreeMap<String, String>,
}

impl Runner {
    fn new(given: &[(&str, &str)]) -> Self {
        let action = action();
        let mut inputs = BTreeMap::new();
        for (name, input) in action["inputs"].as_mapping().expect("inputs") {
            let default = text(input, "default").expect("every input has a default");
            inputs.insert(
                name.as_str().expect("a name").to_owned(),
                default.to_owned(),
            );
        }
        for (name, value) in given {
            let known = inputs.insert((*name).to_owned(), (*value).to_owned());
            assert!(known.is_some(), "there is no input {name}");
        }
        let program = env!("CARGO_BIN_EXE_lanfence").to_owned();
        let guest = guest_image().display().to_string();
        Self {
            dir: tempfile::tempdir().expect("a folder"),
            inputs,
            outputs: BTreeMap::new(),
            env: [
                ("LANFENCE_PROGRAM".into(), program),
                ("LANFENCE_GUEST".into(), guest),
            ]
            .into(),
        }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// What an expression of the action stands for.
    fn value(&self, expression: &str) -> String {
        let found = match expression.split('.').collect::<Vec<_>>()[..] {
            ["inputs", name] => self.inputs.get(name),
            ["steps", step, "outputs", name] => self.outputs.get(&format!("{step}.{name}")),
            _ => panic!("nobody told the test what {expression} is"),
        };
        found
            .unwrap_or_else(|| panic!("{expression} stands for nothing"))
            .clone()
    }

    /// Runs a step as the runner does, with files for what it hands on.
    fn run(&mut self, step: &Step<'_>) -> Output {
        let script = step.run.expect("a script");
        assert!(
            expressions(script).is_empty(),
            "an input in a script is a hole: {script}"
        );
        let (output, env) = (self.path("output"), self.path("env"));
        for file in [&output, &env] {
            std::fs::write(file, "").expect("a file");
        }
        let mut command = Command::new("bash");
        command
            .args([
                "--noprofile",
                "--norc",
                "-e",
                "-o",
                "pipefail",
                "-c",
                script,
            ])
            .current_dir(self.dir.path())
            .envs(&self.env)
            .env("GITHUB_ACTIONS", "true")
            .env("GITHUB_ACTION_PATH", env!("CARGO_MANIFEST_DIR"))
            .env("GITHUB_OUTPUT", &output)
            .env("GITHUB_ENV", &env)
            .env("GITHUB_STEP_SUMMARY", self.path("summary"));
        for (name, value) in &step.values {
            let mut value = (*value).to_owned();
            for expression in expressions(&value.clone()) {
                value = value.replace(&format!("${{{{ {expression} }}}}"), &self.value(expression));
            }
            command.env(name, value);
        }
        let ended = command.output().expect("bash starts");
        let lines = |file: &Path| -> Vec<(String, String)> {
            let text = std::fs::read_to_string(file).expect("it was made");
            let lines = text.lines().filter_map(|line| line.split_once('='));
            lines
                .map(|(name, value)| (name.to_owned(), value.to_owned()))
                .collect()
        };
        let id = step.id.unwrap_or_default();
        let outputs = lines(&output).into_iter();
        self.outputs
            .extend(outputs.map(|(name, value)| (format!("{id}.{name}"), value)));
        self.env.extend(lines(&env));
        ended
    }

    /// All steps up to the proof, whose output comes back. Devices and AppArmor are the host's,
    /// which a test on a throwaway host opens (tests/hosts/runner.sh).
    fn prove(&mut self) -> Output {
        let action = action();
        for step in steps(&action) {
            if step.run.is_none() || step.name == "Let ordinary users run the lab" {
                continue;
            }
            let output = self.run(&step);
            if step.id == Some("verify") {
                return output;
            }
            assert!(output.status.success(), "{}: {output:?}", step.name);
        }
        panic!("no step has the id verify");
    }
}

#[test]
fn a_green_run_leaves_its_reports() {
    let mut runner = Runner::new(&[("arguments", "--tap\n\n")]);
    let output = runner.prove();
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    assert_eq!(runner.outputs["verify.exit-code"], "0");
    let key = &runner.outputs["key.key"];
    assert!(key.starts_with(&runner.outputs["key.restore-key"]), "{key}");
    for file in [
        "run.json",
        "junit.xml",
        "lanfence.html",
        "findings.sarif",
        "doctor.json",
    ] {
        let path = runner.path("lanfence-report").join(file);
        assert!(
            path.metadata().is_ok_and(|meta| meta.len() > 0),
            "{file}: {output:?}"
        );
    }
}

#[test]
fn a_red_run_is_red_and_leaves_its_evidence() {
    let filter = example("no-out-traffic.xml");
    let mut runner = Runner::new(&[
        ("arguments", "--tap"),
        ("filter", &filter),
        ("reports", "some where"),
        ("name", "article"),
    ]);
    let output = runner.prove();
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    assert_eq!(runner.outputs["verify.exit-code"], "1");
    let reports = runner.path("some where");
    assert!(reports.join("article.html").exists());
    let evidence = std::fs::read_dir(reports.join("evidence")).expect("there is evidence");
    assert!(evidence.count() > 0);
    let out = String::from_utf8_lossy(&output.stdout);
    assert!(out.contains("::error"), "no annotation: {out}");
}

/// The rules of the results.
fn sarif(runner: &Runner) -> Vec<String> {
    let file = runner.path("lanfence-report/findings.sarif");
    let text = std::fs::read_to_string(file).expect("the findings");
    let document: serde_json::Value = serde_json::from_str(&text).expect("JSON");
    let results = document["runs"][0]["results"].as_array().expect("results");
    let rules = results
        .iter()
        .map(|it| it["ruleId"].as_str().expect("a rule"));
    rules.map(str::to_owned).collect()
}

/// The text of the filter is good; only what is sent shows that the kernel does not have it.
#[test]
fn what_code_scanning_gets_is_what_the_run_has_shown() {
    let mut runner = Runner::new(&[("arguments", "--tap\n--inject\nflush")]);
    let output = runner.prove();
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    assert_eq!(runner.outputs["verify.sarif"], "true");
    let rules = sarif(&runner);
    assert!(rules.iter().any(|rule| rule == "leak"), "{rules:?}");
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(said.contains("::error"), "{said}");
}

/// A file without results would say that all findings of before are mended.
#[test]
fn where_nothing_was_run_code_scanning_gets_no_empty_list() {
    let mut runner = Runner::new(&[("arguments", "--tap"), ("filter", "broken.xml")]);
    std::fs::write(runner.path("broken.xml"), "<filter name='b'><rule").expect("a filter");
    let output = runner.prove();
    assert_eq!(output.status.code(), Some(2), "{output:?}");
    assert!(!runner.path("lanfence-report/findings.sarif").exists());
    assert!(!runner.outputs.contains_key("verify.sarif"));
}

#[test]
fn an_argument_is_an_argument_whatever_is_in_it() {
    let mut runner = Runner::new(&[("arguments", "--tap\n$(touch pwned)\n; touch pwned")]);
    let output = runner.prove();
    assert_eq!(output.status.code(), Some(2), "{output:?}");
    assert!(!runner.path("pwned").exists());
}

#[test]
fn every_input_is_used_and_every_used_one_is_there() {
    let action = action();
    let inputs = action["inputs"].as_mapping().expect("inputs");
    let mut unused: Vec<&str> = inputs.keys().filter_map(Yaml::as_str).collect();
    for step in steps(&action) {
        let texts = step.values.values().copied().chain(step.when);
        for expression in texts.flat_map(expressions) {
            for word in expression.split_whitespace() {
                if let Some(name) = word.strip_prefix("inputs.") {
                    assert!(
                        inputs.keys().any(|key| key.as_str() == Some(name)),
                        "{name}"
                    );
                    unused.retain(|input| *input != name);
                }
            }
        }
    }
    assert_eq!(unused, Vec::<&str>::new());
}

#[test]
fn what_a_red_run_leaves_is_uploaded() {
    let action = action();
    let steps = steps(&action);
    let proof = steps
        .iter()
        .position(|step| step.id == Some("verify"))
        .expect("a proof");
    let uploads = &steps[proof + 1..];
    assert!(uploads.len() >= 3);
    for step in uploads {
        assert!(step.uses.is_some(), "{}", step.name);
        assert!(
            step.when.is_some_and(|when| when.contains("!cancelled()")),
            "{}",
            step.name
        );
    }
}
