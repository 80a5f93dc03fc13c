//! The tap test, which has no guest: the lab holds the tap itself, writes the guest's
//! frames into it and answers what comes out of it.
//!
//! Filter, bridge, hosts and sensors are those of a cell with a guest, and so
//! are the passes and the judge. What only a guest's own stack and driver can
//! show is not in it: which frames it really sends, and what it does with those
//! that it gets.

mod endpoint;
mod lease;
mod responder;

use crate::frame::DhcpStep;
use crate::lab::{Binding, Lab, PacketSocket, Sensor, Shortcut, Tap};
use crate::layout::Layout;
use crate::probe::{Pass, Probe, Stimulus};
use crate::report::model::Step;
use crate::verify::bind::{bind_tap, settled};
use crate::verify::cell::{CellContext, CellRun};
use crate::verify::endpoint::{Hosts, Refusals};
use crate::verify::evidence::Own;
use crate::verify::faults::{self, Faulty, InjectedFault, Moment, Place};
use crate::verify::job::CellPlan;
use crate::verify::record::PassRecord;
use crate::verify::sentinels::{Bounds, Order};
use crate::verify::trial::{self, TestSubject};
use crate::verify::watch::Watch;
use crate::verify::{VerifyError, learning, pass};
use endpoint::TapEndpoint;
use lease::Client;
use responder::Responder;
use std::sync::Arc;

/// What is proven of port 22 where nothing but the lab stands behind the tap.
const OPENS: &str = "TCP connection from a LAN host to port 22 opens";

/// Runs the whole cell.
///
/// # Errors
/// What ended the cell before its trial did, or the trial before its end.
pub async fn run(run: &mut CellRun<'_>, number: u8) -> Result<(), VerifyError> {
    run.enter(Step::Tap);
    let mut subject = TapGuest::open(run.context, run.plan, number)?;
    subject.lease().await;
    let (attach, frames) = (run.plan.attach, run.context.frame_number(run.plan));
    let record = trial::run(frames, attach, &mut subject, |step| {
        run.enter(step);
    });
    let record = record.await;
    let bound = subject.bound.take().unwrap_or_default();
    run.add_evidence("binding.xml", Own::Text(bound));
    run.conclude_tap(record, &subject.sensor)
}

/// A tap, and the lab in the guest's place.
struct TapGuest<'a> {
    context: &'a CellContext<'a>,
    tap: Arc<Tap>,
    sensor: Sensor,
    layout: Layout,
    responder: Responder,
    client: Client,
    binding: Option<Binding>,
    /// What was bound, for evidence.
    bound: Option<String>,
}

impl<'a> TapGuest<'a> {
    fn open(
        context: &'a CellContext<'a>,
        plan: &CellPlan,
        number: u8,
    ) -> Result<Self, VerifyError> {
        let tap = Arc::new(Tap::open(&format!("tap{number}"))?);
        let sensor = Sensor::start("tap", PacketSocket::open(tap.name())?)?;
        let lan = &context.lab.lan;
        let layout = lan.layout(number, None).with_guest_address(lan.leases.0);
        let responder = Responder::start(&tap, layout.guest.clone())?;
        let xid = context.numbers(plan).number("lease");
        let client = Client::new(layout.guest.mac, &layout.gateway, context.lab.slowness, xid);
        Ok(Self {
            context,
            tap,
            sensor,
            layout,
            responder,
            client,
            binding: None,
            bound: None,
        })
    }

    /// Takes the address that the server has for this guest, and gives it back
    /// so that the probes can take it anew. Without one the guest takes the
    /// first; the DHCP probes will tell.
    async fn lease(&mut self) {
        let (tap, responder) = (&self.tap, &mut self.responder);
        self.client.step(DhcpStep::Bind, tap, responder).await;
        if let Some(address) = self.client.address() {
            self.layout.guest.v4 = address;
            self.client.step(DhcpStep::Release, tap, responder).await;
        }
        self.responder.rename(self.layout.guest.clone());
    }
}

