//! A cell while it runs: its steps, what was found, its end. It knows no kind of guest;
//! what a guest adds to its cell goes through the methods of [`CellRun`].

use super::VerifyError;
use super::assess::{assess, is_green, leak_check};
use super::coverage;
use super::evidence::{self, Own};
use super::faults;
use super::job::{CellPlan, Job};
use super::random::Numbers;
use super::record::TrialRecord;
use super::watch::{Marks, Sightings, Watch};
use crate::guest::{Accel, Image, early_end, log_length, obituary, quirk, serial_log};
use crate::lab::{Lab, Sensor, qemu_log_path, ruleset};
use crate::layout::Layout;
use crate::nwfilter::evaluate::Compiled;
use crate::policy::Policy;
use crate::probe::{Pass, Probe};
use crate::report::live::Event;
use crate::report::model::{self, Cell, DhcpClients, ProbeResult, Step, Timing};
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
    /// The filter as the evaluator has it, where it does.
    pub order: Option<&'a Compiled>,
    /// Hears of what happens, for the user's eyes.
    pub tell: &'a dyn Fn(&Event),
}

impl<'a> CellContext<'a> {
    /// The hosts of a cell with the guest of this number. A few NIC models replace the first
    /// octet of the guest's MAC; then the domain gets that octet too, since filters know the
    /// domain's MAC only.
    pub fn layout(&self, plan: &CellPlan, number: u8) -> Layout {
        let first_octet = quirk(&plan.nic).mac_octet;
        self.lab.lan.layout(number, first_octet)
    }

    /// The catalogue as it is sent in a pass.
    pub fn probes(&self, layout: &Layout, run: u32, pass: Pass) -> Vec<Probe> {
        faults::catalogue(self.job, self.policy, layout, (run, pass))
    }

    /// The numbers of a cell, which are the same in a replay.
    pub fn numbers<'p>(&self, plan: &'p CellPlan) -> Numbers<'p> {
        Numbers::new(self.job.seed, &plan.name)
    }

    /// The number that the frames of a cell carry: that of no other cell of this lab.
    pub fn frame_number(&self, plan: &CellPlan) -> u32 {
        self.numbers(plan).number("frames")
    }

    /// The image of a cell's guest.
    ///
    /// # Errors
    /// [`VerifyError::NoGuestImage`] when the job names none.
    pub fn image(&self) -> Result<&'a Image, VerifyError> {
        self.image.ok_or(VerifyError::NoGuestImage)
    }
}

/// Where the evidence has the domain: the live one, or what libvirt was given.
const DOMAIN_XML: &str = "domain.xml";

