//! A cell while it runs: its phases, what was found, its end.

use super::VerifyError;
use super::evidence;
use super::job::{CellPlan, Job};
use super::trial::Trial;
use crate::guest::{Accel, Image};
use crate::lab::Lab;
use crate::policy::Policy;
use crate::report::live::Event;
use crate::report::model::{self, Cell, Timing};
use std::time::Instant;

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
    phase: (&'static str, Instant),
}

impl<'a> Running<'a> {
    /// Begins with the first phase.
    pub fn begin(context: &'a Context<'a>, plan: &'a CellPlan, phase: &'static str) -> Self {
        let running = Self {
            context,
            plan,
            cell: plan.cell(),
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

    /// Ends the last phase and the cell with it.
    pub fn finish(mut self, ended: Result<(), VerifyError>) -> Cell {
        // A dead daemon explains whatever else went wrong, and spoils what went well.
        let ended = match (self.context.lab.fault(), ended) {
            (Some(fault), Ok(())) => Err(VerifyError::Cell(fault)),
            (Some(fault), Err(error)) => Err(VerifyError::Cell(format!("{error}\n{fault}"))),
            (None, ended) => ended,
        };
        if let Err(error) = ended {
            self.cell.error = Some(error.in_phase(self.phase.0));
        }
        self.end_phase();
        self.cell
    }

    /// Writes the evidence of a cell that is not green, with what its kind adds to it.
    pub fn keep<const N: usize>(&mut self, files: [(&str, Vec<u8>); N], trial: &Trial) {
        let green = evidence::is_green(&self.cell);
        let Some(out) = self.context.job.out.as_deref().filter(|_| !green) else {
            return;
        };
        match evidence::write(out, &self.cell, self.context.job, files.into(), trial) {
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
