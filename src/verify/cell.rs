//! One cell: a fresh guest, the control run, the filter, the filtered run, the teeth.

use super::job::{CellPlan, Job, Sabotage};
use super::judge::{Seen, control_fate, filtered_fate, judge, reason};
use super::phase::{self, Bounds, Outcome};
use super::pristine::{Saved, hot_pluggable};
use super::stimulate::{ANSWER, Sender};
use super::watch::{Sightings, Watch};
use super::{VerifyError, bind, evidence, ssh};
use crate::frame::{Phase, Tag};
use crate::guest::{Accel, DomainSpec, Guest, GuestError, Image, Interface, boot, quirk};
use crate::lab::topology::{GATEWAY_MAC, Mac, PEER_MAC, WAN_MAC, WAN4, WAN6, link_local, mac_text};
use crate::lab::{Lab, ruleset};
use crate::policy::Policy;
use crate::probe::{Host, Origin, Probe, Scene, catalogue};
use crate::report::live::Event;
use crate::report::model::{self, Cell, Fate, ProbeResult, Timing, Verdict};
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

/// A cell while it runs.
struct Running<'a> {
    context: &'a Context<'a>,
    plan: &'a CellPlan,
    cell: Cell,
    phase: Option<(&'static str, Instant)>,
}

/// Runs a cell to its end. Never fails: what went wrong is in the cell.
pub async fn run(context: &Context<'_>, plan: &CellPlan, number: u8) -> Cell {
    let mut running = Running {
        context,
        plan,
        cell: plan.cell(),
        phase: None,
    };
    let ended = running.through(number).await;
    // A dead daemon explains whatever else went wrong, and spoils what went well.
    let ended = match (context.lab.fault(), ended) {
        (Some(fault), Ok(())) => Err(VerifyError::Cell(fault)),
        (Some(fault), Err(error)) => Err(VerifyError::Cell(format!("{error}\n{fault}"))),
        (None, ended) => ended,
    };
    if let Err(error) = ended {
        let phase = running.phase.map_or("guest", |(phase, _)| phase);
        running.cell.error = Some(error.in_phase(phase));
    }
    running.end_phase();
    running.cell
}

