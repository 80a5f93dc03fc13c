//! Which cells to run: the options, the plan they make, and how it is listed.

use super::{foreign, paths};
use crate::cli::Failure;
use crate::guest::{Holdings, Nic, devices, find, nics};
use crate::report::model::{Cell, Skipped, Timing};
use crate::verify::GuestKind;
use crate::verify::job::{Attach, CellPlan, ForeignSource};
use crate::verify::plan::{Entry, Partition, Plan, longest_first, select};
use clap::{Args, ValueEnum};
use serde::Serialize;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// The NIC models without a word from the user: the one that old guests want
/// and the one that new guests want.
const USUAL: [&str; 2] = ["pcnet", "virtio"];

/// `--lane`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Lane {
    /// Real guests under QEMU.
    Guest,
    /// No guest: the frames are written into a tap that the lab holds.
    Tap,
}

/// `--matrix`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Matrix {
    /// pcnet and virtio.
    Usual,
    /// Every NIC model that QEMU has.
    Full,
}

/// `--order`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum AttachChoice {
    /// The filter is there before the guest's first frame; in the first cell of each
    /// kind of guest it is afterwards put on the running guest too.
    Auto,
    /// Only the first.
    BeforeFirstFrame,
    /// Only the second.
    Running,
    /// Both in every cell.
    Both,
}

impl AttachChoice {
    /// The order of every cell; none where it depends on the cell.
    fn of_all(self) -> Option<Attach> {
        match self {
            Self::Auto => None,
            Self::BeforeFirstFrame => Some(Attach::BeforeFirstFrame),
            Self::Running => Some(Attach::Running),
            Self::Both => Some(Attach::Both),
        }
    }
}

/// `--format`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Format {
    Text,
    Json,
}

/// Options that say which cells there are to choose from.
#[derive(Debug, Args)]
pub struct Which {
    /// What stands behind the filter: real guests, or only a tap (needs no guest image).
    #[arg(long, value_enum, default_value_t = Lane::Guest)]
    lane: Lane,
    /// NIC model by libvirt's name; may be repeated [default: pcnet, virtio].
    #[arg(long = "nic", value_name = "MODEL")]
    nics: Vec<String>,
    /// Which NIC models [default: usual; full where --cell is given].
    #[arg(long, value_enum, conflicts_with = "nics")]
    matrix: Option<Matrix>,
    /// Manifest of a foreign guest, your own disk image; may be repeated. Alone it selects its cells.
    #[arg(long = "image", value_name = "MANIFEST.toml")]
    images: Vec<PathBuf>,
    /// Only cells whose name matches, such as 'linux/e1000*'; may be repeated.
    #[arg(long = "cell", value_name = "GLOB")]
    cells: Vec<glob::Pattern>,
    /// When the filter comes (a foreign guest always goes through `live` too).
    #[arg(long, value_enum, default_value_t = AttachChoice::Auto)]
    attach: AttachChoice,
}

/// Options that select cells.
#[derive(Debug, Args)]
pub struct Select {
    #[command(flatten)]
    which: Which,
    /// Only a part of the selected cells: slice:m/n or hash:m/n, m from 1.
    #[arg(long, value_name = "PART")]
    partition: Option<Partition>,
    /// List the selected cells and those that cannot run here, and run nothing.
    #[arg(long)]
    list: bool,
    /// How to list.
    #[arg(long, value_enum, default_value_t = Format::Text, requires = "list")]
    format: Format,
}

impl Select {
    /// Whether the cells are only to be listed.
    pub fn only_lists(&self) -> bool {
        self.list
    }

    /// The plan, for guests from what QEMU has and what the guest image holds.
    pub fn plan(&self, image: Option<&Path>) -> Result<Plan, Failure> {
        self.which.plan(image, self.partition)
    }

    /// The foreign guests of a plan.
    pub fn foreign(&self, plan: &Plan) -> Result<Vec<ForeignSource>, Failure> {
        self.which.foreign(plan)
    }

    /// The plan as text or JSON.
    pub fn listing(&self, plan: &Plan) -> String {
        match self.format {
            Format::Text => text(plan),
            Format::Json => json(plan),
        }
    }
}

