//! Production order: the filter is there before the first frame of a fresh guest.

use super::job::InjectedFault;
use super::running::CellContext;
use super::{VerifyError, bind};
use crate::guest::Machine;
use crate::lab::ruleset;

/// Checks that the filter that the NIC has begun with is in force, and breaks it
/// where the job wants that.
pub fn in_force(context: &CellContext<'_>, machine: &Machine) -> Result<(), VerifyError> {
    bind::in_force(context.job, machine)?;
    if context.job.inject == Some(InjectedFault::FlushBeforeFirstFrame) {
        ruleset::flush_layer2()?;
    }
    Ok(())
}
