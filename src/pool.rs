//! Worker processes: this program, started again with a hidden verb, is told what to do on
//! its standard input and reports on its standard output, one JSON document a line.
//!
//! A worker enters namespaces of its own, which a process can do only as a whole, and
//! whatever it leaves behind ends with it.

use serde::Serialize;
use serde::de::DeserializeOwned;
use std::collections::VecDeque;
use std::ffi::OsString;
use std::fmt;
use std::io::{self, BufRead, BufReader, Write as _};
use std::process::{Child, ChildStdin, Command, ExitStatus, Stdio};
use std::sync::mpsc;
use std::time::{Duration, Instant};

/// How often [`Pool::wait`] returns while nothing happens.
const TICK: Duration = Duration::from_millis(100);

/// Exit codes of a process that panicked: Rust's own, and the one that `main` makes of it.
const PANICKED: [Option<i32>; 2] = [Some(101), Some(70)];

/// Running workers, which report messages of one type. Each dies with this process
/// (`PR_SET_PDEATHSIG`), so this must be used from the main thread: the kernel means the
/// thread that started the worker. Workers that still run when this is dropped are killed.
pub struct Pool<M> {
    workers: Vec<Worker>,
    lines: mpsc::Receiver<Read<M>>,
    /// Lines that have come and were not reported yet.
    come: VecDeque<Read<M>>,
}

/// What was read of a worker; none at its end.
type Read<M> = (usize, Option<Line<M>>);

/// A line of a worker: a message, or something else that was printed in it.
type Line<M> = Result<M, String>;

/// What [`Pool::wait`] has to report. Workers are numbered from 0.
#[derive(Debug)]
pub enum Report<M> {
    /// Nothing has happened for a while.
    Nothing,
    /// A message of a worker.
    Message(usize, M),
    /// A line of a worker that is no message.
    Text(usize, String),
    /// A worker has ended.
    Ended(usize, End),
}

/// How a worker ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum End {
    /// By itself.
    Status(ExitStatus),
    /// It was silent for this long and was ended for it.
    Silent(Duration),
    /// The system cannot tell.
    Unknown,
}

impl<M: DeserializeOwned + Send + 'static> Pool<M> {
    /// Starts a worker for each task, which it reads from its first line of input. One that
    /// is silent for longer than `silence` is ended.
    ///
    /// # Errors
    /// When this program cannot start itself again.
    pub fn start<T: Serialize>(verb: &str, tasks: &[T], silence: Duration) -> io::Result<Self> {
        let mut commands = Vec::new();
        for task in tasks {
            let mut command = Command::new(std::env::current_exe()?);
            command
                .args([verb, &std::process::id().to_string()])
                .env("PATH", search_path());
            commands.push((command, serde_json::to_string(task)?));
        }
        Self::of(commands, silence)
    }

    /// Starts a worker for each command with its first line of input.
    ///
    /// # Errors
    /// When a command cannot be started.
    pub(crate) fn of(commands: Vec<(Command, String)>, silence: Duration) -> io::Result<Self> {
        let (sender, lines) = mpsc::channel();
        let mut workers = Vec::new();
        for (number, (mut command, task)) in commands.into_iter().enumerate() {
            let mut worker = Worker::start(&mut command, silence)?;
            let (stdout, sender) = (worker.child.stdout.take(), sender.clone());
            std::thread::spawn(move || forward(stdout, number, &sender));
            worker.write(&task);
            workers.push(worker);
        }
        Ok(Self {
            workers,
            lines,
            come: VecDeque::new(),
        })
    }

    /// Waits for what happens next; none when all workers have ended.
    pub fn wait(&mut self) -> Option<Report<M>> {
        if self.come.is_empty() {
            match self.lines.recv_timeout(TICK) {
                Err(mpsc::RecvTimeoutError::Disconnected) => return None,
                Err(mpsc::RecvTimeoutError::Timeout) => {}
                Ok(read) => self.come.push_back(read),
            }
        }
        self.come.extend(self.lines.try_iter());
        // Nobody is silent whose lines wait here while others are dealt with, nor who has ended.
        for (number, line) in &self.come {
            self.workers[*number].heard = line.as_ref().map(|_| Instant::now());
        }
        let report = match self.come.pop_front() {
            None => Report::Nothing,
            Some((number, None)) => Report::Ended(number, self.workers[number].end()),
            Some((number, Some(Ok(message)))) => Report::Message(number, message),
            Some((number, Some(Err(text)))) => Report::Text(number, text),
        };
        for worker in &mut self.workers {
            worker.end_if_silent();
        }
        Some(report)
    }

    /// Lets a worker be silent for so long from now on.
    pub fn bear(&mut self, number: usize, silence: Duration) {
        self.workers[number].silence = silence;
    }

    /// Gives a worker a further task, or closes its input where there is none.
    pub fn give(&mut self, number: usize, task: Option<&impl Serialize>) {
        let worker = &mut self.workers[number];
        match task.map(serde_json::to_string) {
            Some(Ok(line)) => worker.write(&line),
            Some(Err(_)) | None => worker.stdin = None,
        }
    }
}

