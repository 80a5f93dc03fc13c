//! The audit in the Static Analysis Results Interchange Format 2.1.0 (OASIS). A guest is no file:
//! its interfaces are logical locations.

use super::{cure, label};
use crate::host::audit::{Audit, InterfaceReport, Reason, State};
use serde_json::{Value, json};
use std::collections::BTreeSet;

/// Where the format is described.
const SCHEMA: &str = "https://json.schemastore.org/sarif-2.1.0.json";

/// The whole document.
pub fn sarif(audit: &Audit) -> String {
    let reasons = audit.interfaces.iter().flat_map(|interface| {
        let reasons = interface.reasons.iter();
        reasons.map(move |reason| (interface, reason))
    });
    let rules: BTreeSet<&str> = reasons.clone().map(|(_, reason)| reason.kind()).collect();
    let rules: Vec<Value> = rules.iter().map(|rule| json!({ "id": rule })).collect();
    let results: Vec<Value> = reasons
        .map(|(interface, reason)| result(interface, reason))
        .collect();
    let document = json!({
        "$schema": SCHEMA,
        "version": "2.1.0",
        "runs": [{
            "tool": { "driver": {
                "name": "lanfence",
                "version": env!("CARGO_PKG_VERSION"),
                "informationUri": env!("CARGO_PKG_REPOSITORY"),
                "rules": rules,
            }},
            "results": results,
        }],
    });
    let text = serde_json::to_string_pretty(&document).expect("strings and numbers only");
    text + "\n"
}

fn result(interface: &InterfaceReport, reason: &Reason) -> Value {
    let level = match reason.state(interface.running) {
        State::Fenced => "note",
        State::Unknown | State::Drifted => "warning",
        State::Open | State::Unfilterable => "error",
    };
    let name = format!("{}/{}", interface.guest, label(interface));
    json!({
        "ruleId": reason.kind(),
        "level": level,
        "message": { "text": format!("{name}: {reason}\ncure: {}", cure(interface, reason)) },
        "locations": [{ "logicalLocations": [{ "fullyQualifiedName": name, "kind": "resource" }] }],
    })
}