impl Running<'_> {
    /// Ends the current phase and starts the next.
    fn enter(&mut self, phase: &'static str) {
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
        let mut guest = self.begin(number).await?;
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
        let run = super::random();
        self.enter("control");
        let control = self
            .phase(&mut guest, &dev, &scene, &key, run, Phase::Control)
            .await?;
        self.enter("bind");
        bind::bind(self.context, &mut guest, scene.guest.v4)?;
        let broken = self.sabotage(&mut guest)?;
        self.enter("filtered");
        let filtered = self
            .phase(&mut guest, &dev, &scene, &key, run, Phase::Filtered)
            .await;
        let rules = ruleset::evidence();
        let (filtered, teeth) = match filtered {
            Ok(filtered) => {
                self.enter("unbind");
                // An error here must not hide what the filtered run has shown.
                let teeth = match guest.set_filter(None) {
                    Ok(()) => {
                        self.enter("teeth");
                        self.phase(&mut guest, &dev, &scene, &key, run, Phase::Teeth)
                            .await
                    }
                    Err(error) => Err(error),
                };
                let late = Watch::resume(self.context.lab, &guest.tap, filtered.end);
                (Some((filtered, late.sightings().0)), teeth)
            }
            Err(error) => (None, Err(error)),
        };
        let stopped = teeth.as_ref().err().map(ToString::to_string);
        self.judge(&control, filtered.as_ref(), teeth.as_ref().ok());
        let filtered = filtered.map(|(filtered, _)| filtered);
        self.keep_evidence(
            &guest,
            &rules,
            &[Some(&control), filtered.as_ref(), teeth.as_ref().ok()],
        );
        match (stopped, broken) {
            (Some(message), _) => Err(VerifyError::Cell(message)),
            (None, _) => Ok(()),
        }
    }

    /// A guest that nothing has happened to yet, with its NIC.
    async fn begin(&mut self, number: u8) -> Result<Guest, VerifyError> {
        let interface = Interface {
            model: self.plan.nic.clone(),
            mac: guest_mac(number, &self.plan.nic),
            tap: format!("tap{number}"),
            link: true,
            filter: None,
        };
        if hot_pluggable(&self.plan.nic) && !self.context.job.boot_only {
            let context = self.context;
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
        // Numbered, since libvirt may not yet have forgotten an earlier try.
        let name = format!("{}-{number}", self.plan.name.replace('/', "-"));
        let nonce = format!("{:08x}", super::random());
        let spec = DomainSpec {
            name: &name,
            accel: self.context.accel,
            image: self.context.image,
            nonce: &nonce,
        };
        Ok(boot(self.context.lab, &spec, &interface).await?)
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

    async fn phase(
        &self,
        guest: &mut Guest,
        dev: &str,
        scene: &Scene,
        key: &ssh::Key,
        run: u32,
        phase: Phase,
    ) -> Result<Outcome, GuestError> {
        let mut probes = catalogue(self.context.policy, scene, |index| Tag {
            run,
            phase,
            index,
        });
        if phase == Phase::Teeth {
            probes.retain(Probe::wants_teeth);
        }
        let watch = Watch::start(self.context.lab, &guest.tap);
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

    fn sabotage(&self, guest: &mut Guest) -> Result<bool, VerifyError> {
        match self.context.job.sabotage {
            None => return Ok(false),
            Some(Sabotage::Sensor) => self.context.lab.gateway_sensor.kill(),
            Some(Sabotage::Link) => guest.set_link(false)?,
            Some(Sabotage::Pause) => guest.pause()?,
            Some(Sabotage::Flush) => ruleset::flush()?,
        }
        Ok(true)
    }

    /// Turns what was seen into verdicts, in catalogue order.
    /// The filtered run comes with what was seen after its end.
    fn judge(
        &mut self,
        control: &Outcome,
        filtered: Option<&(Outcome, Sightings)>,
        teeth: Option<&Outcome>,
    ) {
        let later = teeth
            .filter(|teeth| teeth.fault.is_none())
            .map(|teeth| teeth.bounds)
            .unwrap_or_default();
        for (index, probe) in control.probes.iter().enumerate() {
            let control_fate = control_fate(seen(control, probe));
            let (filtered_fate, last_seen) = match filtered {
                None => (Fate::Unknown, None),
                Some((filtered, late)) => {
                    let probe = &filtered.probes[index];
                    let seen = seen_filtered(filtered, late, probe, later);
                    (
                        filtered_fate(seen, probe.expect),
                        filtered.sightings.last_seen(probe),
                    )
                }
            };
            let verdict = judge(
                probe.expect,
                probe.residual.is_some(),
                control_fate,
                filtered_fate,
            );
            let filtered = filtered.map(|(outcome, _)| outcome);
            let faults = [Some(control), filtered].into_iter().flatten();
            let fault = faults.clone().find_map(|outcome| outcome.fault.clone());
            let refusal = faults
                .into_iter()
                .find_map(|outcome| outcome.refused.get(&probe.id));
            let fault =
                fault.or_else(|| refusal.map(|why| format!("its sender could not send it: {why}")));
            self.cell.probes.push(ProbeResult {
                id: probe.id.clone(),
                group: probe.group,
                summary: probe.summary.clone(),
                expect: probe.expect,
                control: control_fate,
                filtered: filtered_fate,
                teeth: teeth.and_then(|teeth| teeth_fate(teeth, &probe.id)),
                verdict,
                last_seen,
                note: note(verdict, probe, control_fate, filtered_fate, fault),
            });
        }
        let fates: Vec<Fate> = self
            .cell
            .probes
            .iter()
            .filter_map(|probe| probe.teeth)
            .collect();
        self.cell.teeth =
            teeth.map(|_| !fates.is_empty() && fates.iter().all(|fate| *fate == Fate::Delivered));
    }

    fn keep_evidence(&mut self, guest: &Guest, rules: &str, outcomes: &[Option<&Outcome>]) {
        let green = self.cell.teeth == Some(true)
            && self
                .cell
                .probes
                .iter()
                .all(|probe| matches!(probe.verdict, Verdict::Pass | Verdict::Residual));
        let Some(out) = self.context.job.out.as_deref().filter(|_| !green) else {
            return;
        };
        match evidence::write(out, &self.cell, self.context.job, guest, rules, outcomes) {
            Ok(files) => self.cell.evidence = files,
            Err(error) => (self.context.tell)(&Event::Note {
                cell: Some(self.plan.name.clone()),
                text: format!("the evidence could not be written: {error}"),
            }),
        }
    }
}

fn seen(outcome: &Outcome, probe: &Probe) -> Seen {
    let (arrived, completed) = (outcome.sightings.arrived(probe), outcome.completed(probe));
    // An exchange that broke off after its first frame had arrived counts as
    // sent only if the answer was heard leaving the guest.
    let began = !arrived || completed || outcome.answered(probe);
    Seen {
        near: outcome.sightings.near(probe) && began,
        arrived: arrived && completed,
        escaped: outcome.sightings.escaped(probe),
        bounded: outcome.bounds.cover(probe),
        sound: outcome.fault.is_none(),
    }
}

/// The same with what came after the filtered run: sentinels that were sent
/// once the filter was gone bound it too, and frames that come late belong to it.
fn seen_filtered(outcome: &Outcome, late: &Sightings, probe: &Probe, later: Bounds) -> Seen {
    let seen = seen(outcome, probe);
    let came_late = late.came_late(probe);
    // The kernel shows the sensor what a guest sends and asks the filter in one
    // go, so what is late there has passed it. What was on its way to the guest
    // may have waited until the filter was gone, and proves nothing.
    let passed = came_late && probe.origin == Origin::Guest;
    Seen {
        arrived: seen.arrived || (passed && late.arrived(probe)),
        escaped: seen.escaped || passed,
        bounded: (seen.bounded || later.cover(probe)) && !came_late,
        ..seen
    }
}

fn teeth_fate(teeth: &Outcome, id: &str) -> Option<Fate> {
    let probe = teeth.probes.iter().find(|probe| probe.id == id)?;
    Some(control_fate(seen(teeth, probe)))
}

fn note(
    verdict: Verdict,
    probe: &Probe,
    control: Fate,
    filtered: Fate,
    fault: Option<String>,
) -> Option<String> {
    match verdict {
        Verdict::Residual => probe.residual.map(str::to_owned),
        Verdict::Inconclusive => Some(fault.unwrap_or_else(|| reason(control, filtered))),
        Verdict::Pass | Verdict::Fail(_) => None,
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
