//! The user's side: starts workers, gathers their events.

use super::job::{CellPlan, Job};
use crate::report::live::Event;
use crate::report::model::{Cell, CellError, ErrorKind, Host};
use std::ffi::OsString;
use std::io::{BufRead as _, BufReader, Write as _};
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc;
use std::time::Duration;

/// The hidden verb that makes this program a worker.
pub const WORKER: &str = "__worker";

/// How often the display is refreshed while nothing happens.
const TICK: Duration = Duration::from_millis(100);

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
                stdin.write_all(&text)?;
            }
            children.push((child, cells));
        }
        Ok(Self { children })
    }

    /// Hands every event on as it comes, and none now and then, so that the
    /// display can show that time passes. Returns when all workers have ended.
    pub fn gather(mut self, mut tell: impl FnMut(Option<&Event>)) -> Gathered {
        let (sender, events) = mpsc::channel();
        let mut gathered = Gathered::default();
        std::thread::scope(|scope| {
            for (child, _) in &mut self.children {
                let (sender, stdout) = (sender.clone(), child.stdout.take());
                scope.spawn(move || forward(stdout, &sender));
            }
            drop(sender);
            loop {
                let event = match events.recv_timeout(TICK) {
                    Ok(event) => event,
                    Err(mpsc::RecvTimeoutError::Timeout) => {
                        tell(None);
                        continue;
                    }
                    Err(mpsc::RecvTimeoutError::Disconnected) => break,
                };
                // Every worker describes the same host, first without its guest's kernel.
                let repeated = matches!(&event, Event::Host(host)
                    if host.guest_kernel.is_empty() || gathered.host.as_ref() == Some(host));
                if !repeated {
                    tell(Some(&event));
                }
                match event {
                    Event::CellDone { cell } => gathered.cells.push(*cell),
                    Event::Host(host) => gathered.host = Some(host),
                    _ => {}
                }
            }
        });
        let mut order = Vec::new();
        for (mut child, plans) in self.children {
            let status = child.wait();
            for plan in &plans {
                if !gathered.cells.iter().any(|cell| cell.name == plan.name) {
                    gathered
                        .cells
                        .push(orphan(plan, status.as_ref().ok().copied()));
                }
            }
            order.extend(plans);
        }
        gathered
            .cells
            .sort_by_key(|cell| order.iter().position(|plan| plan.name == cell.name));
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

fn forward(stdout: Option<impl std::io::Read>, sender: &mpsc::Sender<Event>) {
    let Some(stdout) = stdout else { return };
    for line in BufReader::new(stdout).lines().map_while(Result::ok) {
        match serde_json::from_str(&line) {
            Ok(event) => drop(sender.send(event)),
            // Something in the worker printed to its standard output; nothing is lost by showing it.
            Err(_) => drop(sender.send(Event::Note {
                cell: None,
                text: line,
            })),
        }
    }
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

    #[test]
    fn a_dead_worker_leaves_an_inconclusive_cell() {
        let cell = orphan(&plans(1)[0], None);
        assert_eq!(cell.error.map(|error| error.kind), Some(ErrorKind::Cell));
    }
}
