//! What all guests that run under QEMU have in common in a cell.

use super::VerifyError;
use super::cell::CellContext;
use super::faults::{self, InjectedFault, Moment, Place};
use super::job::CellPlan;
use crate::guest::{FilterRef, Interface, Machine, edk2_rom};
use std::path::PathBuf;

/// The name of a cell's domain without the guest's number.
pub fn base_name(plan: &CellPlan) -> String {
    plan.name.replace('/', "-")
}

/// The name of the domain of the guest with this number.
pub fn domain_name(plan: &CellPlan, number: u8) -> String {
    format!("{}-{number}", base_name(plan))
}

/// The ROM with the driver of the cell's NIC, where its guest takes it from there.
fn rom(context: &CellContext<'_>, plan: &CellPlan) -> Option<PathBuf> {
    let name = edk2_rom(&plan.nic).filter(|_| plan.guest.is_edk2())?;
    Some(context.image?.roms.join(name))
}

/// The NIC of the guest with this number.
pub fn interface(
    context: &CellContext<'_>,
    plan: &CellPlan,
    number: u8,
    filter: Option<FilterRef>,
) -> Interface {
    Interface {
        model: plan.nic.clone(),
        mac: context.layout(plan, number).guest.mac,
        tap: format!("tap{number}"),
        link: context.job.inject != Some(InjectedFault::NoLink),
        rom: rom(context, plan),
        filter,
    }
}

/// Breaks what the job wants broken at this moment.
///
/// # Errors
/// When libvirt or the kernel does not let it be broken.
pub fn inject(
    context: &CellContext<'_>,
    machine: &mut Machine,
    moment: Moment,
) -> Result<(), VerifyError> {
    let interface = machine.interface();
    faults::at(
        moment,
        Place {
            lab: context.lab,
            job: context.job,
            sensor: &machine.tap,
            device: &interface.tap,
            mac: interface.mac,
        },
    )?;
    match (context.job.inject, moment) {
        (Some(InjectedFault::Kill), Moment::Unbound) => machine.kill(),
        (Some(InjectedFault::Link), Moment::Bound) => machine.set_link(false)?,
        (Some(InjectedFault::Pause), Moment::Bound) => machine.pause()?,
        (Some(InjectedFault::Reset), Moment::Bound) => machine.reset()?,
        _ => {}
    }
    Ok(())
}
