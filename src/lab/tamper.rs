//! Changes the lab's network and its rules behind everybody's back, for tests of what a broken
//! lab looks like.

use super::error::LabError;
use super::netns::{bridge_batch, ip_batch};
use super::ruleset::{finish, start};

/// Runs a batch of `ip` commands; `options` come before it (`-n lan`, `-6`).
///
/// # Errors
/// What `ip` prints when it fails.
pub fn ip(options: &[&str], lines: &str) -> Result<(), LabError> {
    ip_batch(options, lines)
}

/// Runs a batch of `bridge` commands.
///
/// # Errors
/// What `bridge` prints when it fails.
pub fn bridge(lines: &str) -> Result<(), LabError> {
    bridge_batch(lines)
}

/// Changes the table in which libvirt has its rules of layer 2.
///
/// # Errors
/// What `ebtables` prints when it fails.
pub fn ebtables(arguments: &[&str]) -> Result<(), LabError> {
    let arguments = [&["-t", "nat"], arguments].concat();
    finish("ebtables", start("ebtables", &arguments, "")).map(drop)
}
