//! The audit as metrics for Prometheus' textfile collector.

use super::label;
use crate::host::audit::{Audit, State};
use std::fmt::Write as _;
use std::io;
use std::path::{Path, PathBuf};

/// The metrics; `now` in seconds since 1970. An alert on the age of the last one notices an
/// audit that no longer runs, and what is unknown counts as not fenced.
pub fn text(audit: &Audit, now: u64) -> String {
    let mut out = String::from(
        "# HELP lanfence_nic_fenced Whether the policy is in force on a guest's interface (1), or not or not known (0).\n\
         # TYPE lanfence_nic_fenced gauge\n",
    );
    for interface in &audit.interfaces {
        let labels = [
            ("guest", interface.guest.clone()),
            ("mac", label(interface)),
            ("network", interface.network.clone()),
        ];
        let labels = labels.map(|(name, value)| format!("{name}=\"{}\"", escaped(&value)));
        let fenced = u8::from(interface.state == State::Fenced);
        let _ = writeln!(out, "lanfence_nic_fenced{{{}}} {fenced}", labels.join(","));
    }
    out.push_str(
        "# HELP lanfence_nics How many interfaces are in a state.\n# TYPE lanfence_nics gauge\n",
    );
    for state in State::ALL {
        let count = audit.in_state(state).count();
        let _ = writeln!(out, "lanfence_nics{{state=\"{state}\"}} {count}");
    }
    out.push_str(
        "# HELP lanfence_audit_last_success_timestamp_seconds When the last audit came to its end.\n\
         # TYPE lanfence_audit_last_success_timestamp_seconds gauge\n",
    );
    let _ = writeln!(out, "lanfence_audit_last_success_timestamp_seconds {now}");
    out
}

/// A label's value (Prometheus' text-based exposition format).
fn escaped(value: &str) -> String {
    let value = value.replace('\\', "\\\\").replace('"', "\\\"");
    value.replace('\n', "\\n")
}

/// Writes the metrics such that the collector never reads half of them.
///
/// # Errors
/// When the file beside it cannot be written, or not renamed.
pub fn write(path: &Path, audit: &Audit, now: u64) -> io::Result<()> {
    let mut name = path.as_os_str().to_owned();
    // The collector reads files that end in .prom only.
    name.push(format!(".{}.new", std::process::id()));
    let beside = PathBuf::from(name);
    let written =
        std::fs::write(&beside, text(audit, now)).and_then(|()| std::fs::rename(&beside, path));
    if written.is_err() {
        let _ = std::fs::remove_file(&beside);
    }
    written
}
