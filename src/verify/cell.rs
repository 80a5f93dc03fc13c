//! One cell: a fresh guest, the control run, the filter, the filtered run, the teeth.

use super::assess::{Filtered, assess, has_teeth, is_green};
use super::job::{CellPlan, Foreign, IPXE, Job, Sabotage};
use super::phase::{self, Outcome};
use super::pristine::{self, Saved, hot_pluggable};
use super::stimulate::{ANSWER, Sender};
use super::watch::{Sightings, Watch};
use super::{VerifyError, bind, evidence, ssh};
use crate::frame::{Phase, Tag};
use crate::guest::{
    Accel, DomainSpec, FilterRef, Guest, GuestError, Image, Interface, Kind, Machine, boot,
    domain_xml, quirk,
};
use crate::lab::topology::{GATEWAY_MAC, Mac, PEER_MAC, WAN_MAC, WAN4, WAN6, link_local, mac_text};
use crate::lab::{Lab, ruleset};
use crate::policy::Policy;
use crate::probe::{Host, Probe, Scene, catalogue};
use crate::report::live::Event;
use crate::report::model::{self, Cell, Timing};
use lanfence_agent::{Answer, DhcpStep, Op};
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
    /// Kernel and initramfs.
    pub image: &'a Image,
    /// Accelerator.
    pub accel: Accel,
    /// The guest that cells begin with where their NIC can be plugged in.
    pub saved: &'a Saved,
    /// Tells the user interface what happens.
    pub tell: &'a dyn Fn(&Event),
}

/// What the runs of a cell brought to light.
pub(super) struct Runs {
    /// Number in the tags of all its frames.
    pub(super) run: u32,
    pub(super) scene: Scene,
    pub(super) control: Outcome,
    pub(super) filtered: Option<Filtered>,
    pub(super) teeth: Option<Outcome>,
    pub(super) early: Option<Filtered>,
    /// The kernel's rules during the filtered run.
    pub(super) rules: String,
    /// Why the cell did not come to its end.
    pub(super) stopped: Option<VerifyError>,
}

/// A cell while it runs.
pub(super) struct Running<'a> {
    pub(super) context: &'a Context<'a>,
    pub(super) plan: &'a CellPlan,
    pub(super) cell: Cell,
    phase: Option<(&'static str, Instant)>,
    /// Name and XML of the domain once it is known.
    pub(super) domain: (String, String),
}

/// Longest wait for the exit status of a daemon whose socket has closed: the
/// kernel closes a dying process's files before its parent can hear of its end.
const OBITUARY: Duration = Duration::from_secs(5);

/// Runs a cell to its end. Never fails: what went wrong is in the cell.
pub async fn run(context: &Context<'_>, plan: &CellPlan, number: u8) -> Cell {
    let mut running = Running {
        context,
        plan,
        cell: plan.cell(),
        phase: None,
        domain: Default::default(),
    };
    // Nothing that comes after a daemon's death proves anything, so it ends the cell at once.
    let ended = tokio::select! {
        ended = running.through(number) => ended,
        fault = context.lab.broken() => {
            Err(fault.map_or_else(VerifyError::from, VerifyError::Cell))
        }
    };
    if let Err(error) = explain(context.lab, ended).await {
        let phase = running.phase.map_or("guest", |(phase, _)| phase);
        running.cell.error = Some(error.in_phase(phase));
        if running.cell.evidence.is_empty() {
            running.keep_evidence(&ruleset::evidence(), &[]);
        }
    }
    running.end_phase();
    running.cell
}

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

