//! The user's side: starts workers, gathers their events.

use super::job::{CellPlan, Job};
use super::queue::Queue;
use crate::report::live::Event;
use crate::report::model::{Cell, CellError, ErrorKind, Host};
use std::io::{BufRead as _, BufReader, Write as _};
use std::path::Path;
use std::process::{Child, ChildStdin, Command, ExitStatus, Stdio};
use std::sync::mpsc;
use std::time::Duration;

/// The hidden verb that makes this program a worker.
pub const WORKER: &str = "__worker";

/// How often the display is refreshed while nothing happens.
const TICK: Duration = Duration::from_millis(100);

/// What all workers together found.
#[derive(Debug, Default)]
pub struct Gathered {
    /// A cell for every cell of the job, in its order.
    pub cells: Vec<Cell>,
    /// What a lab said of its host.
    pub host: Option<Host>,
}

/// A worker and the cell that it runs now.
struct Worker {
    child: Child,
    stdin: Option<ChildStdin>,
    running: Option<CellPlan>,
}

/// Running workers. Each dies with this process (`PR_SET_PDEATHSIG`), so this
/// must be used from the main thread: the kernel means the thread that started
/// the worker.
pub struct Workers {
    workers: Vec<Worker>,
    queue: Queue,
}

impl Workers {
    /// Starts at most `jobs` workers, and no more than there are cells.
    ///
    /// # Errors
    /// When this program cannot start itself again.
    pub fn start(job: &Job, jobs: usize) -> std::io::Result<Self> {
        let text = serde_json::to_string(&job).map_err(std::io::Error::other)?;
        let mut workers = Vec::new();
        for _ in 0..jobs.max(1).min(job.cells.len()) {
            let mut child = Command::new(std::env::current_exe()?)
                .args([WORKER, &std::process::id().to_string()])
                .stdin(Stdio::piped())
                .stdout(Stdio::piped())
                .spawn()?;
            let mut stdin = child.stdin.take();
            if let Some(stdin) = &mut stdin {
                writeln!(stdin, "{text}")?;
            }
            workers.push(Worker {
                child,
                stdin,
                running: None,
            });
        }
        let queue = Queue::new(&job.cells);
        Ok(Self { workers, queue })
    }

    /// Begins no further cell after one that is not green.
    #[must_use]
    pub fn fail_fast(mut self, wanted: bool) -> Self {
        self.queue.fail_fast = wanted;
        self
    }

    /// Deals the cells out one by one, hands every event on as it comes, and none
    /// now and then, so that the display can show that time passes. Returns when
    /// all workers have ended.
    pub fn gather(mut self, mut tell: impl FnMut(Option<&Event>)) -> Gathered {
        let (sender, events) = mpsc::channel();
        let mut host = None;
        std::thread::scope(|scope| {
            for (number, worker) in self.workers.iter_mut().enumerate() {
                let (sender, stdout) = (sender.clone(), worker.child.stdout.take());
                scope.spawn(move || forward(number, stdout, &sender));
            }
            drop(sender);
            loop {
                match events.recv_timeout(TICK) {
                    Err(mpsc::RecvTimeoutError::Timeout) => tell(None),
                    Err(mpsc::RecvTimeoutError::Disconnected) => break,
                    Ok((number, None)) => self.lost(number, &mut tell),
                    Ok((number, Some(event))) => {
                        if worth_showing(&event, host.as_ref()) {
                            tell(Some(&event));
                        }
                        match event {
                            Event::Host(new) => host = Some(new),
                            event => self.answer(number, event),
                        }
                    }
                }
            }
        });
        let cells = self.queue.into_cells();
        Gathered { cells, host }
    }

    /// Takes what a worker found and gives it its next cell, or closes its input.
    fn answer(&mut self, number: usize, event: Event) {
        let worker = &mut self.workers[number];
        match event {
            Event::CellDone { cell } => {
                worker.running = None;
                self.queue.done(*cell);
            }
            Event::NoLab { error } => self.queue.no_lab(error),
            Event::Ready => {
                worker.running = self.queue.next();
                let given = worker.running.as_ref().zip(worker.stdin.as_mut());
                match given.map(|(plan, stdin)| give(plan, stdin)) {
                    Some(Ok(())) => {}
                    // A worker that cannot be written to is dead, which its output tells.
                    Some(Err(_)) | None => worker.stdin = None,
                }
            }
            _ => {}
        }
    }

