//! The user's side: starts the workers and adds up what they find.

use super::message::{
    BenchInput, CaseDone, Given, GivenFilter, Message, Request, Task, Throughput,
};
use crate::pool::{End, Pool, Report};
use std::time::Duration;

/// The hidden verb that makes this program a worker.
pub const WORKER: &str = "__crosscheck";

/// Longest silence of a worker: a mismatch takes a minute to shrink, and
/// many on a busy machine.
const SILENCE: Duration = Duration::from_secs(1200);

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
#[derive(Debug, thiserror::Error)]
pub enum Broken {
    /// The workers cannot be started.
    #[error("start a worker: {0}")]
    Start(#[from] std::io::Error),
    /// The host cannot run a lab, in the words of a worker.
    #[error("{0}")]
    Host(String),
    /// A lab or a worker broke down.
    #[error("{0}; the cases before it agreed, run the rest again")]
    Lab(#[from] Breakdown),
}

/// How a lab or a worker broke down.
#[derive(Debug, thiserror::Error)]
pub enum Breakdown {
    /// The lab did, in the words of its worker.
    #[error("{0}")]
    Lab(String),
    /// A worker did.
    #[error("a worker {0}")]
    Worker(End),
    /// A worker came to its end too early.
    #[error("a worker ended before all its cases were done")]
    Unfinished,
    /// The worker that was to measure came to its end without.
    #[error("a worker ended without a figure")]
    NoFigure,
}

/// Runs the request with this many workers. `tell` hears of each case; the run ends early
/// after `most` mismatches.
///
/// # Errors
/// When the host is unfit or a worker breaks down.
pub fn run(
    request: &Request,
    workers: usize,
    most: usize,
    tell: impl FnMut(&Found),
) -> Result<Found, Broken> {
    let workers = workers.max(1);
    let part = |number: usize| {
        Task::Cases(Request {
            first: request.first + u64::try_from(number).unwrap_or(0),
            step: u64::try_from(workers).unwrap_or(1),
            ..request.clone()
        })
    };
    let tasks: Vec<Task> = (0..workers).map(part).collect();
    let expected = usize::try_from(request.end - request.first).unwrap_or(usize::MAX);
    gather(&tasks, expected, most, tell)
}

/// Runs filters that are given with this many workers, each of which has one lab for all of
/// its own. The run ends early after `most` mismatches.
///
/// # Errors
/// When the host is unfit or a worker breaks down.
pub fn given(
    given: &Given,
    workers: usize,
    most: usize,
    tell: impl FnMut(&Found),
) -> Result<Found, Broken> {
    let size = given.filters.len().div_ceil(workers.max(1)).max(1);
    let part = |filters: &[GivenFilter]| {
        Task::Given(Given {
            filters: filters.to_vec(),
            ..given.clone()
        })
    };
    let tasks: Vec<Task> = given.filters.chunks(size).map(part).collect();
    gather(&tasks, given.filters.len(), most, tell)
}

/// Adds up what the workers find.
fn gather(
    tasks: &[Task],
    expected: usize,
    most: usize,
    mut tell: impl FnMut(&Found),
) -> Result<Found, Broken> {
    let mut pool = start(tasks)?;
    let mut found = Found::default();
    while let Some(report) = pool.wait() {
        if let Some(Message::Case(done)) = heard(report)? {
            found.add(done);
            tell(&found);
            if found.mismatches.len() >= most {
                return Ok(found);
            }
        }
    }
    if found.cases < expected {
        return Err(Breakdown::Unfinished.into());
    }
    Ok(found)
}

/// Measures the throughput in a lab of its own.
///
/// # Errors
/// When the host is unfit, the lab breaks down, or a frame is judged otherwise
/// than the evaluator says.
pub fn measure(input: BenchInput) -> Result<Vec<Throughput>, Broken> {
    let mut pool = start(&[Task::Measure(input)])?;
    while let Some(report) = pool.wait() {
        if let Some(Message::Measured(measured)) = heard(report)? {
            return Ok(measured);
        }
    }
    Err(Breakdown::NoFigure.into())
}

fn start(tasks: &[Task]) -> Result<Pool<Message>, Broken> {
    Ok(Pool::start(WORKER, tasks, SILENCE)?)
}

/// The message in a report, if there is one.
fn heard(report: Report<Message>) -> Result<Option<Message>, Broken> {
    match report {
        Report::Nothing => Ok(None),
        Report::Message(_, Message::Host(text)) => Err(Broken::Host(text)),
        Report::Message(_, Message::Broken(text)) | Report::Text(_, text) => {
            Err(Breakdown::Lab(text).into())
        }
        Report::Message(_, message) => Ok(Some(message)),
        Report::Ended(_, end) if end.is_orderly() => Ok(None),
        Report::Ended(_, end) => Err(Breakdown::Worker(end).into()),
    }
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
