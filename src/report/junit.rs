//! The run as `JUnit` XML.

use crate::report::baseline::{Comparison, LEAK_CHECK};
use crate::report::findings::{leak_check_of, reason};
use crate::report::model::{Cell, Failure, ProbeResult, Run, Verdict};
use crate::report::table::filter_line;
use crate::report::text::clean;
use crate::report::titles;
use quick_junit::{NonSuccessKind, Property, Report, TestCase, TestCaseStatus, TestSuite};
use std::error::Error;
use std::str::FromStr;
use std::time::Duration;

/// Why a run cannot be written as `JUnit`.
#[derive(Debug, thiserror::Error)]
pub enum JunitError {
    /// [`Run::started`] is no RFC 3339 time.
    #[error(
        "start time `{text}` of the run is not in RFC 3339 ({source}); leave `started` out or write it like 2025-11-23T22:12:05Z"
    )]
    Started {
        /// The text found.
        text: String,
        /// What is wrong with it.
        source: Box<dyn Error + Send + Sync>,
    },
    /// The XML could not be written.
    #[error("JUnit report cannot be written: {0}")]
    Write(#[from] quick_junit::SerializeError),
}

/// A suite a cell, a case a probe with the probe's id as its name.
///
/// Leaks and blocks are failures, inconclusive probes and cell errors are
/// errors. A known gap is a case that passes, with the remedy in the property `known-gap` and
/// in its output; the suite counts them in the property `known_gaps`. Skipped are only cells
/// that cannot run here. A case `leak-check` ends each suite, so that a run that is not green is
/// not green here either. Timestamps only where [`Run::started`] has one.
///
/// # Errors
/// [`JunitError::Started`] when [`Run::started`] is not an RFC 3339 time, and what the XML
/// writer refuses.
pub fn to_junit(run: &Run) -> Result<String, JunitError> {
    compared(run, None)
}

/// The same against a baseline: what is accepted is a case that passes, which says so in its output
/// and in the property `accepted`.
///
/// # Errors
/// Those of [`to_junit`].
pub fn compared(run: &Run, found: Option<&Comparison>) -> Result<String, JunitError> {
    let mut report = Report::new("lanfence");
    report.set_time(Duration::from_millis(run.wall_ms));
    report.timestamp = run.started.as_deref().map(started).transpose()?;
    for cell in &run.cells {
        let mut suite = suite(run, cell, found);
        suite.timestamp = report.timestamp;
        report.add_test_suite(suite);
    }
    for skipped in &run.skipped {
        let name = clean(&skipped.name);
        let mut status = TestCaseStatus::skipped();
        status.set_message(clean(&skipped.reason));
        let mut suite = TestSuite::new(name.as_str());
        suite.add_test_case(case(&name, "cell", status));
        report.add_test_suite(suite);
    }
    Ok(report.to_string()?)
}

/// The type of a time is quick-junit's own affair, so it is left to be inferred.
fn started<T: FromStr<Err: Error + Send + Sync + 'static>>(text: &str) -> Result<T, JunitError> {
    let refused = |error: T::Err| JunitError::Started {
        text: clean(text),
        source: error.into(),
    };
    text.parse().map_err(refused)
}

/// Whether something that is wrong is accepted.
fn is_accepted(found: Option<&Comparison>, cell: &Cell, probe: &str) -> bool {
    found.is_some_and(|found| found.is_as_before(&cell.name, probe))
}

fn suite(run: &Run, cell: &Cell, found: Option<&Comparison>) -> TestSuite {
    let name = clean(&cell.name);
    let mut suite = TestSuite::new(name.as_str());
    suite.set_time(Duration::from_millis(cell.ms()));
    suite.add_properties(properties(run, cell));
    for probe in &cell.probes {
        let is_wrong = matches!(probe.verdict, Verdict::Fail(_) | Verdict::Inconclusive);
        let mut case = if is_wrong && is_accepted(found, cell, &probe.id) {
            let word = probe.verdict.word();
            let mut case = case(&name, &clean(&probe.id), TestCaseStatus::success());
            case.add_property(("accepted", word));
            case.set_system_out(format!("{word}, as the baseline accepts"));
            case
        } else {
            case(&name, &clean(&probe.id), status(probe))
        };
        if probe.verdict == Verdict::KnownGap {
            let remark = known_gap(probe);
            case.add_property(("known-gap", remark.as_str()));
            case.set_system_out(format!("known gap: {remark}"));
        }
        suite.add_test_case(case);
    }
    if let Some(error) = &cell.error {
        let ty = format!("{:?}", error.kind).to_lowercase();
        let message = format!("in step {}: {}", error.step, clean(&error.message));
        suite.add_test_case(case(&name, "cell", errored(&ty, &message)));
    } else if cell.probes.is_empty() {
        let status = errored("inconclusive", "no probe was judged");
        suite.add_test_case(case(&name, "cell", status));
    } else {
        let status = if is_accepted(found, cell, LEAK_CHECK) {
            TestCaseStatus::success()
        } else {
            leak_check_status(run, cell)
        };
        suite.add_test_case(case(&name, "leak-check", status));
    }
    if let Some(flaky) = &cell.flaky {
        let message = format!("{}; shown is the worst try", clean(flaky));
        suite.add_test_case(case(&name, "flaky", errored("inconclusive", &message)));
    }
    suite
}

fn case(class: &str, name: &str, status: TestCaseStatus) -> TestCase {
    let mut case = TestCase::new(name, status);
    case.set_classname(class);
    case
}

