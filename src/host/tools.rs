//! Commands that change the host, as a user would type them.

use super::error::HostError;
use std::process::Command;

/// Runs a command that has no quotes in it.
///
/// # Errors
/// What it says when it fails.
pub fn run(command: &str) -> Result<(), HostError> {
    let failed = |said: String| {
        HostError::refused(
            format!("`{command}` failed: {said}"),
            "run it by hand to see why",
        )
    };
    let mut words = command.split_whitespace();
    let program = words.next().unwrap_or_default();
    let output = Command::new(program)
        .args(words)
        .env("PATH", crate::pool::search_path())
        .output()
        .map_err(|error| failed(error.to_string()))?;
    if output.status.success() {
        return Ok(());
    }
    Err(failed(
        String::from_utf8_lossy(&output.stderr).trim().to_owned(),
    ))
}

/// What a command prints as JSON.
///
/// # Errors
/// What it says when it fails.
pub fn json(program: &'static str, arguments: &[&str]) -> Result<serde_json::Value, HostError> {
    let output = Command::new(program)
        .args(arguments)
        .env("PATH", crate::pool::search_path())
        .output()
        .map_err(|source| HostError::Tool { program, source })?;
    let command = format!("{program} {}", arguments.join(" "));
    if !output.status.success() {
        let said = String::from_utf8_lossy(&output.stderr);
        let what = format!("`{command}` failed: {}", said.trim());
        return Err(HostError::refused(what, "run it by hand to see why"));
    }
    // `ip -j` prints nothing at all where there is nothing.
    if output.stdout.trim_ascii().is_empty() {
        return Ok(serde_json::Value::Null);
    }
    serde_json::from_slice(&output.stdout).map_err(|error| {
        HostError::refused(
            format!("`{command}` does not print JSON: {error}"),
            "iproute2 must be 4.14 or later",
        )
    })
}
