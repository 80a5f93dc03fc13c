//! The heart of a cell: the same probes without the filter, with it, and
//! without it again.

use super::VerifyError;
use super::assess::{Filtered, assess, has_teeth};
use super::phase::Outcome;
use super::watch::{Sightings, Watch};
use crate::frame::{Phase, Tag};
use crate::guest::GuestError;
use crate::lab::{Lab, Sensor, ruleset};
use crate::policy::Policy;
use crate::probe::{Probe, Scene, catalogue};
use crate::report::model::ProbeResult;

/// What a trial is made of: something at the guest's end that sends, and a
/// filter that comes and goes.
pub trait Subject {
    /// The lab.
    fn lab(&self) -> &Lab;

    /// The sensor at the guest's tap.
    fn tap(&self) -> &Sensor;

    /// Sends the probes of a phase and collects what the sensors saw.
    async fn phase(&mut self, run: u32, phase: Phase) -> Result<Outcome, GuestError>;

    /// Binds the filter under test and checks that its rules are in the kernel.
    async fn bind(&mut self) -> Result<(), VerifyError>;

    /// Breaks what the job wants broken.
    fn sabotage(&mut self) -> Result<(), VerifyError>;

    /// Takes the filter away.
    async fn unbind(&mut self) -> Result<(), GuestError>;
}

/// What a trial brought to light.
#[derive(Debug)]
pub struct Trial {
    /// The ruleset with its counters, as it was when the filtered run ended.
    pub rules: String,
    control: Outcome,
    /// With what was seen after its end.
    filtered: Option<Filtered>,
    teeth: Result<Outcome, GuestError>,
}

/// Runs all phases. `enter` is told the name of each.
pub async fn run(
    subject: &mut impl Subject,
    mut enter: impl FnMut(&'static str),
) -> Result<Trial, VerifyError> {
    let run = super::random();
    enter("control");
    let control = subject.phase(run, Phase::Control).await?;
    enter("bind");
    subject.bind().await?;
    subject.sabotage()?;
    enter("filtered");
    let filtered = subject.phase(run, Phase::Filtered).await;
    let rules = ruleset::evidence();
    let (filtered, teeth) = match filtered {
        Ok(filtered) => {
            enter("unbind");
            // An error here must not hide what the filtered run has shown.
            let teeth = match subject.unbind().await {
                Ok(()) => {
                    enter("teeth");
                    subject.phase(run, Phase::Teeth).await
                }
                Err(error) => Err(error),
            };
            let late = Watch::resume(subject.lab(), subject.tap(), filtered.end);
            let late = late.sightings().0;
            (Some((filtered, late)), teeth)
        }
        Err(error) => (None, Err(error)),
    };
    Ok(Trial {
        rules,
        control,
        filtered,
        teeth,
    })
}

/// The probes of a phase, of which the teeth need only those that must be stopped.
pub fn probes(policy: &Policy, scene: &Scene, run: u32, phase: Phase) -> Vec<Probe> {
    let mut probes = catalogue(policy, scene, |index| Tag { run, phase, index });
    if phase == Phase::Teeth {
        probes.retain(Probe::wants_teeth);
    }
    probes
}

impl Trial {
    /// A result for every probe, in catalogue order.
    pub fn results(&self) -> Vec<ProbeResult> {
        let teeth = self.teeth.as_ref().ok();
        assess(&self.control, self.filtered.as_ref(), teeth)
    }

    /// Whether the run has shown that it can see a leak.
    pub fn has_teeth(&self, results: &[ProbeResult]) -> Option<bool> {
        self.teeth.as_ref().ok().map(|_| has_teeth(results))
    }

    /// Frames of the phases that were reached with their probes, for evidence.
    pub fn frames(&self) -> Vec<(&Sightings, &[Probe])> {
        let filtered = self.filtered.as_ref().map(|(filtered, _)| filtered);
        let phases = [Some(&self.control), filtered, self.teeth.as_ref().ok()];
        let frames = phases.into_iter().flatten();
        frames
            .map(|outcome| (&outcome.sightings, outcome.probes.as_slice()))
            .collect()
    }

    /// What stopped it, if anything did.
    pub fn end(self) -> Result<(), VerifyError> {
        let stopped = self.teeth.err().map(|error| error.to_string());
        stopped.map_or(Ok(()), |message| Err(VerifyError::Cell(message)))
    }
}
