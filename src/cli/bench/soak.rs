//! Cells of the matrix over and over: what a guest takes, and what stays behind.

use crate::cli::verify::Which;
use crate::cli::{Failure, note};
use crate::report::live::Event;
use crate::report::model::{Cell, ProbeResult, Verdict};
use crate::report::summary::Outcome;
use crate::verify::job::Job;
use crate::verify::{Workers, silence};
use comfy_table::Table;
use std::collections::BTreeMap;
use std::path::Path;

/// Most memory of a guest, in MiB.
const GUEST: &str = "250";

/// Lines of the table of what stays behind.
const LINES: usize = 10;

/// Runs so many cells, a worker a core; tables of what guests and labs took, and how
/// many cells were not green, of which it is said why.
pub fn tables(plain: &Job, guest: &Path, cells: usize) -> Result<(String, usize), Failure> {
    let matrix = Which::all_but_foreign().plan(Some(guest), None)?.cells;
    let job = Job {
        cells: matrix.into_iter().cycle().take(cells).collect(),
        ..plain.clone()
    };
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    note(&format!("{cells} cells with {cores} workers"));
    let mut seen = Seen::default();
    let gathered = Workers::start(&job, cores)
        .map_err(Failure::host)?
        .gather(silence(&job), |event| seen.look(event, cells));
    let red = gathered.cells.iter();
    let red: Vec<&Cell> = red.filter(|cell| cell.outcome() != Outcome::Pass).collect();
    for cell in &red {
        note(&format!("{} is not green: {}", cell.name, why(cell)));
    }
    let tables = format!("{}\n{}", seen.guests(), seen.labs());
    Ok((tables, red.len()))
}

/// The first thing that is wrong with a cell.
fn why(cell: &Cell) -> String {
    if let Some(error) = &cell.error {
        return format!("{}: {}", error.phase, error.message);
    }
    let is_wrong =
        |probe: &&ProbeResult| !matches!(probe.verdict, Verdict::Pass | Verdict::Residual);
    let wrong: Vec<&ProbeResult> = cell.probes.iter().filter(is_wrong).collect();
    match wrong.first() {
        Some(probe) => format!(
            "{} of {} probes, the first of them {}: {:?}, {}",
            wrong.len(),
            cell.probes.len(),
            probe.id,
            probe.verdict,
            probe.note.as_deref().unwrap_or("no note")
        ),
        None => "it has no teeth".into(),
    }
}

/// What was seen while the cells ran.
#[derive(Default)]
struct Seen {
    done: usize,
    /// Most memory of a guest's QEMU in KiB by kind: all of it, and what is its own.
    guests: BTreeMap<&'static str, [u64; 2]>,
    /// What the labs took after so many cells.
    labs: Vec<(usize, Labs)>,
}

/// All labs together, without guests.
#[derive(Default)]
struct Labs {
    /// Resident memory in KiB, by program.
    memory: BTreeMap<String, u64>,
    processes: usize,
    files: usize,
}

impl Seen {
    fn look(&mut self, event: Option<&Event>, cells: usize) {
        match event {
            Some(Event::PhaseDone { phase, .. }) if phase == "control" => self.look_at_guests(),
            Some(Event::CellDone { .. }) => {
                self.done += 1;
                // The first cells fill caches.
                if self.done.is_multiple_of(cells.div_ceil(LINES)) || self.done == cells.min(LINES)
                {
                    self.labs.push((self.done, Labs::now()));
                    note(&format!("{} of {cells} cells", self.done));
                }
            }
            _ => {}
        }
    }

    fn look_at_guests(&mut self) {
        for process in family().iter().filter(|process| process.is_guest()) {
            let Some(kind) = process.kind() else { continue };
            let most = self.guests.entry(kind).or_default();
            let now = [process.status("VmHWM"), process.status("RssAnon")];
            for (most, now) in most.iter_mut().zip(now) {
                *most = now.max(*most);
            }
        }
    }

    fn guests(&self) -> Table {
        let mut table = Table::new();
        table.load_style(comfy_table::presets::ASCII_MARKDOWN);
        table.set_header([
            "memory of a guest's QEMU, MiB",
            "most",
            "of that its own",
            "at most",
        ]);
        for (kind, [all, own]) in &self.guests {
            table.add_row([(*kind).to_owned(), mib(*all), mib(*own), GUEST.to_owned()]);
        }
        table
    }

