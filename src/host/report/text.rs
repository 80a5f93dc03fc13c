//! The audit as a table with the reasons below each line.

use super::{cure, label};
use crate::host::audit::{Audit, InterfaceReport, State};
use crate::report::text::{clean, wrap};
use std::fmt::Write as _;

/// Columns of text.
const WIDTH: usize = 100;

/// Heads of the columns.
const HEADS: [&str; 5] = ["guest", "interface", "device", "network", "state"];

/// The whole text.
pub fn text(audit: &Audit) -> String {
    let rows: Vec<[String; 5]> = audit.interfaces.iter().map(row).collect();
    let mut widths = HEADS.map(|head| head.chars().count());
    for row in &rows {
        for (width, cell) in widths.iter_mut().zip(row) {
            *width = (*width).max(cell.chars().count());
        }
    }
    let mut out = String::new();
    line(&mut out, &HEADS.map(str::to_owned), &widths);
    for (row, interface) in rows.iter().zip(&audit.interfaces) {
        line(&mut out, row, &widths);
        reasons(&mut out, interface);
    }
    let _ = writeln!(out, "{}", summary(audit));
    out
}

fn row(interface: &InterfaceReport) -> [String; 5] {
    let off = if interface.running { "-" } else { "(off)" };
    [
        clean(&interface.guest),
        label(interface),
        interface.device.clone().unwrap_or_else(|| off.to_owned()),
        clean(&interface.network),
        interface.state.to_string(),
    ]
}

fn line(out: &mut String, row: &[String; 5], widths: &[usize; 5]) {
    let cells = row.iter().zip(widths);
    let cells = cells.map(|(cell, width)| format!("{cell:width$}", width = *width));
    let cells: Vec<String> = cells.collect();
    let _ = writeln!(out, "{}", cells.join("  ").trim_end());
}

fn reasons(out: &mut String, interface: &InterfaceReport) {
    for reason in &interface.reasons {
        for line in wrap("  - ", &clean(&reason.to_string()), WIDTH, 4) {
            let _ = writeln!(out, "{line}");
        }
        // A command is copied: it is not broken.
        let cure = clean(&cure(interface, reason));
        if !cure.is_empty() {
            let _ = writeln!(out, "    cure: {cure}");
        }
    }
}

/// How many are in which state.
fn summary(audit: &Audit) -> String {
    let counts = State::ALL.map(|state| (audit.in_state(state).count(), state));
    let counts = counts.into_iter().filter(|(count, _)| *count > 0);
    let counts: Vec<String> = counts
        .map(|(count, state)| format!("{count} {state}"))
        .collect();
    if counts.is_empty() {
        return "no interfaces".to_owned();
    }
    let count = audit.interfaces.len();
    let plural = if count == 1 { "" } else { "s" };
    format!("{count} interface{plural}: {}", counts.join(", "))
}
