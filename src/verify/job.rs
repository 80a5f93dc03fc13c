//! What a worker is asked to do. Plain data: it crosses a pipe.

use super::cache::{Cache, CacheError};
use super::faults::InjectedFault;
use super::filter::{FilterText, FilterUnderTest};
use super::random::{self, Numbers};
use crate::frame::Mac;
use crate::guest::Accel;
use crate::guest::Board;
use crate::guest::Chipset;
use crate::guest::GuestKind;
use crate::guest::foreign::Manifest;
use crate::lab::Shortcuts;
use crate::layout::Segment;
use crate::nwfilter::evaluate::Backend;
use crate::nwfilter::learning::Learning;
use crate::report::model::{Cell, CellError};
use serde::{Deserialize, Serialize};
use std::net::Ipv4Addr;
use std::path::PathBuf;

/// When the filter comes to the NIC of a cell's guest.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Attach {
    /// It is there before the guest's first frame, as in production, and is then taken
    /// away for the control run, which is the leak check too.
    BeforeFirstFrame,
    /// It is put on a NIC that has been in use.
    Running,
    /// One after the other.
    Both,
}

impl Attach {
    /// Whether the filter is there before the first frame.
    pub fn before_first_frame(self) -> bool {
        self != Self::Running
    }

    /// Whether the filter is put on a running guest.
    pub fn to_running(self) -> bool {
        self != Self::BeforeFirstFrame
    }
}

/// One cell: a guest with a NIC model.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CellPlan {
    /// `linux/pcnet`.
    pub name: String,
    /// What stands behind the filter.
    pub guest: GuestKind,
    /// libvirt's NIC model name.
    pub nic: String,
    /// When the filter comes.
    pub attach: Attach,
}

/// A foreign guest whose image is there.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ForeignSource {
    /// What it is.
    pub manifest: Manifest,
    /// Its image, an absolute path.
    pub image: PathBuf,
}

impl CellPlan {
    /// The cell of a guest of this kind with a NIC model.
    pub fn new(guest: GuestKind, nic: &str) -> Self {
        // A tap without a guest sends no first frame by itself.
        let attach = if guest.has_machine() {
            Attach::Both
        } else {
            Attach::Running
        };
        Self {
            name: format!("{guest}/{nic}"),
            guest,
            nic: nic.into(),
            attach,
        }
    }

    /// The cell of the Linux guest with a NIC model.
    pub fn linux(nic: &str) -> Self {
        Self::new(GuestKind::Linux, nic)
    }

    /// The cell without a guest.
    pub fn tap() -> Self {
        Self::new(GuestKind::Tap, "raw")
    }

    /// The cell before anything has happened in it.
    pub fn cell(&self) -> Cell {
        Cell {
            name: self.name.clone(),
            guest: self.guest.to_string(),
            nic: self.nic.clone(),
            driver: None,
            back_end: None,
            probes: Vec::new(),
            timings: Vec::new(),
            error: None,
            leak_check: None,
            evidence: Vec::new(),
            dhcp: None,
            learning: Vec::new(),
            rules: Vec::new(),
            sent_again: Vec::new(),
            flaky: None,
        }
    }

    /// The cell when it could not be run.
    pub fn failed(&self, error: CellError) -> Cell {
        Cell {
            error: Some(error),
            ..self.cell()
        }
    }
}

/// How many numbers have two hexadecimal digits at most.
const TWO_DIGITS: u32 = 0x100;

/// Everything a worker needs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Job {
    /// The policy's text.
    pub policy: String,
    /// Where it came from, for messages.
    pub policy_origin: String,
    /// Filters in the order to define them.
    pub filters: Vec<FilterText>,
    /// The filter to bind; none verifies without a filter.
    pub bind: Option<String>,
    /// Parameters of the filterref, exactly as the user gave them.
    pub parameters: Vec<(String, String)>,
    /// The MAC address of the guests, where they stand for one that has it.
    pub mac: Option<Mac>,
    /// The machine of the Linux guests.
    #[serde(default)]
    pub chipset: Chipset,
    /// What libvirt learns the guest's address from, where no parameter gives it and the
    /// filter asks for it.
    pub learning: Option<Learning>,
    /// The guest's address, where a parameter or a reference among the filters gives it.
    pub address: Option<Ipv4Addr>,
    /// Accelerator of the guests.
    pub accel: Accel,
    /// Directory of the guest image; none where no cell has a guest.
    pub guest: Option<PathBuf>,
    /// Directory that stands in for /var/cache/libvirt.
    pub libvirt_cache: Option<PathBuf>,
    /// Directory of saved guests; without it every guest boots cold.
    pub snapshots: Option<PathBuf>,
    /// Where evidence goes.
    pub out: Option<PathBuf>,
    /// The foreign guests of the cells. The place of one is the number of its
    /// image in the lab.
    pub foreign: Vec<ForeignSource>,
    /// Cells to run, in the order in which they are begun.
    pub cells: Vec<CellPlan>,
    /// How often a cell that is not green is tried again.
    pub retries: u32,
    /// Back end of libvirt that translates the filter.
    pub backend: Backend,
    /// What the LAN is to libvirt.
    #[serde(default)]
    pub segment: Segment,
    /// What is done only to save time.
    pub shortcuts: Shortcuts,
    /// Tells the messages of this run's workers from others'; set where they are started.
    pub run: u32,
    /// What all numbers of the cells are made from. A replay has that of its run.
    pub seed: u32,
    /// What to break.
    pub inject: Option<InjectedFault>,
    /// How many workers share the host's cores; set where they are started.
    pub workers: usize,
    /// Whether an ordinary user runs this, in a user namespace.
    pub rootless: bool,
    /// Only boot the first cell's guest, to see whether the accelerator works.
    pub boot_only: bool,
}

