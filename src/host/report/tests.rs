//! What every form says of the same audit.

use super::{json, junit, metrics, sarif, text};
use crate::domain::Unfilterable;
use crate::host::audit::{Audit, Definition, InterfaceReport, Reason, State};

/// One interface in each state.
fn audit() -> Audit {
    let report = |guest: &str, last: u8, device: Option<&str>, state, reasons| InterfaceReport {
        guest: guest.to_owned(),
        running: device.is_some(),
        mac: Some([0x52, 0x54, 0, 0, 0, last]),
        device: device.map(str::to_owned),
        network: "br0".to_owned(),
        filter: Some("lan-only".to_owned()),
        known: true,
        state,
        reasons,
    };
    let saved = vec![
        Reason::NoFilter(Definition::Config),
        Reason::NoFilter(Definition::Snapshot("before \u{1b}[31mit".into())),
    ];
    let differs = Reason::FilterDiffers {
        filter: "lan-only".into(),
        difference: "29 entries became 28".into(),
    };
    Audit {
        interfaces: vec![
            report("printer", 1, Some("vnet0"), State::Fenced, Vec::new()),
            report(
                "scanner \"x\"",
                2,
                Some("vnet1"),
                State::Drifted,
                vec![differs],
            ),
            report(
                "web",
                3,
                Some("vnet2"),
                State::Unknown,
                vec![Reason::RulesUnseen("no rights".into())],
            ),
            report("web", 4, None, State::Open, saved),
            report(
                "win",
                5,
                Some("macvtap0"),
                State::Unfilterable,
                vec![Reason::Unfilterable(Definition::Live, Unfilterable::Direct)],
            ),
        ],
    }
}

#[test]
fn for_people() {
    insta::assert_snapshot!(text::text(&audit()));
    let none = Audit {
        interfaces: Vec::new(),
    };
    assert!(text::text(&none).ends_with("no interfaces\n"));
}

#[test]
fn as_json() {
    insta::assert_snapshot!(json::json(&audit()));
}

#[test]
fn as_junit() {
    insta::assert_snapshot!(junit::junit(&audit()).unwrap());
}

#[test]
fn as_sarif() {
    insta::assert_snapshot!(sarif::sarif(&audit()));
}

#[test]
fn as_metrics() {
    insta::assert_snapshot!(metrics::text(&audit(), 1_764_486_000));
}

#[test]
fn metrics_are_written_whole_or_not_at_all() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("lanfence.prom");
    metrics::write(&path, &audit(), 1).unwrap();
    let names: Vec<_> = std::fs::read_dir(dir.path()).unwrap().flatten().collect();
    assert_eq!(names.len(), 1);
    assert!(metrics::write(&dir.path().join("no/such.prom"), &audit(), 1).is_err());
}

#[test]
fn the_json_fits_its_schema() {
    let schema = include_str!(concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/docs/audit.schema.json"
    ));
    let schema = serde_json::from_str(schema).expect("the schema is JSON");
    let validator = jsonschema::draft202012::new(&schema).expect("of draft 2020-12");
    let good: serde_json::Value = serde_json::from_str(&json::json(&audit())).unwrap();
    let errors: Vec<String> = validator
        .iter_errors(&good)
        .map(|error| error.to_string())
        .collect();
    assert_eq!(errors, Vec::<String>::new());
    let mut odd = good;
    odd["interfaces"][0]["state"] = "safe".into();
    assert!(!validator.is_valid(&odd));
}