    /// A worker's output has ended: what it was running will not be finished.
    fn lost(&mut self, number: usize, tell: &mut impl FnMut(Option<&Event>)) {
        let worker = &mut self.workers[number];
        worker.stdin = None;
        let status = worker.child.wait().ok();
        if let Some(plan) = worker.running.take() {
            let cell = Box::new(orphan(&plan, status));
            let event = Event::CellDone { cell };
            tell(Some(&event));
            self.answer(number, event);
        }
    }
}

/// Every worker describes the same host, first without its guest's kernel.
fn worth_showing(event: &Event, host: Option<&Host>) -> bool {
    !matches!(event, Event::Host(new) if new.guest_kernel.is_empty() || host == Some(new))
}

fn give(plan: &CellPlan, stdin: &mut ChildStdin) -> std::io::Result<()> {
    let line = serde_json::to_string(plan).map_err(std::io::Error::other)?;
    writeln!(stdin, "{line}")
}

/// The worker's events, then none at its end.
fn forward(
    number: usize,
    stdout: Option<impl std::io::Read>,
    sender: &mpsc::Sender<(usize, Option<Event>)>,
) {
    let Some(stdout) = stdout else { return };
    for line in BufReader::new(stdout).lines().map_while(Result::ok) {
        // Something in the worker printed to its standard output; nothing is lost by showing it.
        let event = serde_json::from_str(&line).unwrap_or(Event::Note {
            cell: None,
            text: line,
        });
        let _ = sender.send((number, Some(event)));
    }
    let _ = sender.send((number, None));
}

/// A cell whose worker died before it could report.
fn orphan(plan: &CellPlan, status: Option<ExitStatus>) -> Cell {
    let ended = status.map_or_else(
        || "vanished".to_owned(),
        |status| format!("ended early ({status})"),
    );
    plan.failed(CellError {
        phase: "worker".into(),
        message: format!(
            "the process that ran this cell {ended}; its lab went with it, run the cell again"
        ),
        kind: ErrorKind::Cell,
    })
}

/// The accelerator that will be used, and why.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Decided {
    /// KVM rather than TCG.
    pub kvm: bool,
    /// Why.
    pub reason: String,
    /// Worth telling the user at once: it was not what the machine seems to offer.
    pub fell_back: bool,
}

/// Believes KVM only after our own guest reached READY under it. The answer is
/// kept by boot id: an existing /dev/kvm, an open() and an ioctl prove nothing (measured).
pub fn decide_accel(job: &Job, cache: &Path) -> Decided {
    if let Err(error) = std::fs::File::options()
        .read(true)
        .write(true)
        .open("/dev/kvm")
    {
        return Decided {
            kvm: false,
            reason: format!("/dev/kvm: {error}"),
            fell_back: false,
        };
    }
    let boot = std::fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap_or_default();
    let path = cache.join(format!("kvm-{}", boot.trim()));
    let (works, reason) = if let Ok(text) = std::fs::read_to_string(&path) {
        let (works, reason) = text.split_once(' ').unwrap_or(("no", &text));
        (
            works == "yes",
            format!("{} (tried earlier in this boot of the host)", reason.trim()),
        )
    } else {
        let (works, reason) = try_kvm(job);
        // An unwritable cache only means that the next run tries again.
        let _ = std::fs::write(
            &path,
            format!("{} {reason}\n", if works { "yes" } else { "no" }),
        );
        (works, reason)
    };
    Decided {
        kvm: works,
        reason,
        fell_back: !works,
    }
}

/// Boots the guest once under KVM.
fn try_kvm(job: &Job) -> (bool, String) {
    let cells = job.cells.first().cloned().into_iter().collect();
    let trial = Job {
        kvm: true,
        boot_only: true,
        retries: 0,
        cells,
        sabotage: None,
        out: None,
        ..job.clone()
    };
    let gathered = Workers::start(&trial, 1).map(|workers| workers.gather(|_| {}));
    match gathered.map(|gathered| gathered.cells.into_iter().next().map(|cell| cell.error)) {
        Ok(Some(None)) => (true, "the guest reached READY under KVM".into()),
        Ok(Some(Some(error))) => {
            let first = error.message.lines().next().unwrap_or_default().to_owned();
            (false, format!("no guest reached READY under KVM: {first}"))
        }
        Ok(None) => (false, "nothing to boot".into()),
        Err(error) => (
            false,
            format!("the trial under KVM could not be started: {error}"),
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_dead_worker_leaves_an_inconclusive_cell() {
        let cell = orphan(&CellPlan::linux("pcnet"), None);
        assert_eq!(cell.error.map(|error| error.kind), Some(ErrorKind::Cell));
    }
}
