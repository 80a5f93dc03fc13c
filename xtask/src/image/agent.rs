//! Builds the guest's init: the agent, static, so that the guest needs no
//! loader to start.

use anyhow::{Context as _, Result, bail};
use std::env;
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

const PACKAGE: &str = "lanfence-agent";
const TARGET: &str = "x86_64-unknown-linux-gnu";

/// The workspace this program was built from.
pub fn workspace() -> PathBuf {
    let own = Path::new(env!("CARGO_MANIFEST_DIR"));
    own.parent().unwrap_or(own).to_path_buf()
}

/// Builds the agent if it is not fresh and returns the program.
///
/// # Errors
///
/// If cargo cannot be started, or the agent does not compile.
pub fn build(offline: bool) -> Result<PathBuf> {
    let mut command = cargo(offline);
    command
        .current_dir(workspace())
        .args(["build", "--quiet", "--package", PACKAGE, "--bin", PACKAGE])
        .args(["--profile", "agent", "--target", TARGET])
        .args(["--message-format", "json-render-diagnostics"])
        .env("CARGO_ENCODED_RUSTFLAGS", flags().join("\x1f"))
        .stdin(Stdio::null())
        .stderr(Stdio::inherit());
    let output = command.output().context("cannot run cargo")?;
    if !output.status.success() {
        bail!("building the guest agent failed ({})", output.status);
    }
    let messages = String::from_utf8_lossy(&output.stdout);
    executable(&messages).context("cargo did not say where it put the guest agent")
}

/// Builds lanfence if it is not fresh, as `cargo xtask verify` does, and returns the program.
///
/// # Errors
///
/// If cargo cannot be started, or lanfence does not compile.
pub fn build_lanfence(offline: bool) -> Result<PathBuf> {
    lanfence(offline, &[])
}

/// Builds the half of lanfence that needs no libvirt, below the directory of the other one.
///
/// # Errors
///
/// As for [`build_lanfence`].
pub fn build_pure(offline: bool) -> Result<PathBuf> {
    let beside = build_lanfence(offline)?;
    let directory = beside.parent().unwrap_or(&beside).join("pure");
    let directory = directory.to_str().context("a target directory in UTF-8")?;
    lanfence(
        offline,
        &["--no-default-features", "--target-dir", directory],
    )
}

fn lanfence(offline: bool, arguments: &[&str]) -> Result<PathBuf> {
    let mut command = cargo(offline);
    command
        .current_dir(workspace())
        .args(["build", "--package", "lanfence", "--bin", "lanfence"])
        .args(["--message-format", "json-render-diagnostics"])
        .args(arguments)
        .stdin(Stdio::null())
        .stderr(Stdio::inherit());
    let output = command.output().context("cannot run cargo")?;
    if !output.status.success() {
        bail!("building lanfence failed ({})", output.status);
    }
    let messages = String::from_utf8_lossy(&output.stdout);
    executable(&messages).context("cargo did not say where it put lanfence")
}

/// Cargo, as the one that runs us.
pub fn cargo(offline: bool) -> Command {
    let program = env::var_os("CARGO").unwrap_or_else(|| OsString::from("cargo"));
    let mut command = Command::new(program);
    if offline {
        command.env("CARGO_NET_OFFLINE", "true");
    }
    command
}

/// Static and at a fixed address, so that there is nothing to load or to relocate, and
/// without the paths of this machine in panic messages: clones in
/// different places then build the same image.
fn flags() -> Vec<String> {
    let mut flags = vec![
        "-Ctarget-feature=+crt-static".to_owned(),
        "-Crelocation-model=static".to_owned(),
        format!("--remap-path-prefix={}=/lanfence", workspace().display()),
    ];
    let cargo_home = env::var_os("CARGO_HOME")
        .map(PathBuf::from)
        .or_else(|| Some(PathBuf::from(env::var_os("HOME")?).join(".cargo")));
    if let Some(home) = cargo_home {
        flags.push(format!("--remap-path-prefix={}=/cargo", home.display()));
    }
    flags
}

/// The program named in cargo's JSON messages.
fn executable(messages: &str) -> Option<PathBuf> {
    messages
        .lines()
        .filter(|line| line.contains(r#""reason":"compiler-artifact""#))
        .filter_map(|line| line.split_once(r#""executable":""#))
        .map(|(_, rest)| PathBuf::from(unquoted(rest)))
        .next_back()
}

/// A JSON string's text, from after its opening quote.
fn unquoted(text: &str) -> String {
    let mut result = String::new();
    let mut characters = text.chars();
    while let Some(character) = characters.next() {
        match character {
            '"' => break,
            '\\' => result.extend(characters.next()),
            other => result.push(other),
        }
    }
    result
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_executable_is_read_from_cargos_messages() {
        let messages = concat!(
            r#"{"reason":"compiler-artifact","target":{"name":"serde"},"executable":null}"#,
            "\n",
            r#"{"reason":"compiler-artifact","executable":"/a \"b\"/lanfence-agent","fresh":true}"#,
            "\n",
            r#"{"reason":"build-finished","success":true}"#,
        );
        assert_eq!(
            executable(messages),
            Some(PathBuf::from("/a \"b\"/lanfence-agent"))
        );
        assert_eq!(executable(""), None);
    }

    #[test]
    fn the_workspace_holds_the_agent() {
        assert!(workspace().join("images/agent/Cargo.toml").exists());
    }
}
