//! `hosts test`: the whole product in each host, and the table of it.

use super::booted::Booted;
use super::host::{Handed, Host, Output};
use super::interrupt;
use super::machine::Ended;
use super::manifest::{Difference, Manifest};
use super::scenarios::{ALL, REPORT, Scenario};
use super::table::aligned;
use crate::cache::Cache;
use crate::failure::{Interrupted, Unfit};
use anyhow::Result;
use serde_json::Value;
use std::fmt::Write as _;
use std::path::Path;
use std::time::{Duration, Instant};

/// Lines of a command's output that are quoted where a scenario failed.
const QUOTED_LINES: usize = 25;

/// What became of a scenario in a host.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// It ended as it must.
    Passed(Duration),
    /// It was refused, as the host's manifest says that it must be.
    Refused,
    /// It did not; why, and the end of its output.
    Failed(String),
    /// It could not be run; why.
    Skipped(String),
}

/// The scenarios of one host.
#[derive(Debug, Clone)]
pub struct HostRecord {
    /// The host's name.
    pub host: String,
    /// What tells the saved host apart from others; none where it could not be made.
    pub key: Option<String>,
    /// In the order of the columns.
    pub outcomes: Vec<(&'static str, Outcome)>,
}

/// Runs the scenarios in a host that was restored anew for each.
///
/// # Errors
///
/// [`Interrupted`]. A host that cannot be restored or that ends fails its scenario only.
pub fn in_host(
    cache: &Cache,
    booted: &Booted,
    handed: &Handed,
    work: &Path,
    scenarios: &[&'static Scenario],
) -> Result<HostRecord> {
    let mut outcomes = Vec::new();
    for scenario in scenarios {
        interrupt::check()?;
        let start = Instant::now();
        let outcome = match attempt(cache, booted, handed, work, scenario) {
            Ok(None) if differs(&booted.manifest, scenario).is_some() => Outcome::Refused,
            Ok(None) => Outcome::Passed(start.elapsed()),
            Ok(Some(why)) => Outcome::Failed(why),
            Err(error) if error.is::<Interrupted>() => return Err(error),
            Err(error) if error.is::<Unfit>() => Outcome::Skipped(format!("{error:#}")),
            Err(error) => Outcome::Failed(format!("{error:#}")),
        };
        eprintln!(
            "[{}] {}: {}",
            booted.manifest.name,
            scenario.title,
            outcome.cell()
        );
        outcomes.push((scenario.title, outcome));
    }
    Ok(HostRecord {
        host: booted.manifest.name.clone(),
        key: booted.key(),
        outcomes,
    })
}

/// A host that cannot be made here: no scenario was run in it.
pub fn skipped(manifest: &Manifest, why: &str) -> HostRecord {
    HostRecord {
        host: manifest.name.clone(),
        key: None,
        outcomes: ALL
            .iter()
            .map(|scenario| (scenario.title, Outcome::Skipped(why.to_owned())))
            .collect(),
    }
}

/// One scenario; none if it ended as it must, and [`Unfit`] where it was not tried.
fn attempt(
    cache: &Cache,
    booted: &Booted,
    handed: &Handed,
    work: &Path,
    scenario: &Scenario,
) -> Result<Option<String>> {
    let job = scenario.job(&booted.manifest).map_err(Unfit)?;
    let mut host = Host::restore(cache, booted, handed, work)?;
    let (mut out, mut err) = (Vec::new(), Vec::new());
    let ended = host.run(
        &job,
        &mut Output {
            out: &mut out,
            err: &mut err,
        },
    )?;
    let said = format!(
        "{}{}",
        String::from_utf8_lossy(&out),
        String::from_utf8_lossy(&err)
    );
    let report = host.file(REPORT);
    let fault = match differs(&booted.manifest, scenario) {
        Some(difference) => other_end(difference, ended, &said),
        None => fault(scenario, ended, &said, report.as_deref()),
    };
    match (fault, scenario.untried(&said)) {
        (None, Some(why)) => Err(Unfit(why.to_owned()).into()),
        (fault, _) => Ok(
            fault.map(|fault| format!("{fault}; the end of its output:\n{}", last_lines(&said)))
        ),
    }
}

/// What is not as the scenario demands.
fn fault(scenario: &Scenario, ended: Ended, said: &str, report: Option<&[u8]>) -> Option<String> {
    if ended != Ended::Code(scenario.code) {
        return Some(format!("it ended with {ended}, not with {}", scenario.code));
    }
    if let Some(missing) = scenario.says.iter().find(|it| !said.contains(**it)) {
        return Some(format!("it does not say `{missing}`"));
    }
    if !scenario.kvm {
        return None;
    }
    let report: Option<Value> = report.and_then(|it| serde_json::from_slice(it).ok());
    let Some(report) = report else {
        return Some("it left no report".into());
    };
    let accelerator = &report["host"]["accel"];
    (accelerator != "kvm").then(|| format!("its guests ran under {accelerator}, not KVM"))
}

/// How the scenario must end in this host, where that is not as in others.
fn differs<'a>(manifest: &'a Manifest, scenario: &Scenario) -> Option<&'a Difference> {
    let mut differences = manifest.differs.iter();
    differences.find(|it| it.scenario == scenario.title)
}

