//! Memory of the processes below this one, as the kernel's /proc tells it.

use comfy_table::Table;
use std::collections::BTreeMap;

/// Most memory of a guest, in MiB.
pub const GUEST: &str = "250";

/// Most memory that guests took, in KiB.
#[derive(Default)]
pub struct Guests {
    /// By kind: all of it, and what is its own.
    most: BTreeMap<&'static str, [u64; 2]>,
}

impl Guests {
    /// Looks at those that run now. What they took until now is the most at the end of
    /// their probes.
    pub fn look(&mut self) {
        for process in family().iter().filter(|process| process.is_guest()) {
            let Some(kind) = process.kind() else { continue };
            let most = self.most.entry(kind).or_default();
            let now = [process.status("VmHWM"), process.status("RssAnon")];
            for (most, now) in most.iter_mut().zip(now) {
                *most = now.max(*most);
            }
        }
    }

    /// The most that one took, in KiB; none where none was seen.
    pub fn most(&self) -> Option<u64> {
        self.most.values().map(|[all, _]| *all).max()
    }

    /// A line for each kind.
    pub fn table(&self) -> Table {
        let mut table = Table::new();
        table.load_style(comfy_table::presets::ASCII_MARKDOWN);
        table.set_header([
            "memory of a guest's QEMU, MiB",
            "most",
            "of that its own",
            "at most",
        ]);
        for (kind, [all, own]) in &self.most {
            table.add_row([(*kind).to_owned(), mib(*all), mib(*own), GUEST.to_owned()]);
        }
        table
    }
}

/// KiB as MiB with a tenth.
pub fn mib(kib: u64) -> String {
    format!("{}.{}", kib / 1024, kib % 1024 * 10 / 1024)
}

/// A process below this one. What it does not show any more counts as nothing.
pub struct Process {
    pid: u32,
    parent: u32,
    /// Its name, of which the kernel keeps 15 bytes.
    pub name: String,
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
    pub fn status(&self, name: &str) -> u64 {
        let value = field(&self.status, name).and_then(|value| value.strip_suffix(" kB"));
        value
            .and_then(|value| value.trim().parse().ok())
            .unwrap_or_default()
    }

    /// How many files it has open.
    pub fn files(&self) -> usize {
        std::fs::read_dir(format!("/proc/{}/fd", self.pid)).map_or(0, Iterator::count)
    }

    /// Whether it is an emulator.
    pub fn is_guest(&self) -> bool {
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
pub fn family() -> Vec<Process> {
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
