//! What a worker is asked to do. Plain data: it crosses a pipe.

use super::cache::{Cache, CacheError};
use super::faults::InjectedFault;
use super::filter::{FilterText, FilterUnderTest};
use super::random;
use crate::frame::Mac;
use crate::guest::Accel;
use crate::guest::Board;
use crate::guest::Chipset;
use crate::guest::GuestKind;
use crate::guest::foreign::Manifest;
use crate::lab::Shortcuts;
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
    /// What is done only to save time.
    pub shortcuts: Shortcuts,
    /// Tells the messages of this run's workers from others'; set where they are started.
    pub run: u32,
    /// What the numbers that the frames carry are made from, cell by cell, where the lab chooses
    /// them: Linux guests and taps. A replay has that of its run.
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
            shortcuts: Shortcuts::all(),
            run: 0,
            seed: random::number(),
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

    /// Whether a machine runs under QEMU in any cell.
    pub fn has_machine(&self) -> bool {
        self.cells.iter().any(|cell| cell.guest.has_machine())
    }
}
