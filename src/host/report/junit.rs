//! The audit as `JUnit` XML: a suite for each guest, a case for each interface.

use super::{cure, label};
use crate::host::audit::{Audit, InterfaceReport, State};
use crate::report::text::clean;
use quick_junit::{NonSuccessKind, Report, SerializeError, TestCase, TestCaseStatus, TestSuite};

/// The whole document. What is unknown is an error, what is not fenced otherwise a failure.
///
/// # Errors
/// When the XML cannot be written.
pub fn junit(audit: &Audit) -> Result<String, SerializeError> {
    let mut report = Report::new("lanfence audit");
    let mut suites: Vec<TestSuite> = Vec::new();
    for interface in &audit.interfaces {
        let guest = clean(&interface.guest);
        if suites
            .last()
            .is_none_or(|suite| suite.name.as_str() != guest)
        {
            suites.push(TestSuite::new(guest));
        }
        let suite = suites.last_mut().expect("there is one now");
        suite.add_test_case(case(interface));
    }
    report.add_test_suites(suites);
    report.to_string()
}

fn case(interface: &InterfaceReport) -> TestCase {
    let kind = match interface.state {
        State::Fenced => None,
        State::Unknown => Some(NonSuccessKind::Error),
        State::Drifted | State::Open | State::Unfilterable => Some(NonSuccessKind::Failure),
    };
    let status = match kind {
        None => TestCaseStatus::success(),
        Some(kind) => {
            let mut status = TestCaseStatus::non_success(kind);
            status.set_type(interface.state.word());
            let reasons = interface.reasons.iter();
            let told = reasons.map(|reason| {
                let text = clean(&reason.to_string());
                format!("{text}; cure: {}", clean(&cure(interface, reason)))
            });
            status.set_message(told.collect::<Vec<_>>().join("\n"));
            status
        }
    };
    let mut case = TestCase::new(clean(&label(interface)), status);
    case.set_classname(clean(&interface.guest));
    case
}
