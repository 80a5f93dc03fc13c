//! `hosts test --json` and `--baseline`: the table for programs, and what of it people accept, which
//! lanfence itself compares.

use super::test::{HostRecord, Outcome};
use super::words::{LANFENCE, Words, usage};
use crate::failure::CommandFailed;
use anyhow::{Context as _, Result, bail};
use serde_json::{Value, json};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// Grows when a field changes its meaning or goes away.
const SCHEMA_VERSION: u32 = 1;

/// lanfence's exit code where it cannot use what it is given.
const UNUSABLE: i32 = 2;

/// What a test leaves besides its table.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Wanted {
    /// Where the table goes as JSON.
    json: Option<PathBuf>,
    /// What it is compared with.
    baseline: Option<PathBuf>,
    /// Whether a change for the better fails too.
    strict: bool,
}

impl Wanted {
    /// Takes its options from the front of the words; whether there was one.
    ///
    /// # Errors
    ///
    /// [`crate::failure::Usage`] if an option has no value.
    pub fn take(&mut self, words: &mut Words) -> Result<bool> {
        if let Some(path) = words.value("--json")? {
            self.json = Some(path.into());
        } else if let Some(path) = words.value("--baseline")? {
            self.baseline = Some(path.into());
        } else if words.first_is("--strict") {
            self.strict = true;
        } else {
            return Ok(false);
        }
        Ok(true)
    }

    /// Checks that the options go together.
    ///
    /// # Errors
    ///
    /// [`crate::failure::Usage`] otherwise.
    pub fn fit(&self) -> Result<()> {
        if self.strict && self.baseline.is_none() {
            bail!(usage("--strict wants a --baseline"));
        }
        Ok(())
    }

    /// Checks what can be checked before hosts run: that the baseline is one, and of these hosts.
    ///
    /// # Errors
    ///
    /// [`CommandFailed`] after lanfence has said what is wrong.
    pub fn check(&self, programs: &Path, hosts: &[&str], work: &Path) -> Result<()> {
        let Some(baseline) = &self.baseline else {
            return Ok(());
        };
        let none = hosts.iter().map(|host| HostRecord {
            host: (*host).to_owned(),
            key: None,
            outcomes: Vec::new(),
        });
        let file = work.join("before.json");
        fs::write(&file, document(&none.collect::<Vec<_>>()).to_string())
            .with_context(|| format!("{} cannot be written", file.display()))?;
        let mut command = compare(programs, &file, baseline, self.strict);
        let ended = command.stdout(Stdio::null()).status();
        let ended = ended.context("lanfence cannot be started to read the baseline")?;
        if ended.code() == Some(UNUSABLE) {
            bail!(CommandFailed(2));
        }
        Ok(())
    }

    /// Writes the table and compares it; whether it was compared, and is not worse.
    ///
    /// # Errors
    ///
    /// [`CommandFailed`] with lanfence's exit code where it is not as before, and files that cannot be
    /// written.
    pub fn finish(&self, programs: &Path, records: &[HostRecord], work: &Path) -> Result<bool> {
        let own = work.join("table.json");
        let file = self.json.as_ref().unwrap_or(&own);
        if self.json.is_none() && self.baseline.is_none() {
            return Ok(false);
        }
        let text = serde_json::to_string_pretty(&document(records))? + "\n";
        fs::write(file, text).with_context(|| format!("{} cannot be written", file.display()))?;
        let Some(baseline) = &self.baseline else {
            return Ok(false);
        };
        let ended = compare(programs, file, baseline, self.strict).status();
        let ended = ended.context("lanfence cannot be started to compare the table")?;
        match ended.code() {
            Some(0) => Ok(true),
            Some(code) => bail!(CommandFailed(u8::try_from(code).unwrap_or(1))),
            None => bail!("lanfence was ended by a signal while it compared the table"),
        }
    }
}

fn compare(programs: &Path, table: &Path, baseline: &Path, strict: bool) -> Command {
    let mut command = Command::new(programs.join(LANFENCE));
    command.args(["report", "compare"]).arg(table);
    command.arg("--baseline").arg(baseline);
    if strict {
        command.arg("--strict");
    }
    command
}

/// The table.
fn document(records: &[HostRecord]) -> Value {
    let hosts = records.iter().map(|record| {
        let scenarios = record.outcomes.iter();
        let scenarios = scenarios.map(|(title, outcome)| scenario(title, outcome));
        json!({
            "host": record.host,
            "key": record.key,
            "scenarios": scenarios.collect::<Vec<_>>(),
        })
    });
    json!({
        "schema_version": SCHEMA_VERSION,
        "verb": "hosts test",
        "version": env!("CARGO_PKG_VERSION"),
        "hosts": hosts.collect::<Vec<_>>(),
    })
}

fn scenario(title: &str, outcome: &Outcome) -> Value {
    let (word, seconds, why) = match outcome {
        Outcome::Passed(time) => ("passed", Some(time.as_secs()), None),
        Outcome::Refused => ("refused", None, None),
        Outcome::Failed(why) => ("failed", None, Some(why)),
        Outcome::Skipped(why) => ("skipped", None, Some(why)),
    };
    json!({ "scenario": title, "outcome": word, "seconds": seconds, "why": why })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::ffi::OsString;
    use std::time::Duration;

    #[test]
    fn options_are_taken_and_hosts_are_left() {
        let words = ["--json", "t.json", "--strict", "--baseline", "b.toml", "x"];
        let mut words = Words::from(words.map(OsString::from).to_vec());
        let mut wanted = Wanted::default();
        while wanted.take(&mut words).expect("options with values") {}
        let expected = Wanted {
            json: Some("t.json".into()),
            baseline: Some("b.toml".into()),
            strict: true,
        };
        assert_eq!(wanted, expected);
        assert_eq!(words.rest().expect("a host"), ["x"]);
    }

    #[test]
    fn every_outcome_has_its_word_and_its_reason() {
        let outcomes = vec![
            ("tap", Outcome::Passed(Duration::from_secs(7))),
            ("rootless", Outcome::Refused),
            ("pcnet", Outcome::Failed("it left no report".into())),
            ("doctor", Outcome::Skipped("no user".into())),
        ];
        let record = HostRecord {
            host: "one".into(),
            key: Some("0123".into()),
            outcomes,
        };
        let document = document(&[record]);
        let scenarios = document["hosts"][0]["scenarios"].as_array().expect("four");
        let words: Vec<_> = scenarios.iter().map(|it| &it["outcome"]).collect();
        assert_eq!(words, ["passed", "refused", "failed", "skipped"]);
        assert_eq!(scenarios[2]["why"], "it left no report");
        assert_eq!(document["hosts"][0]["key"], "0123");
    }
}
