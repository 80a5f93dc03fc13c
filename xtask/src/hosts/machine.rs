//! A running host: its QEMU, the monitor, the agent inside, and what ends it.
//!
//! Nothing of it needs a network: commands go to QEMU's guest agent over virtio-serial, files
//! through 9p. Whoever drops a [`Machine`] ends its QEMU; the kernel does so where this program
//! is killed.

use super::channel::{Answer, Channel};
use super::interrupt;
use super::qemu::{self, AGENT_SOCKET, COMPLAINTS, CONSOLE, MONITOR_SOCKET, Spec};
use anyhow::{Context as _, Result, anyhow, bail};
use nix::sys::prctl;
use nix::sys::signal::Signal;
use serde_json::{Value, json};
use std::fmt::{self, Write as _};
use std::fs::{self, File};
use std::os::fd::AsRawFd as _;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Stdio};
use std::thread;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// Between two looks at a host that is waited for.
const INTERVAL: Duration = Duration::from_millis(20);
/// What QEMU itself may take to answer on its monitor.
const MONITOR: Duration = Duration::from_secs(30);
/// What a QEMU that has given up may take to end.
const ENDING: Duration = Duration::from_secs(5);
/// What a state of some hundred megabytes may take to be read.
const LOADING: Duration = Duration::from_secs(120);
/// After this time an agent that has not answered is called again.
const CALL: Duration = Duration::from_secs(2);
/// How long the agent is listened to before the host is looked at again.
const LISTEN: Duration = Duration::from_millis(100);
/// The shortest time after which a silent host counts as hung: the one CPU of an emulated host that
/// starts a lab while this machine has other work was busy for 19 s.
const LEAST_PATIENCE: Duration = Duration::from_secs(60);
/// A host that is silent for so many times its slowest answer so far hangs.
const PATIENCE: u32 = 100;
/// Lines of the console that an error quotes.
const QUOTED_LINES: usize = 16;

/// A host that runs.
#[derive(Debug)]
pub struct Machine {
    child: Child,
    /// Where console, complaints and sockets are.
    directory: PathBuf,
    /// The same, open.
    handle: File,
    monitor: Channel,
    agent: Channel,
    started: Instant,
    /// The slowest answer of the agent so far.
    slowest: Duration,
    calls: u32,
}

/// How a command in the host ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ended {
    /// With this exit code.
    Code(u8),
    /// By this signal.
    Signal(u8),
}

impl fmt::Display for Ended {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Ended::Code(code) => write!(f, "exit code {code}"),
            Ended::Signal(signal) => write!(f, "signal {signal}"),
        }
    }
}

impl Machine {
    /// Starts QEMU in the directory, which gets its logs and sockets.
    ///
    /// # Errors
    ///
    /// If QEMU cannot be started or ends at once; what it wrote is quoted.
    pub fn start(spec: &Spec<'_>, directory: &Path) -> Result<Machine> {
        let complaints = File::create(directory.join(COMPLAINTS))
            .with_context(|| format!("cannot write into {}", directory.display()))?;
        let mut command = qemu::command(spec);
        command
            .current_dir(directory)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(complaints);
        // SAFETY: between fork and exec only prctl is called, which is async-signal-safe.
        unsafe {
            command.pre_exec(|| Ok(prctl::set_pdeathsig(Signal::SIGKILL)?));
        }
        let mut child = command.spawn().context("cannot run qemu-system-x86_64")?;
        let (monitor, agent) = match connect_both(&mut child, directory) {
            Ok(both) => both,
            Err(error) => return Err(why_not(&mut child, directory, error)),
        };
        let mut machine = Machine {
            child,
            directory: directory.to_owned(),
            handle: File::open(directory)?,
            monitor,
            agent,
            started: Instant::now(),
            slowest: Duration::ZERO,
            calls: 0,
        };
        if spec.saved.is_some() {
            machine.go_on()?;
        }
        Ok(machine)
    }