impl Which {
    /// Every guest that is made here with every NIC model: no images of the user's.
    pub fn all_but_foreign() -> Self {
        let glob = |text| glob::Pattern::new(text).expect("a good glob");
        Self {
            lane: Lane::Guest,
            nics: Vec::new(),
            matrix: Some(Matrix::Full),
            images: Vec::new(),
            cells: ["linux/*", "ipxe/*"].map(glob).to_vec(),
            attach: AttachChoice::Auto,
        }
    }

    /// The cells of a partition, of all where there is none.
    pub fn plan(
        &self,
        image: Option<&Path>,
        partition: Option<Partition>,
    ) -> Result<Plan, Failure> {
        let entries = match self.lane {
            Lane::Guest => self.guests(image)?,
            Lane::Tap => self.taps()?,
        };
        let mut plan = select(entries, &self.cells, partition);
        if let Some(attach) = self.attach.of_all() {
            let cells = plan
                .cells
                .iter_mut()
                .filter(|cell| cell.guest.has_machine());
            cells.for_each(|cell| cell.attach = attach);
        }
        if plan.matrix.is_empty() {
            return Err(Failure::nothing(
                "no cell matches; `lanfence verify --matrix full --list` shows all there are",
            ));
        }
        Ok(plan)
    }

    fn foreign(&self, plan: &Plan) -> Result<Vec<ForeignSource>, Failure> {
        foreign::images(foreign::manifests(&self.images)?, &plan.cells)
    }

    /// The same choice as arguments of a command line.
    pub fn arguments(&self) -> Vec<String> {
        let mut out = Vec::new();
        if self.lane != Lane::Guest {
            out.extend(["--lane".to_owned(), word(&self.lane)]);
        }
        for nic in &self.nics {
            out.extend(["--nic".to_owned(), nic.clone()]);
        }
        if let Some(matrix) = self.matrix {
            out.extend(["--matrix".to_owned(), word(&matrix)]);
        }
        for image in &self.images {
            out.extend(["--image".to_owned(), image.display().to_string()]);
        }
        for cell in &self.cells {
            out.extend(["--cell".to_owned(), cell.as_str().to_owned()]);
        }
        if self.attach != AttachChoice::Auto {
            out.extend(["--attach".to_owned(), word(&self.attach)]);
        }
        out
    }

    fn guests(&self, image: Option<&Path>) -> Result<Vec<Entry>, Failure> {
        let image = image.ok_or_else(|| {
            Failure::usage(
                "no guest image is named\n  cure: `cargo xtask verify` builds one and names it; else --guest DIR, or --lane tap, which needs none",
            )
        })?;
        let devices = devices().map_err(Failure::host)?;
        let holdings = Holdings::read(image).map_err(Failure::host)?;
        self.entries(&nics(&devices, &holdings))
    }

    fn taps(&self) -> Result<Vec<Entry>, Failure> {
        if self.matrix.is_some() || !self.nics.is_empty() {
            return Err(Failure::usage(
                "--nic and --matrix choose among guests, and --lane tap has none",
            ));
        }
        let (plan, skip) = (CellPlan::tap(), None);
        Ok(vec![Entry { plan, skip }])
    }

    /// The cells before globs and partition, each model once.
    fn entries(&self, all: &[Nic]) -> Result<Vec<Entry>, Failure> {
        let full = match self.matrix {
            Some(matrix) => matrix == Matrix::Full,
            None => self.nics.is_empty() && !self.cells.is_empty(),
        };
        let manifests = foreign::manifests(&self.images)?;
        let own = &manifests[..self.images.len()];
        if full {
            let mut entries: Vec<Entry> = all.iter().map(entry).collect();
            entries.extend(all.iter().map(ipxe_entry));
            entries.extend(foreign::entries(&manifests, all)?);
            return Ok(entries);
        }
        let alone = self.nics.is_empty() && self.matrix.is_none() && !own.is_empty();
        if alone {
            return foreign::entries(own, all);
        }
        let mut names: Vec<&str> = self.nics.iter().map(String::as_str).collect();
        if names.is_empty() {
            names.extend(USUAL);
        }
        let mut entries: Vec<Entry> = Vec::new();
        for name in names {
            let entry = entry(find(all, name).map_err(Failure::usage)?);
            if !entries.contains(&entry) {
                entries.push(entry);
            }
        }
        entries.extend(foreign::entries(own, all)?);
        Ok(entries)
    }
}

