//! An audit for people and for programs; nothing here judges.

pub mod json;
pub mod junit;
pub mod metrics;
pub mod sarif;
pub mod text;

#[cfg(test)]
mod tests;

use super::audit::{InterfaceReport, Reason};
use crate::frame::mac_text;

/// An interface in one word: its MAC, else what it is.
fn label(interface: &InterfaceReport) -> String {
    let mac = interface.mac.map(mac_text);
    mac.unwrap_or_else(|| interface.network.clone())
}

/// The command that cures a reason.
fn cure(interface: &InterfaceReport, reason: &Reason) -> String {
    reason.cure(&interface.guest)
}
