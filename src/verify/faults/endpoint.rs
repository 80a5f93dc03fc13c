//! A guest that does not do what it is asked to, and says that it did.

use super::InjectedFault;
use crate::frame::{DhcpStep, Link};
use crate::guest::GuestError;
use crate::layout::Layout;
use crate::probe::{Expect, Pass, Probe, Sighting, Stimulus};
use crate::verify::endpoint::{Endpoint, Exchange, Moment, Refusals};

/// An EtherType for experiments (IEEE 802 9.2.3).
const EXPERIMENT: u16 = 0x88b5;

/// A MAC that nobody has.
const NOBODY: [u8; 6] = [0x52, 0x54, 0, 0xee, 0xee, 0xee];

/// Rounds of sentinels in a pass.
const ROUNDS: usize = 2;

/// An endpoint that the fault may have got hold of.
pub struct Faulty<'a, E> {
    inner: E,
    layout: &'a Layout,
    fault: Option<InjectedFault>,
    pass: Pass,
    /// Probes that are sent behind the sentinels.
    held: Vec<Probe>,
    rounds: usize,
    /// The frames of a probe that do not leave.
    lost: Vec<Vec<u8>>,
}

impl<'a, E> Faulty<'a, E> {
    /// The endpoint for a pass.
    pub fn new(inner: E, layout: &'a Layout, fault: Option<InjectedFault>, pass: Pass) -> Self {
        Self {
            inner,
            layout,
            fault,
            pass,
            held: Vec::new(),
            rounds: 0,
            lost: Vec::new(),
        }
    }

    fn has(&self, fault: InjectedFault) -> bool {
        self.fault == Some(fault)
    }

    /// The probes as it sends them.
    fn told(&mut self, probes: &[Probe]) -> Vec<Probe> {
        let filtered = self.pass == Pass::Filtered;
        let mut probes = probes.to_vec();
        match self.fault {
            Some(InjectedFault::SendsLess) => {
                let mut number = 0;
                probes.retain(|_| (number % 2 == 0, number += 1).0);
            }
            Some(InjectedFault::LosesOne | InjectedFault::LosesOneOnce) if filtered => {
                let raw = |probe: &Probe| match &probe.stimulus {
                    Stimulus::Frames(frames) if probe.expect == Expect::Drop => frames.clone(),
                    _ => Vec::new(),
                };
                let lost = probes.iter().position(|probe| !raw(probe).is_empty());
                self.lost = lost.map_or_else(Vec::new, |at| raw(&probes.remove(at)));
            }
            Some(InjectedFault::SendsOthers) if filtered => {
                let stopped = probes.iter_mut().filter(|it| it.expect == Expect::Drop);
                stopped.for_each(|probe| self.other(probe));
            }
            Some(InjectedFault::SendsOld) if filtered => {
                for probe in &mut probes {
                    let Sighting::Tag(tag) = probe.sent else {
                        continue;
                    };
                    let old = Pass::Control.tag(tag.run, tag.index).to_bytes();
                    let mut frames = probe.wire(self.layout).frames;
                    for frame in &mut frames {
                        replace(frame, &tag.to_bytes(), &old);
                    }
                    probe.stimulus = Stimulus::Frames(frames);
                }
            }
            Some(InjectedFault::SendsFromMac) if filtered => {
                for probe in &mut probes {
                    if !matches!(probe.stimulus, Stimulus::Dhcp(_)) {
                        let mut frames = probe.wire(self.layout).frames;
                        for frame in &mut frames {
                            frame[6..12].copy_from_slice(&NOBODY);
                        }
                        probe.stimulus = Stimulus::Frames(frames);
                    }
                }
            }
            _ => {}
        }
        probes
    }

    fn other(&self, probe: &mut Probe) {
        if let Sighting::Tag(tag) = probe.sent {
            let link = Link::new(self.layout.guest.mac, self.layout.peer.mac);
            let frame = link.frame(EXPERIMENT, &tag.to_bytes());
            probe.stimulus = Stimulus::Frames(vec![frame]);
        }
    }
}

/// Puts bytes in the place of others of the same length.
fn replace(frame: &mut [u8], old: &[u8], new: &[u8]) {
    let at = frame.windows(old.len()).position(|window| window == old);
    if let Some(at) = at {
        frame[at..at + new.len()].copy_from_slice(new);
    }
}

impl<E: Endpoint> Endpoint for Faulty<'_, E> {
    async fn start_afresh(&mut self) -> Result<(), GuestError> {
        self.inner.start_afresh().await
    }

    async fn dhcp(&mut self, steps: &[DhcpStep]) -> Result<Vec<(DhcpStep, bool)>, GuestError> {
        if self.has(InjectedFault::ClaimsDhcp) {
            return Ok(steps.iter().map(|step| (*step, true)).collect());
        }
        self.inner.dhcp(steps).await
    }

    async fn meet_neighbours(&mut self, pass: Pass) -> Result<(), GuestError> {
        self.inner.meet_neighbours(pass).await
    }

    async fn tell_forbidden_neighbours(&mut self, probes: &[Probe]) -> Result<(), GuestError> {
        self.inner.tell_forbidden_neighbours(probes).await
    }

    fn ssh(&mut self, port: u16) -> Result<Exchange, GuestError> {
        self.inner.ssh(port)
    }

    async fn join(
        &mut self,
        probes: &[Probe],
        pass: Pass,
        moment: Moment,
    ) -> Result<Refusals, GuestError> {
        self.inner.join(probes, pass, moment).await
    }

    async fn send(&mut self, probes: &[Probe], pass: Pass) -> Result<Refusals, GuestError> {
        let told = self.told(probes);
        if self.has(InjectedFault::EarlySentinels) && self.pass == Pass::Filtered {
            self.held = told;
            return Ok(Refusals::new());
        }
        self.inner.send(&told, pass).await
    }

    async fn frames(&mut self, frames: &[Vec<u8>]) -> Result<(), GuestError> {
        if self.has(InjectedFault::NoSentinels) && self.pass == Pass::Filtered {
            return Ok(());
        }
        let lost = self.has(InjectedFault::LosesOne) && frames == self.lost;
        let frames = if lost { &[] } else { frames };
        self.inner.frames(frames).await?;
        self.rounds += 1;
        if self.rounds == ROUNDS {
            let held = std::mem::take(&mut self.held);
            self.inner.send(&held, self.pass).await?;
        }
        Ok(())
    }
}
