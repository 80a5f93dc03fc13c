//! Named network namespaces and what is done inside them.

use super::error::{LabError, ProgramFault};
use nix::sched::{CloneFlags, setns};
use std::fs::File;
use std::io::Write as _;
use std::process::{Command, Stdio};
use std::thread::JoinHandle;

/// A network namespace of the lab. Its name is one that `ip netns` knows.
#[derive(Debug)]
pub struct Netns {
    name: String,
    file: File,
}

impl Netns {
    /// Opens a namespace that `ip netns add` has made.
    ///
    /// # Errors
    /// [`LabError::File`] when there is no such namespace.
    pub fn open(name: &str) -> Result<Self, LabError> {
        let path = format!("/run/netns/{name}");
        let file = File::open(&path).map_err(|source| LabError::File {
            path: path.into(),
            source,
        })?;
        Ok(Self {
            name: name.to_owned(),
            file,
        })
    }

    /// Its name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Runs the closure on a thread inside the namespace. Sockets opened and
    /// processes started there stay in it.
    ///
    /// # Errors
    /// When the thread cannot enter the namespace. What the closure returns is no error
    /// here.
    pub fn run<T: Send>(&self, job: impl FnOnce() -> T + Send) -> Result<T, LabError> {
        std::thread::scope(|scope| {
            let thread = scope.spawn(|| {
                setns(&self.file, CloneFlags::CLONE_NEWNET).map_err(|errno| {
                    LabError::system(format!("enter namespace {}", self.name), errno)
                })?;
                Ok(job())
            });
            thread
                .join()
                .unwrap_or_else(|panic| std::panic::resume_unwind(panic))
        })
    }

    /// Begins the closure on a thread inside the namespace and does not wait for it.
    ///
    /// # Errors
    /// When the descriptor cannot be copied; the thread itself returns an error when it
    /// cannot enter the namespace.
    pub fn begin<T: Send + 'static>(
        &self,
        job: impl FnOnce() -> T + Send + 'static,
    ) -> Result<JoinHandle<Result<T, LabError>>, LabError> {
        let name = self.name.clone();
        let doing = format!("enter namespace {name}");
        let file = self.file.try_clone();
        let file = file.map_err(|error| LabError::system(doing.clone(), error))?;
        Ok(std::thread::spawn(move || {
            setns(&file, CloneFlags::CLONE_NEWNET)
                .map_err(|errno| LabError::system(doing, errno))?;
            Ok(job())
        }))
    }

    /// Sets sysctls in the namespace.
    ///
    /// # Errors
    /// As for [`set_sysctls`], and when the namespace cannot be entered.
    pub fn sysctls(&self, settings: &[(&str, &str)]) -> Result<(), LabError> {
        self.run(|| set_sysctls(settings))?
    }
}

/// Sets sysctls below `net.` in the caller's network namespace. One that this
/// kernel lacks is left out: each is a default that some kernels have built in.
///
/// # Errors
/// [`LabError::File`] for the first setting that exists and cannot be written.
pub fn set_sysctls(settings: &[(&str, &str)]) -> Result<(), LabError> {
    for (name, value) in settings {
        let path = format!("/proc/sys/net/{}", name.replace('.', "/"));
        match std::fs::write(&path, value) {
            Err(source) if source.kind() != std::io::ErrorKind::NotFound => {
                return Err(LabError::File {
                    path: path.into(),
                    source,
                });
            }
            _ => {}
        }
    }
    Ok(())
}

/// Runs a batch of `ip` commands. `options` come before the batch (`-n lan`, `-6`).
pub fn ip_batch(options: &[&str], lines: &str) -> Result<(), LabError> {
    run_batch("ip", options, lines)
}

/// Runs a batch of `bridge` commands.
pub fn bridge_batch(lines: &str) -> Result<(), LabError> {
    run_batch("bridge", &[], lines)
}

fn run_batch(program: &str, options: &[&str], lines: &str) -> Result<(), LabError> {
    let shown = [&[program], options, &["-batch", "-"]].concat().join(" ");
    let failed = |source: ProgramFault| LabError::Program {
        program: shown.clone(),
        source,
    };
    let mut child = Command::new(program)
        .args(options)
        .args(["-batch", "-"])
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .map_err(|source| {
            failed(ProgramFault::Start {
                package: "iproute2",
                source,
            })
        })?;
    if let Some(mut stdin) = child.stdin.take() {
        stdin
            .write_all(lines.as_bytes())
            .map_err(|error| failed(error.into()))?;
    }
    let output = child
        .wait_with_output()
        .map_err(|error| failed(error.into()))?;
    if output.status.success() {
        return Ok(());
    }
    Err(failed(ProgramFault::of(&output)))
}