    /// Waits until the saved state is there and goes on from it: the host was stopped for saving.
    fn go_on(&mut self) -> Result<()> {
        let deadline = Instant::now() + LOADING;
        loop {
            self.check()?;
            let status = self.command("query-status", &json!({}))?;
            match status["status"].as_str() {
                Some("inmigrate") if Instant::now() > deadline => {
                    bail!(
                        "the saved host is not loaded after {LOADING:.0?}{}",
                        self.quoted()
                    )
                }
                Some("inmigrate") => thread::sleep(INTERVAL),
                Some("running") => return Ok(()),
                _ => {
                    self.command("cont", &json!({}))?;
                    return Ok(());
                }
            }
        }
    }

    /// A command for QEMU's monitor.
    ///
    /// # Errors
    ///
    /// If QEMU refuses it or is gone.
    pub fn command(&mut self, name: &str, arguments: &Value) -> Result<Value> {
        self.monitor.demand(name, arguments, MONITOR)
    }

    /// Fails if the host has ended, panicked or stopped, with the reason that QEMU gives.
    ///
    /// # Errors
    ///
    /// As said, and where the user has asked to stop.
    pub fn check(&mut self) -> Result<()> {
        interrupt::check()?;
        let Ok(events) = self.monitor.events() else {
            // The last events are read before the end of the connection is noticed.
            let status = self.child.wait()?;
            bail!("QEMU ended ({status}){}", self.quoted());
        };
        for event in events {
            let name = event["event"].as_str().unwrap_or_default();
            let reason = event["data"]["reason"]
                .as_str()
                .unwrap_or("no reason given");
            match name {
                "GUEST_PANICKED" => bail!(
                    "the kernel of the host panicked{}{}",
                    self.panic(),
                    self.quoted()
                ),
                "SHUTDOWN" | "RESET" => {
                    bail!(
                        "the host ended by itself ({reason}){}{}",
                        self.panic(),
                        self.quoted()
                    )
                }
                _ => {}
            }
        }
        if let Some(status) = self.child.try_wait()? {
            bail!("QEMU ended ({status}){}", self.quoted());
        }
        Ok(())
    }

    /// Waits until the agent answers.
    ///
    /// # Errors
    ///
    /// If the host ends, or the agent says nothing within the deadline.
    pub fn wait_for_agent(&mut self, patience: Duration) -> Result<()> {
        let start = Instant::now();
        let deadline = start + patience;
        let mut next_call = start;
        loop {
            self.check()?;
            let called = if Instant::now() >= next_call {
                next_call += CALL;
                self.calls += 1;
                self.agent.call(self.calls)
            } else {
                Ok(())
            };
            match called.and_then(|()| self.agent.hears(self.calls, LISTEN)) {
                Ok(true) => return Ok(()),
                Ok(false) => {}
                Err(error) => return Err(self.why_gone(error)),
            }
            if Instant::now() > deadline {
                bail!(
                    "the host's agent said nothing for {patience:.0?}{}",
                    self.quoted()
                );
            }
        }
    }

    /// Runs a program in the host to its end, as root. `watch` is called again and again.
    ///
    /// # Errors
    ///
    /// If the host ends or hangs, or `watch` fails.
    pub fn run(
        &mut self,
        program: &str,
        arguments: &[&str],
        watch: &mut dyn FnMut() -> Result<()>,
    ) -> Result<Ended> {
        let started = self.ask_agent("guest-exec", &json!({"path": program, "arg": arguments}))?;
        let pid = &started["pid"];
        loop {
            self.check()?;
            watch()?;
            let status = self.ask_agent("guest-exec-status", &json!({"pid": pid}))?;
            if status["exited"] == true {
                watch()?;
                let number = |key: &str| status[key].as_u64().and_then(|it| u8::try_from(it).ok());
                return Ok(match number("signal") {
                    Some(signal) => Ended::Signal(signal),
                    None => Ended::Code(number("exitcode").unwrap_or(u8::MAX)),
                });
            }
            thread::sleep(INTERVAL);
        }
    }

