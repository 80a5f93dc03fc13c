//! A cell while it runs: its steps, what was found, its end.

use super::VerifyError;
use super::assess::is_green;
use super::evidence;
use super::job::{CellPlan, Job};
use super::snapshot::Saved;
use super::trial::TrialRecord;
use super::watch::{Marks, Sightings, Watch};
use crate::guest::{Accel, Image, quirk};
use crate::lab::{Lab, Sensor, ruleset};
use crate::layout::Layout;
use crate::policy::Policy;
use crate::probe::Probe;
use crate::report::live::Event;
use crate::report::model::{self, Cell, ProbeResult, Step, Timing};
use std::time::{Duration, Instant};

/// What a cell is run with.
#[derive(Clone, Copy)]
pub struct CellContext<'a> {
    /// The lab.
    pub lab: &'a Lab,
    /// The job.
    pub job: &'a Job,
    /// The policy.
    pub policy: &'a Policy,
    /// What the lab said of its host.
    pub host: &'a model::Host,
    /// Kernel and initramfs; none where no cell has a guest.
    pub image: Option<&'a Image>,
    /// Accelerator.
    pub accel: Accel,
    /// The guest that cells begin with where their NIC can be plugged in.
    pub saved: &'a Saved,
    /// Tells the user interface what happens.
    pub tell: &'a dyn Fn(&Event),
}

impl<'a> CellContext<'a> {
    /// The image of a cell's guest.
    ///
    /// # Errors
    /// When the job names none.
    pub fn image(&self) -> Result<&'a Image, VerifyError> {
        self.image.ok_or_else(|| {
            let text = "the job names no guest image, and a cell with a guest needs one";
            VerifyError::Usage(text.into())
        })
    }
}

/// A cell while it runs.
pub struct CellRun<'a> {
    /// What it is run with.
    pub context: &'a CellContext<'a>,
    /// Which it is.
    pub plan: &'a CellPlan,
    /// What was found so far.
    pub cell: Cell,
    /// Verdicts on DHCP clients of other systems, which come after the catalogue's.
    pub client_results: Vec<ProbeResult>,
    /// What only cells of its kind leave as evidence.
    pub own: Vec<(&'static str, evidence::Own)>,
    /// Where the sensors' records stood when it began; that of the tap is its own.
    began: Marks,
    step: Option<(Step, Instant)>,
}

impl<'a> CellRun<'a> {
    /// A cell in which nothing has happened yet.
    pub fn begin(context: &'a CellContext<'a>, plan: &'a CellPlan) -> Self {
        Self {
            context,
            plan,
            cell: plan.cell(),
            client_results: Vec::new(),
            own: Vec::new(),
            began: Watch::marks(context.lab),
            step: None,
        }
    }

    /// The hosts with the guest of this number. A few NIC models replace the first octet
    /// of the guest's MAC.
    pub fn layout(&self, number: u8) -> Layout {
        let first_octet = quirk(&self.plan.nic).mac_octet;
        self.context.lab.lan.layout(number, first_octet)
    }

    /// Ends the current step and starts the next.
    pub fn enter(&mut self, step: Step) {
        self.end_step();
        self.step = Some((step, Instant::now()));
        (self.context.tell)(&Event::Step {
            cell: self.plan.name.clone(),
            step,
        });
    }

    /// Does the cell's work and ends it. Nothing that comes after a daemon's
    /// death proves anything, so that ends the cell at once.
    pub async fn work_through(
        mut self,
        work: impl AsyncFnOnce(&mut Self) -> Result<(), VerifyError>,
    ) -> Cell {
        let lab = self.context.lab;
        let ended = tokio::select! {
            ended = work(&mut self) => ended,
            fault = lab.broken() => Err(fault.map_or_else(VerifyError::from, VerifyError::Cell)),
        };
        if let Err(error) = explain(lab, ended).await {
            let step = self.step.map_or(Step::Boot, |(step, _)| step);
            self.cell.error = Some(error.at(step));
            if self.cell.evidence.is_empty() {
                self.keep(&ruleset::evidence(), &[]);
            }
        }
        self.end_step();
        self.cell
    }

    /// From runs to verdicts and evidence. Returns what stopped them, if anything did.
    pub fn conclude(&mut self, runs: TrialRecord) -> Result<(), VerifyError> {
        self.cell.probes = runs.results();
        self.cell.leak_check = runs.leak_check_passed(&self.cell.probes);
        self.cell.probes.append(&mut self.client_results);
        self.keep(&runs.rules, &runs.frames());
        runs.stopped.map_or(Ok(()), Err)
    }

    /// The same while the guest still runs, of which nothing more is asked. What stopped
    /// the trial may be libvirtd's death, and that is still to be found.
    pub fn conclude_with_guest(&mut self, runs: TrialRecord) -> Result<(), VerifyError> {
        if runs.stopped.is_none() {
            self.context.lab.end_cell();
        }
        let concluded = self.conclude(runs);
        self.context.lab.prepare_cell();
        concluded
    }

    /// Writes the evidence of a cell that ended before its trial did.
    pub fn keep_early(&mut self, tap: &Sensor) {
        let watch = Watch::resume(self.context.lab, tap, self.began);
        let (sightings, _) = watch.sightings();
        self.keep(&ruleset::evidence(), &[(&sightings, &[])]);
    }

    /// Writes the evidence of a cell that is not green.
    pub fn keep(&mut self, rules: &str, frames: &[(&Sightings, &[Probe])]) {
        let green = self.cell.error.is_none()
            && self.cell.leak_check == Some(true)
            && is_green(&self.cell.probes);
        let Some(out) = self.context.job.out.as_deref().filter(|_| !green) else {
            return;
        };
        let own = &self.own;
        let traces = evidence::Traces { own, rules, frames };
        match evidence::write(out, &self.cell, self.context.job, &traces) {
            Ok(files) => self.cell.evidence = files,
            Err(error) => (self.context.tell)(&Event::Note {
                cell: Some(self.plan.name.clone()),
                text: format!("the evidence could not be written: {error}"),
            }),
        }
    }

    fn end_step(&mut self) {
        let Some((step, since)) = self.step.take() else {
            return;
        };
        let ms = u64::try_from(since.elapsed().as_millis()).unwrap_or(u64::MAX);
        self.cell.timings.push(Timing { step, ms });
        (self.context.tell)(&Event::StepDone {
            cell: self.plan.name.clone(),
            step,
            ms,
        });
    }
}

/// Longest wait for the exit status of a daemon whose socket has closed: the
/// kernel closes a dying process's files before its parent can hear of its end.
const OBITUARY: Duration = Duration::from_secs(5);

/// A dead daemon explains whatever else went wrong, and spoils what went well.
async fn explain(lab: &Lab, ended: Result<(), VerifyError>) -> Result<(), VerifyError> {
    if !lab.libvirt.is_stopped() && !lab.libvirt.alive() {
        let _ = tokio::time::timeout(OBITUARY, lab.broken()).await;
    }
    match (lab.fault(), ended) {
        (None, ended) => ended,
        (Some(fault), Ok(())) => Err(VerifyError::Cell(fault)),
        (Some(fault), Err(error)) if error.to_string() == fault => Err(error),
        (Some(fault), Err(error)) => Err(VerifyError::Cell(format!("{error}\n{fault}"))),
    }
}
