//! The processes below PID 1.
//!
//! PID 1 also inherits orphans, so something has to wait for "any child". To
//! keep that from stealing the status of a child that somebody is waiting for,
//! [`Children::reap`] is the only caller of `waitpid` in the agent, and it keeps
//! the statuses of the agent's own children until they are asked for.

use std::collections::HashMap;
use std::fs::File;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use nix::errno::Errno;
use nix::sys::signal::{SaFlags, SigAction, SigHandler, SigSet, Signal, kill, sigaction};
use nix::sys::wait::{WaitPidFlag, WaitStatus, waitpid};
use nix::unistd::Pid;

use crate::wait::{Deadline, until};

/// Where programs are looked for.
const PATH: &str = "/bin:/usr/bin:/sbin:/usr/sbin";

/// How often a dying child is looked at.
const STEP: Duration = Duration::from_millis(2);

/// The agent's own children, by process id; the end is there once it is known.
#[derive(Debug, Default)]
pub struct Children(HashMap<Pid, Option<String>>);

extern "C" fn wake(_signal: libc::c_int) {}

impl Children {
    /// Lets the death of a child interrupt `poll`, so that the serving loop reaps it.
    pub fn new() -> Result<Self, String> {
        let action = SigAction::new(
            SigHandler::Handler(wake),
            SaFlags::SA_NOCLDSTOP,
            SigSet::empty(),
        );
        // SAFETY: the handler does nothing, so it is safe at any moment.
        unsafe { sigaction(Signal::SIGCHLD, &action) }
            .map_err(|errno| format!("cannot handle SIGCHLD: {errno}"))?;
        Ok(Self::default())
    }

    /// Starts a program with what it prints going to the file.
    pub fn start(&mut self, command: &mut Command, log: &Path) -> Result<Pid, String> {
        let name = command.get_program().to_string_lossy().into_owned();
        let out = File::create(log)
            .map_err(|error| format!("cannot create {}: {error}", log.display()))?;
        let err = out
            .try_clone()
            .map_err(|error| format!("cannot duplicate {}: {error}", log.display()))?;
        let child = command
            .env_clear()
            .envs([("PATH", PATH), ("HOME", "/root")])
            .stdin(Stdio::null())
            .stdout(out)
            .stderr(err)
            .spawn()
            .map_err(|error| format!("cannot start {name}: {error}"))?;
        let raw = i32::try_from(child.id()).map_err(|_| format!("odd process id of {name}"))?;
        let pid = Pid::from_raw(raw);
        self.0.insert(pid, None);
        Ok(pid)
    }

    /// Collects every process that has ended, ours or an orphan.
    pub fn reap(&mut self) {
        loop {
            match waitpid(None, Some(WaitPidFlag::WNOHANG)) {
                Ok(WaitStatus::StillAlive) | Err(Errno::ECHILD) => return,
                Ok(status) => self.keep(&status),
                Err(Errno::EINTR) => {}
                Err(_) => return,
            }
        }
    }

    fn keep(&mut self, status: &WaitStatus) {
        let text = match status {
            WaitStatus::Exited(_, code) => format!("exit status {code}"),
            WaitStatus::Signaled(_, signal, _) => format!("signal {signal}"),
            _ => return,
        };
        if let Some(slot) = status.pid().and_then(|pid| self.0.get_mut(&pid)) {
            *slot = Some(text);
        }
    }

    /// How the child ended, or nothing while it lives.
    pub fn ended(&mut self, pid: Pid) -> Option<String> {
        self.reap();
        match self.0.get(&pid) {
            Some(end) => end.clone(),
            None => Some("no longer a child".to_owned()),
        }
    }

    /// Waits for the child's end; how it ended, or nothing at the deadline.
    pub fn wait(&mut self, pid: Pid, deadline: Deadline) -> Option<String> {
        let end: Result<_, ()> = until(deadline, STEP, || Ok(self.ended(pid)));
        let end = end.ok().flatten();
        if end.is_some() {
            self.0.remove(&pid);
        }
        end
    }

    /// Signals the child unless it has ended.
    pub fn signal(&mut self, pid: Pid, signal: Signal) -> Result<(), String> {
        if let Some(end) = self.ended(pid) {
            return Err(format!("process {pid} has ended with {end}"));
        }
        kill(pid, signal).map_err(|errno| format!("cannot send {signal} to {pid}: {errno}"))
    }

    /// Ends the child for good.
    pub fn end(&mut self, pid: Pid) {
        // A failure means that it has ended already, which is what is wanted.
        let _ = self.signal(pid, Signal::SIGKILL);
        let _ = self.wait(pid, Deadline::in_ms(2000));
        self.0.remove(&pid);
    }
}

/// The last line with text of a log, for an error message.
pub fn last_line(log: &Path) -> String {
    let text = std::fs::read_to_string(log).unwrap_or_default();
    let line = text.lines().rev().find(|line| !line.trim().is_empty());
    line.unwrap_or("it printed nothing").trim().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// One test, because the reaper collects every child of the process.
    #[test]
    fn statuses_are_kept_and_orphans_do_not_confuse() {
        let log = std::env::temp_dir().join(format!("lanfence-agent-{}", std::process::id()));
        let mut children = Children::new().unwrap();
        let quick = children
            .start(Command::new("sh").args(["-c", "echo gone; exit 3"]), &log)
            .unwrap();
        let end = children.wait(quick, Deadline::in_ms(10_000));
        assert_eq!(end.as_deref(), Some("exit status 3"));
        assert_eq!(last_line(&log), "gone");

        let slow = children
            .start(Command::new("sleep").arg("600"), &log)
            .unwrap();
        assert_eq!(children.ended(slow), None);
        children.signal(slow, Signal::SIGTERM).unwrap();
        let end = children.wait(slow, Deadline::in_ms(10_000));
        assert_eq!(end.as_deref(), Some("signal SIGTERM"));

        let error = children
            .start(&mut Command::new("/nowhere/at-all"), &log)
            .unwrap_err();
        assert!(error.starts_with("cannot start /nowhere/at-all"), "{error}");
        let _ = std::fs::remove_file(log);
    }
}
