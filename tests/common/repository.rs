//! A repository in which a filter that is not perfect is looked at.

use std::path::PathBuf;
use std::process::{Command, Output};
use tempfile::TempDir;

/// A repository with a policy, a filter of its own and a baseline.
pub struct Repository(pub TempDir);

impl Repository {
    pub fn new() -> Self {
        let dir = tempfile::tempdir().expect("a folder");
        let policy = concat!(env!("CARGO_MANIFEST_DIR"), "/lanfence.toml");
        std::fs::copy(policy, dir.path().join("lanfence.toml")).expect("the policy");
        let filter = concat!(env!("CARGO_MANIFEST_DIR"), "/examples/no-out-traffic.xml");
        std::fs::copy(filter, dir.path().join("filter.xml")).expect("the filter");
        Self(dir)
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    pub fn read(&self, name: &str) -> String {
        std::fs::read_to_string(self.path(name)).expect("a file of the repository")
    }

    pub fn write(&self, name: &str, text: &str) {
        std::fs::write(self.path(name), text).expect("a file of the repository");
    }

    /// One text of a file in the place of another.
    pub fn edit(&self, name: &str, from: &str, to: &str) {
        let text = self.read(name);
        assert!(text.contains(from), "{name} lacks {from}");
        self.write(name, &text.replacen(from, to, 1));
    }

    pub fn run(&self, arguments: &[&str]) -> Done {
        let output = Command::new(env!("CARGO_BIN_EXE_lanfence"))
            .args(arguments)
            .current_dir(self.0.path())
            .env("CI", "true")
            .env_remove("LANFENCE_GUEST")
            .env_remove("GITHUB_ACTIONS")
            .output();
        Done(output.expect("lanfence can be started"))
    }
}

/// A verb that has ended.
pub struct Done(pub Output);

impl Done {
    pub fn text(&self) -> String {
        let output = &self.0;
        [&output.stdout, &output.stderr]
            .map(|bytes| String::from_utf8_lossy(bytes).into_owned())
            .concat()
    }

    /// The paragraphs of standard output with their lines joined.
    pub fn sections(&self) -> Vec<String> {
        let text = String::from_utf8_lossy(&self.0.stdout).into_owned();
        let joined = |part: &str| part.split_whitespace().collect::<Vec<_>>().join(" ");
        text.split("\n\n").map(joined).collect()
    }

    pub fn section(&self, title: &str) -> Option<String> {
        let mut sections = self.sections().into_iter();
        sections.find(|section| section.starts_with(title))
    }

    #[track_caller]
    pub fn is(&self, code: i32) -> &Self {
        assert_eq!(self.0.status.code(), Some(code), "{}", self.text());
        self
    }

    #[track_caller]
    pub fn says(&self, word: &str) -> &Self {
        let text = self.text();
        // Where a line is broken says nothing.
        let joined: Vec<&str> = text.split_whitespace().collect();
        let says = text.contains(word) || joined.join(" ").contains(word);
        assert!(says, "{word} in {text}");
        self
    }
}

/// Accepts one address more.
pub const ONE_MORE: &str = "<rule action='accept' direction='out' priority='70'><ip dstipaddr='8.8.8.8'/></rule>\n</filter>";