    /// Sets the host's clock to this machine's. The agent's own command wants a program that not
    /// every host has.
    ///
    /// # Errors
    ///
    /// If the host ends or hangs, or `date` fails.
    pub fn set_clock(&mut self) -> Result<()> {
        let now = SystemTime::now().duration_since(UNIX_EPOCH)?;
        let now = format!("@{}.{:09}", now.as_secs(), now.subsec_nanos());
        let ended = self.run("/bin/date", &["--set", &now], &mut || Ok(()))?;
        if ended != Ended::Code(0) {
            bail!("the host's clock cannot be set: date ended with {ended}");
        }
        Ok(())
    }

    /// A command for the agent. How long silence is borne follows from the slowest answer so
    /// far; QEMU is asked meanwhile whether there still is a host.
    fn ask_agent(&mut self, name: &str, arguments: &Value) -> Result<Value> {
        let patience = LEAST_PATIENCE.max(self.slowest * PATIENCE);
        let asked = Instant::now();
        let answer = match self.agent.ask(name, arguments, patience) {
            Ok(answer) => answer,
            Err(error) => return Err(self.why_gone(error)),
        };
        if !matches!(answer, Answer::Silence) {
            self.slowest = self.slowest.max(asked.elapsed());
        }
        match answer {
            Answer::Return(value) => Ok(value),
            Answer::Refused(why) => bail!("the host's agent refused `{name}`: {why}"),
            Answer::Silence => {
                self.check()?;
                bail!(
                    "the host hangs: its agent did not answer `{name}` for {patience:.0?}, and its \
                     slowest answer so far took {:.0?}{}",
                    self.slowest,
                    self.quoted()
                )
            }
        }
    }

    /// The kernel's own reason for its panic, which stands above pages of registers.
    fn panic(&self) -> String {
        let console = fs::read(self.directory.join(CONSOLE)).unwrap_or_default();
        let console = String::from_utf8_lossy(&console).into_owned();
        let reason = console.lines().find(|line| line.contains("Kernel panic"));
        reason.map_or_else(String::new, |reason| format!(": {}", reason.trim()))
    }

    /// Why the agent's connection has ended: most often because the host has.
    fn why_gone(&mut self, error: anyhow::Error) -> anyhow::Error {
        let deadline = Instant::now() + ENDING;
        while Instant::now() < deadline {
            if let Err(reason) = self.check() {
                return reason;
            }
            thread::sleep(INTERVAL);
        }
        error
    }

    /// Stops the host, writes its state and ends it. The disk then belongs to the state.
    ///
    /// # Errors
    ///
    /// If QEMU cannot write the state.
    pub fn save(mut self, state: &Path) -> Result<()> {
        self.command("stop", &json!({}))?;
        // By default QEMU spares a network that is not there.
        self.command(
            "migrate-set-parameters",
            &json!({"max-bandwidth": u64::from(u32::MAX)}),
        )?;
        let target = crate::tool::quoted_for_shell(state.as_os_str());
        self.command("migrate", &json!({"uri": format!("exec:cat > {target}")}))?;
        let deadline = Instant::now() + MONITOR * 10;
        loop {
            let answer = self.command("query-migrate", &json!({}))?;
            match answer["status"].as_str() {
                Some("completed") => break,
                Some("failed") => bail!(
                    "the host cannot be saved: {}",
                    answer["error-desc"]
                        .as_str()
                        .unwrap_or("QEMU does not say why")
                ),
                _ if Instant::now() > deadline => bail!("saving the host takes too long"),
                _ => thread::sleep(INTERVAL),
            }
        }
        let _ = self.monitor.ask("quit", &json!({}), MONITOR);
        self.child.wait()?;
        Ok(())
    }

    /// Waits for the first line on the console and says how long it took: how slow this machine
    /// is just now.
    ///
    /// # Errors
    ///
    /// If the host ends, or shows nothing within the deadline.
    pub fn wait_for_console(&mut self, patience: Duration) -> Result<Duration> {
        let console = self.directory.join(CONSOLE);
        loop {
            self.check()?;
            if fs::metadata(&console).is_ok_and(|meta| meta.len() > 0) {
                return Ok(self.started.elapsed());
            }
            if self.started.elapsed() > patience {
                bail!(
                    "its console shows nothing after {patience:.0?}{}",
                    self.quoted()
                );
            }
            thread::sleep(INTERVAL);
        }
    }

