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