impl TapGuest<'_> {
    /// The record of the control as one of the leak check, which was not made.
    fn control_again(&self, run: u32) -> PassRecord {
        let mut probes = self.context.probes(&self.layout, run, Pass::Control);
        probes.retain(Probe::in_leak_check);
        let marks = Watch::marks(self.context.lab).map(|_| 0);
        let watch = Watch::resume(self.context.lab, &self.sensor, marks);
        let (sightings, end) = watch.sightings();
        PassRecord {
            probes,
            sightings,
            end,
            bounds: Bounds::ALL,
            order: Order::default(),
            fault: None,
            dhcp: Vec::new(),
            refused: Refusals::new(),
            ssh: None,
            sent_again: Vec::new(),
            learning: None,
        }
    }
}

impl TestSubject for TapGuest<'_> {
    fn lab(&self) -> &Lab {
        self.context.lab
    }

    fn learns(&self) -> bool {
        self.context.job.learning.is_some()
    }

    fn tap(&self) -> &Sensor {
        &self.sensor
    }

    fn device(&self) -> &str {
        self.tap.name()
    }

    async fn pass(&mut self, run: u32, pass: Pass) -> Result<PassRecord, VerifyError> {
        let fault = self.context.job.inject;
        if fault == Some(InjectedFault::NoLeakCheck) && pass == Pass::LeakCheck {
            return Ok(self.control_again(run));
        }
        let mut probes = self.context.probes(&self.layout, run, pass);
        probes.iter_mut().for_each(call_by_name);
        let watch = Watch::start(self.context.lab, &self.sensor);
        let hosts = Hosts {
            lab: self.context.lab,
            layout: &self.layout,
        };
        let endpoint = TapEndpoint {
            hosts,
            tap: &self.tap,
            responder: &mut self.responder,
            client: &mut self.client,
        };
        let mut endpoint = Faulty::new(endpoint, &self.layout, fault, pass);
        let with_filter = matches!(pass, Pass::FirstFrame | Pass::Filtered);
        let phase = match self.context.job.learning.filter(|_| with_filter) {
            Some(learning) => {
                let (policy, endpoint) = (self.context.policy, &mut endpoint);
                let round = (run, pass);
                Some(learning::watch(policy, learning, endpoint, hosts, &watch, round).await?)
            }
            None => None,
        };
        let mut record = pass::run(&mut endpoint, hosts, watch, run, pass, probes).await?;
        record.learning = phase;
        faults::record(fault, pass, &mut record);
        Ok(record)
    }

    async fn bind(&mut self) -> Result<String, VerifyError> {
        let (binding, rules) = bind_tap(self.context, self.tap.name(), &self.layout.guest)?;
        self.binding = binding;
        self.bound = self.binding.as_ref().map(|binding| binding.xml.clone());
        Ok(rules)
    }

    async fn inject(&mut self, moment: Moment) -> Result<(), VerifyError> {
        let fault = self.context.job.inject;
        if moment == Moment::Bound && fault.is_some_and(InjectedFault::needs_machine) {
            return Err(VerifyError::NothingToPause);
        }
        faults::at(
            moment,
            Place {
                lab: self.context.lab,
                job: self.context.job,
                sensor: &self.sensor,
                device: self.tap.name(),
                mac: self.layout.guest.mac,
            },
        )?;
        match (fault, moment) {
            (Some(InjectedFault::Link), Moment::Bound) => self.tap.unplug()?,
            (Some(InjectedFault::FilterInControl), Moment::Begin(Pass::Control)) => {
                self.bind().await?;
            }
            (Some(InjectedFault::FilterInControl), Moment::End(Pass::Control)) => {
                self.unbind().await?;
            }
            _ => {}
        }
        Ok(())
    }

    async fn unbind(&mut self) -> Result<(), VerifyError> {
        settled(self.context).await?;
        let removed = self.binding.take().map(Binding::remove);
        Ok(removed.transpose().map(drop)?)
    }

    async fn unbind_for_good(&mut self) -> Result<(), VerifyError> {
        if self.context.job.inject == Some(InjectedFault::FilterStays) {
            return Ok(());
        }
        if !self.context.job.shortcuts.has(Shortcut::FlushRuleset) {
            return self.unbind().await;
        }
        settled(self.context).await?;
        self.context.lab.flush_ruleset()?;
        if let Some(binding) = self.binding.take() {
            binding.leave();
        }
        Ok(())
    }
}

/// Describes what the tap test shows of a probe, where that is less than with a guest.
fn call_by_name(probe: &mut Probe) {
    if probe.stimulus == Stimulus::Ssh {
        probe.summary = OPENS.into();
    }
}