    /// A socket of QEMU's. The address of a local socket has at most 107 bytes, which a cache's
    /// path may exceed, so it is named by an open directory.
    pub fn socket(&self, name: &str) -> PathBuf {
        socket(&self.handle, name)
    }

    /// The end of the console and of QEMU's complaints, for messages.
    pub fn quoted(&self) -> String {
        quoted(&self.directory)
    }
}

impl Drop for Machine {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn quoted(directory: &Path) -> String {
    let tail = |name: &str| {
        let bytes = fs::read(directory.join(name)).unwrap_or_default();
        let text = String::from_utf8_lossy(&bytes).into_owned();
        let lines: Vec<&str> = text
            .lines()
            .map(str::trim_end)
            .filter(|line| !line.is_empty())
            .collect();
        lines[lines.len().saturating_sub(QUOTED_LINES)..].join("\n  ")
    };
    let mut text = String::new();
    for (name, what) in [
        (COMPLAINTS, "QEMU says"),
        (CONSOLE, "its console ends with"),
    ] {
        let tail = tail(name);
        if !tail.is_empty() {
            let _ = write!(text, "\n{what}:\n  {tail}");
        }
    }
    text
}

/// The monitor, ready for commands, and the agent's socket.
fn connect_both(child: &mut Child, directory: &Path) -> Result<(Channel, Channel)> {
    let mut monitor = connect(child, directory, MONITOR_SOCKET, "QEMU")?;
    monitor
        .next(MONITOR)?
        .context("QEMU's monitor does not greet")?;
    monitor.demand("qmp_capabilities", &json!({}), MONITOR)?;
    Ok((
        monitor,
        connect(child, directory, AGENT_SOCKET, "the host's agent")?,
    ))
}

fn socket(directory: &File, name: &str) -> PathBuf {
    PathBuf::from(format!("/proc/self/fd/{}/{name}", directory.as_raw_fd()))
}

/// Connects to a socket that QEMU makes when it starts.
fn connect(child: &mut Child, directory: &Path, name: &str, peer: &'static str) -> Result<Channel> {
    let deadline = Instant::now() + MONITOR;
    let handle = File::open(directory)?;
    let socket = socket(&handle, name);
    loop {
        interrupt::check()?;
        match Channel::connect(peer, &socket) {
            Ok(channel) => return Ok(channel),
            Err(error) if Instant::now() > deadline || child.try_wait()?.is_some() => {
                return Err(error);
            }
            Err(_) => thread::sleep(INTERVAL),
        }
    }
}

/// Ends a QEMU that cannot be talked to. Where it has ended by itself, that is the error.
fn why_not(child: &mut Child, directory: &Path, error: anyhow::Error) -> anyhow::Error {
    let deadline = Instant::now() + ENDING;
    while Instant::now() < deadline {
        if let Ok(Some(status)) = child.try_wait() {
            return anyhow!("QEMU ended at once ({status}){}", quoted(directory));
        }
        thread::sleep(INTERVAL);
    }
    let _ = child.kill();
    let _ = child.wait();
    error
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::hosts::qemu::Accelerator;

    #[test]
    fn a_qemu_that_ends_at_once_is_quoted() {
        let directory = tempfile::tempdir().expect("scratch directory");
        let none = Path::new("/no/such/kernel");
        let spec = Spec {
            kernel: (none, none),
            kernel_arguments: &[],
            disk: none,
            size: (1, 64),
            accelerator: Accelerator::Tcg,
            shares: &[],
            saved: None,
        };
        let error = Machine::start(&spec, directory.path()).expect_err("no kernel");
        let text = format!("{error:#}");
        assert!(text.contains("QEMU ended at once"), "{text}");
        assert!(text.contains("/no/such/kernel"), "{text}");
    }
}
