//! The user's side: starts workers, gathers their events.

use super::job::{CellPlan, Job};
use crate::report::live::Event;
use crate::report::model::{Cell, CellError, ErrorKind, Host};
use std::ffi::OsString;
use std::io::{BufRead as _, BufReader, Write as _};
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc;
use std::time::{Duration, Instant};

/// The hidden verb that makes this program a worker.
pub const WORKER: &str = "__worker";

/// How often the display is refreshed while nothing happens.
const TICK: Duration = Duration::from_millis(100);

/// Longest silence of a worker: longer than the deadlines of any phase together.
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
    SILENCE + SILENCE_PER_RULE.saturating_mul(rules)
}

/// What all workers together found.
#[derive(Debug, Default)]
pub struct Gathered {
    /// Finished cells, in the order of the plan.
    pub cells: Vec<Cell>,
    /// What a lab said of its host.
    pub host: Option<Host>,
}

/// Running workers. Each dies with this process (`PR_SET_PDEATHSIG`), so this
/// must be used from the main thread: the kernel means the thread that started
/// the worker.
pub struct Workers {
    children: Vec<(Child, Vec<CellPlan>)>,
    order: Vec<String>,
}

impl Workers {
    /// Starts one worker per share of the cells.
    ///
    /// # Errors
    /// When this program cannot start itself again.
    pub fn start(job: &Job, jobs: usize) -> std::io::Result<Self> {
        let mut children = Vec::new();
        for cells in shares(&job.cells, jobs) {
            let share = Job {
                cells: cells.clone(),
                ..job.clone()
            };
            let mut child = Command::new(std::env::current_exe()?)
                .args([WORKER, &std::process::id().to_string()])
                .env("PATH", search_path())
                .stdin(Stdio::piped())
                .stdout(Stdio::piped())
                .spawn()?;
            let text = serde_json::to_vec(&share).map_err(std::io::Error::other)?;
            if let Some(mut stdin) = child.stdin.take() {
                // A worker that died before it read this is found out by `gather`.
                let _ = stdin.write_all(&text);
            }
            children.push((child, cells));
        }
        let order = job.cells.iter().map(|plan| plan.name.clone()).collect();
        Ok(Self { children, order })
    }

    /// Hands every event on as it comes, and none now and then, so that the
    /// display can show that time passes. Returns when all workers have ended;
    /// one that says nothing for `silence` is ended.
    pub fn gather(mut self, silence: Duration, mut tell: impl FnMut(Option<&Event>)) -> Gathered {
        let (sender, events) = mpsc::channel();
        let mut gathered = Gathered::default();
        let mut heard: Vec<Option<Instant>> = vec![Some(Instant::now()); self.children.len()];
        let mut mute = vec![false; self.children.len()];
        std::thread::scope(|scope| {
            for (worker, (child, _)) in self.children.iter_mut().enumerate() {
                let (sender, stdout) = (sender.clone(), child.stdout.take());
                scope.spawn(move || forward(stdout, worker, &sender));
            }
            drop(sender);
            loop {
                let event = match events.recv_timeout(TICK) {
                    Ok((worker, event)) => {
                        heard[worker] = event.is_some().then(Instant::now);
                        event
                    }
                    Err(mpsc::RecvTimeoutError::Timeout) => {
                        tell(None);
                        None
                    }
                    Err(mpsc::RecvTimeoutError::Disconnected) => break,
                };
                for (worker, (child, _)) in self.children.iter_mut().enumerate() {
                    if heard[worker].is_some_and(|at| at.elapsed() > silence) {
                        // Its lab goes with it, and with that the pipe that is read here.
                        let _ = child.kill();
                        (heard[worker], mute[worker]) = (None, true);
                    }
                }
                if let Some(event) = event {
                    gathered.take(event, &mut tell);
                }
            }
        });
        for (worker, (mut child, plans)) in self.children.into_iter().enumerate() {
            let end = match child.wait() {
                _ if mute[worker] => End::Mute(silence),
                Ok(status) => End::Status(status),
                Err(_) => End::Unknown,
            };
            gathered.complete(&plans, &end);
        }
        let place = |cell: &Cell| self.order.iter().position(|name| *name == cell.name);
        gathered.cells.sort_by_key(place);
        gathered
    }
}

