//! Real life's order: the filter is there before the first frame of a fresh guest.

use super::assess::Filtered;
use super::cell::Occupied;
use super::job::Sabotage;
use super::phase::{self, AFTER_EARLY, Bounds};
use super::running::Context;
use super::watch::{Marks, Watch};
use super::{VerifyError, bind, trial};
use crate::frame::Phase;
use crate::guest::Machine;
use crate::lab::ruleset;

/// Checks that the filter that the NIC has begun with is in force, and breaks it
/// where the job wants that.
pub fn in_force(context: &Context<'_>, machine: &Machine) -> Result<(), VerifyError> {
    bind::in_force(context.job, machine)?;
    if context.job.sabotage == Some(Sabotage::EarlyFlush) {
        ruleset::flush()?;
    }
    Ok(())
}

impl Occupied<'_> {
    /// Has the guest send what must not get out as its very first frames and go
    /// through everything else, from DHCP on; then takes the filter away.
    ///
    /// What all of this is worth without the filter, the control run shows, which
    /// comes next, with the same guest.
    pub async fn early(
        &mut self,
        run: u32,
        began: Marks,
        mut enter: impl FnMut(&'static str),
    ) -> Result<Filtered, VerifyError> {
        enter("early");
        let probes = trial::probes(self.context.policy, self.scene, run, Phase::Early);
        let ground = self.ground();
        let (mut sender, tap) = self.sender();
        let watch = Watch::resume(ground.lab, tap, began);
        let outcome = phase::run(&mut sender, ground, watch, run, Phase::Early, probes).await?;
        enter("unbind");
        self.guest.machine.set_filter(None)?;
        let (mut sender, tap) = self.sender();
        let mut later = Bounds::default();
        if outcome.bounds != Bounds::ALL {
            // A filter that stops the sentinels too: they bound it now that it is gone.
            let watch = Watch::start(ground.lab, tap);
            let bounds = phase::bound(&mut sender, ground, &watch, run, AFTER_EARLY).await?;
            if watch.fault().is_none() {
                later = bounds;
            }
        }
        let (late, _) = Watch::resume(ground.lab, tap, outcome.end).sightings();
        Ok(Filtered {
            outcome,
            late,
            later,
        })
    }
}
