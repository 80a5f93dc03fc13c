//! A router that hears no DHCP question for a while.

use super::error::{LabError, ProgramFault};
use super::netns::Netns;
use std::io::Write as _;
use std::process::{Command, Stdio};

/// The table with the one rule.
const TABLE: &str = "ip lanfence_silence";

/// What is dropped on its way to the server's socket: what is asked of port 67.
const RULES: &str = "table ip lanfence_silence { chain in { type filter hook input priority 0; udp dport 67 drop; }; }";

/// Lasts until it is dropped.
#[derive(Debug)]
pub struct Silence<'a> {
    router: &'a Netns,
}

impl<'a> Silence<'a> {
    /// Begins it.
    ///
    /// # Errors
    /// When `nft` cannot be run or refuses the rule.
    pub fn of_dhcp(router: &'a Netns) -> Result<Self, LabError> {
        set_silence(router, true)?;
        Ok(Self { router })
    }
}

/// Begins the silence of a router, or ends it.
///
/// # Errors
/// When `nft` cannot be run or refuses the rule.
pub fn set_silence(router: &Netns, silent: bool) -> Result<(), LabError> {
    if silent {
        nft(router, RULES)
    } else {
        nft(router, &format!("delete table {TABLE}"))
    }
}

impl Drop for Silence<'_> {
    fn drop(&mut self) {
        let _ = set_silence(self.router, false);
    }
}

fn nft(router: &Netns, rules: &str) -> Result<(), LabError> {
    let doing = || format!("silence the DHCP server (nft: {rules})");
    let run = || -> std::io::Result<std::process::Output> {
        let mut child = Command::new("nft")
            .args(["-f", "-"])
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()?;
        if let Some(mut input) = child.stdin.take() {
            input.write_all(rules.as_bytes())?;
        }
        child.wait_with_output()
    };
    let output = tokio::task::block_in_place(|| router.run(run))?;
    let output = output.map_err(|source| LabError::system(doing(), source))?;
    if output.status.success() {
        return Ok(());
    }
    Err(LabError::system(
        doing(),
        std::io::Error::other(ProgramFault::of(&output)),
    ))
}
