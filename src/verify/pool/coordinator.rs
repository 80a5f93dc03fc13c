//! The user's side: hands the cells out to workers and gathers what they report.

use super::message::{Message, Numbered};
use super::queue::Queue;
use super::review::review;
use crate::pool::{End, Pool, Report};
use crate::report::live::Event;
use crate::report::model::{Cell, CellError, ErrorKind, Host, Step};
use crate::verify::job::{CellPlan, Job};
use crate::verify::random;
use std::time::Duration;

/// The hidden verb that makes this program a worker.
pub const WORKER: &str = "__worker";

/// Longest silence of a worker: longer than the deadlines of all steps together.
/// Only what has no deadline of its own (a call that libvirt never answers) gets here.
const SILENCE: Duration = Duration::from_secs(180);

/// Added for each rule: the filter is bound or removed three times, at some 20 ms a rule.
const SILENCE_PER_RULE: Duration = Duration::from_millis(200);

/// How long a worker with this job may be silent.
fn silence(job: &Job) -> Duration {
    let rules = |text: &str| u32::try_from(text.matches("<rule").count()).unwrap_or(u32::MAX);
    let rules = job
        .filters
        .iter()
        .map(|filter| rules(&filter.xml))
        .fold(0, u32::saturating_add);
    let foreign = job.foreign.iter().map(|foreign| {
        let manifest = &foreign.manifest;
        manifest.deadline() + manifest.observe_for()
    });
    let foreign = foreign.max().unwrap_or_default();
    SILENCE + foreign + SILENCE_PER_RULE.saturating_mul(rules)
}

/// How the cells of a job are shared out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Workers {
    /// At most this many workers, and never more than there are cells.
    pub count: usize,
    /// No further cell is begun after one that is not green.
    pub fail_fast: bool,
}

impl Workers {
    /// A worker a core.
    pub fn one_a_core() -> Self {
        Self::of(std::thread::available_parallelism().map_or(1, usize::from))
    }

    /// This many workers.
    pub fn of(count: usize) -> Self {
        let fail_fast = false;
        Self { count, fail_fast }
    }
}

/// What all workers together found.
#[derive(Debug, Default)]
pub struct Gathered {
    /// A cell for every cell of the job, in its order.
    pub cells: Vec<Cell>,
    /// What a lab found out about its host; none where there was no lab.
    pub host: Option<Host>,
}

/// Runs the cells of a job. `tell` hears of every event as it comes, and of none now and
/// then, so that a display can show that time passes. Returns when all workers have ended.
///
/// # Errors
/// When this program cannot start itself again.
pub fn run_cells(
    job: &Job,
    workers: Workers,
    tell: &mut dyn FnMut(Option<&Event>),
) -> std::io::Result<Gathered> {
    let job = Job {
        workers: workers.count.max(1).min(job.cells.len()),
        run: random::fresh(),
        ..job.clone()
    };
    let tasks: Vec<&Job> = std::iter::repeat_n(&job, job.workers).collect();
    let silence = silence(&job);
    let pool = Pool::start(WORKER, &tasks, silence)?;
    let queue = Queue::new(&job.cells, workers.fail_fast);
    let check: Check<'_> = &|plan, cell| review(&job, plan, cell);
    let standard = Standard {
        run: job.run,
        check,
    };
    Ok(Coordinator::new((pool, silence), queue, job.workers, standard, tell).gather())
}

/// What is wrong with a worker's report of a cell.
type Check<'t> = &'t dyn Fn(&CellPlan, &Cell) -> Option<String>;

/// What a worker's messages are held against.
#[derive(Clone, Copy)]
struct Standard<'t> {
    /// The number of the run.
    run: u32,
    check: Check<'t>,
}

/// A worker as the coordinator knows it.
#[derive(Default)]
struct Known {
    /// The cell that it runs.
    running: Option<CellPlan>,
    /// The cells that it has reported.
    done: Vec<String>,
    /// How many messages it has reported.
    heard: u32,
    /// Why what it reports is not to be trusted.
    broken: Option<CellError>,
}

/// Gives each worker one cell after the other.
struct Coordinator<'t> {
    pool: Pool<Numbered<'static>>,
    /// Longest silence of a worker on a quick machine.
    silence: Duration,
    queue: Queue,
    workers: Vec<Known>,
    standard: Standard<'t>,
    host: Option<Host>,
    tell: &'t mut dyn FnMut(Option<&Event>),
}