    fn labs(&self) -> Table {
        let mut table = Table::new();
        table.load_style(comfy_table::presets::ASCII_MARKDOWN);
        let programs = ["lanfence", "libvirtd", "dnsmasq"];
        let memory = programs.map(|program| format!("{program}, MiB"));
        let mut header = vec!["all labs after so many cells".to_owned()];
        header.extend(memory);
        header.extend(["processes".to_owned(), "open files".to_owned()]);
        table.set_header(header);
        for (done, labs) in &self.labs {
            let mut row = vec![done.to_string()];
            let of = |program: &str| labs.memory.get(program).copied().unwrap_or_default();
            row.extend(programs.map(|program| mib(of(program))));
            row.extend([labs.processes.to_string(), labs.files.to_string()]);
            table.add_row(row);
        }
        table
    }
}

impl Labs {
    fn now() -> Self {
        let mut labs = Self::default();
        for process in family().iter().filter(|process| !process.is_guest()) {
            labs.processes += 1;
            labs.files += process.files();
            *labs.memory.entry(process.name.clone()).or_default() += process.status("VmRSS");
        }
        labs
    }
}

fn mib(kib: u64) -> String {
    format!("{}.{}", kib / 1024, kib % 1024 * 10 / 1024)
}

/// A process below this one. What it does not show any more counts as nothing.
struct Process {
    pid: u32,
    parent: u32,
    name: String,
    status: String,
}

impl Process {
    fn read(pid: u32) -> Option<Self> {
        let status = std::fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
        let field = |name: &str| field(&status, name);
        Some(Self {
            pid,
            parent: field("PPid")?.parse().ok()?,
            name: field("Name")?.to_owned(),
            status,
        })
    }

    /// A figure in KiB.
    fn status(&self, name: &str) -> u64 {
        let value = field(&self.status, name).and_then(|value| value.strip_suffix(" kB"));
        value
            .and_then(|value| value.trim().parse().ok())
            .unwrap_or_default()
    }

    fn files(&self) -> usize {
        std::fs::read_dir(format!("/proc/{}/fd", self.pid)).map_or(0, Iterator::count)
    }

    fn is_guest(&self) -> bool {
        self.name.starts_with("qemu-system")
    }

    /// What stands in it; none when it is none of the matrix' guests.
    fn kind(&self) -> Option<&'static str> {
        let line = std::fs::read_to_string(format!("/proc/{}/cmdline", self.pid)).ok()?;
        let (_, name) = line.split_once("guest=")?;
        let kinds = [
            ("linux-restored", "Linux, restored"),
            ("linux-", "Linux, booted cold"),
            ("ipxe-", "iPXE"),
        ];
        let kind = kinds.iter().find(|(prefix, _)| name.starts_with(prefix));
        kind.map(|(_, kind)| *kind)
    }
}

/// The value of a line of /proc/PID/status.
fn field<'a>(status: &'a str, name: &str) -> Option<&'a str> {
    let mut lines = status.lines();
    lines.find_map(|line| line.strip_prefix(name)?.strip_prefix(':').map(str::trim))
}

/// All processes below this one.
fn family() -> Vec<Process> {
    let all = std::fs::read_dir("/proc").into_iter().flatten().flatten();
    let pids = all.filter_map(|entry| entry.file_name().to_str()?.parse().ok());
    let mut rest: Vec<Process> = pids.filter_map(Process::read).collect();
    let mut family = Vec::new();
    let mut parents = vec![std::process::id()];
    while let Some(parent) = parents.pop() {
        let (mut children, others): (Vec<_>, Vec<_>) = rest
            .into_iter()
            .partition(|process| process.parent == parent);
        parents.extend(children.iter().map(|child| child.pid));
        family.append(&mut children);
        rest = others;
    }
    family
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_figure_is_read_by_its_whole_name() {
        let status = "Name:\tlibvirtd\nVmRSSX:\t  1 kB\nVmRSS:\t  2048 kB\nPPid:\t7\n";
        assert_eq!(field(status, "VmRSS"), Some("2048 kB"));
        assert_eq!(field(status, "VmSwap"), None);
    }

    #[test]
    fn a_child_is_of_the_family_and_this_process_is_not() {
        let mut child = std::process::Command::new("sleep")
            .arg("60")
            .spawn()
            .expect("sleep starts");
        let family = family();
        let _ = child.kill();
        let _ = child.wait();
        let pids: Vec<u32> = family.iter().map(|process| process.pid).collect();
        assert!(pids.contains(&child.id()));
        assert!(!pids.contains(&std::process::id()));
    }
}
