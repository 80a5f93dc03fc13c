//! The heart of a cell: the same probes with the filter and without it, in the orders
//! in which a filter can come: it is there before the guest's first frame and is then
//! taken away, or it is put on a NIC in use and taken away again.

use super::VerifyError;
use super::assess::{Filtered, assess, has_teeth};
use super::job::Order;
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
    /// In the early phase that is everything since its first frame, which finds the
    /// filter in place.
    async fn phase(&mut self, run: u32, phase: Phase) -> Result<Outcome, VerifyError>;

    /// Binds the filter under test and checks that its rules are in the kernel.
    async fn bind(&mut self) -> Result<(), VerifyError>;

    /// Breaks what the job wants broken.
    fn sabotage(&mut self) -> Result<(), VerifyError>;

    /// Takes the filter away, and another can come.
    async fn unbind(&mut self) -> Result<(), VerifyError>;

    /// Takes the filter away for the rest of the cell.
    async fn strip(&mut self) -> Result<(), VerifyError>;
}

/// What the runs of a trial brought to light.
#[derive(Debug, Default)]
pub struct Runs {
    /// With the filter there before the first frame.
    pub early: Option<Filtered>,
    /// Without the filter.
    pub control: Option<Outcome>,
    /// With the filter put on a NIC in use, where that was to be tried.
    pub live: Option<Live>,
    /// The kernel's rules during the last filtered run, with their counters.
    pub rules: String,
    /// Why it did not come to its end.
    pub stopped: Option<VerifyError>,
}

/// The filter on a NIC in use, as far as it came.
#[derive(Debug, Default)]
pub struct Live {
    /// With it.
    pub filtered: Option<Filtered>,
    /// With the filter taken away again.
    pub teeth: Option<Outcome>,
}

/// Runs all phases of the run with this number. `enter` is told the name of each.
///
/// # Errors
/// When nothing was brought to light.
pub async fn run(
    run: u32,
    order: Order,
    subject: &mut impl Subject,
    mut enter: impl FnMut(&'static str),
) -> Result<Runs, VerifyError> {
    let mut runs = Runs::default();
    if order.has_start() {
        enter("early");
        let outcome = subject.phase(run, Phase::Early).await?;
        runs.rules = ruleset::evidence();
        runs.early = Some(Filtered::from(outcome));
    }
    // From here on an error must not hide what a run with the filter has shown.
    let ended = go_on(run, order, subject, &mut runs, &mut enter).await;
    match ended {
        Err(error) if runs.control.is_none() && runs.early.is_none() => return Err(error),
        // Then nothing that was seen is a verdict on the filter.
        Err(error @ (VerifyError::Refused(_) | VerifyError::Usage(_))) if runs.early.is_none() => {
            return Err(error);
        }
        Err(error) => runs.stopped = Some(VerifyError::Cell(error.to_string())),
        Ok(()) => {}
    }
    Ok(runs)
}

/// What comes after the first run with the filter, if there was one.
async fn go_on(
    run: u32,
    order: Order,
    subject: &mut impl Subject,
    runs: &mut Runs,
    enter: &mut impl FnMut(&'static str),
) -> Result<(), VerifyError> {
    let control = if runs.early.is_some() {
        let last = !order.has_live();
        without_filter(run, subject, (Phase::Control, last), enter).await
    } else {
        enter("control");
        subject.phase(run, Phase::Control).await
    };
    if let Some(early) = &mut runs.early {
        early.is_over(subject, control.as_ref().ok());
    }
    runs.control = Some(control?);
    if !order.has_live() {
        return Ok(());
    }
    enter("bind");
    subject.bind().await?;
    subject.sabotage()?;
    let live = runs.live.insert(Live::default());
    enter("filtered");
    let outcome = subject.phase(run, Phase::Filtered).await;
    runs.rules = ruleset::evidence();
    let filtered = live.filtered.insert(Filtered::from(outcome?));
    let teeth = without_filter(run, subject, (Phase::Teeth, true), enter).await;
    filtered.is_over(subject, teeth.as_ref().ok());
    live.teeth = Some(teeth?);
    Ok(())
}

/// Takes the filter away and goes through a phase without it, which may be the last.
async fn without_filter(
    run: u32,
    subject: &mut impl Subject,
    (phase, last): (Phase, bool),
    enter: &mut impl FnMut(&'static str),
) -> Result<Outcome, VerifyError> {
    enter("unbind");
    if last {
        subject.strip().await?;
    } else {
        subject.unbind().await?;
    }
    enter(if phase == Phase::Control {
        "control"
    } else {
        "teeth"
    });
    subject.phase(run, phase).await
}

impl Filtered {
    /// Takes in what the run after it shows, if that came to its end, in which there is
    /// no filter any more: its sentinels bound this run too, and what came late belongs
    /// to this one.
    fn is_over(&mut self, subject: &impl Subject, next: Option<&Outcome>) {
        if let Some(next) = next.filter(|next| next.fault.is_none()) {
            self.later = next.bounds;
        }
        let late = Watch::resume(subject.lab(), subject.tap(), self.outcome.end);
        (self.late, _) = late.sightings();
    }
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
        assess(self)
    }

    /// Whether the trial has shown that it can see a leak; none when not reached.
    pub fn has_teeth(&self, results: &[ProbeResult]) -> Option<bool> {
        self.bare_again().map(|_| has_teeth(results))
    }

    /// The last run without a filter that came after one with it.
    pub fn bare_again(&self) -> Option<&Outcome> {
        match &self.live {
            Some(live) => live.teeth.as_ref(),
            None => self.control.as_ref().filter(|_| self.early.is_some()),
        }
    }

    /// Frames of the phases that were reached with their probes, for evidence.
    pub fn frames(&self) -> Vec<(&Sightings, &[Probe])> {
        let live = self.live.as_ref();
        let filtered = live.and_then(|live| live.filtered.as_ref());
        let phases = [
            self.control.as_ref(),
            filtered.map(|run| &run.outcome),
            live.and_then(|live| live.teeth.as_ref()),
            self.early.as_ref().map(|run| &run.outcome),
        ];
        let frames = phases.into_iter().flatten();
        frames
            .map(|outcome| (&outcome.sightings, outcome.probes.as_slice()))
            .collect()
    }
}
