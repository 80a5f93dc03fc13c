//! One cell: a fresh guest, its NIC, and the trial of the filter with them.

use super::endpoint::Hosts;
use super::evidence::Own;
use super::job::{Attach, CellPlan, Foreign, IPXE, InjectedFault};
use super::pass::{self, AFTER_FIRST_FRAME, Bounds, PassRecord};
use super::running::{CellContext, CellRun};
use super::snapshot::{self, hot_pluggable};
use super::stimulate::{ANSWER, Sender};
use super::trial::{self, TestSubject, TrialRecord};
use super::watch::{Marks, Watch};
use super::{VerifyError, bind, clients, first_frame};
use crate::frame::{Mac, mac_text};
use crate::guest::{
    Accel, AgentClient, DomainSpec, FilterRef, Guest, Interface, Kind, Machine, boot, domain_xml,
    quirk, serial_log,
};
use crate::lab::{Lab, Sensor, Shortcut, qemu_log_path, ruleset};
use crate::layout::Layout;
use crate::probe::Pass;
use crate::probe::Probe;
use crate::report::live::Event;
use crate::report::model::{self, Cell, Step};
use lanfence_agent::{Answer, Op};
use std::time::Duration;

/// Linux driver of the NICs that vhost-net can carry.
const VIRTIO: &str = "virtio_net";

/// Where the evidence has the domain: the live one, or what libvirt was given.
const DOMAIN_XML: &str = "domain.xml";

/// TrialRecord a cell to its end. Never fails: what went wrong is in the cell.
pub async fn run(context: &CellContext<'_>, plan: &CellPlan, number: u8) -> Cell {
    let running = CellRun::begin(context, plan);
    running
        .work_through(async |running| running.through(number).await)
        .await
}

