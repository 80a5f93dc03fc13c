//! Real life's order: the filter is there before the first frame of a fresh guest.

use super::assess::Filtered;
use super::job::Sabotage;
use super::phase::{self, AFTER_EARLY, Bounds};
use super::running::Running;
use super::station::Ground;
use super::stimulate::Sender;
use super::watch::Watch;
use super::{VerifyError, bind, trial};
use crate::frame::Phase;
use crate::lab::ruleset;
use crate::probe::Scene;

impl Running<'_> {
    /// Begins a fresh guest whose NIC refers to the filter from the start, has it
    /// send what must not get out as its very first frames, and then goes through
    /// everything else, from DHCP on. None where there is no filter to verify.
    ///
    /// What all of this is worth without the filter, the control run of the same
    /// cell has shown, with a guest of the same kind, NIC and addresses.
    pub(super) async fn begin_with_filter(
        &mut self,
        number: u8,
        scene: &Scene,
        run: u32,
    ) -> Result<Option<Filtered>, VerifyError> {
        let (lab, job) = (self.context.lab, self.context.job);
        let Some(filter) = bind::reference(job, scene.guest.v4) else {
            return Ok(None);
        };
        let began = Watch::marks(lab);
        let mut guest = self.begin_guest(number, Some(filter)).await?;
        self.enter("early");
        bind::in_force(job, &guest.machine)?;
        if job.sabotage == Some(Sabotage::EarlyFlush) {
            ruleset::flush()?;
        }
        // No frame leaves the guest before its NIC is set up, so this comes first.
        let key = self.log_in(&mut guest).await?;
        let dev = self.nic(&mut guest).await?;
        let watch = Watch::resume(lab, &guest.machine.tap, began);
        let probes = trial::probes(self.context.policy, scene, run, Phase::Early);
        let ground = Ground { lab, scene };
        let mut sender = Sender {
            ground,
            agent: &mut guest.agent,
            dev: &dev,
            key: &key,
        };
        let outcome = phase::run(&mut sender, ground, watch, run, Phase::Early, probes).await?;
        let mut later = Bounds::default();
        if outcome.bounds != Bounds::ALL {
            // A filter that stops the sentinels too: they bound it when it is gone.
            guest.machine.set_filter(None)?;
            let watch = Watch::start(lab, &guest.machine.tap);
            let mut sender = Sender {
                ground,
                agent: &mut guest.agent,
                dev: &dev,
                key: &key,
            };
            let bounds = phase::bound(&mut sender, ground, &watch, run, AFTER_EARLY).await?;
            if watch.fault().is_none() {
                later = bounds;
            }
        }
        let (late, _) = Watch::resume(lab, &guest.machine.tap, outcome.end).sightings();
        Ok(Some(Filtered {
            outcome,
            late,
            later,
        }))
    }
}
