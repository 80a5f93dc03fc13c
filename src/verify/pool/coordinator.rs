//! The user's side: starts workers, gathers their events.

use super::queue::Queue;
use crate::report::live::Event;
use crate::report::model::{Cell, CellError, ErrorKind, Host, Step};
use crate::verify::job::{CellPlan, Job};
use std::ffi::OsString;
use std::io::{BufRead as _, BufReader, Write as _};
use std::process::{Child, ChildStdin, Command, ExitStatus, Stdio};
use std::sync::mpsc;
use std::time::{Duration, Instant};

/// The hidden verb that makes this program a worker.
pub const WORKER: &str = "__worker";

/// How often the display is refreshed while nothing happens.
const TICK: Duration = Duration::from_millis(100);

/// Longest silence of a worker: longer than the deadlines of all steps together.
/// Only what has no deadline of its own (a call that libvirt never answers) gets here.
const SILENCE: Duration = Duration::from_secs(180);

/// What a rule may add to that; libvirt takes some 20 ms a rule, thrice.
const SILENCE_PER_RULE: Duration = Duration::from_millis(200);

/// How long a worker with this job may say nothing.
pub fn silence(job: &Job) -> Duration {
    let rules = |text: &str| u32::try_from(text.matches("<rule").count()).unwrap_or(u32::MAX);
    let rules = job
        .filters
        .iter()
        .map(|filter| rules(&filter.xml))
        .fold(0, u32::saturating_add);
    let foreign = job.foreign.iter().map(|foreign| {
        let manifest = &foreign.manifest;
        manifest.deadline() + manifest.linger()
    });
    let foreign = foreign.max().unwrap_or_default();
    SILENCE + foreign + SILENCE_PER_RULE.saturating_mul(rules)
}

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
    /// When it last said something; none once it has ended.
    heard: Option<Instant>,
    /// It was ended for its silence.
    mute: bool,
}

impl Worker {
    /// Starts the program, which is to read the job from its first line of input.
    fn start(command: &mut Command, job: &str) -> std::io::Result<Self> {
        let mut child = command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()?;
        let mut stdin = child.stdin.take();
        if let Some(stdin) = &mut stdin {
            // A worker that died before it read this is found out by `gather`.
            let _ = writeln!(stdin, "{job}");
        }
        Ok(Self {
            child,
            stdin,
            running: None,
            heard: Some(Instant::now()),
            mute: false,
        })
    }

    /// Gives it a cell, or closes its input where there is none.
    fn give(&mut self, plan: Option<CellPlan>) {
        let written = plan.as_ref().zip(self.stdin.as_mut()).map(|(plan, stdin)| {
            let line = serde_json::to_string(plan).map_err(std::io::Error::other)?;
            writeln!(stdin, "{line}")
        });
        // One that cannot be written to is dead, which its output will tell.
        if !matches!(written, Some(Ok(()))) {
            self.stdin = None;
        }
        self.running = plan;
    }

    /// Ends it when it has been silent for too long: its lab goes with it, and
    /// with that the pipe that is read here.
    fn end_if_mute(&mut self, silence: Duration) {
        if self.heard.is_some_and(|at| at.elapsed() > silence) {
            let _ = self.child.kill();
            (self.heard, self.mute) = (None, true);
        }
    }

