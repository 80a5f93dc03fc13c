//! The lane without a guest: the lab holds the tap itself, writes the guest's
//! frames into it and answers what comes out of it.
//!
//! Filter, bridge, hosts and sensors are those of a cell with a guest, and so
//! are the phases and the judge. What only a guest's own stack and driver can
//! show is not in it: which frames it really sends, and what it does with those
//! that it gets.

mod lease;
mod responder;
mod station;

use super::VerifyError;
use super::bind::bind_tap;
use super::evidence::Own;
use super::job::{CellPlan, Sabotage};
use super::phase::{self, Outcome};
use super::running::{Context, Running};
use super::station::{Ground, scene};
use super::trial::{self, Subject};
use super::watch::Watch;
use crate::frame::Phase;
use crate::lab::topology::Mac;
use crate::lab::{Binding, Lab, PacketSocket, Sensor, Shortcut, Tap, ruleset};
use crate::probe::{Probe, Scene, Stimulus};
use crate::report::model::Cell;
use lanfence_agent::DhcpStep;
use lease::Client;
use responder::Responder;
use station::Stand;
use std::sync::Arc;

/// What is proven of port 22 where nothing but the lab stands behind the tap.
const OPENS: &str = "TCP connection from a LAN host to port 22 opens";

/// Runs a cell to its end. Never fails: what went wrong is in the cell.
pub async fn run(context: &Context<'_>, plan: &CellPlan, number: u8) -> Cell {
    let running = Running::begin(context, plan);
    running
        .work_through(async |running| through(running, number).await)
        .await
}

async fn through(running: &mut Running<'_>, number: u8) -> Result<(), VerifyError> {
    running.enter("tap");
    let mut vacant = Vacant::open(running.context, number)?;
    vacant.lease(number).await;
    let order = running.plan.order;
    let runs = trial::run(super::random(), order, &mut vacant, |phase| {
        running.enter(phase);
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
    context: &'a Context<'a>,
    tap: Arc<Tap>,
    sensor: Sensor,
    scene: Scene,
    responder: Responder,
    client: Client,
    binding: Option<Binding>,
    /// What was bound, for evidence.
    bound: Option<String>,
}

impl<'a> Vacant<'a> {
    fn open(context: &'a Context<'a>, number: u8) -> Result<Self, VerifyError> {
        let tap = Arc::new(Tap::open(&format!("tap{number}"))?);
        let sensor = Sensor::start("tap", PacketSocket::open(tap.name())?)?;
        let plan = &context.lab.plan;
        let scene = scene(plan, guest_mac(number), plan.leases.0, number);
        let responder = Responder::start(&tap, scene.guest.clone())?;
        let client = Client::new(scene.guest.mac, &scene.gateway);
        Ok(Self {
            context,
            tap,
            sensor,
            scene,
            responder,
            client,
            binding: None,
            bound: None,
        })
    }

    /// Takes the address that the server has for this guest, and gives it back
    /// so that the probes can take it anew. Without one the guest takes the
    /// first; the DHCP probes will tell.
    async fn lease(&mut self, number: u8) {
        let (tap, responder) = (&self.tap, &mut self.responder);
        self.client.step(DhcpStep::Bind, tap, responder).await;
        if let Some(address) = self.client.address() {
            let plan = &self.context.lab.plan;
            self.scene = scene(plan, self.scene.guest.mac, address, number);
            self.client.step(DhcpStep::Release, tap, responder).await;
        }
        self.responder.rename(self.scene.guest.clone());
    }
}

impl Subject for Vacant<'_> {
    fn lab(&self) -> &Lab {
        self.context.lab
    }

    fn tap(&self) -> &Sensor {
        &self.sensor
    }

    async fn phase(&mut self, run: u32, phase: Phase) -> Result<Outcome, VerifyError> {
        let mut probes = trial::probes(self.context.policy, &self.scene, run, phase);
        probes.iter_mut().for_each(call_by_name);
        let watch = Watch::start(self.context.lab, &self.sensor);
        let ground = Ground {
            lab: self.context.lab,
            scene: &self.scene,
        };
        let mut stand = Stand {
            ground,
            tap: &self.tap,
            responder: &mut self.responder,
            client: &mut self.client,
        };
        Ok(phase::run(&mut stand, ground, watch, run, phase, probes).await?)
    }

    async fn bind(&mut self) -> Result<(), VerifyError> {
        self.binding = bind_tap(self.context, self.tap.name(), &self.scene.guest)?;
        self.bound = self.binding.as_ref().map(|binding| binding.xml.clone());
        Ok(())
    }

    fn sabotage(&mut self) -> Result<(), VerifyError> {
        match self.context.job.sabotage {
            None | Some(Sabotage::EarlyFlush | Sabotage::NoLink) => {}
            Some(Sabotage::Sensor) => self.context.lab.gateway_sensor.kill(),
            Some(Sabotage::Link) => self.tap.unplug()?,
            Some(Sabotage::Pause) => {
                let text = "the tap lane has no guest that could be paused";
                return Err(VerifyError::Usage(text.into()));
            }
            Some(Sabotage::Flush) => ruleset::flush_layer2()?,
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

fn guest_mac(number: u8) -> Mac {
    [0x52, 0x54, 0x00, 0x00, 0x01, number]
}