impl Running<'_> {
    /// Ends the current phase and starts the next.
    pub(super) fn enter(&mut self, phase: &'static str) {
        self.end_phase();
        self.phase = Some((phase, Instant::now()));
        (self.context.tell)(&Event::Phase {
            cell: self.plan.name.clone(),
            phase: phase.into(),
        });
    }

    fn end_phase(&mut self) {
        let Some((phase, since)) = self.phase.take() else {
            return;
        };
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

    async fn through(&mut self, number: u8) -> Result<(), VerifyError> {
        if self.plan.guest == IPXE {
            return self.through_ipxe(number).await;
        }
        let foreign = &self.context.job.foreign;
        let named = |foreign: &Foreign| foreign.manifest.name == self.plan.guest;
        if let Some(place) = foreign.iter().position(named) {
            return self.through_foreign(place, number).await;
        }
        let lab = self.context.lab;
        let began = Watch::marks(lab);
        let mut guest = self.begin(number, None).await?;
        if self.context.job.boot_only {
            return Ok(());
        }
        let mut runs = match self.exercise(&mut guest, number).await {
            Ok(runs) => runs,
            Err(error) => {
                let (sightings, _) = Watch::resume(lab, &guest.machine.tap, began).sightings();
                self.domain.1 = guest.machine.xml();
                self.keep_evidence(&ruleset::evidence(), &[(&sightings, &[])]);
                return Err(error);
            }
        };
        self.domain.1 = guest.machine.xml();
        // The same MAC and tap come again, so the first guest must have ended.
        drop(guest);
        if runs.stopped.is_none() && self.context.job.early {
            // An error here must not hide what the other runs have shown.
            match self.begin_with_filter(number, &runs.scene, runs.run).await {
                Ok(early) => runs.early = early,
                Err(error) => runs.stopped = Some(error),
            }
        }
        self.conclude(runs)
    }

    /// From runs to verdicts and evidence.
    pub(super) fn conclude(&mut self, runs: Runs) -> Result<(), VerifyError> {
        let Runs {
            control,
            filtered,
            teeth,
            early,
            ..
        } = &runs;
        self.cell.probes = assess(control, filtered.as_ref(), teeth.as_ref(), early.as_ref());
        self.cell.teeth = teeth.as_ref().map(|_| has_teeth(&self.cell.probes));
        let filtered = filtered.as_ref().map(|run| &run.outcome);
        let early = early.as_ref().map(|run| &run.outcome);
        let phases = [Some(control), filtered, teeth.as_ref(), early];
        let frames: Vec<_> = phases
            .into_iter()
            .flatten()
            .map(|outcome| (&outcome.sightings, outcome.probes.as_slice()))
            .collect();
        self.keep_evidence(&runs.rules, &frames);
        runs.stopped.map_or(Ok(()), Err)
    }

    /// Everything that happens with a guest that is up.
    async fn exercise(&mut self, guest: &mut Guest, number: u8) -> Result<Runs, VerifyError> {
        if let Answer::Hello { kernel, .. } = guest.agent.ask(Op::Hello, ANSWER).await? {
            let host = model::Host {
                guest_kernel: kernel,
                ..self.context.host.clone()
            };
            (self.context.tell)(&Event::Host(host));
        }
        self.enter("nic");
        let (dev, scene) = self.meet(guest, number).await?;
        let key = self.log_in(guest).await?;
        let run = super::random();
        self.enter("control");
        let control = self
            .phase(guest, &dev, &scene, &key, run, Phase::Control)
            .await?;
        self.enter("bind");
        bind::bind(self.context, &mut guest.machine, scene.guest.v4)?;
        self.sabotage(&mut guest.machine)?;
        self.enter("filtered");
        let filtered = self
            .phase(guest, &dev, &scene, &key, run, Phase::Filtered)
            .await;
        let mut runs = Runs {
            run,
            scene,
            control,
            filtered: None,
            teeth: None,
            early: None,
            rules: ruleset::evidence(),
            stopped: None,
        };
        let outcome = match filtered {
            Ok(outcome) => outcome,
            Err(error) => {
                runs.stopped = Some(VerifyError::Cell(error.to_string()));
                return Ok(runs);
            }
        };
        self.enter("unbind");
        // An error here must not hide what the filtered run has shown.
        let teeth = match guest.machine.set_filter(None) {
            Ok(()) => {
                self.enter("teeth");
                self.phase(guest, &dev, &runs.scene, &key, run, Phase::Teeth)
                    .await
            }
            Err(error) => Err(error),
        };
        let sound = teeth.as_ref().ok().filter(|teeth| teeth.fault.is_none());
        let later = sound.map(|teeth| teeth.bounds).unwrap_or_default();
        let late = Watch::resume(self.context.lab, &guest.machine.tap, outcome.end);
        let (late, _) = late.sightings();
        runs.filtered = Some(Filtered {
            outcome,
            late,
            later,
        });
        match teeth {
            Ok(teeth) => runs.teeth = Some(teeth),
            Err(error) => runs.stopped = Some(VerifyError::Cell(error.to_string())),
        }
        Ok(runs)
    }

    /// A guest that nothing has happened to yet, with its NIC.
    pub(super) async fn begin(
        &mut self,
        number: u8,
        filter: Option<FilterRef>,
    ) -> Result<Guest, VerifyError> {
        let interface = Interface {
            model: self.plan.nic.clone(),
            mac: guest_mac(number, &self.plan.nic),
            tap: format!("tap{number}"),
            link: true,
            filter,
        };
        if hot_pluggable(&self.plan.nic) && !self.context.job.boot_only {
            let context = self.context;
            self.domain = pristine::domain(context);
            if let Some(spare) = context
                .saved
                .guest(context, |phase| self.enter(phase))
                .await
            {
                self.enter("plug");
                return Ok(spare.plug(&interface)?);
            }
        }
        self.enter("boot");
        let name = format!("{}-{number}", self.plan.name.replace('/', "-"));
        let nonce = format!("{:08x}", super::random());
        let spec = DomainSpec {
            kind: Kind::Linux,
            name: &name,
            accel: self.context.accel,
            image: self.context.image,
            nonce: &nonce,
        };
        self.domain = (name.clone(), domain_xml(&spec, Some(&interface)));
        Ok(boot(self.context.lab, &spec, &interface).await?)
    }

    /// Waits for the NIC; its name in the guest.
    pub(super) async fn nic(&mut self, guest: &mut Guest) -> Result<String, VerifyError> {
        let deadline = quirk(&self.plan.nic).link_deadline();
        let op = Op::Nic {
            mac: mac_text(guest.machine.interface().mac),
            deadline_ms: millis(deadline),
        };
        match guest.agent.ask(op, deadline + ANSWER).await? {
            Answer::Nic { dev, driver, .. } => {
                self.cell.driver = Some(driver);
                Ok(dev)
            }
            _ => Err(unexpected("nic")),
        }
    }

    /// Waits for the NIC, takes a lease, and says who is where.
    async fn meet(
        &mut self,
        guest: &mut Guest,
        number: u8,
    ) -> Result<(String, Scene), VerifyError> {
        let plan = &self.context.lab.plan;
        let mac = guest.machine.interface().mac;
        let dev = self.nic(guest).await?;
        let op = Op::Dhcp {
            dev: dev.clone(),
            step: DhcpStep::Bind,
            deadline_ms: 6000,
        };
        // Without a lease the guest takes an address by itself; the DHCP probes will tell.
        let lease = match guest.agent.ask(op, ANSWER + ANSWER).await {
            Ok(Answer::Dhcp { address, .. }) => address,
            Ok(_) | Err(GuestError::Agent { .. }) => None,
            Err(error) => return Err(error.into()),
        };
        let host = |mac: Mac, v4, v6| Host {
            mac,
            v4,
            link_local: link_local(mac),
            v6,
        };
        let scene = Scene {
            guest: host(mac, lease.unwrap_or(plan.leases.0), plan.guest6(number)),
            peer: host(PEER_MAC, plan.peer4, plan.peer6()),
            gateway: host(GATEWAY_MAC, plan.gateway4, plan.gateway6()),
            lan4: plan.lan4,
            wan4: WAN4,
            wan6: WAN6,
            wan_mac: WAN_MAC,
        };
        let release = Op::Dhcp {
            dev: dev.clone(),
            step: DhcpStep::Release,
            deadline_ms: 6000,
        };
        let _ = guest.agent.ask(release, ANSWER).await;
        Ok((dev, scene))
    }

    /// Makes a key for this cell and starts the guest's SSH server with it.
    pub(super) async fn log_in(&self, guest: &mut Guest) -> Result<ssh::Key, VerifyError> {
        let mut key = ssh::Key::generate().map_err(VerifyError::Host)?;
        let authorized_key = key.public.clone();
        match guest.agent.ask(Op::Ssh { authorized_key }, ANSWER).await? {
            Answer::Ssh { host_key } => {
                key.host = host_key;
                Ok(key)
            }
            _ => Err(unexpected("ssh")),
        }
    }

    /// The catalogue as it is sent in a phase.
    pub(super) fn probes(&self, scene: &Scene, run: u32, phase: Phase) -> Vec<Probe> {
        catalogue(self.context.policy, scene, |index| Tag {
            run,
            phase,
            index,
        })
    }

    async fn phase(
        &self,
        guest: &mut Guest,
        dev: &str,
        scene: &Scene,
        key: &ssh::Key,
        run: u32,
        phase: Phase,
    ) -> Result<Outcome, GuestError> {
        let mut probes = self.probes(scene, run, phase);
        if phase == Phase::Teeth {
            probes.retain(Probe::wants_teeth);
        }
        let watch = Watch::start(self.context.lab, &guest.machine.tap);
        let mut sender = Sender {
            lab: self.context.lab,
            agent: &mut guest.agent,
            dev,
            scene,
            key,
        };
        if phase == Phase::Teeth {
            sender.configure().await?;
        }
        phase::run(&mut sender, watch, run, phase, probes).await
    }

    pub(super) fn sabotage(&self, machine: &mut Machine) -> Result<(), VerifyError> {
        match self.context.job.sabotage {
            None | Some(Sabotage::EarlyFlush) => {}
            Some(Sabotage::Sensor) => self.context.lab.gateway_sensor.kill(),
            Some(Sabotage::Link) => machine.set_link(false)?,
            Some(Sabotage::Pause) => machine.pause()?,
            Some(Sabotage::Flush) => ruleset::flush()?,
        }
        Ok(())
    }

    pub(super) fn keep_evidence(&mut self, rules: &str, frames: &[(&Sightings, &[Probe])]) {
        let green = self.cell.error.is_none()
            && self.cell.teeth == Some(true)
            && is_green(&self.cell.probes);
        let Some(out) = self.context.job.out.as_deref().filter(|_| !green) else {
            return;
        };
        let traces = evidence::Traces {
            domain: &self.domain.0,
            xml: &self.domain.1,
            rules,
            frames,
        };
        match evidence::write(out, &self.cell, self.context.job, &traces) {
            Ok(files) => self.cell.evidence = files,
            Err(error) => (self.context.tell)(&Event::Note {
                cell: Some(self.plan.name.clone()),
                text: format!("the evidence could not be written: {error}"),
            }),
        }
    }
}

/// Guests are numbered within a lab; the number is in the MAC. Where the device
/// replaces the first octet, the domain gets that octet too: filters know the
/// domain's MAC only.
pub(super) fn guest_mac(number: u8, nic: &str) -> Mac {
    let first = quirk(nic).mac_octet.unwrap_or(0x52);
    [first, 0x54, 0x00, 0x00, 0x01, number]
}

fn unexpected(doing: &str) -> VerifyError {
    VerifyError::Cell(format!("the agent answered `{doing}` with something else"))
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}