impl CellRun<'_> {
    async fn through(&mut self, number: u8) -> Result<(), VerifyError> {
        if self.plan.guest == IPXE {
            return self.through_ipxe(number).await;
        }
        let foreign = &self.context.job.foreign;
        let named = |foreign: &Foreign| foreign.manifest.name == self.plan.guest;
        if let Some(place) = foreign.iter().position(named) {
            return self.through_foreign(place, number).await;
        }
        let layout = self.layout(number);
        let job = self.context.job;
        // Production order comes first, while the guest has not sent a frame.
        let filter = match (self.plan.attach.before_first_frame(), job.boot_only) {
            (true, false) => bind::reference(job, layout.guest.v4),
            _ => None,
        };
        let began = Watch::marks(self.context.lab);
        let (mut guest, host_key) = self.begin_guest(number, filter).await?;
        if job.boot_only {
            return Ok(());
        }
        let exercised = self.exercise(&mut guest, host_key, &layout, began).await;
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
        layout: &Layout,
        began: Marks,
    ) -> Result<TrialRecord, VerifyError> {
        let host_key = match host_key {
            Some(host_key) => host_key,
            None => greet(self.context, &mut guest.agent).await?,
        };
        self.enter(Step::Nic);
        if self.plan.attach.before_first_frame() {
            // No frame leaves the guest before its NIC is set up, so this comes first.
            first_frame::in_force(self.context, &guest.machine)?;
        }
        let dev = self.nic(guest).await?;
        let mut subject = LinuxGuest {
            context: self.context,
            guest,
            began,
            dev: &dev,
            layout,
            host_key: &host_key,
            attach: self.plan.attach,
            clients: Played::default(),
        };
        let run = super::random();
        let runs = trial::run(run, self.plan.attach, &mut subject, |step| {
            self.enter(step);
        });
        let runs = runs.await?;
        let clients = std::mem::take(&mut subject.clients);
        self.clients(&clients, layout.guest.mac)?;
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
            mac: self.layout(number).guest.mac,
            tap: format!("tap{number}"),
            link: self.context.job.inject != Some(InjectedFault::NoLink),
            filter,
        };
        if hot_pluggable(&self.plan.nic) && !self.context.job.boot_only {
            let context = self.context;
            self.know(snapshot::domain(context, &interface.model)?);
            if let Some(restored) = context
                .saved
                .guest(context, &interface.model, |step| self.enter(step))
                .await
            {
                self.enter(Step::Plug);
                let greeted = restored.plug(&interface, async |agent| warmed(context, agent).await);
                let (guest, host_key) = greeted.await?;
                return Ok((guest, Some(host_key)));
            }
        }
        self.enter(Step::Boot);
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
async fn greet(context: &CellContext<'_>, agent: &mut AgentClient) -> Result<String, VerifyError> {
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
async fn warmed(context: &CellContext<'_>, agent: &mut AgentClient) -> Result<String, VerifyError> {
    let host_key = greet(context, agent).await?;
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let wanted = context.job.shortcuts.has(Shortcut::WarmUp);
    if wanted && context.accel == Accel::Tcg && context.job.workers < cores {
        agent.ask(Op::WarmUp, ANSWER).await?;
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

/// A guest between boot and end, with all that its passes need.
struct LinuxGuest<'a> {
    context: &'a CellContext<'a>,
    guest: &'a mut Guest,
    /// Where the sensors stood before its first frame.
    began: Marks,
    dev: &'a str,
    layout: &'a Layout,
    host_key: &'a str,
    attach: Attach,
    clients: Played,
}

impl<'a> LinuxGuest<'a> {
    fn hosts(&self) -> Hosts<'a> {
        Hosts {
            lab: self.context.lab,
            layout: self.layout,
        }
    }

    /// The guest as a sender, and the sensor at its tap.
    fn sender(&mut self) -> (Sender<'_>, &Sensor) {
        let sender = Sender {
            hosts: self.hosts(),
            agent: &mut self.guest.agent,
            dev: self.dev,
            host_key: self.host_key,
            deaf: quirk(&self.guest.machine.interface().model).deaf_ms > 0,
        };
        (sender, &self.guest.machine.tap)
    }

    /// Plays the DHCP clients before the probes of a pass, with the filter once and
    /// only where the policy wants DHCP to work.
    async fn play(&mut self, pass: Pass) -> Result<Option<clients::Act>, VerifyError> {
        let allowed = self.context.policy.dhcp.client;
        let wanted = match pass {
            Pass::Control => true,
            Pass::Filtered => allowed,
            Pass::FirstFrame => allowed && !self.attach.to_running(),
            Pass::LeakCheck => false,
        };
        if !wanted {
            return Ok(None);
        }
        let (agent, tap) = (&mut self.guest.agent, &self.guest.machine.tap);
        let act = clients::act(agent, self.dev, self.context.lab, tap).await?;
        Ok(Some(act))
    }

    /// Notes what became of the clients of a pass whose sentinels have been sent.
    fn note(&mut self, pass: Pass, act: Option<clients::Act>, bounds: Bounds) {
        let tap = &self.guest.machine.tap;
        let seen = act.map(|act| act.seen(self.context.lab, tap, bounds));
        match pass {
            Pass::Control => self.clients.control = seen,
            _ => self.clients.filtered = seen.or(self.clients.filtered.take()),
        }
    }

    /// The run of a guest that has not sent a frame: the first are those that must not
    /// get out. Clients are played when the guest has had its own lease.
    async fn first_frame(
        &mut self,
        run: u32,
        probes: Vec<Probe>,
    ) -> Result<PassRecord, VerifyError> {
        let (hosts, began) = (self.hosts(), self.began);
        let (mut sender, tap) = self.sender();
        sender.forbidden_frames(&probes).await?;
        let watch = Watch::resume(hosts.lab, tap, began);
        let record = pass::run(&mut sender, hosts, watch, run, Pass::FirstFrame, probes).await?;
        let act = self.play(Pass::FirstFrame).await?;
        if act.is_some() {
            let (mut sender, tap) = self.sender();
            let watch = Watch::start(hosts.lab, tap);
            let bounds = pass::bound(&mut sender, hosts, &watch, run, AFTER_FIRST_FRAME).await?;
            self.note(Pass::FirstFrame, act, bounds);
        }
        Ok(record)
    }
}

impl TestSubject for LinuxGuest<'_> {
    fn lab(&self) -> &Lab {
        self.context.lab
    }

    fn tap(&self) -> &Sensor {
        &self.guest.machine.tap
    }

    async fn pass(&mut self, run: u32, pass: Pass) -> Result<PassRecord, VerifyError> {
        let probes = trial::probes(self.context.policy, self.layout, run, pass);
        if pass == Pass::FirstFrame {
            return self.first_frame(run, probes).await;
        }
        let act = self.play(pass).await?;
        let hosts = self.hosts();
        let (mut sender, tap) = self.sender();
        let watch = Watch::start(hosts.lab, tap);
        if pass == Pass::LeakCheck {
            sender.configure().await?;
        }
        let record = pass::run(&mut sender, hosts, watch, run, pass, probes).await?;
        self.note(pass, act, record.bounds);
        Ok(record)
    }

    async fn bind(&mut self) -> Result<(), VerifyError> {
        bind::bind(self.context, &mut self.guest.machine, self.layout.guest.v4)
    }

    fn inject(&mut self) -> Result<(), VerifyError> {
        inject(self.context, &mut self.guest.machine)
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
pub(super) fn inject(context: &CellContext<'_>, machine: &mut Machine) -> Result<(), VerifyError> {
    match context.job.inject {
        None | Some(InjectedFault::FlushBeforeFirstFrame | InjectedFault::NoLink) => {}
        Some(InjectedFault::Sensor) => context.lab.gateway_sensor.kill(),
        Some(InjectedFault::Link) => machine.set_link(false)?,
        Some(InjectedFault::Pause) => machine.pause()?,
        Some(InjectedFault::Flush) => ruleset::flush_layer2()?,
    }
    Ok(())
}

fn unexpected(doing: &str) -> VerifyError {
    VerifyError::Cell(format!("the agent answered `{doing}` with something else"))
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}
