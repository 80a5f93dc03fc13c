//! One cell: a fresh guest, the control run, the filter, the filtered run, the teeth.

use super::job::{CellPlan, Job, Sabotage};
use super::phase::{self, Outcome};
use super::station::Ground;
use super::stimulate::{ANSWER, Sender};
use super::trial::{self, Subject, Trial};
use super::watch::Watch;
use super::{VerifyError, bind, evidence, ssh};
use crate::frame::Phase;
use crate::guest::{Accel, DomainSpec, Guest, GuestError, Image, Interface, boot, quirk};
use crate::lab::topology::{GATEWAY_MAC, Mac, PEER_MAC, WAN_MAC, WAN4, WAN6, link_local, mac_text};
use crate::lab::{Lab, Sensor, ruleset};
use crate::policy::Policy;
use crate::probe::{Host, Scene};
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
    /// Tells the user interface what happens.
    pub tell: &'a dyn Fn(&Event),
}

/// A cell while it runs.
struct Running<'a> {
    context: &'a Context<'a>,
    plan: &'a CellPlan,
    cell: Cell,
    phase: (&'static str, Instant),
}

/// Runs a cell to its end. Never fails: what went wrong is in the cell.
pub async fn run(context: &Context<'_>, plan: &CellPlan, number: u8) -> Cell {
    let mut running = Running {
        context,
        plan,
        cell: plan.cell(),
        phase: ("boot", Instant::now()),
    };
    (context.tell)(&Event::Phase {
        cell: plan.name.clone(),
        phase: "boot".into(),
    });
    let ended = running.through(number).await;
    // A dead daemon explains whatever else went wrong, and spoils what went well.
    let ended = match (context.lab.fault(), ended) {
        (Some(fault), Ok(())) => Err(VerifyError::Cell(fault)),
        (Some(fault), Err(error)) => Err(VerifyError::Cell(format!("{error}\n{fault}"))),
        (None, ended) => ended,
    };
    if let Err(error) = ended {
        let phase = running.phase.0;
        running.cell.error = Some(error.in_phase(phase));
    }
    running.end_phase();
    running.cell
}

