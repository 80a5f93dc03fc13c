//! One cell: a fresh guest, its NIC, and the trial of the filter with them.

use super::evidence::Own;
use super::job::{CellPlan, Foreign, IPXE, Order, Sabotage};
use super::phase::{self, AFTER_EARLY, Bounds, Outcome};
use super::pristine::{self, hot_pluggable};
use super::running::{Context, Running};
use super::station::{Ground, scene};
use super::stimulate::{ANSWER, Sender};
use super::trial::{self, Runs, Subject};
use super::watch::{Marks, Watch};
use super::{VerifyError, bind, clients, early};
use crate::frame::Phase;
use crate::guest::{
    Accel, AgentClient, DomainSpec, FilterRef, Guest, Interface, Kind, Machine, boot, domain_xml,
    quirk, serial_log,
};
use crate::lab::topology::{self, Mac, mac_text};
use crate::lab::{Lab, Sensor, Shortcut, qemu_log_path, ruleset};
use crate::probe::{Probe, Scene};
use crate::report::live::Event;
use crate::report::model::{self, Cell};
use lanfence_agent::{Answer, Op};
use std::time::Duration;

/// Linux driver of the NICs that vhost-net can carry.
const VIRTIO: &str = "virtio_net";

/// Where the evidence has the domain: the live one, or what libvirt was given.
const DOMAIN_XML: &str = "domain.xml";

/// Runs a cell to its end. Never fails: what went wrong is in the cell.
pub async fn run(context: &Context<'_>, plan: &CellPlan, number: u8) -> Cell {
    let running = Running::begin(context, plan);
    running
        .work_through(async |running| running.through(number).await)
        .await
}

impl Running<'_> {
    async fn through(&mut self, number: u8) -> Result<(), VerifyError> {
        if self.plan.guest == IPXE {
            return self.through_ipxe(number).await;
        }
        let foreign = &self.context.job.foreign;
        let named = |foreign: &Foreign| foreign.manifest.name == self.plan.guest;
        if let Some(place) = foreign.iter().position(named) {
            return self.through_foreign(place, number).await;
        }
        let plan = &self.context.lab.plan;
        let mac = guest_mac(number, &self.plan.nic);
        let scene = scene(plan, mac, plan.lease(number), number);
        let job = self.context.job;
        // Real life's order comes first, while the guest has not sent a frame.
        let filter = match (self.plan.order.has_start(), job.boot_only) {
            (true, false) => bind::reference(job, scene.guest.v4),
            _ => None,
        };
        let began = Watch::marks(self.context.lab);
        let (mut guest, host_key) = self.begin_guest(number, filter).await?;
        if job.boot_only {
            return Ok(());
        }
        let exercised = self.exercise(&mut guest, host_key, &scene, began).await;
        self.describe(guest.machine.xml());
        match exercised {
            Ok(runs) => self.conclude_with_guest(runs),
            Err(error) => {
                self.keep_early(&guest.machine.tap);
                Err(error)
            }
        }
    }

    /// Everything that happens with a guest that is up. `began` says where the sensors
    /// stood before its first frame.
    async fn exercise(
        &mut self,
        guest: &mut Guest,
        host_key: Option<String>,
        scene: &Scene,
        began: Marks,
    ) -> Result<Runs, VerifyError> {
        let host_key = match host_key {
            Some(host_key) => host_key,
            None => greet(self.context, &mut guest.agent).await?,
        };
        self.enter("nic");
        if self.plan.order.has_start() {
            // No frame leaves the guest before its NIC is set up, so this comes first.
            early::in_force(self.context, &guest.machine)?;
        }
        let dev = self.nic(guest).await?;
        let mut subject = Occupied {
            context: self.context,
            guest,
            began,
            dev: &dev,
            scene,
            host_key: &host_key,
            order: self.plan.order,
            clients: Played::default(),
        };
        let run = super::random();
        let runs = trial::run(run, self.plan.order, &mut subject, |phase| {
            self.enter(phase);
        });
        let runs = runs.await?;
        let clients = std::mem::take(&mut subject.clients);
        self.clients(&clients, scene.guest.mac)?;
        Ok(runs)
    }

    /// Concludes what the DHCP clients showed. Where the server's answers reach the tap
    /// of a virtio NIC unfinished, it also shows what vhost-net would make of them.
    fn clients(&mut self, seen: &Played, mac: Mac) -> Result<(), VerifyError> {
        let Some(control) = &seen.control else {
            return Ok(());
        };
        let (mut found, results) = clients::conclude(control, seen.filtered.as_ref(), mac);
        let virtio = quirk(&self.plan.nic).driver == VIRTIO;
        if virtio && found.at_tap().is_some_and(|sum| !sum.adds_up()) {
            found.vhost = clients::without_guest()?;
        }
        self.cell.dhcp = Some(found);
        self.client_results = results;
        Ok(())
    }

    /// Puts the domain into the evidence, in place of an older one.
    pub(super) fn know(&mut self, (name, xml): (String, String)) {
        self.own = vec![
            ("serial.log", Own::Log(serial_log(&name))),
            ("qemu.log", Own::Log(qemu_log_path(&name))),
        ];
        self.describe(xml);
    }

    pub(super) fn describe(&mut self, xml: String) {
        self.own.retain(|(name, _)| *name != DOMAIN_XML);
        self.own.push((DOMAIN_XML, Own::Text(xml)));
    }

    /// A guest that nothing has happened to yet, with its NIC; greeted already where it
    /// could be while the NIC was plugged in.
    async fn begin_guest(
        &mut self,
        number: u8,
        filter: Option<FilterRef>,
    ) -> Result<(Guest, Option<String>), VerifyError> {
        let interface = Interface {
            model: self.plan.nic.clone(),
            mac: guest_mac(number, &self.plan.nic),
            tap: format!("tap{number}"),
            link: self.context.job.sabotage != Some(Sabotage::NoLink),
            filter,
        };
        if hot_pluggable(&self.plan.nic) && !self.context.job.boot_only {
            let context = self.context;
            self.know(pristine::domain(context, &interface.model)?);
            if let Some(spare) = context
                .saved
                .guest(context, &interface.model, |phase| self.enter(phase))
                .await
            {
                self.enter("plug");
                let greeted = spare.plug(&interface, async |agent| warmed(context, agent).await);
                let (guest, host_key) = greeted.await?;
                return Ok((guest, Some(host_key)));
            }
        }
        self.enter("boot");
        let name = format!("{}-{number}", self.plan.name.replace('/', "-"));
        let nonce = format!("{:08x}", super::random());
        let image = self.context.image()?;
        let spec = DomainSpec {
            kind: Kind::Linux,
            name: &name,
            nic: &interface.model,
            accel: self.context.accel,
            image,
            nonce: &nonce,
            shortcuts: self.context.job.shortcuts,
        };
        self.know((name.clone(), domain_xml(&spec, Some(&interface))));
        Ok((boot(self.context.lab, &spec, &interface).await?, None))
    }

    /// Waits for the NIC; its name in the guest.
    async fn nic(&mut self, guest: &mut Guest) -> Result<String, VerifyError> {
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
}