/// A cell while it runs.
pub struct CellRun<'a> {
    /// What it is run with.
    pub context: &'a CellContext<'a>,
    /// Which it is.
    pub plan: &'a CellPlan,
    /// What was found so far.
    cell: Cell,
    /// Verdicts on DHCP clients of other systems, which come after the catalogue's.
    client_results: Vec<ProbeResult>,
    /// What only cells of its kind leave as evidence.
    own: Vec<(&'static str, Own)>,
    /// Where the sensors' records stood when it began; that of the tap is its own.
    began: Marks,
    /// The domain that began last.
    domain: Option<String>,
    /// How long libvirtd's log was when the cell began.
    log_length: usize,
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
            domain: None,
            log_length: log_length(),
            step: None,
        }
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
            fault = lab.broken() => Err(match fault {
                Ok(fault) => VerifyError::DeadDaemon { fault },
                Err(error) => error.into(),
            }),
        };
        if let Err(error) = explain(lab, ended).await {
            let error = self.with_end_of_domain(error).await;
            let step = self.step.map_or(Step::Boot, |(step, _)| step);
            self.cell.error = Some(error.at(step));
            if self.cell.evidence.is_empty() {
                self.keep(&ruleset::evidence(), &[]);
            }
        }
        self.end_step();
        self.cell
    }

    /// An error with the reason for which the domain ended, where it ended by itself.
    async fn with_end_of_domain(&self, mut error: VerifyError) -> VerifyError {
        let (lab, from) = (self.context.lab, self.log_length);
        let Some(name) = &self.domain else {
            return error;
        };
        if let Some(why) = error.unexplained_end() {
            *why = obituary(lab, name, from).await;
        } else if let Some(why) = early_end(lab, name, from).await {
            let error = Box::new(error);
            return VerifyError::DomainEnded { error, why };
        }
        error
    }

    /// Notes the driver that the guest has for the NIC.
    pub fn set_driver(&mut self, driver: impl Into<String>) {
        self.cell.driver = Some(driver.into());
    }

    /// Notes what carries the frames of the NIC.
    pub fn set_back_end(&mut self, back_end: Option<model::BackEnd>) {
        self.cell.back_end = back_end;
    }

    /// Notes name and XML of the domain that is about to start, in place of an earlier one.
    pub fn know_domain(&mut self, (name, xml): (String, String)) {
        self.own = vec![
            ("serial.log", Own::Log(serial_log(&name))),
            ("qemu.log", Own::Log(qemu_log_path(&name))),
        ];
        self.domain = Some(name);
        self.describe_domain(xml);
    }

    /// Notes the XML of the domain as libvirt has it now.
    pub fn describe_domain(&mut self, xml: String) {
        self.own.retain(|(name, _)| *name != DOMAIN_XML);
        self.add_evidence(DOMAIN_XML, Own::Text(xml));
    }

    /// Adds a file to the evidence that only cells of this kind have.
    pub fn add_evidence(&mut self, name: &'static str, own: Own) {
        self.own.push((name, own));
    }

    /// Notes what DHCP clients of other systems showed, and the verdicts on them.
    pub fn add_clients(&mut self, found: DhcpClients, results: Vec<ProbeResult>) {
        self.cell.dhcp = Some(found);
        self.client_results = results;
    }

    /// Takes over results that were judged otherwise than by [`assess`].
    pub fn set_results(&mut self, probes: Vec<ProbeResult>, leak_check: Option<bool>) {
        (self.cell.probes, self.cell.leak_check) = (probes, leak_check);
    }

    /// Takes back that the cell has shown that it can see a leak.
    pub fn withdraw_leak_check(&mut self) {
        self.cell.leak_check = None;
    }

    /// Turns the record of a trial into verdicts and evidence.
    ///
    /// # Errors
    /// What stopped the trial, if anything did. What it had shown by then is in the cell.
    fn conclude(&mut self, record: TrialRecord) -> Result<(), VerifyError> {
        self.cell.probes = assess(&record);
        self.cell.leak_check = leak_check(&record, &self.cell.probes);
        self.cell.probes.append(&mut self.client_results);
        faults::results(self.context.job.inject, &mut self.cell.probes);
        self.cell.learning = record.learning().cloned().collect();
        self.cell.sent_again = record.sent_again();
        let hits = self
            .context
            .order
            .and_then(|order| coverage::hits(order, &record.counters));
        self.cell.rules = hits.unwrap_or_default();
        self.keep(&record.rules, &record.frames());
        record.stopped.map_or(Ok(()), Err)
    }

    /// Concludes a trial without a guest. The sensor is that of the tap.
    ///
    /// # Errors
    /// What stopped the trial, or why there was none.
    pub fn conclude_tap(
        &mut self,
        ended: Result<TrialRecord, VerifyError>,
        tap: &Sensor,
    ) -> Result<(), VerifyError> {
        match ended {
            Ok(record) => self.conclude(record),
            Err(error) => {
                self.keep_early(tap);
                Err(error)
            }
        }
    }

    /// Concludes a trial whose guest still runs, of which nothing more is asked. What
    /// stopped the trial may be libvirtd's death, and that is still to be found.
    ///
    /// # Errors
    /// What stopped the trial, or why there was none.
    pub fn conclude_machine(
        &mut self,
        ended: Result<TrialRecord, VerifyError>,
        tap: &Sensor,
    ) -> Result<(), VerifyError> {
        let Ok(record) = &ended else {
            return self.conclude_tap(ended, tap);
        };
        if record.stopped.is_none() {
            self.context.lab.end_cell();
        }
        let concluded = self.conclude_tap(ended, tap);
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
        let _ = tokio::time::timeout(lab.slowness.stretch(OBITUARY), lab.broken()).await;
    }
    match (lab.fault(), ended) {
        (None, ended) => ended,
        (Some(fault), Ok(())) => Err(VerifyError::DeadDaemon { fault }),
        (Some(_), Err(error @ VerifyError::DeadDaemon { .. })) => Err(error),
        (Some(fault), Err(error)) => Err(VerifyError::FailedBesideDeadDaemon {
            error: Box::new(error),
            fault,
        }),
    }
}