impl<'t> Coordinator<'t> {
    fn new(
        (pool, silence): (Pool<Numbered<'static>>, Duration),
        queue: Queue,
        workers: usize,
        standard: Standard<'t>,
        tell: &'t mut dyn FnMut(Option<&Event>),
    ) -> Self {
        Self {
            pool,
            silence,
            queue,
            workers: (0..workers).map(|_| Known::default()).collect(),
            standard,
            host: None,
            tell,
        }
    }

    fn gather(mut self) -> Gathered {
        while let Some(report) = self.pool.wait() {
            match report {
                Report::Nothing => (self.tell)(None),
                Report::Message(number, said) => {
                    self.count(number, &said);
                    self.take(number, said.message);
                }
                // Something in the worker printed it; nothing is lost by showing it.
                Report::Text(_, text) => self.show(Event::Note { cell: None, text }),
                Report::Ended(number, end) => self.lost(number, end),
            }
        }
        for worker in &self.workers {
            if let Some(error) = &worker.broken {
                let done = worker.done.iter();
                done.for_each(|name| self.queue.spoil(name, error));
            }
        }
        let cells = self.queue.into_cells();
        let host = self.host;
        Gathered { cells, host }
    }

    /// Notes where a message is none of this run, or one before it was lost or came twice.
    fn count(&mut self, number: usize, said: &Numbered<'_>) {
        let heard = self.workers[number].heard;
        if said.run != self.standard.run {
            self.distrust(number, "reported another run");
        } else if said.number != heard {
            let (next, got) = (heard, said.number);
            self.distrust(number, &format!("reported message {got} and not {next}"));
        }
        self.workers[number].heard = said.number.wrapping_add(1);
    }

    /// Nothing of this worker counts any more.
    fn distrust(&mut self, number: usize, what: &str) {
        let error = CellError {
            step: Step::Worker,
            message: format!(
                "the process that ran this cell {what}; this is a bug of lanfence, please report it"
            ),
            kind: ErrorKind::Internal,
        };
        self.workers[number].broken.get_or_insert(error);
    }

    /// Takes the report of a cell, if it is one of the cell that the worker runs.
    fn finish(&mut self, number: usize, mut cell: Box<Cell>) {
        let Some(plan) = self.workers[number].running.take() else {
            return self.distrust(number, &format!("reported {} unasked", cell.name));
        };
        if let Some(what) = (self.standard.check)(&plan, &cell) {
            self.distrust(number, &what);
        }
        if let Some(error) = &self.workers[number].broken {
            if cell.name != plan.name {
                *cell = plan.cell();
            }
            cell.error.get_or_insert_with(|| error.clone());
        }
        self.workers[number].done.push(plan.name);
        self.queue.done(cell.as_ref().clone());
        self.show(Event::CellDone { cell });
    }

    /// Takes a message of a worker, and gives it its next cell when it wants one.
    fn take(&mut self, number: usize, message: Message<'static>) {
        match message {
            Message::Ready => {
                let plan = self.queue.next();
                self.pool.give(number, plan.as_ref());
                let lost = std::mem::replace(&mut self.workers[number].running, plan);
                if let Some(lost) = lost {
                    self.distrust(number, "did not report it");
                    let error = self.workers[number].broken.clone();
                    self.queue
                        .done(lost.failed(error.expect("it is distrusted")));
                }
            }
            Message::LabUp(slowness) => {
                self.pool.bear(number, slowness.stretch(self.silence));
            }
            Message::NoLab(error) => {
                let text = format!(
                    "a worker could not start its {}: {}",
                    error.step, error.message
                );
                self.queue.no_lab(error);
                self.show(Event::Note { cell: None, text });
            }
            Message::Event(event) => match event.into_owned() {
                Event::CellDone { cell } => self.finish(number, cell),
                event => self.show(event),
            },
        }
    }

    /// A worker has ended: what it was running will not be finished. One that broke down
    /// before its first cell explains why others were never begun.
    fn lost(&mut self, number: usize, end: End) {
        if let Some(plan) = self.workers[number].running.take() {
            let cell = plan.failed(breakdown(end));
            self.queue.done(cell.clone());
            let cell = Box::new(cell);
            self.show(Event::CellDone { cell });
        } else if !end.is_orderly() {
            let error = breakdown(end);
            self.queue.no_lab(error.clone());
            self.workers[number].broken.get_or_insert(error);
        }
    }

    /// Shows an event. Every worker describes the same host, first without its guest's kernel.
    fn show(&mut self, event: Event) {
        let Event::Host(new) = event else {
            return (self.tell)(Some(&event));
        };
        if !new.guest_kernel.is_empty() && self.host.as_ref() != Some(&*new) {
            (self.tell)(Some(&Event::Host(new.clone())));
        }
        if !new.guest_kernel.is_empty() || self.host.is_none() {
            self.host = Some(*new);
        }
    }
}

/// The error of a cell whose worker ended before it could report.
fn breakdown(end: End) -> CellError {
    let (cure, kind) = match end {
        End::Status(_) if end.is_panic() => ("", ErrorKind::Internal),
        End::Status(_) | End::Unknown => (", run the cell again", ErrorKind::Cell),
        End::Silent(_) => ("", ErrorKind::Cell),
    };
    CellError {
        step: Step::Worker,
        message: format!("the process that ran this cell {end}{cure}"),
        kind,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;
    use std::borrow::Cow;
    use std::process::Command;

    /// A worker that takes a cell before it does what the script says.
    const TAKE: &str = r#"read job; echo '{"run":7,"number":0,"message":"ready"}'; read cell;"#;

    /// Workers that are shell scripts, and as many cells.
    fn gathered(scripts: &[String]) -> Vec<Cell> {
        let command = |script: &String| {
            let mut command = Command::new("sh");
            command.args(["-c", script]);
            (command, "the job".to_owned())
        };
        let plans: Vec<CellPlan> = (0..scripts.len())
            .map(|nic| CellPlan::linux(&nic.to_string()))
            .collect();
        let commands = scripts.iter().map(command).collect();
        let silence = Duration::from_secs(1);
        let pool = Pool::of(commands, silence).expect("a shell");
        let queue = Queue::new(&plans, false);
        let mut tell = |_: Option<&Event>| {};
        let standard = Standard {
            run: 7,
            check: &|_, _| None,
        };
        Coordinator::new((pool, silence), queue, scripts.len(), standard, &mut tell)
            .gather()
            .cells
    }

    fn said(number: u32, message: Message<'static>) -> String {
        let run = 7;
        let message = Numbered {
            run,
            number,
            message,
        };
        serde_json::to_string(&message).expect("a message")
    }

    fn done(number: u32, nic: &str) -> String {
        let cell = Box::new(CellPlan::linux(nic).cell());
        let event = Event::CellDone { cell };
        said(number, Message::Event(Cow::Owned(event)))
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

    /// What each line breaks: nothing that such a worker reports is believed.
    #[rstest]
    #[case::another_run(&done(1, "0").replace('7', "8"), "another run")]
    #[case::a_lost_message(&done(2, "0"), "message 2 and not 1")]
    #[case::a_doubled_cell(&format!("{}'; echo '{}", done(1, "0"), done(2, "0")), "unasked")]
    fn a_worker_that_reports_wrongly_is_not_believed(#[case] lines: &str, #[case] words: &str) {
        let cells = gathered(&[format!("{TAKE} echo '{lines}'")]);
        let error = cells[0].error.as_ref().expect("an error");
        assert_eq!(error.kind, ErrorKind::Internal, "{}", error.message);
        assert!(error.message.contains(words), "{}", error.message);
    }

    #[test]
    fn a_cell_whose_worker_breaks_down_after_it_is_not_believed() {
        let cells = gathered(&[format!("{TAKE} echo '{}'; exit 101", done(1, "0"))]);
        let error = cells[0].error.as_ref().expect("an error");
        assert_eq!(error.kind, ErrorKind::Internal, "{}", error.message);
    }

    #[test]
    fn another_worker_takes_the_cells_that_a_dead_one_left() {
        let works = format!(
            "{TAKE} echo '{}'; echo '{}'; read cell; echo '{}'",
            done(1, "0"),
            said(2, Message::Ready),
            done(3, "1")
        );
        let cells = gathered(&["exit 1".to_owned(), works]);
        let names: Vec<&str> = cells.iter().map(|cell| cell.name.as_str()).collect();
        assert_eq!(names, ["linux/0", "linux/1"]);
        assert!(cells.iter().all(|cell| cell.error.is_none()), "{cells:?}");
    }
}
