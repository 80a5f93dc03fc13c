//! The JSON Schema in `docs/report.schema.json`, held against what [`to_json`] writes.

use crate::report::json::to_json;
use crate::report::model::{Run, SCHEMA_VERSION};
use crate::report::{arbitrary, examples};
use jsonschema::Validator;
use proptest::prelude::*;
use serde_json::Value;
use std::sync::LazyLock;

const SCHEMA: &str = include_str!(concat!(
    env!("CARGO_MANIFEST_DIR"),
    "/docs/report.schema.json"
));

static VALIDATOR: LazyLock<Validator> = LazyLock::new(|| {
    let schema = serde_json::from_str(SCHEMA).expect("the schema is JSON");
    jsonschema::draft202012::new(&schema).expect("the schema is one of draft 2020-12")
});

fn json(run: &Run) -> Value {
    serde_json::from_str(&to_json(run)).expect("a report is JSON")
}

/// What the schema finds wrong with the report, a line each.
fn errors(report: &Value) -> Vec<String> {
    let errors = VALIDATOR.iter_errors(report);
    errors
        .map(|error| format!("{}: {error}", error.instance_path()))
        .collect()
}

#[test]
fn the_schema_itself_is_valid() {
    let schema: Value = serde_json::from_str(SCHEMA).expect("the schema is JSON");
    assert!(jsonschema::meta::is_valid(&schema));
}

#[test]
fn every_example_fits_the_schema() {
    for run in examples::all().iter().chain([&examples::matrix()]) {
        assert_eq!(errors(&json(run)), Vec::<String>::new());
    }
}

/// Else a field that is added to the report and not to the schema would go unnoticed.
#[test]
fn unknown_fields_and_words_do_not_fit() {
    let good = json(&examples::red());
    let change = |place: &str, value: Value| {
        let mut report = good.clone();
        let (parent, name) = place.rsplit_once('/').expect("a JSON pointer");
        let parent = report.pointer_mut(parent).expect("the parent is there");
        parent[name] = value;
        report
    };
    for (place, value) in [
        ("/cells/0/another", Value::Null),
        ("/cells/0/probes/0/another", Value::Null),
        ("/cells/0/probes/0/control", "arrived".into()),
        ("/cells/0/probes/0/verdict/why", "leak".into()),
        ("/schema_version", (SCHEMA_VERSION + 1).into()),
        ("/wall_ms", (-1).into()),
    ] {
        assert_ne!(
            errors(&change(place, value)),
            Vec::<String>::new(),
            "{place}"
        );
    }
}

proptest! {
    #[test]
    fn any_run_fits_the_schema(run in arbitrary::run()) {
        prop_assert_eq!(errors(&json(&run)), Vec::<String>::new());
    }
}
