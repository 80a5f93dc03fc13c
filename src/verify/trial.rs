//! The heart of a cell: the same probes with the filter and without it, in the orders
//! in which a filter can come: it is there before the guest's first frame and is then
//! taken away, or it is put on a NIC in use and taken away again.

use super::VerifyError;
use super::assess::{Filtered, assess, leak_check_passed};
use super::job::Attach;
use super::pass::PassRecord;
use super::watch::{Sightings, Watch};
use crate::lab::{Lab, Sensor, ruleset};
use crate::layout::Layout;
use crate::policy::Policy;
use crate::probe::Pass;
use crate::probe::{Probe, catalogue};
use crate::report::model::{ProbeResult, Step};

/// What a trial is made of: something at the guest's end that sends, and a
/// filter that comes and goes.
pub trait TestSubject {
    /// The lab.
    fn lab(&self) -> &Lab;

    /// The sensor at the guest's tap.
    fn tap(&self) -> &Sensor;

    /// Sends the probes of a pass and collects what the sensors saw.
    /// In the early pass that is everything since its first frame, which finds the
    /// filter in place.
    async fn pass(&mut self, run: u32, pass: Pass) -> Result<PassRecord, VerifyError>;

    /// Binds the filter under test and checks that its rules are in the kernel.
    async fn bind(&mut self) -> Result<(), VerifyError>;

    /// Breaks what the job wants broken.
    fn inject(&mut self) -> Result<(), VerifyError>;

    /// Takes the filter away, and another can come.
    async fn unbind(&mut self) -> Result<(), VerifyError>;

    /// Takes the filter away for the rest of the cell.
    async fn strip(&mut self) -> Result<(), VerifyError>;
}

/// What the runs of a trial brought to light.
#[derive(Debug, Default)]
pub struct TrialRecord {
    /// With the filter there before the first frame.
    pub first_frame: Option<Filtered>,
    /// Without the filter.
    pub control: Option<PassRecord>,
    /// With the filter put on a NIC in use, where that was to be tried.
    pub live: Option<AttachedRecord>,
    /// The kernel's rules during the last filtered run, with their counters.
    pub rules: String,
    /// Why it did not come to its end.
    pub stopped: Option<VerifyError>,
}

/// The filter on a NIC in use, as far as it came.
#[derive(Debug, Default)]
pub struct AttachedRecord {
    /// With it.
    pub filtered: Option<Filtered>,
    /// With the filter taken away again.
    pub leak_check: Option<PassRecord>,
}

/// TrialRecord all passes of the run with this number. `enter` is told the name of each.
///
/// # Errors
/// When nothing was brought to light.
pub async fn run(
    run: u32,
    attach: Attach,
    subject: &mut impl TestSubject,
    mut enter: impl FnMut(Step),
) -> Result<TrialRecord, VerifyError> {
    let mut runs = TrialRecord::default();
    if attach.before_first_frame() {
        enter(Step::FirstFrame);
        let record = subject.pass(run, Pass::FirstFrame).await?;
        runs.rules = ruleset::evidence();
        runs.first_frame = Some(Filtered::from(record));
    }
    // From here on an error must not hide what a run with the filter has shown.
    let ended = go_on(run, attach, subject, &mut runs, &mut enter).await;
    match ended {
        Err(error) if runs.control.is_none() && runs.first_frame.is_none() => return Err(error),
        // Then nothing that was seen is a verdict on the filter.
        Err(error @ (VerifyError::Refused(_) | VerifyError::Usage(_)))
            if runs.first_frame.is_none() =>
        {
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
    attach: Attach,
    subject: &mut impl TestSubject,
    runs: &mut TrialRecord,
    enter: &mut impl FnMut(Step),
) -> Result<(), VerifyError> {
    let control = if runs.first_frame.is_some() {
        let last = !attach.to_running();
        without_filter(run, subject, (Pass::Control, last), enter).await
    } else {
        enter(Step::Control);
        subject.pass(run, Pass::Control).await
    };
    if let Some(first_frame) = &mut runs.first_frame {
        first_frame.is_over(subject, control.as_ref().ok());
    }
    runs.control = Some(control?);
    if !attach.to_running() {
        return Ok(());
    }
    enter(Step::Bind);
    subject.bind().await?;
    subject.inject()?;
    let live = runs.live.insert(AttachedRecord::default());
    enter(Step::Filtered);
    let record = subject.pass(run, Pass::Filtered).await;
    runs.rules = ruleset::evidence();
    let filtered = live.filtered.insert(Filtered::from(record?));
    let leak_check = without_filter(run, subject, (Pass::LeakCheck, true), enter).await;
    filtered.is_over(subject, leak_check.as_ref().ok());
    live.leak_check = Some(leak_check?);
    Ok(())
}

/// Takes the filter away and goes through a pass without it, which may be the last.
async fn without_filter(
    run: u32,
    subject: &mut impl TestSubject,
    (pass, last): (Pass, bool),
    enter: &mut impl FnMut(Step),
) -> Result<PassRecord, VerifyError> {
    enter(Step::Unbind);
    if last {
        subject.strip().await?;
    } else {
        subject.unbind().await?;
    }
    enter(if pass == Pass::Control {
        Step::Control
    } else {
        Step::LeakCheck
    });
    subject.pass(run, pass).await
}

impl Filtered {
    /// Takes in what the run after it shows, if that came to its end, in which there is
    /// no filter any more: its sentinels bound this run too, and what came late belongs
    /// to this one.
    fn is_over(&mut self, subject: &impl TestSubject, next: Option<&PassRecord>) {
        if let Some(next) = next.filter(|next| next.fault.is_none()) {
            self.later = next.bounds;
        }
        let late = Watch::resume(subject.lab(), subject.tap(), self.record.end);
        (self.late, _) = late.sightings();
    }
}

/// The catalogue as it is sent in a pass; the leak check needs only those probes that
/// must be stopped.
pub fn probes(policy: &Policy, layout: &Layout, run: u32, pass: Pass) -> Vec<Probe> {
    let mut probes = catalogue(policy, layout, |index| pass.tag(run, index));
    if pass == Pass::LeakCheck {
        probes.retain(Probe::in_leak_check);
    }
    probes
}

impl TrialRecord {
    /// A result for every probe, in catalogue order.
    pub fn results(&self) -> Vec<ProbeResult> {
        assess(self)
    }

    /// Whether the trial has shown that it can see a leak; none when not reached.
    pub fn leak_check_passed(&self, results: &[ProbeResult]) -> Option<bool> {
        self.bare_again().map(|_| leak_check_passed(results))
    }

    /// The last run without a filter that came after one with it.
    pub fn bare_again(&self) -> Option<&PassRecord> {
        match &self.live {
            Some(live) => live.leak_check.as_ref(),
            None => self.control.as_ref().filter(|_| self.first_frame.is_some()),
        }
    }

    /// Frames of the passes that were reached with their probes, for evidence.
    pub fn frames(&self) -> Vec<(&Sightings, &[Probe])> {
        let live = self.live.as_ref();
        let filtered = live.and_then(|live| live.filtered.as_ref());
        let passes = [
            self.control.as_ref(),
            filtered.map(|run| &run.record),
            live.and_then(|live| live.leak_check.as_ref()),
            self.first_frame.as_ref().map(|run| &run.record),
        ];
        let frames = passes.into_iter().flatten();
        frames
            .map(|record| (&record.sightings, record.probes.as_slice()))
            .collect()
    }
}
