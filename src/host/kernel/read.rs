//! Asks the tools that show rules whole.

use crate::host::error::HostError;
use std::process::{Child, Command, Stdio};

/// What the tools print.
#[derive(Debug, Default, Clone)]
pub struct RuleTexts {
    /// `ebtables-save`
    pub ebtables: String,
    /// `iptables-save`
    pub iptables: String,
    /// `ip6tables-save`
    pub ip6tables: String,
    /// `nft list ruleset bridge`
    pub nftables: String,
}

/// The tools, and what each is told.
const TOOLS: [(&str, &[&str]); 4] = [
    ("ebtables-save", &[]),
    ("iptables-save", &[]),
    ("ip6tables-save", &[]),
    ("nft", &["list", "ruleset", "bridge"]),
];

/// Reads the rules of the caller's network namespace: one dump for all interfaces.
///
/// # Errors
/// When a tool is missing, lacks the right, or cannot show the rules.
pub fn read() -> Result<RuleTexts, HostError> {
    let running = TOOLS.map(|(program, options)| (program, start(program, options)));
    let [layer2, layer3, of_ip6, nft] =
        running.map(|(program, child)| child.and_then(|child| finish(program, child)));
    Ok(RuleTexts {
        ebtables: layer2?,
        iptables: layer3?,
        ip6tables: of_ip6?,
        nftables: nft?,
    })
}

fn start(program: &'static str, options: &[&str]) -> Result<Child, HostError> {
    let mut command = Command::new(program);
    command
        .args(options)
        .env("PATH", crate::pool::search_path())
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    command
        .spawn()
        .map_err(|source| HostError::Tool { program, source })
}

fn finish(program: &'static str, child: Child) -> Result<String, HostError> {
    let output = child
        .wait_with_output()
        .map_err(|source| HostError::Tool { program, source })?;
    if !output.status.success() {
        let said = String::from_utf8_lossy(&output.stderr);
        return Err(HostError::Rules {
            program,
            said: said.trim().to_owned(),
        });
    }
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}
