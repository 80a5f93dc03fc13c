//! Which cells there are to choose from, and which of them are chosen.

use super::error::PlanError;
use super::foreign;
use super::partition::Partition;
use super::select::{Entry, Plan, select};
use crate::guest::GuestKind;
use crate::guest::{ImageContents, Nic, devices, find, nics};
use crate::verify::job::{Attach, CellPlan, ForeignSource};
use std::path::{Path, PathBuf};

/// The NIC models when the user chooses none: the one that old guests want and the one
/// that new guests want.
const USUAL: [&str; 2] = ["pcnet", "virtio"];

/// Which NIC models a matrix has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Matrix {
    /// pcnet and virtio.
    Usual,
    /// Every NIC model that QEMU has.
    Full,
}

/// A choice of cells.
#[derive(Debug, Clone, Default)]
pub struct Selection {
    /// The tap test, which has no guest, instead of guests.
    pub tap: bool,
    /// NIC models by libvirt's names; none chooses by the matrix.
    pub nics: Vec<String>,
    /// Which NIC models; none means the usual ones, and all where cells are chosen by name.
    pub matrix: Option<Matrix>,
    /// Manifests of the user's foreign guests.
    pub images: Vec<PathBuf>,
    /// Only cells whose name matches one of them; none chooses all.
    pub cells: Vec<glob::Pattern>,
    /// When the filter comes; none lets it depend on the cell.
    pub attach: Option<Attach>,
    /// Only a part of the cells.
    pub partition: Option<Partition>,
}

impl Selection {
    /// Every guest that is made here with every NIC model: no images of the user's.
    pub fn all_but_foreign() -> Self {
        let glob = |text| glob::Pattern::new(text).expect("a good glob");
        Self {
            matrix: Some(Matrix::Full),
            cells: ["linux/*", "ipxe/*", "grub/*", "uboot/*", "edk2*/*"]
                .map(glob)
                .to_vec(),
            ..Self::default()
        }
    }

    /// The plan, for guests from what QEMU has and what the guest image in this directory
    /// holds.
    ///
    /// # Errors
    /// [`PlanError::NoCell`] when nothing is chosen, or why the choice cannot be used.
    pub fn plan(&self, guest_image: Option<&Path>) -> Result<Plan, PlanError> {
        let entries = if self.tap {
            self.taps()?
        } else {
            self.guests(guest_image)?
        };
        let mut plan = select(entries, &self.cells, self.partition);
        if let Some(attach) = self.attach {
            plan.attach_all(attach);
        }
        if plan.matrix.is_empty() {
            return Err(PlanError::NoCell);
        }
        Ok(plan)
    }

    /// The foreign guests of a plan, their images there and readable.
    ///
    /// # Errors
    /// [`PlanError::Manifest`] or [`PlanError::Image`].
    pub fn foreign(&self, plan: &Plan) -> Result<Vec<ForeignSource>, PlanError> {
        foreign::images(foreign::manifests(&self.images)?, &plan.cells)
    }

    fn guests(&self, guest_image: Option<&Path>) -> Result<Vec<Entry>, PlanError> {
        let guest_image = guest_image.ok_or(PlanError::NoGuestImage)?;
        let devices = devices().map_err(PlanError::Host)?;
        let contents = ImageContents::read(guest_image).map_err(PlanError::Host)?;
        self.entries(&nics(&devices, &contents))
    }

    fn taps(&self) -> Result<Vec<Entry>, PlanError> {
        if self.matrix.is_some() || !self.nics.is_empty() {
            return Err(PlanError::NicsOfTap);
        }
        let (plan, skip) = (CellPlan::tap(), None);
        Ok(vec![Entry { plan, skip }])
    }

    /// The cells before globs and partition, each model once.
    fn entries(&self, all: &[Nic]) -> Result<Vec<Entry>, PlanError> {
        let full = match self.matrix {
            Some(matrix) => matrix == Matrix::Full,
            None => self.nics.is_empty() && !self.cells.is_empty(),
        };
        let manifests = foreign::manifests(&self.images)?;
        let own = &manifests[..self.images.len()];
        if full {
            let mut entries: Vec<Entry> = all.iter().map(linux).collect();
            for kind in GuestKind::FIRMWARE {
                let tried = all.iter().filter(|nic| kind.is_tried_with(&nic.name));
                entries.extend(tried.map(|nic| firmware(&kind, nic)));
            }
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
            let entry = linux(find(all, name).map_err(PlanError::Nic)?);
            if !entries.contains(&entry) {
                entries.push(entry);
            }
        }
        entries.extend(foreign::entries(own, all)?);
        Ok(entries)
    }
}

fn firmware(kind: &GuestKind, nic: &Nic) -> Entry {
    Entry {
        plan: CellPlan::new(kind.clone(), &nic.name),
        skip: nic.firmware_skip.get(kind).cloned(),
    }
}

fn linux(nic: &Nic) -> Entry {
    Entry {
        plan: CellPlan::linux(&nic.name),
        skip: nic.skip.clone(),
    }
}
