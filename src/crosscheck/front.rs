//! The user's side: starts the workers and adds up what they find.

use super::worker::{CaseDone, Line, Request, Task};
use crate::verify::search_path;
use std::io::{BufRead as _, BufReader, Write as _};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc;
use std::time::Duration;

/// The hidden verb that makes this program a worker.
pub const WORKER: &str = "__crosscheck";

/// Longest silence of all workers: a mismatch takes a minute to shrink, and
/// many on a busy machine.
pub const SILENCE: Duration = Duration::from_secs(1200);

/// What a run found.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Found {
    /// Cases that were run.
    pub cases: usize,
    /// Of those, bound.
    pub bound: usize,
    /// Of those, refused by libvirt and evaluator alike.
    pub refused: usize,
    /// Verdicts that were compared.
    pub compared: usize,
    /// Of those, dropped by the kernel.
    pub dropped: usize,
    /// Of those, left open by the evaluator.
    pub undecided: usize,
    /// Rules that frames can match, counted by direction.
    pub rules: usize,
    /// Of those, matched by a frame.
    pub hit: usize,
    /// Cases that were measured again, since frames came out late.
    pub again: usize,
    /// Number of the case and the disagreement in words.
    pub mismatches: Vec<(u64, String)>,
}

/// Why a run has no result.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Broken {
    /// The host cannot run a lab.
    #[error("{0}")]
    Host(String),
    /// A lab or a worker broke down.
    #[error("{0}; the cases before it agreed, run the rest again")]
    Lab(String),
}

/// Runs the request over so many workers. `tell` hears of each case; the run
/// ends early after so many mismatches.
///
/// # Errors
/// When the host is unfit or a worker breaks down.
pub fn run(
    request: &Request,
    workers: usize,
    most: usize,
    mut tell: impl FnMut(&Found),
) -> Result<Found, Broken> {
    let (sender, lines) = mpsc::channel();
    let mut children = Vec::new();
    for number in 0..workers.max(1) {
        let part = Request {
            first: request.first + u64::try_from(number).unwrap_or(0),
            step: u64::try_from(workers.max(1)).unwrap_or(1),
            ..request.clone()
        };
        children.push(Worker::start(&Task::Cases(part), sender.clone())?);
    }
    drop(sender);
    let mut found = Found::default();
    loop {
        match lines.recv_timeout(SILENCE) {
            Ok(Line::Case(done)) => {
                found.add(done);
                tell(&found);
                if found.mismatches.len() >= most {
                    break;
                }
            }
            Ok(Line::Host(text)) => return Err(Broken::Host(text)),
            Ok(Line::Broken(text)) => return Err(Broken::Lab(text)),
            Ok(Line::Paces(_)) => {
                return Err(Broken::Lab("a worker did not what it was told".into()));
            }
            Err(mpsc::RecvTimeoutError::Disconnected) => {
                let expected = usize::try_from(request.end - request.first).unwrap_or(usize::MAX);
                if found.cases < expected {
                    let text = "a worker ended early; its lab went with it";
                    return Err(Broken::Lab(text.into()));
                }
                break;
            }
            Err(mpsc::RecvTimeoutError::Timeout) => {
                let text = format!("nothing was heard for {} s", SILENCE.as_secs());
                return Err(Broken::Lab(text));
            }
        }
    }
    Ok(found)
}

impl Found {
    fn add(&mut self, done: CaseDone) {
        self.cases += 1;
        self.bound += usize::from(done.bound);
        self.refused += usize::from(!done.bound && done.mismatch.is_none());
        self.compared += done.compared;
        self.dropped += done.dropped;
        self.undecided += done.undecided;
        self.rules += done.rules;
        self.hit += done.hit;
        self.again += usize::from(done.again > 0);
        self.mismatches
            .extend(done.mismatch.map(|text| (done.case, text)));
    }
}

/// A running worker; it ends when this is dropped.
pub struct Worker(Child);

impl Worker {
    /// Starts one; what it says comes out of the channel.
    pub fn start(task: &Task, lines: mpsc::Sender<Line>) -> Result<Self, Broken> {
        let unfit = |error: std::io::Error| Broken::Host(format!("start a worker: {error}"));
        let mut child = Command::new(std::env::current_exe().map_err(unfit)?)
            .args([WORKER, &std::process::id().to_string()])
            .env("PATH", search_path())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .map_err(unfit)?;
        let text = serde_json::to_string(task).expect("numbers and strings");
        if let Some(mut stdin) = child.stdin.take() {
            // One that is dead already is found out by its silence.
            let _ = writeln!(stdin, "{text}");
        }
        let stdout = child.stdout.take().map(BufReader::new);
        std::thread::spawn(move || {
            for text in stdout
                .into_iter()
                .flat_map(BufReader::lines)
                .map_while(Result::ok)
            {
                let line = serde_json::from_str(&text).unwrap_or(Line::Broken(text));
                if lines.send(line).is_err() {
                    return;
                }
            }
        });
        Ok(Self(child))
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}
