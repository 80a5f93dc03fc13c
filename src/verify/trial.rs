//! The heart of a cell: the same probes without the filter, with it, and
//! without it again.

use super::VerifyError;
use super::assess::{Filtered, assess, has_teeth};
use super::phase::Outcome;
use super::watch::{Sightings, Watch};
use crate::frame::{Phase, Tag};
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
    async fn phase(&mut self, run: u32, phase: Phase) -> Result<Outcome, VerifyError>;

    /// Binds the filter under test and checks that its rules are in the kernel.
    async fn bind(&mut self) -> Result<(), VerifyError>;

    /// Breaks what the job wants broken.
    fn sabotage(&mut self) -> Result<(), VerifyError>;

    /// Takes the filter away.
    async fn unbind(&mut self) -> Result<(), VerifyError>;
}

/// What the runs of a trial brought to light.
#[derive(Debug)]
pub struct Runs {
    /// Without the filter.
    pub control: Outcome,
    /// With the filter.
    pub filtered: Option<Filtered>,
    /// With the filter taken away again.
    pub teeth: Option<Outcome>,
    /// With the filter there before the first frame.
    pub early: Option<Filtered>,
    /// The kernel's rules during the filtered run, with their counters.
    pub rules: String,
    /// Why it did not come to its end.
    pub stopped: Option<VerifyError>,
}

/// Runs all phases of the run with this number. `enter` is told the name of each.
pub async fn run(
    run: u32,
    subject: &mut impl Subject,
    mut enter: impl FnMut(&'static str),
) -> Result<Runs, VerifyError> {
    enter("control");
    let control = subject.phase(run, Phase::Control).await?;
    enter("bind");
    subject.bind().await?;
    subject.sabotage()?;
    enter("filtered");
    let filtered = subject.phase(run, Phase::Filtered).await;
    let mut runs = Runs {
        control,
        filtered: None,
        teeth: None,
        early: None,
        rules: ruleset::evidence(),
        stopped: None,
    };
    let outcome = match filtered {
        Ok(outcome) => outcome,
        Err(error) => {
            runs.stopped = Some(VerifyError::Cell(error.to_string()));
            return Ok(runs);
        }
    };
    enter("unbind");
    // An error here must not hide what the filtered run has shown.
    let teeth = match subject.unbind().await {
        Ok(()) => {
            enter("teeth");
            subject.phase(run, Phase::Teeth).await
        }
        Err(error) => Err(error),
    };
    let sound = teeth.as_ref().ok().filter(|teeth| teeth.fault.is_none());
    let later = sound.map(|teeth| teeth.bounds).unwrap_or_default();
    let late = Watch::resume(subject.lab(), subject.tap(), outcome.end);
    let (late, _) = late.sightings();
    runs.filtered = Some(Filtered {
        outcome,
        late,
        later,
    });
    match teeth {
        Ok(teeth) => runs.teeth = Some(teeth),
        Err(error) => runs.stopped = Some(VerifyError::Cell(error.to_string())),
    }
    Ok(runs)
}

/// The catalogue as it is sent in a phase; the teeth need only those probes that
/// must be stopped.
pub fn probes(policy: &Policy, scene: &Scene, run: u32, phase: Phase) -> Vec<Probe> {
    let mut probes = catalogue(policy, scene, |index| Tag { run, phase, index });
    if phase == Phase::Teeth {
        probes.retain(Probe::wants_teeth);
    }
    probes
}

impl Runs {
    /// A result for every probe, in catalogue order.
    pub fn results(&self) -> Vec<ProbeResult> {
        assess(
            &self.control,
            self.filtered.as_ref(),
            self.teeth.as_ref(),
            self.early.as_ref(),
        )
    }

    /// Whether the trial has shown that it can see a leak; none when not reached.
    pub fn has_teeth(&self, results: &[ProbeResult]) -> Option<bool> {
        self.teeth.as_ref().map(|_| has_teeth(results))
    }

    /// Frames of the phases that were reached with their probes, for evidence.
    pub fn frames(&self) -> Vec<(&Sightings, &[Probe])> {
        let filtered = self.filtered.as_ref().map(|run| &run.outcome);
        let early = self.early.as_ref().map(|run| &run.outcome);
        let phases = [Some(&self.control), filtered, self.teeth.as_ref(), early];
        let frames = phases.into_iter().flatten();
        frames
            .map(|outcome| (&outcome.sightings, outcome.probes.as_slice()))
            .collect()
    }
}
