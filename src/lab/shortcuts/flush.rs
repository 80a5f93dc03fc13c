//! Empties the tables that libvirt puts rules into, all at once.

use crate::lab::error::LabError;
use crate::lab::ruleset::{self, finish, start};
use crate::nwfilter::evaluate::Backend;

/// The program for each table, and the empty table as it reads one.
const EMPTY_TABLES: [(&str, &str); 3] = [
    (
        "ebtables-restore",
        "*nat\n:PREROUTING ACCEPT\n:OUTPUT ACCEPT\n:POSTROUTING ACCEPT\n",
    ),
    ("iptables-restore", "*filter\nCOMMIT\n"),
    ("ip6tables-restore", "*filter\nCOMMIT\n"),
];

/// Removes every rule and chain that libvirt can have made. libvirt itself runs a command
/// for each rule of an interface (the times of both: docs/measurements.md#M15).
///
/// # Errors
/// What a tool prints when it fails.
pub fn flush_ruleset(backend: Backend) -> Result<(), LabError> {
    if backend == Backend::Nftables {
        return ruleset::clear(backend);
    }
    let started = EMPTY_TABLES.map(|(program, text)| (program, start(program, &[], text)));
    for (program, child) in started {
        finish(program, child)?;
    }
    Ok(())
}