/// Asks a guest what it is and for its SSH host key: all that needs no NIC.
async fn greet(context: &Context<'_>, agent: &mut AgentClient) -> Result<String, VerifyError> {
    if let Answer::Hello { kernel, .. } = agent.ask(Op::Hello, ANSWER).await? {
        let host = model::Host {
            guest_kernel: kernel,
            ..context.host.clone()
        };
        (context.tell)(&Event::Host(host));
    }
    match agent.ask(Op::Ssh, ANSWER).await? {
        Answer::Ssh { host_key } => Ok(host_key),
        _ => Err(unexpected("ssh")),
    }
}

/// Greets a guest, and has it warm up where that takes time off its cell. It goes through
/// one key exchange more, which the guests of other workers wait for unless a core is free.
async fn warmed(context: &Context<'_>, agent: &mut AgentClient) -> Result<String, VerifyError> {
    let host_key = greet(context, agent).await?;
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let wanted = context.job.shortcuts.has(Shortcut::WarmUp);
    if wanted && context.accel == Accel::Tcg && context.job.workers < cores {
        agent.ask(Op::Warm, ANSWER).await?;
    }
    Ok(host_key)
}

/// DHCP clients of other systems as they were played in a cell.
#[derive(Default)]
struct Played {
    control: Option<clients::Seen>,
    /// With the filter; none where the policy stops DHCP.
    filtered: Option<clients::Seen>,
}

/// A guest between boot and end, with all that its phases need.
struct Occupied<'a> {
    context: &'a Context<'a>,
    guest: &'a mut Guest,
    /// Where the sensors stood before its first frame.
    began: Marks,
    dev: &'a str,
    scene: &'a Scene,
    host_key: &'a str,
    order: Order,
    clients: Played,
}

