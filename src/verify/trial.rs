//! The heart of a cell: the same probes with the filter and without it. The filter is there
//! before the guest's first frame and is then taken away, or it is attached to the NIC of a
//! running guest and taken away again.

use super::VerifyError;
use super::faults::Moment;
use super::job::Attach;
use super::record::{AttachedRecord, FilteredRecord, PassRecord, TrialRecord};
use super::watch::Watch;
use crate::lab::{Lab, Sensor, ruleset};
use crate::probe::Pass;
use crate::report::model::Step;

/// What a trial is made of: something at the guest's end that sends, and a
/// filter that comes and goes.
pub trait TestSubject {
    /// The lab.
    fn lab(&self) -> &Lab;

    /// The sensor at the guest's tap.
    fn tap(&self) -> &Sensor;

    /// The name of the tap's device.
    fn device(&self) -> &str;

    /// Whether libvirt makes rules by itself in the middle of a pass, as it learns the guest's
    /// address.
    fn learns(&self) -> bool;

    /// Sends the probes of a pass and collects what the sensors saw.
    /// In the first-frame pass that is everything since the guest's first frame, which finds
    /// the filter in place.
    async fn pass(&mut self, run: u32, pass: Pass) -> Result<PassRecord, VerifyError>;

    /// Binds the filter under test and checks that its rules are in the kernel; all the rules
    /// that are there then.
    async fn bind(&mut self) -> Result<String, VerifyError>;

    /// Breaks what the job wants broken at this moment.
    async fn inject(&mut self, moment: Moment) -> Result<(), VerifyError>;

    /// Takes the filter away, so that another can be bound.
    async fn unbind(&mut self) -> Result<(), VerifyError>;

    /// Takes the filter away for the rest of the cell.
    async fn unbind_for_good(&mut self) -> Result<(), VerifyError>;
}

/// Runs all passes under this number. `enter` hears of each step as it begins.
///
/// # Errors
/// When nothing was brought to light.
pub async fn run(
    run: u32,
    attach: Attach,
    subject: &mut impl TestSubject,
    mut enter: impl FnMut(Step),
) -> Result<TrialRecord, VerifyError> {
    let mut record = TrialRecord::default();
    if attach.before_first_frame() {
        enter(Step::FirstFrame);
        let before = ruleset::evidence();
        let mut pass = pass(run, subject, Pass::FirstFrame).await?;
        note_rules(subject, &mut record);
        unchanged(subject, [&before, &record.rules], &mut pass);
        record.first_frame = Some(FilteredRecord::from(pass));
    }
    // From here on an error must not hide what a run with the filter has shown.
    let ended = go_on(run, attach, subject, &mut record, &mut enter).await;
    match ended {
        Err(error) if record.control.is_none() && record.first_frame.is_none() => {
            return Err(error);
        }
        // Then nothing that was seen is a verdict on the filter.
        Err(error) if error.is_usage() && record.first_frame.is_none() => return Err(error),
        Err(error) => record.stopped = Some(VerifyError::Stopped(Box::new(error))),
        Ok(()) => {}
    }
    Ok(record)
}

/// What comes after the first run with the filter, if there was one.
async fn go_on(
    run: u32,
    attach: Attach,
    subject: &mut impl TestSubject,
    record: &mut TrialRecord,
    enter: &mut impl FnMut(Step),
) -> Result<(), VerifyError> {
    let control = if record.first_frame.is_some() {
        let last = !attach.to_running();
        without_filter(run, subject, (Pass::Control, last), enter).await
    } else {
        enter(Step::Control);
        pass(run, subject, Pass::Control).await
    };
    if let Some(first_frame) = &mut record.first_frame {
        is_over(first_frame, subject, control.as_ref().ok());
    }
    record.control = Some(control?);
    if !attach.to_running() {
        return Ok(());
    }
    enter(Step::Bind);
    subject.inject(Moment::Unbound).await?;
    let bound = subject.bind().await?;
    subject.inject(Moment::Bound).await?;
    record.attached = Some(AttachedRecord::default());
    enter(Step::Filtered);
    let filtered = pass(run, subject, Pass::Filtered).await;
    note_rules(subject, record);
    let mut filtered = filtered?;
    unchanged(subject, [&bound, &record.rules], &mut filtered);
    let attached = record.attached.get_or_insert_default();
    let filtered = attached.filtered.insert(FilteredRecord::from(filtered));
    let leak_check = without_filter(run, subject, (Pass::LeakCheck, true), enter).await;
    is_over(filtered, subject, leak_check.as_ref().ok());
    attached.leak_check = Some(leak_check?);
    Ok(())
}

/// Keeps the kernel's rules at the end of a pass with the filter, and their counters.
fn note_rules(subject: &impl TestSubject, record: &mut TrialRecord) {
    record.rules = ruleset::evidence();
    let backend = subject.lab().libvirt.backend();
    // Counters that cannot be read are missing ones: no verdict rests on them.
    record
        .counters
        .extend(ruleset::counters(subject.device(), backend));
}

/// Removes the filter and runs a pass without it; `last` says that no filter follows.
async fn without_filter(
    run: u32,
    subject: &mut impl TestSubject,
    (which, last): (Pass, bool),
    enter: &mut impl FnMut(Step),
) -> Result<PassRecord, VerifyError> {
    enter(Step::Unbind);
    if last {
        subject.unbind_for_good().await?;
    } else {
        subject.unbind().await?;
    }
    enter(if which == Pass::Control {
        Step::Control
    } else {
        Step::LeakCheck
    });
    pass(run, subject, which).await
}

/// Notes where the rules are not those any more that were there before the pass: then what
/// was stopped may have been stopped by something else than the filter.
fn unchanged(subject: &impl TestSubject, [before, after]: [&str; 2], record: &mut PassRecord) {
    if !subject.learns() && record.fault.is_none() {
        record.fault = ruleset::change(before, after);
    }
}

/// Runs a pass, with what is to be broken in it.
async fn pass(
    run: u32,
    subject: &mut impl TestSubject,
    which: Pass,
) -> Result<PassRecord, VerifyError> {
    subject.inject(Moment::Begin(which)).await?;
    let record = subject.pass(run, which).await;
    subject.inject(Moment::End(which)).await?;
    match record {
        Ok(record) if !record.is_of(run, which) => Err(VerifyError::ForeignNonces),
        record => record,
    }
}

/// Adds to a pass with the filter what the pass after it shows, if that one came to its end:
/// there is no filter any more, so its sentinels bound this pass too, and a frame of this
/// pass that came late belongs here.
fn is_over(filtered: &mut FilteredRecord, subject: &impl TestSubject, next: Option<&PassRecord>) {
    if let Some(next) = next.filter(|next| next.fault.is_none()) {
        filtered.later = next.bounds;
    }
    let late = Watch::resume(subject.lab(), subject.tap(), filtered.record.end);
    (filtered.late, _) = late.sightings();
}