/// The search path with the directories of system programs: an ordinary
/// user's on Debian lacks them, and libvirtd, dnsmasq and ebtables are there.
fn search_path() -> OsString {
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

impl Gathered {
    fn take(&mut self, event: Event, tell: &mut impl FnMut(Option<&Event>)) {
        // Every worker describes the same host, first without its guest's kernel.
        let repeated = matches!(&event, Event::Host(host)
            if host.guest_kernel.is_empty() || self.host.as_ref() == Some(host));
        if !repeated {
            tell(Some(&event));
        }
        match event {
            Event::CellDone { cell } => self.cells.push(*cell),
            Event::Host(host) => self.host = Some(host),
            _ => {}
        }
    }

    /// Adds the cells that a worker did not get to.
    fn complete(&mut self, plans: &[CellPlan], end: &End) {
        for plan in plans {
            if !self.cells.iter().any(|cell| cell.name == plan.name) {
                self.cells.push(orphan(plan, end));
            }
        }
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

/// A cell whose worker died before it could report.
fn orphan(plan: &CellPlan, end: &End) -> Cell {
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
    plan.failed(CellError {
        phase: "worker".into(),
        message: format!("the process that ran this cell {ended}"),
        kind,
    })
}

/// Deals the cells out, round robin, over at most `jobs` workers.
fn shares(cells: &[CellPlan], jobs: usize) -> Vec<Vec<CellPlan>> {
    let workers = jobs.clamp(1, cells.len().max(1));
    let mut shares = vec![Vec::new(); workers];
    for (index, cell) in cells.iter().enumerate() {
        shares[index % workers].push(cell.clone());
    }
    shares.retain(|share| !share.is_empty());
    shares
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
        cells,
        sabotage: None,
        out: None,
        ..job.clone()
    };
    let gathered = Workers::start(&trial, 1).map(|workers| workers.gather(silence(job), |_| {}));
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
    use rstest::rstest;

    fn plans(count: usize) -> Vec<CellPlan> {
        let plan = |number| CellPlan {
            name: format!("linux/{number}"),
            guest: "linux".into(),
            nic: "pcnet".into(),
        };
        (0..count).map(plan).collect()
    }

    #[rstest]
    #[case::one_worker(3, 1, vec![3])]
    #[case::fewer_cells_than_workers(2, 8, vec![1, 1])]
    #[case::uneven(5, 2, vec![3, 2])]
    #[case::zero_means_one(2, 0, vec![2])]
    #[case::nothing(0, 2, vec![])]
    fn cells_are_dealt_out(
        #[case] cells: usize,
        #[case] jobs: usize,
        #[case] expected: Vec<usize>,
    ) {
        let sizes: Vec<usize> = shares(&plans(cells), jobs).iter().map(Vec::len).collect();
        assert_eq!(sizes, expected);
    }

    /// Workers that are shell scripts, one cell each.
    fn scripts(scripts: &[&str]) -> Workers {
        let start = |script: &&str| {
            let mut command = Command::new("sh");
            command.args(["-c", script]).stdout(Stdio::piped());
            command.spawn().expect("a shell")
        };
        let plans = plans(scripts.len());
        Workers {
            order: plans.iter().map(|plan| plan.name.clone()).collect(),
            children: scripts
                .iter()
                .map(start)
                .zip(plans.into_iter().map(|plan| vec![plan]))
                .collect(),
        }
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
        let workers = scripts(&["exit 0", script]);
        let gathered = workers.gather(Duration::from_secs(1), |_| {});
        let names: Vec<&str> = gathered
            .cells
            .iter()
            .map(|cell| cell.name.as_str())
            .collect();
        assert_eq!(names, ["linux/0", "linux/1"]);
        let error = gathered.cells[1].error.as_ref().expect("an error");
        assert_eq!(error.kind, kind, "{}", error.message);
        assert!(error.message.contains(words), "{}", error.message);
    }

    #[test]
    fn a_dead_worker_leaves_an_inconclusive_cell() {
        let cell = orphan(&plans(1)[0], &End::Unknown);
        assert_eq!(cell.error.map(|error| error.kind), Some(ErrorKind::Cell));
    }
}
