//! Runs the tools that show and change the kernel's rules.

use crate::lab::error::{LabError, ProgramFault};
use std::io::Write as _;
use std::process::{Child, Command, Stdio};

/// Rules that libvirt has for one interface.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Installed {
    /// Rules in the interface's layer-2 chains.
    pub layer2: usize,
    /// Rules in the interface's layer-3 chains.
    pub layer3: usize,
    /// The kernel's hooks lead to the interface's chains.
    pub hooked: bool,
}

/// Starts a tool and writes `input` to its standard input.
///
/// # Errors
/// When the tool cannot be started.
pub(in crate::lab) fn start(
    program: &str,
    options: &[&str],
    input: &str,
) -> std::io::Result<Child> {
    let mut child = Command::new(program)
        .args(options)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()?;
    // What ends without reading says why.
    let _ = child
        .stdin
        .take()
        .map(|mut stdin| stdin.write_all(input.as_bytes()));
    Ok(child)
}

pub(super) fn dump(program: &str, options: &[&str]) -> Result<String, LabError> {
    finish(program, start(program, options, ""))
}

/// What several tools print that run side by side.
pub(super) fn dumps<const N: usize>(tools: [(&str, &[&str]); N]) -> [Result<String, LabError>; N] {
    tools
        .map(|(program, options)| (program, start(program, options, "")))
        .map(|(program, child)| finish(program, child))
}

/// What a tool has printed when it has ended, if all went well.
pub(in crate::lab) fn finish(
    program: &str,
    started: std::io::Result<Child>,
) -> Result<String, LabError> {
    let output = started.and_then(Child::wait_with_output).map_err(|error| {
        LabError::host_because(
            format!("{program} cannot be started"),
            error,
            "`cargo xtask setup` installs iptables and ebtables",
        )
    })?;
    if !output.status.success() {
        return Err(LabError::Program {
            program: program.into(),
            source: ProgramFault::of(&output),
        });
    }
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}
