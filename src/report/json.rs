//! The run as JSON and back.

use crate::report::model::{Run, SCHEMA_VERSION};
use serde::{Deserialize, Serialize};

/// Why a text is not a report.
#[derive(Debug, thiserror::Error)]
pub enum JsonError {
    /// Not JSON, or not the layout of a report.
    #[error("the report cannot be read: {0}; write it again with `lanfence verify --json FILE`")]
    Layout(#[from] serde_json::Error),
    /// A report of something else than a run.
    #[error(
        "this is a report of `{verb}`, and only runs of `lanfence verify` are taken here\n  cure: name \
         what `lanfence verify --json FILE` wrote; reports of other verbs are held against a baseline by \
         `lanfence report compare`"
    )]
    OtherVerb {
        /// What wrote it.
        verb: String,
    },
    /// Written by another version.
    #[error(
        "the report has schema version {found}, and this lanfence reads only version {SCHEMA_VERSION}; read it with the lanfence that wrote it, or run `lanfence verify` again"
    )]
    Schema {
        /// The version found.
        found: u64,
    },
}

/// The run as indented JSON with a final line break; fields in the order of the
/// types, so that equal runs give equal bytes. A count of the known gaps stands at its end.
pub fn to_json(run: &Run) -> String {
    #[derive(Serialize)]
    struct Report<'a> {
        #[serde(flatten)]
        run: &'a Run,
        known_gaps: usize,
    }
    let known_gaps = run.known_gaps();
    let json = serde_json::to_string_pretty(&Report { run, known_gaps });
    json.expect("a run has only string keys and finite numbers") + "\n"
}

/// Reads what [`to_json`] wrote. The schema version is looked at first, so that
/// a report of another version is called that and not a malformed one.
///
/// # Errors
/// [`JsonError::OtherVerb`] for a report of something else than a run, [`JsonError::Schema`] for one of
/// another schema version; any other text that is no
/// report, with its line and column.
pub fn from_json(text: &str) -> Result<Run, JsonError> {
    #[derive(Deserialize)]
    struct Version {
        schema_version: u64,
        verb: Option<String>,
    }
    let Version {
        schema_version: found,
        verb,
    } = serde_json::from_str(text)?;
    if let Some(verb) = verb {
        let verb = crate::report::text::clean(&verb);
        return Err(JsonError::OtherVerb { verb });
    }
    if found != u64::from(SCHEMA_VERSION) {
        return Err(JsonError::Schema { found });
    }
    Ok(serde_json::from_str(text)?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::{arbitrary, examples};
    use proptest::prelude::*;
    use rstest::rstest;

    #[test]
    fn layout() {
        let mut run = examples::red();
        run.cells.truncate(1);
        run.cells[0].probes.retain(|probe| {
            ["dhcp/discover", "wan-ipv6/udp-53", "tunnels/lsrr"].contains(&probe.id.as_str())
        });
        insta::assert_snapshot!(to_json(&run));
    }

    #[rstest]
    #[case::empty(
        "",
        "the report cannot be read: EOF while parsing a value at line 1 column 0; write it again with `lanfence verify --json FILE`"
    )]
    #[case::cut(
    &to_json(&examples::green())[..2_000],
    "the report cannot be read: EOF while parsing an object at line 74 column 29; write it again with `lanfence verify --json FILE`"
)]
    #[case::foreign(
        "{\"name\": 1}",
        "the report cannot be read: missing field `schema_version` at line 1 column 11; write it again with `lanfence verify --json FILE`"
    )]
    #[case::other_version(
        "{\"schema_version\": 7, \"cells\": 3}",
        "the report has schema version 7, and this lanfence reads only version 1; read it with the lanfence that wrote it, or run `lanfence verify` again"
    )]
    #[case::of_another_verb(
        "{\"schema_version\": 2, \"verb\": \"check\"}",
        "this is a report of `check`, and only runs of `lanfence verify` are taken here\n  cure: name what `lanfence verify --json FILE` wrote; reports of other verbs are held against a baseline by `lanfence report compare`"
    )]
    #[case::wrong_type(
        "{\"schema_version\": 1,\n \"version\": 3}",
        "the report cannot be read: invalid type: integer `3`, expected a string at line 2 column 13; write it again with `lanfence verify --json FILE`"
    )]
    fn refuses(#[case] text: &str, #[case] expected: &str) {
        let error = from_json(text).expect_err("no report");
        assert_eq!(error.to_string(), expected);
    }

    #[test]
    fn a_report_without_the_later_fields_is_read() {
        let run = examples::green();
        let mut value: serde_json::Value = serde_json::from_str(&to_json(&run)).expect("JSON");
        for cell in value["cells"].as_array_mut().expect("cells") {
            cell.as_object_mut().expect("a cell").remove("evidence");
        }
        assert_eq!(
            from_json(&value.to_string()).expect("evidence has a default"),
            run
        );
    }

    proptest! {
        #[test]
        fn round_trips(run in arbitrary::run()) {
            prop_assert_eq!(from_json(&to_json(&run)).expect("own text"), run);
        }
    }
}
