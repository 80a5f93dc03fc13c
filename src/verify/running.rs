//! A cell while it runs: its phases, what was found, its end.

use super::VerifyError;
use super::assess::is_green;
use super::evidence;
use super::job::{CellPlan, Job};
use super::trial::Trial;
use super::watch::{Marks, Sightings, Watch};
use crate::guest::{Accel, Image};
use crate::lab::{Lab, Sensor, ruleset};
use crate::policy::Policy;
use crate::probe::Probe;
use crate::report::live::Event;
use crate::report::model::{self, Cell, Timing};
use std::time::{Duration, Instant};

/// What a cell is run with.
#[derive(Clone, Copy)]
pub struct Context<'a> {
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
    /// Tells the user interface what happens.
    pub tell: &'a dyn Fn(&Event),
}

/// A cell while it runs.
pub struct Running<'a> {
    /// What it is run with.
    pub context: &'a Context<'a>,
    /// Which it is.
    pub plan: &'a CellPlan,
    /// What was found so far.
    pub cell: Cell,
    /// What only cells of its kind leave as evidence.
    pub own: Vec<(&'static str, evidence::Own)>,
    /// Where the sensors' records stood when it began; that of the tap is its own.
    began: Marks,
    phase: (&'static str, Instant),
}

impl<'a> Running<'a> {
    /// Begins with the first phase.
    pub fn begin(context: &'a Context<'a>, plan: &'a CellPlan, phase: &'static str) -> Self {
        let lab = context.lab;
        let sensors = [&lab.peer_sensor, &lab.gateway_sensor, &lab.wan_sensor];
        let [peer, gateway, wan] = sensors.map(Sensor::mark);
        let running = Self {
            context,
            plan,
            cell: plan.cell(),
            own: Vec::new(),
            began: [0, peer, gateway, wan],
            phase: (phase, Instant::now()),
        };
        running.tell_phase();
        running
    }

    /// Ends the current phase and starts the next.
    pub fn enter(&mut self, phase: &'static str) {
        self.end_phase();
        self.phase = (phase, Instant::now());
        self.tell_phase();
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
            self.cell.error = Some(error.in_phase(self.phase.0));
            if self.cell.evidence.is_empty() {
                self.keep(&ruleset::evidence(), &[]);
            }
        }
        self.end_phase();
        self.cell
    }

    /// Takes over what a trial has shown. Returns what stopped it, if anything did.
    pub fn conclude(&mut self, trial: Trial) -> Result<(), VerifyError> {
        self.cell.probes = trial.results();
        self.cell.teeth = trial.has_teeth(&self.cell.probes);
        self.keep(&trial.rules, &trial.frames());
        trial.end()
    }

    /// Writes the evidence of a cell that ended before its trial did.
    pub fn keep_early(&mut self, tap: &Sensor) {
        if self.cell.evidence.is_empty() {
            let watch = Watch::resume(self.context.lab, tap, self.began);
            let (sightings, _) = watch.sightings();
            self.keep(&ruleset::evidence(), &[(&sightings, &[])]);
        }
    }

    /// Writes the evidence of a cell that is not green.
    fn keep(&mut self, rules: &str, frames: &[(&Sightings, &[Probe])]) {
        let green = self.cell.error.is_none()
            && self.cell.teeth == Some(true)
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

    fn tell_phase(&self) {
        (self.context.tell)(&Event::Phase {
            cell: self.plan.name.clone(),
            phase: self.phase.0.into(),
        });
    }

    fn end_phase(&mut self) {
        let (phase, since) = self.phase;
        let ms = u64::try_from(since.elapsed().as_millis()).unwrap_or(u64::MAX);
        self.cell.timings.push(Timing {
            phase: phase.into(),
            ms,
        });
        (self.context.tell)(&Event::PhaseDone {
            cell: self.plan.name.clone(),
            phase: phase.into(),
            ms,
        });
    }
}

/// Longest wait for the exit status of a daemon whose socket has closed: the
/// kernel closes a dying process's files before its parent can hear of its end.
const OBITUARY: Duration = Duration::from_secs(5);

/// A dead daemon explains whatever else went wrong, and spoils what went well.
async fn explain(lab: &Lab, ended: Result<(), VerifyError>) -> Result<(), VerifyError> {
    if !lab.libvirt.alive() {
        let _ = tokio::time::timeout(OBITUARY, lab.broken()).await;
    }
    match (lab.fault(), ended) {
        (None, ended) => ended,
        (Some(fault), Ok(())) => Err(VerifyError::Cell(fault)),
        (Some(fault), Err(error)) if error.to_string() == fault => Err(error),
        (Some(fault), Err(error)) => Err(VerifyError::Cell(format!("{error}\n{fault}"))),
    }
}
