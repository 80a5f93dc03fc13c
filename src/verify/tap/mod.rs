//! The lane without a guest: the lab holds the tap itself, writes the guest's
//! frames into it and answers what comes out of it.
//!
//! Filter, bridge, hosts and sensors are those of a cell with a guest, and so
//! are the passes and the judge. What only a guest's own stack and driver can
//! show is not in it: which frames it really sends, and what it does with those
//! that it gets.

mod endpoint;
mod lease;
mod responder;

use super::VerifyError;
use super::bind::bind_tap;
use super::endpoint::Hosts;
use super::evidence::Own;
use super::job::{CellPlan, InjectedFault};
use super::pass::{self, PassRecord};
use super::running::{CellContext, CellRun};
use super::trial::{self, TestSubject};
use super::watch::Watch;
use crate::frame::DhcpStep;
use crate::lab::{Binding, Lab, PacketSocket, Sensor, Shortcut, Tap, ruleset};
use crate::layout::Layout;
use crate::probe::Pass;
use crate::probe::{Probe, Stimulus};
use crate::report::model::{Cell, Step};
use endpoint::Stand;
use lease::Client;
use responder::Responder;
use std::sync::Arc;

/// What is proven of port 22 where nothing but the lab stands behind the tap.
const OPENS: &str = "TCP connection from a LAN host to port 22 opens";

/// TrialRecord a cell to its end. Never fails: what went wrong is in the cell.
pub async fn run(context: &CellContext<'_>, plan: &CellPlan, number: u8) -> Cell {
    let running = CellRun::begin(context, plan);
    running
        .work_through(async |running| through(running, number).await)
        .await
}

async fn through(running: &mut CellRun<'_>, number: u8) -> Result<(), VerifyError> {
    running.enter(Step::Tap);
    let mut vacant = Vacant::open(running.context, number)?;
    vacant.lease().await;
    let order = running.plan.attach;
    let runs = trial::run(super::random(), order, &mut vacant, |step| {
        running.enter(step);
    });
    let runs = runs.await;
    running.own = vec![("binding.xml", Own::Text(vacant.bound.unwrap_or_default()))];
    match runs {
        Ok(runs) => running.conclude(runs),
        Err(error) => {
            running.keep_early(&vacant.sensor);
            Err(error)
        }
    }
}

/// A tap without a guest.
struct Vacant<'a> {
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

impl<'a> Vacant<'a> {
    fn open(context: &'a CellContext<'a>, number: u8) -> Result<Self, VerifyError> {
        let tap = Arc::new(Tap::open(&format!("tap{number}"))?);
        let sensor = Sensor::start("tap", PacketSocket::open(tap.name())?)?;
        let lan = &context.lab.lan;
        let layout = lan.layout(number, None).with_guest_address(lan.leases.0);
        let responder = Responder::start(&tap, layout.guest.clone())?;
        let client = Client::new(layout.guest.mac, &layout.gateway);
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

impl TestSubject for Vacant<'_> {
    fn lab(&self) -> &Lab {
        self.context.lab
    }

    fn tap(&self) -> &Sensor {
        &self.sensor
    }

    async fn pass(&mut self, run: u32, pass: Pass) -> Result<PassRecord, VerifyError> {
        let mut probes = trial::probes(self.context.policy, &self.layout, run, pass);
        probes.iter_mut().for_each(call_by_name);
        let watch = Watch::start(self.context.lab, &self.sensor);
        let hosts = Hosts {
            lab: self.context.lab,
            layout: &self.layout,
        };
        let mut stand = Stand {
            hosts,
            tap: &self.tap,
            responder: &mut self.responder,
            client: &mut self.client,
        };
        Ok(pass::run(&mut stand, hosts, watch, run, pass, probes).await?)
    }

    async fn bind(&mut self) -> Result<(), VerifyError> {
        self.binding = bind_tap(self.context, self.tap.name(), &self.layout.guest)?;
        self.bound = self.binding.as_ref().map(|binding| binding.xml.clone());
        Ok(())
    }

    fn inject(&mut self) -> Result<(), VerifyError> {
        match self.context.job.inject {
            None | Some(InjectedFault::FlushBeforeFirstFrame | InjectedFault::NoLink) => {}
            Some(InjectedFault::Sensor) => self.context.lab.gateway_sensor.kill(),
            Some(InjectedFault::Link) => self.tap.unplug()?,
            Some(InjectedFault::Pause) => {
                let text = "the tap lane has no guest that could be paused";
                return Err(VerifyError::Usage(text.into()));
            }
            Some(InjectedFault::Flush) => ruleset::flush_layer2()?,
        }
        Ok(())
    }

    async fn unbind(&mut self) -> Result<(), VerifyError> {
        let removed = self.binding.take().map(Binding::remove);
        Ok(removed.transpose().map(drop)?)
    }

    async fn strip(&mut self) -> Result<(), VerifyError> {
        if !self.context.job.shortcuts.has(Shortcut::FlushRuleset) {
            return self.unbind().await;
        }
        self.context.lab.flush_ruleset()?;
        if let Some(binding) = self.binding.take() {
            binding.leave();
        }
        Ok(())
    }
}

/// Says of a probe what this lane shows, where that is less than with a guest.
fn call_by_name(probe: &mut Probe) {
    if probe.stimulus == Stimulus::Ssh {
        probe.summary = OPENS.into();
    }
}
