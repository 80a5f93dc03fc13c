//! The kinds of guests: what is run in a cell of each.
//!
//! A new kind of guest takes a folder here, a variant of [`GuestKind`], an arm of the match
//! below and a line in the planner.

mod edk2;
mod firmware;
mod foreign;
mod grub;
mod ipxe;
mod linux;
mod tap;
mod uboot;

use super::cell::{CellContext, CellRun};
use super::job::CellPlan;
use crate::guest::GuestKind;
use crate::report::model::Cell;

/// What a worker remembers from cell to cell, by kind of guest.
#[derive(Debug, Default)]
pub struct Guests {
    linux: linux::SavedGuests,
    firmware: firmware::SavedGuests,
}

impl Guests {
    /// Runs a cell to its end, with the number that its guest has in the lab. Never fails:
    /// what went wrong is in the cell.
    pub async fn run(&self, context: &CellContext<'_>, plan: &CellPlan, number: u8) -> Cell {
        let run = CellRun::begin(context, plan);
        run.work_through(async |run| match &plan.guest {
            GuestKind::Linux => linux::run(run, &self.linux, number).await,
            GuestKind::Ipxe => firmware::run::<ipxe::Ipxe>(run, &self.firmware, number).await,
            GuestKind::Grub => firmware::run::<grub::Grub>(run, &self.firmware, number).await,
            GuestKind::Uboot => firmware::run::<uboot::Uboot>(run, &self.firmware, number).await,
            GuestKind::Edk2 => firmware::run::<edk2::Edk2>(run, &self.firmware, number).await,
            GuestKind::Edk2Pxe => firmware::run::<edk2::Pxe>(run, &self.firmware, number).await,
            GuestKind::Edk2Http => {
                firmware::run::<edk2::HttpBoot>(run, &self.firmware, number).await
            }
            GuestKind::Tap => tap::run(run, number).await,
            GuestKind::Foreign(name) => foreign::run(run, name, number).await,
        })
        .await
    }
}
