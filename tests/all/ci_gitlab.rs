//! The template for GitLab: its shell steps as a runner runs them, one script after the other in the
//! project's directory, and what it hands on.

use crate::common::{example, guest_image};
use saphyr::{LoadableYamlNode as _, Yaml};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

const TEMPLATE: &str = include_str!(concat!(
    env!("CARGO_MANIFEST_DIR"),
    "/dist/gitlab/lanfence.gitlab-ci.yml"
));

/// Opens devices of the host, which is left to the test on a throwaway host.
const OPENS: &str = "open-host.sh";

fn job() -> Yaml<'static> {
    let mut documents = Yaml::load_from_str(TEMPLATE).expect("the template is YAML");
    assert_eq!(documents.len(), 1);
    documents.remove(0)
}

fn git(directory: &Path, arguments: &[&str]) {
    let own = ["-c", "user.name=t", "-c", "user.email=t@example.org"];
    let mut command = Command::new("git");
    let command = command.args(own).args(arguments).current_dir(directory);
    let output = command.output().expect("git starts");
    assert!(output.status.success(), "git {arguments:?}: {output:?}");
}

/// A project on a runner.
struct Project {
    dir: tempfile::TempDir,
    variables: BTreeMap<String, String>,
}

impl Project {
    fn new(given: &[(&str, &str)]) -> Self {
        let dir = tempfile::tempdir().expect("a folder");
        let path = |name: &str| dir.path().join(name).display().to_string();
        let mut variables: BTreeMap<String, String> = [
            ("CI_PROJECT_DIR".to_owned(), path("project")),
            ("CI_SERVER_PROTOCOL".to_owned(), "https".to_owned()),
            ("CI_JOB_TOKEN".to_owned(), "t0ken".to_owned()),
            ("CI_SERVER_HOST".to_owned(), "gitlab.example.org".to_owned()),
            ("CI_SERVER_PORT".to_owned(), "443".to_owned()),
        ]
        .into();
        let job = job();
        for (name, value) in job[".lanfence"]["variables"]
            .as_mapping()
            .expect("variables")
        {
            let mut value = value.as_str().expect("a text").to_owned();
            for (known, what) in &variables {
                value = value.replace(&format!("${known}"), what);
            }
            assert!(!value.contains('$'), "nobody told the test what {value} is");
            variables.insert(name.as_str().expect("a name").to_owned(), value);
        }
        for (name, value) in given {
            let known = variables.insert((*name).to_owned(), (*value).to_owned());
            assert!(known.is_some(), "there is no variable {name}");
        }
        let sources = dir.path().join("lanfence.git");
        variables.insert(
            "LANFENCE_REPOSITORY".into(),
            format!("file://{}", sources.display()),
        );
        std::fs::create_dir_all(dir.path().join("project")).expect("a folder");
        repository(&sources);
        Self { dir, variables }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join("project").join(name)
    }

    /// Both scripts in one shell, as a runner does it.
    fn run(&self) -> Output {
        let job = job();
        let lines = ["before_script", "script"].into_iter().flat_map(|part| {
            let lines = job[".lanfence"][part].as_sequence().expect("lines");
            let text = |line: &Yaml<'_>| line.as_str().expect("a text").to_owned();
            lines.iter().map(text).collect::<Vec<_>>()
        });
        let lines: Vec<String> = lines.filter(|line| !line.contains(OPENS)).collect();
        let mut command = Command::new("bash");
        command
            .args(["-e", "-o", "pipefail", "-c", &lines.join("\n")])
            .current_dir(self.path(""))
            .envs(&self.variables)
            .env_remove("GITHUB_ACTIONS")
            .env("CI", "true")
            .env("LANFENCE_PROGRAM", env!("CARGO_BIN_EXE_lanfence"))
            .env("LANFENCE_GUEST", guest_image());
        // The test's own cache, which has saved guests already.
        let own = std::env::var_os("LANFENCE_CACHE");
        let home = std::env::var_os("HOME").expect("a home");
        let cache = own.map_or_else(|| Path::new(&home).join(".cache/lanfence"), PathBuf::from);
        command.env("LANFENCE_CACHE", cache);
        command.output().expect("bash starts")
    }
}

/// As much of lanfence's sources as the steps take where programs are named.
fn repository(sources: &Path) {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    std::fs::create_dir_all(sources.join("dist/ci")).expect("a folder");
    for file in std::fs::read_dir(here.join("dist/ci"))
        .expect("scripts")
        .flatten()
    {
        let there = sources.join("dist/ci").join(file.file_name());
        std::fs::copy(file.path(), there).expect("a copy");
    }
    for name in ["src", "images", "xtask"] {
        std::fs::create_dir_all(sources.join(name)).expect("a folder");
        std::fs::write(sources.join(name).join("file"), name).expect("a file");
    }
    for name in ["Cargo.toml", "Cargo.lock"] {
        std::fs::copy(here.join(name), sources.join(name)).expect("a copy");
    }
    git(sources, &["init", "--quiet", "--initial-branch", "main"]);
    git(sources, &["add", "."]);
    git(sources, &["commit", "--quiet", "--message", "sources"]);
}

#[test]
fn a_green_run_leaves_its_reports_where_the_artifacts_are_taken_from() {
    let project = Project::new(&[("ARGUMENTS", "--tap")]);
    // A runner that kept the directory.
    for _ in 0..2 {
        let output = project.run();
        assert_eq!(output.status.code(), Some(0), "{output:?}");
    }
    let job = job();
    let artifacts = &job[".lanfence"]["artifacts"];
    let junit = artifacts["reports"]["junit"].as_str().expect("a path");
    assert!(project.path(junit).exists(), "{junit}");
    let paths = artifacts["paths"].as_sequence().expect("paths");
    let path = paths[0].as_str().expect("a path");
    for file in ["run.json", "lanfence.html", "findings.sarif", "doctor.json"] {
        assert!(project.path(path).join(file).exists(), "{file} in {path}");
    }
    // GitLab takes no variable in a path that it links (`expose_as`).
    assert!(!path.contains('$') && !junit.contains('$'));
    assert_eq!(artifacts["when"].as_str(), Some("always"));
}

#[test]
fn a_red_run_ends_as_lanfence_does_and_leaves_its_evidence() {
    let filter = example("no-out-traffic.xml");
    let project = Project::new(&[("ARGUMENTS", "--tap"), ("FILTER", &filter)]);
    let output = project.run();
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    assert!(
        project
            .path("lanfence-report/evidence/tap-raw/frames.pcapng")
            .exists()
    );
}

#[test]
fn a_repository_that_cannot_be_cloned_ends_the_job() {
    let mut project = Project::new(&[("ARGUMENTS", "--tap")]);
    let nowhere = "file:///nowhere/lanfence.git".to_owned();
    project
        .variables
        .insert("LANFENCE_REPOSITORY".into(), nowhere);
    let output = project.run();
    assert!(!output.status.success(), "{output:?}");
    assert!(!project.path("lanfence-report").exists());
}