    fn end(&mut self, silence: Duration) -> End {
        match self.child.wait() {
            _ if self.mute => End::Mute(silence),
            Ok(status) => End::Status(status),
            Err(_) => End::Unknown,
        }
    }
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
        let job = Job {
            workers: jobs.max(1).min(job.cells.len()),
            ..job.clone()
        };
        let text = serde_json::to_string(&job).map_err(std::io::Error::other)?;
        let mut workers = Vec::new();
        for _ in 0..job.workers {
            let mut command = Command::new(std::env::current_exe()?);
            command
                .args([WORKER, &std::process::id().to_string()])
                .env("PATH", search_path());
            workers.push(Worker::start(&mut command, &text)?);
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
    /// all workers have ended; one that says nothing for `silence` is ended.
    pub fn gather(mut self, silence: Duration, mut tell: impl FnMut(Option<&Event>)) -> Gathered {
        let (sender, events) = mpsc::channel();
        let mut host = None;
        std::thread::scope(|scope| {
            for (number, worker) in self.workers.iter_mut().enumerate() {
                let (sender, stdout) = (sender.clone(), worker.child.stdout.take());
                scope.spawn(move || forward(stdout, number, &sender));
            }
            drop(sender);
            loop {
                let event = match events.recv_timeout(TICK) {
                    Err(mpsc::RecvTimeoutError::Disconnected) => break,
                    Err(mpsc::RecvTimeoutError::Timeout) => {
                        tell(None);
                        None
                    }
                    Ok((number, None)) => self.lost(number, silence),
                    Ok((number, Some(event))) => {
                        self.answer(number, &event);
                        Some(event)
                    }
                };
                for worker in &mut self.workers {
                    worker.end_if_mute(silence);
                }
                if let Some(event) = event {
                    show(event, &mut host, &mut tell);
                }
            }
        });
        let cells = self.queue.into_cells();
        Gathered { cells, host }
    }

    /// Takes what a worker found and gives it its next cell.
    fn answer(&mut self, number: usize, event: &Event) {
        let worker = &mut self.workers[number];
        worker.heard = Some(Instant::now());
        match event {
            Event::CellDone { cell } => {
                worker.running = None;
                self.queue.done(cell.as_ref().clone());
            }
            Event::NoLab { error } => self.queue.no_lab(error.clone()),
            Event::Ready => worker.give(self.queue.next()),
            _ => {}
        }
    }

    /// A worker's output has ended: what it was running will not be finished. One
    /// that broke down before its first cell says why others were never begun.
    fn lost(&mut self, number: usize, silence: Duration) -> Option<Event> {
        let worker = &mut self.workers[number];
        (worker.stdin, worker.heard) = (None, None);
        let end = worker.end(silence);
        let Some(plan) = worker.running.take() else {
            if !end.is_orderly() {
                self.queue.no_lab(breakdown(&end));
            }
            return None;
        };
        let cell = plan.failed(breakdown(&end));
        self.queue.done(cell.clone());
        let cell = Box::new(cell);
        Some(Event::CellDone { cell })
    }
}

/// Shows an event. Every worker describes the same host, first without its guest's kernel.
fn show(event: Event, host: &mut Option<Host>, tell: &mut impl FnMut(Option<&Event>)) {
    match event {
        Event::Host(new) => {
            let event = Event::Host(new.clone());
            if !new.guest_kernel.is_empty() && host.as_ref() != Some(&new) {
                tell(Some(&event));
            }
            if !new.guest_kernel.is_empty() || host.is_none() {
                *host = Some(new);
            }
        }
        event => tell(Some(&event)),
    }
}

/// The search path with the directories of system programs: an ordinary
/// user's on Debian lacks them, and libvirtd, dnsmasq and ebtables are there.
pub fn search_path() -> OsString {
    let mut path = std::env::var_os("PATH").unwrap_or_else(|| "/usr/bin:/bin".into());
    path.push(":/usr/local/sbin:/usr/sbin:/sbin");
    path
}

/// How a worker ended.
enum End {
    /// By itself.
    Status(ExitStatus),
    /// It said nothing for so long that it was ended.
    Mute(Duration),
    /// Nobody can say.
    Unknown,
}

impl End {
    /// Whether it ended as one that has nothing more to do.
    fn is_orderly(&self) -> bool {
        matches!(self, Self::Status(status) if status.success())
    }
}

/// Sends the worker's events, and none at their end.
fn forward(
    stdout: Option<impl std::io::Read>,
    worker: usize,
    sender: &mpsc::Sender<(usize, Option<Event>)>,
) {
    let lines = stdout.map(|stdout| BufReader::new(stdout).lines().map_while(Result::ok));
    for line in lines.into_iter().flatten() {
        // What is no event was printed by something in the worker; nothing is lost by showing it.
        let event = serde_json::from_str(&line).unwrap_or(Event::Note {
            cell: None,
            text: line,
        });
        let _ = sender.send((worker, Some(event)));
    }
    let _ = sender.send((worker, None));
}

/// Exit codes of a process that panicked: Rust's own, and the one that `main` makes of it.
const PANICKED: [Option<i32>; 2] = [Some(101), Some(70)];

/// What is said of a cell whose worker died before it could report.
fn breakdown(end: &End) -> CellError {
    let (ended, kind) = match end {
        End::Status(status) if PANICKED.contains(&status.code()) => (
            format!("broke down ({status}); this is a bug of lanfence, please report it"),
            ErrorKind::Internal,
        ),
        End::Status(status) => (
            format!("ended early ({status}); its lab went with it, run the cell again"),
            ErrorKind::Cell,
        ),
        End::Mute(silence) => (
            format!(
                "said nothing for {} s and was ended with its lab; is the machine overloaded, or libvirtd or QEMU stopped?",
                silence.as_secs()
            ),
            ErrorKind::Cell,
        ),
        End::Unknown => ("vanished; run the cell again".to_owned(), ErrorKind::Cell),
    };
    CellError {
        step: Step::Worker,
        message: format!("the process that ran this cell {ended}"),
        kind,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    /// A worker that takes a cell before it does what the script says.
    const TAKE: &str = r#"read job; echo '{"event":"ready"}'; read cell;"#;

    /// Workers that are shell scripts, and as many cells.
    fn gathered(scripts: &[String]) -> Vec<Cell> {
        let start = |script: &String| {
            Worker::start(Command::new("sh").args(["-c", script]), "the job").expect("a shell")
        };
        let plans: Vec<CellPlan> = (0..scripts.len())
            .map(|nic| CellPlan::linux(&nic.to_string()))
            .collect();
        let workers = Workers {
            workers: scripts.iter().map(start).collect(),
            queue: Queue::new(&plans),
        };
        workers.gather(Duration::from_secs(1), |_| {}).cells
    }

    #[rstest]
    #[case::stopped("kill -STOP $$", ErrorKind::Cell, "said nothing")]
    #[case::hangs("exec sleep 600", ErrorKind::Cell, "said nothing")]
    #[case::killed("kill -KILL $$", ErrorKind::Cell, "ended early")]
    #[case::panicked("exit 101", ErrorKind::Internal, "bug of lanfence")]
    #[case::silent_success("exit 0", ErrorKind::Cell, "ended early")]
    fn a_worker_that_does_not_report_is_named(
        #[case] script: &str,
        #[case] kind: ErrorKind,
        #[case] words: &str,
    ) {
        let cells = gathered(&[format!("{TAKE} {script}")]);
        let error = cells[0].error.as_ref().expect("an error");
        assert_eq!(error.kind, kind, "{}", error.message);
        assert!(error.message.contains(words), "{}", error.message);
    }

    #[rstest]
    #[case::panicked("exit 101", ErrorKind::Internal, "bug of lanfence")]
    #[case::left("exit 0", ErrorKind::Cell, "every worker had died")]
    fn cells_that_no_worker_took_say_why(
        #[case] script: &str,
        #[case] kind: ErrorKind,
        #[case] words: &str,
    ) {
        for cell in gathered(&[script.to_owned(), script.to_owned()]) {
            let error = cell.error.expect("an error");
            assert_eq!(error.kind, kind, "{}", error.message);
            assert!(error.message.contains(words), "{}", error.message);
        }
    }

    #[test]
    fn another_worker_takes_the_cells_that_a_dead_one_left() {
        let done = |nic: &str| {
            let cell = Box::new(CellPlan::linux(nic).cell());
            Event::CellDone { cell }.to_line()
        };
        let works = format!(
            "{TAKE} echo '{}'; {} echo '{}'",
            done("0"),
            TAKE.replace("read job;", ""),
            done("1")
        );
        let cells = gathered(&["exit 1".to_owned(), works]);
        let names: Vec<&str> = cells.iter().map(|cell| cell.name.as_str()).collect();
        assert_eq!(names, ["linux/0", "linux/1"]);
        assert!(cells.iter().all(|cell| cell.error.is_none()), "{cells:?}");
    }
}
