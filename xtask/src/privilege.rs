//! Running a command as root: directly when we are root, else through sudo,
//! and never hanging on a password nobody can type.

use crate::failure::Unfit;
use crate::tool;
use anyhow::{Context as _, Result, bail};
use nix::unistd::Uid;
use std::io::{IsTerminal as _, Write as _};
use std::process::{Command, Stdio};

/// A way to become root.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Privilege {
    /// We are root.
    Root,
    /// `sudo` works, perhaps after asking for a password on the terminal.
    Sudo,
}

/// Environment of package managers: no questions, no daemon started or
/// restarted on this machine (systemctl then only edits links).
pub const QUIET: [(&str, &str); 4] = [
    ("DEBIAN_FRONTEND", "noninteractive"),
    ("SYSTEMD_OFFLINE", "1"),
    ("NEEDRESTART_SUSPEND", "1"),
    ("LC_ALL", "C.UTF-8"),
];

impl Privilege {
    /// Finds a way to become root, or says which commands root has to run.
    ///
    /// # Errors
    ///
    /// [`Unfit`] with the commands for root, if there is no sudo, or sudo asks for a password
    /// where nobody can type it.
    pub fn acquire(commands: &str) -> Result<Privilege> {
        if Uid::effective().is_root() {
            return Ok(Privilege::Root);
        }
        let refuse = |why: &str| {
            Unfit(format!(
                "{why}; run this as root, then start again:\n\n{commands}"
            ))
        };
        if tool::find("sudo").is_none() {
            bail!(refuse("installing needs root, and there is no sudo"));
        }
        if std::io::stdin().is_terminal() {
            return Ok(Privilege::Sudo);
        }
        let silent = Command::new("sudo")
            .args(["-n", "true"])
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .status();
        if !silent.is_ok_and(|status| status.success()) {
            bail!(refuse(
                "installing needs root, and sudo wants a password that nobody can type here"
            ));
        }
        Ok(Privilege::Sudo)
    }

    /// The command, raised.
    pub fn command(self, program: &str, arguments: &[&str]) -> Command {
        let mut command = match self {
            Privilege::Root => Command::new("env"),
            Privilege::Sudo => {
                let mut command = Command::new("sudo");
                command.arg("env");
                command
            }
        };
        command.args(QUIET.map(|(name, value)| format!("{name}={value}")));
        command.arg(program).args(arguments);
        command
    }

    /// Prints the command, then runs it with its output shown (on standard
    /// error, because standard output belongs to the task).
    ///
    /// # Errors
    ///
    /// If the command cannot be started or fails.
    pub fn run(self, program: &str, arguments: &[&str]) -> Result<()> {
        let mut command = self.command(program, arguments);
        let line = tool::shell_line(&command);
        eprintln!("+ {line}");
        let status = command
            .stdout(std::io::stderr())
            .status()
            .with_context(|| format!("cannot run `{line}`"))?;
        if !status.success() {
            bail!("`{line}` failed ({status})");
        }
        Ok(())
    }

    /// Writes a file of root's.
    ///
    /// # Errors
    ///
    /// If the file cannot be written as root.
    pub fn write(self, path: &str, text: &str) -> Result<()> {
        let mut command = self.command("tee", &[path]);
        eprintln!("+ {} <<END\n{text}END", tool::shell_line(&command));
        let mut child = command
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .spawn()
            .with_context(|| format!("cannot write {path}"))?;
        let mut pipe = child.stdin.take().expect("standard input is piped");
        pipe.write_all(text.as_bytes())
            .with_context(|| format!("cannot write {path}"))?;
        drop(pipe);
        let status = child
            .wait()
            .with_context(|| format!("cannot write {path}"))?;
        if !status.success() {
            bail!("cannot write {path} ({status})");
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_environment_passes_through_sudo() {
        let line = tool::shell_line(&Privilege::Sudo.command("apt-get", &["update"]));
        assert_eq!(
            line,
            "sudo env DEBIAN_FRONTEND=noninteractive SYSTEMD_OFFLINE=1 NEEDRESTART_SUSPEND=1 \
             LC_ALL=C.UTF-8 apt-get update"
        );
    }
}