/// A choice as it is written on the command line.
fn word(choice: &impl ValueEnum) -> String {
    let value = choice.to_possible_value().expect("no choice is hidden");
    value.get_name().to_owned()
}

fn ipxe_entry(nic: &Nic) -> Entry {
    Entry {
        plan: CellPlan::new(GuestKind::Ipxe, &nic.name),
        skip: nic.ipxe_skip.clone(),
    }
}

fn entry(nic: &Nic) -> Entry {
    Entry {
        plan: CellPlan::linux(&nic.name),
        skip: nic.skip.clone(),
    }
}

/// A name a line; what is skipped has its reason behind a colon.
fn text(plan: &Plan) -> String {
    let cells = plan.cells.iter().map(|cell| format!("{}\n", cell.name));
    let skipped = plan
        .skipped
        .iter()
        .map(|cell| format!("{} skipped: {}\n", cell.name, cell.reason));
    cells.chain(skipped).collect()
}

#[derive(Serialize)]
struct Listing<'a> {
    cells: &'a [CellPlan],
    skipped: &'a [Skipped],
}

fn json(plan: &Plan) -> String {
    let listing = Listing {
        cells: &plan.cells,
        skipped: &plan.skipped,
    };
    let text = serde_json::to_string_pretty(&listing);
    text.expect("names and reasons are strings") + "\n"
}

/// Where the times of the last runs are kept, in milliseconds by cell.
const TIMES: &str = "times.json";

/// Puts the cells in the order in which they are begun.
pub fn by_known_times(cells: &mut [CellPlan], cache: &Path) {
    longest_first(cells, &times(cache));
}

/// Remembers how long the cells took. A broken-off cell says nothing of that. An
/// unwritable cache only costs the next run a good order.
pub fn remember(cells: &[Cell], cache: &Path) {
    let mut times = times(cache);
    let finished = cells.iter().filter(|cell| cell.error.is_none());
    times.extend(finished.map(|cell| (cell.name.clone(), work(cell))));
    let _ = serde_json::to_vec(&times)
        .map_err(std::io::Error::other)
        .and_then(|text| paths::replace(&cache.join(TIMES), &text));
}

/// What a cell itself took: the lab's start and the saved guest belong to
/// whichever cell came first.
fn work(cell: &Cell) -> u64 {
    let own = |timing: &&Timing| !timing.step.is_shared();
    let own = cell.timings.iter().filter(own);
    own.fold(0, |sum, timing| sum.saturating_add(timing.ms))
}

fn times(cache: &Path) -> BTreeMap<String, u64> {
    std::fs::read(cache.join(TIMES))
        .ok()
        .and_then(|text| serde_json::from_slice(&text).ok())
        .unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::examples;

    fn plan() -> Plan {
        Plan {
            cells: vec![CellPlan::linux("pcnet")],
            skipped: vec![Skipped {
                name: "linux/rocker".into(),
                reason: "it is a switch".into(),
            }],
            matrix: vec!["linux/pcnet".into(), "linux/rocker".into()],
        }
    }

    #[test]
    fn listed_as_text() {
        insta::assert_snapshot!(text(&plan()), @"
        linux/pcnet
        linux/rocker skipped: it is a switch
        ");
    }

    #[test]
    fn listed_as_json() {
        insta::assert_snapshot!(json(&plan()));
    }

    #[test]
    fn times_are_kept_and_a_broken_file_is_none() {
        let dir = tempfile::tempdir().expect("a directory");
        remember(&examples::green().cells, dir.path());
        let kept = times(dir.path());
        assert_eq!(kept.len(), 2);
        // All steps of the example but the lab's 912 ms.
        assert_eq!(kept["linux/pcnet"], examples::green().cells[0].ms() - 912);
        std::fs::write(dir.path().join(TIMES), "{").expect("writes");
        assert!(times(dir.path()).is_empty());
    }
}