fn status(probe: &ProbeResult) -> TestCaseStatus {
    let summary = clean(&probe.summary);
    let note = probe.note.as_deref().map(clean);
    match probe.verdict {
        Verdict::Pass | Verdict::KnownGap => TestCaseStatus::success(),
        Verdict::Fail(why) => {
            let mut status = TestCaseStatus::non_success(NonSuccessKind::Failure);
            status.set_type(probe.verdict.word());
            status.set_message(failure(why, &summary, probe));
            if let Some(note) = note {
                status.set_description(note);
            }
            status
        }
        Verdict::Inconclusive => {
            let why = note.unwrap_or_else(|| reason(probe));
            errored("inconclusive", &format!("not proven: {summary}: {why}"))
        }
    }
}

/// What got through, and what helps against it.
fn known_gap(probe: &ProbeResult) -> String {
    let remedy = probe.note.as_deref().map(clean);
    let remedy = remedy.map_or_else(String::new, |note| format!("; remedy: {note}"));
    format!(
        "no nwfilter can do what the policy wants: {}{remedy}",
        clean(&probe.summary)
    )
}

fn failure(why: Failure, summary: &str, probe: &ProbeResult) -> String {
    let seen = probe
        .last_seen
        .map(|point| format!(", last seen at {}", titles::place(point)));
    let what = match why {
        Failure::Leak => "leak: the policy wants it stopped, and it got through",
        Failure::Blocked => "blocked: the policy wants it through, and it was stopped",
    };
    format!("{what}{}: {summary}", seen.unwrap_or_default())
}

fn errored(ty: &str, message: &str) -> TestCaseStatus {
    let mut status = TestCaseStatus::non_success(NonSuccessKind::Error);
    status.set_type(ty).set_message(message);
    status
}

fn leak_check_status(run: &Run, cell: &Cell) -> TestCaseStatus {
    match leak_check_of(cell, &run.filter) {
        (true, _) => TestCaseStatus::success(),
        (false, line) => errored("inconclusive", &line),
    }
}

fn properties(run: &Run, cell: &Cell) -> Vec<Property> {
    let host = &run.host;
    let mut properties = vec![
        ("lanfence", clean(&run.version)),
        ("filter", filter_line(&run.filter)),
        ("policy", clean(&run.policy)),
        ("accel", clean(&host.accel)),
        ("accel-reason", clean(&host.accel_reason)),
        ("kernel", clean(&host.kernel)),
        ("libvirt", clean(&host.libvirt)),
        ("backend", clean(&host.backend)),
        ("qemu", clean(&host.qemu)),
        ("guest-kernel", clean(&host.guest_kernel)),
        ("privilege", clean(&host.privilege)),
        ("nic", clean(&cell.nic)),
        ("known_gaps", cell.counts().known_gaps.to_string()),
        (
            "driver",
            cell.driver.as_deref().map(clean).unwrap_or_default(),
        ),
        (
            "back-end",
            cell.back_end
                .map_or_else(String::new, |it| it.name().into()),
        ),
    ];
    properties.retain(|(_, value)| !value.is_empty());
    let steps = cell
        .timings
        .iter()
        .map(|timing| Property::new(format!("ms.{}", timing.step), timing.ms.to_string()));
    let named = properties
        .into_iter()
        .map(|(name, value)| Property::new(name, value));
    named.chain(steps).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::{arbitrary, examples};
    use crate::verdict::Exit;
    use proptest::prelude::*;

    #[test]
    fn green() {
        insta::assert_snapshot!(to_junit(&examples::green()).expect("writes"));
    }

    #[test]
    fn flaky_and_skipped() {
        let mut run = examples::matrix();
        run.cells.drain(2..);
        run.cells
            .iter_mut()
            .for_each(|cell| cell.probes.truncate(1));
        insta::assert_snapshot!(to_junit(&run).expect("writes"));
    }

    #[test]
    fn red() {
        insta::assert_snapshot!(to_junit(&examples::red()).expect("writes"));
    }

    #[test]
    fn inconclusive() {
        insta::assert_snapshot!(to_junit(&examples::inconclusive()).expect("writes"));
    }

    #[test]
    fn cell_error() {
        insta::assert_snapshot!(to_junit(&examples::cell_error()).expect("writes"));
    }

    #[test]
    fn no_filter() {
        insta::assert_snapshot!(to_junit(&examples::no_filter()).expect("writes"));
    }

    #[test]
    fn a_bad_start_time_is_refused() {
        let run = Run {
            started: Some("yesterday".into()),
            ..examples::green()
        };
        insta::assert_snapshot!(to_junit(&run).expect_err("no time"), @"start time `yesterday` of the run is not in RFC 3339 (input contains invalid characters); leave `started` out or write it like 2025-11-23T22:12:05Z");
    }

    proptest! {
        /// What CI reads off the counts is what the exit code says.
        #[test]
        fn any_run_is_well_formed_xml_and_green_only_when_the_run_is(run in arbitrary::run()) {
            let run = Run { started: None, ..run };
            let xml = to_junit(&run).expect("writes");
            let mut reader = quick_xml::Reader::from_str(&xml);
            let mut bad = 0;
            loop {
                match reader.read_event().expect("well-formed") {
                    quick_xml::events::Event::Eof => break,
                    quick_xml::events::Event::Start(tag) | quick_xml::events::Event::Empty(tag) => {
                        bad += usize::from(matches!(tag.name().as_ref(), "failure" | "error"));
                        for attribute in tag.attributes() {
                            attribute.expect("well-formed");
                        }
                    }
                    _ => {}
                }
            }
            if run.exit() == Exit::Pass {
                prop_assert_eq!(bad, 0);
            } else if !run.cells.is_empty() {
                prop_assert!(bad > 0);
            }
        }
    }
}
