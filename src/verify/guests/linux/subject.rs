//! The Linux guest as the subject of a trial.

use super::clients;
use super::endpoint::LinuxEndpoint;
use crate::guest::{Guest, quirk};
use crate::lab::{Lab, Sensor, Shortcut};
use crate::layout::Layout;
use crate::probe::{Pass, Probe};
use crate::report::model::LearningPhase;
use crate::verify::cell::CellContext;
use crate::verify::endpoint::Hosts;
use crate::verify::faults::Moment;
use crate::verify::job::Attach;
use crate::verify::machine::inject;
use crate::verify::random::Numbers;
use crate::verify::record::PassRecord;
use crate::verify::sentinels::{self, AFTER_FIRST_FRAME, Bounds};
use crate::verify::trial::TestSubject;
use crate::verify::watch::{Marks, Watch};
use crate::verify::{VerifyError, bind, learning, pass};

/// DHCP clients of other systems as they were played in a cell.
#[derive(Default)]
pub struct PlayedClients {
    /// Without the filter.
    pub control: Option<clients::Seen>,
    /// With the filter; none where the policy stops DHCP.
    pub filtered: Option<clients::Seen>,
}

/// A guest between boot and end, with all that its passes need.
pub struct LinuxGuest<'a> {
    /// What the cell is run with.
    pub context: &'a CellContext<'a>,
    /// The guest.
    pub guest: &'a mut Guest,
    /// Where the sensors stood before its first frame.
    pub began: Marks,
    /// The name of its NIC in it.
    pub dev: &'a str,
    /// The addresses.
    pub layout: &'a Layout,
    /// Its SSH host key.
    pub host_key: &'a str,
    /// When the filter comes.
    pub attach: Attach,
    /// What the DHCP clients of other systems showed.
    pub clients: PlayedClients,
}

impl<'a> LinuxGuest<'a> {
    fn hosts(&self) -> Hosts<'a> {
        Hosts {
            lab: self.context.lab,
            layout: self.layout,
        }
    }

    /// The guest as a sender, and the sensor at its tap.
    fn sender(&mut self) -> (LinuxEndpoint<'_>, &Sensor) {
        let sender = LinuxEndpoint {
            hosts: self.hosts(),
            agent: &mut self.guest.agent,
            dev: self.dev,
            host_key: self.host_key,
            has_rx_blackout: quirk(&self.guest.machine.interface().model).rx_blackout_ms > 0,
        };
        (sender, &self.guest.machine.tap)
    }

    /// Plays the DHCP clients before the probes of a pass, with the filter once and
    /// only where the policy wants DHCP to work.
    async fn play(
        &mut self,
        (run, pass): (u32, Pass),
    ) -> Result<Option<clients::Act>, VerifyError> {
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
        // Late answers of one pass must not count for another.
        let xid = Numbers::new(run, "DHCP clients").number(&pass.number().to_string());
        let act = clients::act(agent, (self.dev, xid), self.context.lab, tap).await?;
        Ok(Some(act))
    }

    /// The time before a pass with the filter in which libvirt learns the guest's address.
    async fn learn(
        &mut self,
        run: u32,
        pass: Pass,
        marks: Marks,
    ) -> Result<Option<LearningPhase>, VerifyError> {
        let with_filter = matches!(pass, Pass::FirstFrame | Pass::Filtered);
        let Some(learning) = self.context.job.learning.filter(|_| with_filter) else {
            return Ok(None);
        };
        let (hosts, policy) = (self.hosts(), self.context.policy);
        let (mut sender, tap) = self.sender();
        let watch = Watch::resume(hosts.lab, tap, marks);
        let phase = learning::watch(policy, learning, &mut sender, hosts, &watch, (run, pass));
        Ok(Some(phase.await?))
    }

    /// Keeps what the clients of a pass showed, once its sentinels have been sent.
    fn note(&mut self, pass: Pass, act: Option<clients::Act>, bounds: Bounds) {
        let tap = &self.guest.machine.tap;
        let seen = act.map(|act| act.seen(self.context.lab, tap, bounds));
        match pass {
            Pass::Control => self.clients.control = seen,
            _ => self.clients.filtered = seen.or(self.clients.filtered.take()),
        }
    }

    /// The pass of a guest that has not sent a frame: the first frames are those that must
    /// not get out. Clients are played when the guest has had its own lease.
    async fn first_frame(
        &mut self,
        run: u32,
        probes: Vec<Probe>,
    ) -> Result<PassRecord, VerifyError> {
        let (hosts, began) = (self.hosts(), self.began);
        let learning = self.learn(run, Pass::FirstFrame, began).await?;
        let (mut sender, tap) = self.sender();
        sender.forbidden_frames(&probes).await?;
        let watch = Watch::resume(hosts.lab, tap, began);
        let mut record =
            pass::run(&mut sender, hosts, watch, run, Pass::FirstFrame, probes).await?;
        record.learning = learning;
        let act = self.play((run, Pass::FirstFrame)).await?;
        if act.is_some() {
            let (mut sender, tap) = self.sender();
            let watch = Watch::start(hosts.lab, tap);
            let bounds =
                sentinels::bound(&mut sender, hosts, &watch, run, AFTER_FIRST_FRAME).await?;
            self.note(Pass::FirstFrame, act, bounds);
        }
        Ok(record)
    }
}

impl TestSubject for LinuxGuest<'_> {
    fn lab(&self) -> &Lab {
        self.context.lab
    }

    fn learns(&self) -> bool {
        self.context.job.learning.is_some()
    }

    fn tap(&self) -> &Sensor {
        &self.guest.machine.tap
    }

    fn device(&self) -> &str {
        &self.guest.machine.interface().tap
    }

    async fn pass(&mut self, run: u32, pass: Pass) -> Result<PassRecord, VerifyError> {
        let probes = self.context.probes(self.layout, run, pass);
        if pass == Pass::FirstFrame {
            return self.first_frame(run, probes).await;
        }
        let hosts = self.hosts();
        let began = Watch::start(hosts.lab, &self.guest.machine.tap).began();
        let learning = self.learn(run, pass, began).await?;
        let act = self.play((run, pass)).await?;
        let (mut sender, tap) = self.sender();
        // What is seen while libvirt learns the address counts; what the clients did does not.
        let watch = match &learning {
            Some(_) => Watch::resume(hosts.lab, tap, began),
            None => Watch::start(hosts.lab, tap),
        };
        if pass == Pass::LeakCheck {
            sender.configure().await?;
        }
        let mut record = pass::run(&mut sender, hosts, watch, run, pass, probes).await?;
        record.learning = learning;
        self.note(pass, act, record.bounds);
        Ok(record)
    }

    async fn bind(&mut self) -> Result<String, VerifyError> {
        bind::bind(self.context, &mut self.guest.machine)
    }

    async fn inject(&mut self, moment: Moment) -> Result<(), VerifyError> {
        inject(self.context, &mut self.guest.machine, moment)
    }

    async fn unbind(&mut self) -> Result<(), VerifyError> {
        bind::settled(self.context).await?;
        Ok(self.guest.machine.set_filter(None)?)
    }

    async fn unbind_for_good(&mut self) -> Result<(), VerifyError> {
        if !self.context.job.shortcuts.has(Shortcut::FlushRuleset) {
            return self.unbind().await;
        }
        bind::settled(self.context).await?;
        Ok(self.context.lab.flush_ruleset()?)
    }
}