/// A worker.
struct Worker {
    child: Child,
    stdin: Option<ChildStdin>,
    /// When it last reported something; none once it has ended.
    heard: Option<Instant>,
    /// How long it may report nothing.
    silence: Duration,
    /// It was ended for its silence.
    silent: bool,
}

impl Worker {
    fn start(command: &mut Command, silence: Duration) -> io::Result<Self> {
        let mut child = command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()?;
        let stdin = child.stdin.take();
        Ok(Self {
            child,
            stdin,
            heard: Some(Instant::now()),
            silence,
            silent: false,
        })
    }

    /// Writes a line. A worker that cannot be written to is dead, which the end of its output
    /// shows.
    fn write(&mut self, line: &str) {
        let written = self.stdin.as_mut().map(|stdin| writeln!(stdin, "{line}"));
        if !matches!(written, Some(Ok(()))) {
            self.stdin = None;
        }
    }

    /// Ends it when it has been silent for too long: its lab goes with it, and
    /// with that the pipe that is read here.
    fn end_if_silent(&mut self) {
        if self.heard.is_some_and(|at| at.elapsed() > self.silence) {
            let _ = self.child.kill();
            (self.heard, self.silent) = (None, true);
        }
    }

    fn end(&mut self) -> End {
        (self.stdin, self.heard) = (None, None);
        match self.child.wait() {
            _ if self.silent => End::Silent(self.silence),
            Ok(status) => End::Status(status),
            Err(_) => End::Unknown,
        }
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        // One that has ended is only waited for.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl End {
    /// Whether it ended as one that has nothing more to do.
    pub fn is_orderly(&self) -> bool {
        matches!(self, Self::Status(status) if status.success())
    }

    /// Whether it panicked, which is a bug of lanfence.
    pub fn is_panic(&self) -> bool {
        matches!(self, Self::Status(status) if PANICKED.contains(&status.code()))
    }
}

impl fmt::Display for End {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Status(status) if self.is_panic() => write!(
                f,
                "broke down ({status}); this is a bug of lanfence, please report it"
            ),
            Self::Status(status) => {
                write!(f, "ended early ({status}); its lab went with it")
            }
            Self::Silent(silence) => write!(
                f,
                "said nothing for {} s and was ended with its lab; is the machine overloaded, or libvirtd or QEMU stopped?",
                silence.as_secs()
            ),
            Self::Unknown => f.write_str("vanished"),
        }
    }
}

/// Sends a worker's lines, and none at their end.
fn forward<M: DeserializeOwned>(
    stdout: Option<impl io::Read>,
    worker: usize,
    sender: &mpsc::Sender<Read<M>>,
) {
    let lines = stdout.map(|stdout| BufReader::new(stdout).lines().map_while(Result::ok));
    for line in lines.into_iter().flatten() {
        let message = serde_json::from_str(&line).map_err(|_| line);
        // Nobody listens any more where the pool is gone.
        let _ = sender.send((worker, Some(message)));
    }
    let _ = sender.send((worker, None));
}

/// The search path with the directories of system programs: an ordinary
/// user's on Debian lacks them, and libvirtd, dnsmasq and ebtables are there.
pub fn search_path() -> OsString {
    with_system_directories(std::env::var_os("PATH"))
}

fn with_system_directories(path: Option<OsString>) -> OsString {
    let mut path = path.unwrap_or_else(|| "/usr/bin:/bin".into());
    path.push(":/usr/local/sbin:/usr/sbin:/sbin");
    path
}

/// The worker's side: reads its next task; none where there are no more, or where whoever
/// gives them is gone.
///
/// # Errors
/// When the line is no such task, which means that both are of different versions.
pub fn task<T: DeserializeOwned>(input: &mut impl BufRead) -> io::Result<Option<T>> {
    let mut line = String::new();
    match input.read_line(&mut line) {
        Ok(0) | Err(_) => Ok(None),
        Ok(_) => Ok(Some(serde_json::from_str(&line)?)),
    }
}

/// The worker's side: reports a message.
pub fn report(message: &impl Serialize) {
    let text = serde_json::to_string(message).expect("a message has only string keys");
    let mut out = io::stdout().lock();
    // A reader that is gone has killed this process too.
    let _ = writeln!(out, "{text}");
    let _ = out.flush();
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    #[rstest]
    #[case::of_a_user(
        Some("/usr/local/bin:/usr/bin:/bin:/usr/local/games"),
        "/usr/local/bin"
    )]
    #[case::none(None, "/usr/bin")]
    fn system_programs_are_found_whatever_the_path_is(
        #[case] path: Option<&str>,
        #[case] first: &str,
    ) {
        let path = with_system_directories(path.map(OsString::from));
        let all: Vec<_> = std::env::split_paths(&path).collect();
        assert_eq!(
            all.first().map(std::path::PathBuf::as_path),
            Some(first.as_ref())
        );
        assert!(all.contains(&"/usr/sbin".into()), "{all:?}");
    }
}
