//! Asking the real libvirt and kernel about filters and frames.

#![allow(dead_code, reason = "each test binary uses a part of this")]

use lanfence::frame::Mac;
use lanfence::layout::mac;
use lanfence::nwfilter::evaluate::Backend;
use serde::{Deserialize, Serialize};
use std::io::Write as _;
use std::process::{Command, Stdio};

/// The guest that filters are bound for, as the hidden verb has it.
pub const GUEST: Mac = mac::guest(1, None);

/// Another device than that of the frames.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Device {
    pub name: &'static str,
    pub exists: bool,
}

/// Filters to define, the last of them to bind, and frames to send.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Case {
    /// Name and XML.
    pub filters: Vec<(String, String)>,
    pub parameters: Vec<(String, String)>,
    /// Whether to bind at all, or only to define.
    pub bind: bool,
    pub device: Option<Device>,
    /// Whether the bridge hands IP packets to iptables.
    pub bridge_nf: bool,
    /// From the guest or to it, and the bytes.
    pub frames: Vec<(bool, Vec<u8>)>,
}

/// What became of a case, as far as it came.
#[derive(Debug, Clone, Deserialize)]
pub struct Answer {
    /// The filters as libvirt prints them.
    pub dumped: Vec<String>,
    /// The same of what it printed.
    pub redumped: Vec<String>,
    /// Why libvirt would not define or bind.
    pub refused: Option<String>,
    pub bound: bool,
    /// The rules of the device, as ebtables-save and iptables-save print them.
    pub rules: Vec<String>,
    /// Which frames passed while nothing was bound.
    pub open: Vec<bool>,
    /// Which passed with the filter.
    pub passed: Vec<bool>,
}

/// The answers of a fresh lab, in order.
pub fn ask(backend: Backend, cases: &[Case]) -> Result<Vec<Answer>, String> {
    let mut child = Command::new(env!("CARGO_BIN_EXE_lanfence"))
        .args(["__kernel", "--backend", backend.word()])
        .arg(std::process::id().to_string())
        // As for every worker: an ordinary user's path lacks ebtables' place.
        .env("PATH", lanfence::pool::search_path())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .map_err(|error| format!("lanfence cannot be started: {error}"))?;
    let mut stdin = child.stdin.take().expect("it was asked for");
    let document = serde_json::to_vec(cases).expect("strings and bytes only");
    // A child that gives up early says why itself.
    let _ = stdin.write_all(&document);
    drop(stdin);
    let output = child
        .wait_with_output()
        .map_err(|error| error.to_string())?;
    if !output.status.success() {
        return Err(format!("{output:?}"));
    }
    let answers: Vec<Answer> =
        serde_json::from_slice(&output.stdout).map_err(|error| error.to_string())?;
    assert_eq!(answers.len(), cases.len());
    Ok(answers)
}