impl Job {
    /// A job without cells and with nothing out of the ordinary: emulated guests that are
    /// restored from snapshots, every shortcut, one try. The policy is given as its text and
    /// where that came from.
    ///
    /// # Errors
    /// [`CacheError`] when libvirt could not write to its part of the cache.
    pub fn new(
        (policy, origin): (&str, &str),
        filter: &FilterUnderTest,
        cache: &Cache,
    ) -> Result<Self, CacheError> {
        Ok(Self {
            policy: policy.to_owned(),
            policy_origin: origin.to_owned(),
            filters: filter.texts.clone(),
            bind: filter.info.name.clone(),
            parameters: Vec::new(),
            mac: None,
            chipset: Chipset::default(),
            learning: filter.learning,
            address: filter.address,
            accel: Accel::Tcg,
            guest: None,
            libvirt_cache: Some(cache.libvirt()?),
            snapshots: Some(cache.snapshots()),
            out: None,
            foreign: Vec::new(),
            cells: Vec::new(),
            retries: 0,
            backend: Backend::default(),
            segment: Segment::default(),
            shortcuts: Shortcuts::all(),
            run: 0,
            seed: random::fresh(),
            inject: None,
            workers: 1,
            rootless: !nix::unistd::geteuid().is_root(),
            boot_only: false,
        })
    }

    /// The emulators of guests that are no PCs, each once.
    pub fn emulators(&self) -> Vec<&'static str> {
        let boards = self
            .cells
            .iter()
            .map(|cell| Board::of_cell(&cell.guest, &cell.nic));
        let mut others: Vec<&str> = boards
            .filter(|board| *board != Board::Pc)
            .map(Board::emulator)
            .collect();
        others.dedup();
        others
    }

    /// The cell's place among the names of the job's cells: what is counted from it is the same in a
    /// replay, whatever worker has the cell and in whatever order they are begun.
    fn place(&self, plan: &CellPlan) -> usize {
        let before = self.cells.iter().filter(|cell| cell.name < plan.name);
        before.count()
    }

    /// The number of the cell's guest on its `again`th other try, of those that the LAN has room for.
    /// Its address must differ from those that the LAN's hosts still remember, where there is room.
    pub fn guest_number(&self, plan: &CellPlan, again: u32, guests: u8) -> u8 {
        let guests = usize::from(guests.max(1));
        let cells = self.cells.len().max(1);
        // Past those of all cells, and never the one of the try before.
        let stride = cells + usize::from(cells.is_multiple_of(guests));
        let again = usize::try_from(again).unwrap_or_default();
        let place = (self.place(plan) + again * stride) % guests;
        u8::try_from(place).unwrap_or_default() + 1
    }

    /// A number of few digits for the cell, that of no other: it is typed into guests, and each
    /// character may take a tick of their clock.
    pub fn short_number(&self, plan: &CellPlan) -> u32 {
        let count = u32::try_from(self.cells.len()).unwrap_or(u32::MAX);
        let all = count.max(TWO_DIGITS);
        let place = u32::try_from(self.place(plan)).unwrap_or_default();
        let first = Numbers::new(self.seed, "").number("short numbers") % all;
        (first + place) % all
    }

    /// Whether a machine runs under QEMU in any cell.
    pub fn has_machine(&self) -> bool {
        self.cells.iter().any(|cell| cell.guest.has_machine())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::HashSet;

    fn job(seed: u32, cells: Vec<CellPlan>) -> Job {
        let dir = tempfile::tempdir().expect("a directory");
        let filter = FilterUnderTest::none();
        let cache = Cache::at(dir.path());
        let job = Job::new(("", "test"), &filter, &cache).expect("a job");
        Job { cells, seed, ..job }
    }

    fn cells(count: u16) -> Vec<CellPlan> {
        (0..count)
            .map(|it| CellPlan::linux(&it.to_string()))
            .collect()
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]

        /// The longest cells are begun first, and how long they take differs from run to run.
        #[test]
        fn a_cell_has_its_numbers_in_whatever_order_the_cells_are_begun(
            seed: u32,
            count in 1..300_u16,
            turned: u16,
            guests in 1..=200_u8,
            again in 0..3_u32,
        ) {
            let first = job(seed, cells(count));
            let mut other = first.clone();
            other.cells.rotate_left(usize::from(turned % count));
            let numbers = |job: &Job, plan: &CellPlan| {
                (job.guest_number(plan, again, guests), job.short_number(plan))
            };
            for plan in &first.cells {
                prop_assert_eq!(numbers(&first, plan), numbers(&other, plan));
            }
        }

        #[test]
        fn no_two_cells_have_the_same_short_number_and_few_the_same_guest(
            seed: u32,
            count in 1..300_u16,
            guests in 1..=200_u8,
            again in 0..3_u32,
        ) {
            let job = job(seed, cells(count));
            let short: HashSet<u32> = job.cells.iter().map(|it| job.short_number(it)).collect();
            prop_assert_eq!(short.len(), usize::from(count));
            prop_assert!(count > 256 || short.iter().all(|number| *number < 256));
            let numbers = |again| -> Vec<u8> {
                let number = |it| job.guest_number(it, again, guests);
                job.cells.iter().map(number).collect()
            };
            let (now, next) = (numbers(again), numbers(again + 1));
            prop_assert!(now.iter().all(|number| (1..=guests).contains(number)));
            let different: HashSet<&u8> = now.iter().collect();
            prop_assert_eq!(different.len(), usize::from(count).min(usize::from(guests)));
            let others = now.iter().zip(&next).filter(|(now, next)| now != next).count();
            prop_assert!(guests == 1 || others == usize::from(count));
        }
    }
}
