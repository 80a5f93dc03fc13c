//! The audit as JSON; its schema is docs/audit.schema.json.

use super::cure;
use crate::frame::mac_text;
use crate::host::audit::{Audit, InterfaceReport, State};
use serde_json::{Map, Value, json};

/// Goes up when a field changes its meaning or goes.
pub const SCHEMA_VERSION: u32 = 1;

/// The whole document.
pub fn json(audit: &Audit) -> String {
    let interfaces: Vec<Value> = audit.interfaces.iter().map(interface).collect();
    let counts = State::ALL.map(|state| {
        let count = audit.in_state(state).count();
        (state.word().to_owned(), Value::from(count))
    });
    let document = json!({
        "schema_version": SCHEMA_VERSION,
        "counts": Value::Object(Map::from_iter(counts)),
        "interfaces": interfaces,
    });
    let text = serde_json::to_string_pretty(&document).expect("strings and numbers only");
    text + "\n"
}

fn interface(interface: &InterfaceReport) -> Value {
    let reasons = interface.reasons.iter().map(|reason| {
        json!({
            "kind": reason.kind(),
            "state": reason.state(interface.running).word(),
            "message": reason.to_string(),
            "cure": cure(interface, reason),
        })
    });
    let reasons: Vec<Value> = reasons.collect();
    json!({
        "guest": interface.guest,
        "running": interface.running,
        "mac": interface.mac.map(mac_text),
        "device": interface.device,
        "network": interface.network,
        "filter": interface.filter,
        "state": interface.state.word(),
        "reasons": reasons,
    })
}