/// What is not as the host's own manifest demands.
fn other_end(difference: &Difference, ended: Ended, said: &str) -> Option<String> {
    if ended != Ended::Code(difference.code) {
        return Some(format!(
            "in this host it must end with {}, and it ended with {ended}",
            difference.code
        ));
    }
    let says = said.contains(&difference.says);
    (!says).then(|| format!("in this host it must say `{}`", difference.says))
}

fn last_lines(text: &str) -> String {
    let lines: Vec<&str> = text.lines().collect();
    lines[lines.len().saturating_sub(QUOTED_LINES)..].join("\n")
}

impl Outcome {
    fn cell(&self) -> String {
        match self {
            Outcome::Passed(time) => format!("ok {} s", time.as_secs()),
            Outcome::Refused => "ok, refused".into(),
            Outcome::Failed(_) => "FAILED".into(),
            Outcome::Skipped(_) => "-".into(),
        }
    }
}

impl HostRecord {
    /// Whether a scenario failed.
    pub fn failed(&self) -> bool {
        self.outcomes
            .iter()
            .any(|(_, outcome)| matches!(outcome, Outcome::Failed(_)))
    }
}

/// The table, one line a host, and below it what failed and what was skipped, with reasons.
pub fn table(records: &[HostRecord], scenarios: &[&'static Scenario]) -> String {
    let headings = std::iter::once("host").chain(scenarios.iter().map(|scenario| scenario.title));
    let mut rows = vec![headings.map(str::to_owned).collect::<Vec<_>>()];
    for record in records {
        let cells = scenarios.iter().map(|scenario| {
            let found = record
                .outcomes
                .iter()
                .find(|(title, _)| *title == scenario.title);
            found.map_or_else(|| "-".into(), |(_, outcome)| outcome.cell())
        });
        rows.push(std::iter::once(record.host.clone()).chain(cells).collect());
    }
    let mut text = aligned(&rows);
    let mut reasons = Vec::new();
    for record in records {
        for (title, outcome) in &record.outcomes {
            let (what, why) = match outcome {
                Outcome::Passed(_) | Outcome::Refused => continue,
                Outcome::Failed(why) => (format!("{}, {title}: failed", record.host), why),
                Outcome::Skipped(why) => (format!("{}: skipped", record.host), why),
            };
            let line = format!("\n{what}: {why}\n");
            if reasons.last() != Some(&line) {
                reasons.push(line);
            }
        }
    }
    for reason in reasons {
        let _ = write!(text, "{reason}");
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    const KVM: &[u8] = br#"{"host": {"accel": "kvm"}}"#;
    const TCG: &[u8] = br#"{"host": {"accel": "tcg"}}"#;

    fn pcnet() -> &'static Scenario {
        Scenario::titled("pcnet").expect("a scenario of pcnet")
    }

    #[rstest]
    #[case::as_it_must(Ended::Code(0), Some(KVM), None)]
    #[case::red(Ended::Code(1), Some(KVM), Some("exit code 1, not with 0"))]
    #[case::killed(Ended::Signal(9), Some(KVM), Some("signal 9"))]
    #[case::emulated(Ended::Code(0), Some(TCG), Some("not KVM"))]
    #[case::silent(Ended::Code(0), None, Some("no report"))]
    fn only_what_is_as_it_must_be_passes(
        #[case] ended: Ended,
        #[case] report: Option<&[u8]>,
        #[case] expected: Option<&str>,
    ) {
        let found = fault(pcnet(), ended, "PASS", report);
        match expected {
            None => assert_eq!(found, None),
            Some(part) => assert!(
                found.as_ref().is_some_and(|it| it.contains(part)),
                "{found:?}"
            ),
        }
    }

    #[rstest]
    #[case::as_the_manifest_says(Ended::Code(3), "no user namespace for you", None)]
    #[case::green_after_all(Ended::Code(0), "no user namespace", Some("must end with 3"))]
    #[case::another_reason(Ended::Code(3), "no room", Some("must say `user namespace`"))]
    fn what_a_host_must_refuse(
        #[case] ended: Ended,
        #[case] said: &str,
        #[case] expected: Option<&str>,
    ) {
        let difference = Difference {
            scenario: "rootless".into(),
            code: 3,
            says: "user namespace".into(),
        };
        let found = other_end(&difference, ended, said);
        assert_eq!(found.is_some(), expected.is_some(), "{found:?}");
        assert!(expected.is_none_or(|part| found.is_some_and(|it| it.contains(part))));
    }

    #[test]
    fn a_failure_stands_below_the_table_with_its_reason() {
        let records = [
            HostRecord {
                host: "one".into(),
                key: None,
                outcomes: vec![
                    ("tap", Outcome::Passed(Duration::from_secs(7))),
                    ("pcnet", Outcome::Failed("it left no report".into())),
                ],
            },
            HostRecord {
                host: "two".into(),
                key: None,
                outcomes: vec![
                    ("tap", Outcome::Skipped("no mirror".into())),
                    ("pcnet", Outcome::Skipped("no mirror".into())),
                ],
            },
        ];
        let scenarios = [Scenario::titled("tap").expect("tap"), pcnet()];
        assert_eq!(
            table(&records, &scenarios),
            "host  tap     pcnet\n\
             one   ok 7 s  FAILED\n\
             two   -       -\n\
             \none, pcnet: failed: it left no report\n\
             \ntwo: skipped: no mirror\n"
        );
        assert!(records[0].failed() && !records[1].failed());
    }
}