impl<'a> Occupied<'a> {
    fn ground(&self) -> Ground<'a> {
        Ground {
            lab: self.context.lab,
            scene: self.scene,
        }
    }

    /// The guest as a sender, and the sensor at its tap.
    fn sender(&mut self) -> (Sender<'_>, &Sensor) {
        let sender = Sender {
            ground: self.ground(),
            agent: &mut self.guest.agent,
            dev: self.dev,
            host_key: self.host_key,
            deaf: quirk(&self.guest.machine.interface().model).deaf_ms > 0,
        };
        (sender, &self.guest.machine.tap)
    }

    /// Plays the DHCP clients before the probes of a phase, with the filter once and
    /// only where the policy wants DHCP to work.
    async fn play(&mut self, phase: Phase) -> Result<Option<clients::Act>, VerifyError> {
        let allowed = self.context.policy.dhcp.client;
        let wanted = match phase {
            Phase::Control => true,
            Phase::Filtered => allowed,
            Phase::Early => allowed && !self.order.has_live(),
            Phase::Teeth | Phase::Sentinel => false,
        };
        if !wanted {
            return Ok(None);
        }
        let (agent, tap) = (&mut self.guest.agent, &self.guest.machine.tap);
        let act = clients::act(agent, self.dev, self.context.lab, tap).await?;
        Ok(Some(act))
    }

    /// Notes what became of the clients of a phase whose sentinels have been sent.
    fn note(&mut self, phase: Phase, act: Option<clients::Act>, bounds: Bounds) {
        let tap = &self.guest.machine.tap;
        let seen = act.map(|act| act.seen(self.context.lab, tap, bounds));
        match phase {
            Phase::Control => self.clients.control = seen,
            _ => self.clients.filtered = seen.or(self.clients.filtered.take()),
        }
    }

    /// The run of a guest that has not sent a frame: the first are those that must not
    /// get out. Clients are played when the guest has had its own lease.
    async fn early(&mut self, run: u32, probes: Vec<Probe>) -> Result<Outcome, VerifyError> {
        let (ground, began) = (self.ground(), self.began);
        let (mut sender, tap) = self.sender();
        sender.forbidden_frames(&probes).await?;
        let watch = Watch::resume(ground.lab, tap, began);
        let outcome = phase::run(&mut sender, ground, watch, run, Phase::Early, probes).await?;
        let act = self.play(Phase::Early).await?;
        if act.is_some() {
            let (mut sender, tap) = self.sender();
            let watch = Watch::start(ground.lab, tap);
            let bounds = phase::bound(&mut sender, ground, &watch, run, AFTER_EARLY).await?;
            self.note(Phase::Early, act, bounds);
        }
        Ok(outcome)
    }
}

impl Subject for Occupied<'_> {
    fn lab(&self) -> &Lab {
        self.context.lab
    }

    fn tap(&self) -> &Sensor {
        &self.guest.machine.tap
    }

    async fn phase(&mut self, run: u32, phase: Phase) -> Result<Outcome, VerifyError> {
        let probes = trial::probes(self.context.policy, self.scene, run, phase);
        if phase == Phase::Early {
            return self.early(run, probes).await;
        }
        let act = self.play(phase).await?;
        let ground = self.ground();
        let (mut sender, tap) = self.sender();
        let watch = Watch::start(ground.lab, tap);
        if phase == Phase::Teeth {
            sender.configure().await?;
        }
        let outcome = phase::run(&mut sender, ground, watch, run, phase, probes).await?;
        self.note(phase, act, outcome.bounds);
        Ok(outcome)
    }

    async fn bind(&mut self) -> Result<(), VerifyError> {
        bind::bind(self.context, &mut self.guest.machine, self.scene.guest.v4)
    }

    fn sabotage(&mut self) -> Result<(), VerifyError> {
        sabotage(self.context, &mut self.guest.machine)
    }

    async fn unbind(&mut self) -> Result<(), VerifyError> {
        Ok(self.guest.machine.set_filter(None)?)
    }

    async fn strip(&mut self) -> Result<(), VerifyError> {
        if !self.context.job.shortcuts.has(Shortcut::FlushRuleset) {
            return self.unbind().await;
        }
        Ok(self.context.lab.flush_ruleset()?)
    }
}

/// Breaks what the job wants broken.
pub(super) fn sabotage(context: &Context<'_>, machine: &mut Machine) -> Result<(), VerifyError> {
    match context.job.sabotage {
        None | Some(Sabotage::EarlyFlush | Sabotage::NoLink) => {}
        Some(Sabotage::Sensor) => context.lab.gateway_sensor.kill(),
        Some(Sabotage::Link) => machine.set_link(false)?,
        Some(Sabotage::Pause) => machine.pause()?,
        Some(Sabotage::Flush) => ruleset::flush_layer2()?,
    }
    Ok(())
}

/// Guests are numbered within a lab; the number is in the MAC. Where the device
/// replaces the first octet, the domain gets that octet too: filters know the
/// domain's MAC only.
pub(super) fn guest_mac(number: u8, nic: &str) -> Mac {
    let mut mac = topology::guest_mac(number);
    mac[0] = quirk(nic).mac_octet.unwrap_or(mac[0]);
    mac
}

fn unexpected(doing: &str) -> VerifyError {
    VerifyError::Cell(format!("the agent answered `{doing}` with something else"))
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}