impl Running<'_> {
    /// Ends the current phase and starts the next.
    fn enter(&mut self, phase: &'static str) {
        self.end_phase();
        self.phase = (phase, Instant::now());
        (self.context.tell)(&Event::Phase {
            cell: self.plan.name.clone(),
            phase: phase.into(),
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

    async fn through(&mut self, number: u8) -> Result<(), VerifyError> {
        let mut guest = self.boot(number).await?;
        if self.context.job.boot_only {
            return Ok(());
        }
        if let Answer::Hello { kernel, .. } = guest.agent.ask(Op::Hello, ANSWER).await? {
            let host = model::Host {
                guest_kernel: kernel,
                ..self.context.host.clone()
            };
            (self.context.tell)(&Event::Host(host));
        }
        self.enter("nic");
        let (dev, scene) = self.meet(&mut guest, number).await?;
        let key = self.log_in(&mut guest).await?;
        let mut subject = Occupied {
            context: self.context,
            guest: &mut guest,
            dev: &dev,
            scene: &scene,
            key: &key,
        };
        let trial = trial::run(&mut subject, |phase| self.enter(phase)).await?;
        self.cell.probes = trial.results();
        self.cell.teeth = trial.has_teeth(&self.cell.probes);
        self.keep_evidence(&guest, &trial);
        trial.end()
    }

    async fn boot(&mut self, number: u8) -> Result<Guest, VerifyError> {
        let nonce = format!("{:08x}", super::random());
        let interface = Interface {
            model: self.plan.nic.clone(),
            mac: guest_mac(number, &self.plan.nic),
            tap: format!("tap{number}"),
            link: true,
            filter: None,
        };
        // Numbered, since libvirt may not yet have forgotten an earlier try.
        let name = format!("{}-{number}", self.plan.name.replace('/', "-"));
        let spec = DomainSpec {
            name: &name,
            accel: self.context.accel,
            image: self.context.image,
            nonce: &nonce,
            interface: &interface,
        };
        Ok(boot(self.context.lab, &spec).await?)
    }

    /// Waits for the NIC, takes a lease, and says who is where.
    async fn meet(
        &mut self,
        guest: &mut Guest,
        number: u8,
    ) -> Result<(String, Scene), VerifyError> {
        let plan = &self.context.lab.plan;
        let mac = guest.interface().mac;
        let deadline = quirk(&self.plan.nic).link_deadline();
        let op = Op::Nic {
            mac: mac_text(mac),
            deadline_ms: millis(deadline),
        };
        let answer = guest.agent.ask(op, deadline + ANSWER).await?;
        let Answer::Nic { dev, driver, .. } = answer else {
            return Err(unexpected("nic"));
        };
        self.cell.driver = Some(driver);
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
    async fn log_in(&self, guest: &mut Guest) -> Result<ssh::Key, VerifyError> {
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

    fn keep_evidence(&mut self, guest: &Guest, trial: &Trial) {
        let green = evidence::is_green(&self.cell);
        let Some(out) = self.context.job.out.as_deref().filter(|_| !green) else {
            return;
        };
        match evidence::write(
            out,
            &self.cell,
            self.context.job,
            guest,
            &trial.rules,
            &trial.outcomes(),
        ) {
            Ok(files) => self.cell.evidence = files,
            Err(error) => (self.context.tell)(&Event::Note {
                cell: Some(self.plan.name.clone()),
                text: format!("the evidence could not be written: {error}"),
            }),
        }
    }
}

/// A guest between boot and end, with all that its phases need.
struct Occupied<'a> {
    context: &'a Context<'a>,
    guest: &'a mut Guest,
    dev: &'a str,
    scene: &'a Scene,
    key: &'a ssh::Key,
}

impl Subject for Occupied<'_> {
    fn lab(&self) -> &Lab {
        self.context.lab
    }

    fn tap(&self) -> &Sensor {
        &self.guest.tap
    }

    async fn phase(&mut self, run: u32, phase: Phase) -> Result<Outcome, GuestError> {
        let probes = trial::probes(self.context.policy, self.scene, run, phase);
        let watch = Watch::start(self.context.lab, &self.guest.tap);
        let ground = Ground {
            lab: self.context.lab,
            scene: self.scene,
        };
        let mut sender = Sender {
            ground,
            agent: &mut self.guest.agent,
            dev: self.dev,
            key: self.key,
        };
        if phase == Phase::Teeth {
            sender.configure().await?;
        }
        phase::run(&mut sender, ground, watch, run, phase, probes).await
    }

    async fn bind(&mut self) -> Result<(), VerifyError> {
        bind::bind(self.context, self.guest, self.scene.guest.v4)
    }

    fn sabotage(&mut self) -> Result<(), VerifyError> {
        match self.context.job.sabotage {
            None => {}
            Some(Sabotage::Sensor) => self.context.lab.gateway_sensor.kill(),
            Some(Sabotage::Link) => self.guest.set_link(false)?,
            Some(Sabotage::Pause) => self.guest.pause()?,
            Some(Sabotage::Flush) => ruleset::flush()?,
        }
        Ok(())
    }

    async fn unbind(&mut self) -> Result<(), GuestError> {
        self.guest.set_filter(None)
    }
}

/// Guests are numbered within a lab; the number is in the MAC. Where the device
/// replaces the first octet, the domain gets that octet too: filters know the
/// domain's MAC only.
fn guest_mac(number: u8, nic: &str) -> Mac {
    let first = quirk(nic).mac_octet.unwrap_or(0x52);
    [first, 0x54, 0x00, 0x00, 0x01, number]
}

fn unexpected(doing: &str) -> VerifyError {
    VerifyError::Cell(format!("the agent answered `{doing}` with something else"))
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}
