//! A program of the lab that runs until the lab ends.

use super::error::{LabError, ProgramFault};
use super::netns::Netns;
use super::paths::log_path;
use super::slowness::Slowness;
use nix::sys::signal::{Signal, killpg};
use nix::unistd::Pid;
use std::fs::File;
use std::os::unix::process::CommandExt as _;
use std::process::{Child, Command, Stdio};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// A running daemon; dropping it kills it.
#[derive(Debug)]
pub struct Daemon {
    name: &'static str,
    child: Mutex<Child>,
}

/// A daemon that was stopped.
#[derive(Debug)]
pub struct Paused(Pid);

impl Paused {
    /// Lets it go on; one that is gone is no concern.
    pub fn go_on(&self) {
        let _ = killpg(self.0, Signal::SIGCONT);
    }
}

/// How often a condition that has no event to wait for is looked at.
const POLL: Duration = Duration::from_millis(4);

impl Daemon {
    /// Starts a program in the foreground with its output in `NAME.log` of the state directory.
    ///
    /// # Errors
    /// [`LabError::File`] when the log cannot be made; otherwise the program cannot be
    /// started.
    pub fn start(
        name: &'static str,
        netns: Option<&Netns>,
        command: &mut Command,
    ) -> Result<Self, LabError> {
        let path = log_path(name);
        let log = File::create(&path).map_err(|source| LabError::File {
            path: path.clone().into(),
            source,
        })?;
        let errors = log.try_clone().map_err(|source| LabError::File {
            path: path.into(),
            source,
        })?;
        command.stdin(Stdio::null()).stdout(log).stderr(errors);
        // What it has started ends with it, but for what has a session of its own.
        command.process_group(0);
        let spawned = match netns {
            Some(netns) => netns.run(|| command.spawn())?,
            None => command.spawn(),
        };
        match spawned {
            Ok(child) => Ok(Self {
                name,
                child: Mutex::new(child),
            }),
            Err(error) => Err(LabError::host_because(
                format!(
                    "{} cannot be started",
                    command.get_program().to_string_lossy()
                ),
                error,
                "`cargo xtask setup` installs what is missing",
            )),
        }
    }

    /// Waits until the daemon is ready, as long as a machine of this slowness needs; ends
    /// early when it exits.
    ///
    /// # Errors
    /// [`LabError::Program`] when the daemon exits first; otherwise the deadline passes.
    pub async fn until(
        &self,
        (what, longest): (&str, Duration),
        slowness: Slowness,
        mut ready: impl FnMut() -> bool,
    ) -> Result<(), LabError> {
        let deadline = slowness.stretch(longest);
        let end = Instant::now() + deadline;
        while !ready() {
            if let Some(death) = self.death() {
                return Err(LabError::Program {
                    program: self.name.into(),
                    source: death,
                });
            }
            if Instant::now() > end {
                return Err(LabError::Deadline {
                    what: what.into(),
                    deadline_ms: deadline.as_millis(),
                    slowness,
                    detail: self.last_words(),
                });
            }
            tokio::time::sleep(POLL).await;
        }
        Ok(())
    }

    /// How it ended; none while it runs.
    fn death(&self) -> Option<ProgramFault> {
        let status = self.child().try_wait();
        Some(ProgramFault::Ended {
            status: status.ok().flatten()?,
            last_words: self.last_words(),
        })
    }

    /// Why what depends on it cannot be trusted; none while it runs.
    pub fn fault(&self) -> Option<String> {
        let death = self.death()?;
        Some(format!("the lab's {} died: {death}", self.name))
    }

    /// Kills it with all that it runs at the moment. Of a command that is killed nothing
    /// comes after this but what it has already asked the kernel for.
    pub fn end(&self) {
        let mut child = self.child();
        // Already dead is fine; the namespace would end it anyway.
        if let Ok(None) = child.try_wait() {
            let group = child.id().cast_signed();
            let _ = killpg(Pid::from_raw(group), Signal::SIGKILL);
        }
        let _ = child.wait();
    }

    /// Stops it with all that it runs, until it is to [go on](Paused::go_on).
    ///
    /// # Errors
    /// When it is gone.
    pub fn pause(&self) -> Result<Paused, LabError> {
        let group = Pid::from_raw(self.child().id().cast_signed());
        let stopped = killpg(group, Signal::SIGSTOP);
        stopped.map_err(|error| LabError::system(format!("stop {}", self.name), error))?;
        Ok(Paused(group))
    }

    /// Lets it go on where it was stopped.
    pub fn go_on(&self) {
        Paused(Pid::from_raw(self.child().id().cast_signed())).go_on();
    }

    fn child(&self) -> MutexGuard<'_, Child> {
        self.child.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The end of its log, for error messages.
    fn last_words(&self) -> String {
        // What libvirtd has to say before it can open its log is in the first.
        let logs = [log_path(self.name), format!("/var/log/{}.log", self.name)];
        let log: String = logs
            .iter()
            .filter_map(|path| std::fs::read_to_string(path).ok())
            .collect();
        let lines: Vec<&str> = log.lines().rev().take(5).collect();
        let lines: Vec<&str> = lines.into_iter().rev().collect();
        if lines.is_empty() {
            String::new()
        } else {
            format!("; its last words:\n    {}", lines.join("\n    "))
        }
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        self.end();
    }
}
