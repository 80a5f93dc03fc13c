//! What is expected, found and reported, made wrong.

use super::InjectedFault;
use crate::layout::Layout;
use crate::policy::Policy;
use crate::probe::{Expect, Group, Pass, Probe};
use crate::report::live::Event;
use crate::report::model::{ProbeResult, Verdict};
use crate::verify::catalogue::probes;
use crate::verify::job::Job;
use crate::verify::pool::{Message, Numbered};
use crate::verify::record::PassRecord;
use crate::verify::watch::Sightings;
use std::borrow::Cow;
use std::cell::Cell;

/// Another policy for the LAN of the shipped one.
const OTHER_POLICY: &str =
    "[lan]\nprefixes = [\"192.168.1.0/24\", \"fe80::/10\"]\n[multicast]\ngroups = []\n";

/// Exit code of a process that panicked.
const PANICKED: i32 = 101;

/// The catalogue of a pass.
pub fn catalogue(
    job: &Job,
    policy: &Policy,
    layout: &Layout,
    (run, pass): (u32, Pass),
) -> Vec<Probe> {
    let of = |policy: &Policy, run, pass| probes(job, policy, layout, (run, pass));
    let mut probes = of(policy, run, pass);
    match job.inject {
        Some(InjectedFault::NonceOfPass) if pass == Pass::Filtered => {
            of(policy, run, Pass::Control)
        }
        Some(InjectedFault::NonceOfRun) if pass == Pass::Filtered => {
            let others = of(policy, run ^ 1, pass);
            for (probe, other) in probes.iter_mut().zip(others) {
                (probe.sent, probe.received) = (other.sent, other.received);
            }
            probes
        }
        Some(InjectedFault::Flipped) => {
            for probe in &mut probes {
                probe.expect = match probe.expect {
                    Expect::Pass => Expect::Drop,
                    Expect::Drop => Expect::Pass,
                };
            }
            probes
        }
        Some(InjectedFault::OtherPolicy) => {
            let other = Policy::parse(OTHER_POLICY, "another policy");
            other.map_or(probes, |other| of(&other, run, pass))
        }
        Some(InjectedFault::ShortCatalogue) => {
            probes.retain(|probe| probe.group != Group::WanIpv6);
            probes
        }
        _ => probes,
    }
}

/// The record of a pass.
pub fn record(fault: Option<InjectedFault>, pass: Pass, record: &mut PassRecord) {
    if fault == Some(InjectedFault::LostControl) && pass == Pass::Control {
        record.sightings = Sightings::default();
    }
}

/// The results of a cell.
pub fn results(fault: Option<InjectedFault>, results: &mut Vec<ProbeResult>) {
    match fault {
        Some(InjectedFault::MissingResults) => results.truncate(results.len() / 2),
        Some(InjectedFault::DoubledResult) => {
            let again = results.first().cloned();
            results.extend(again);
        }
        Some(InjectedFault::SwallowedVerdicts) => {
            let verdicts = results.iter_mut().map(|result| &mut result.verdict);
            verdicts.for_each(|verdict| *verdict = Verdict::Pass);
        }
        _ => {}
    }
}

/// Numbers a worker's messages.
pub struct Reporter {
    fault: Option<InjectedFault>,
    run: u32,
    /// How many it has reported.
    count: Cell<u32>,
}

impl Reporter {
    /// The reporter of a worker with this job.
    pub fn of(job: &Job) -> Self {
        Self {
            fault: job.inject,
            run: job.run,
            count: Cell::new(0),
        }
    }

    /// Reports a message, or what the fault makes of it.
    pub fn report(&self, message: &Message<'_>, out: &dyn Fn(&Numbered<'_>)) {
        let is_cell =
            matches!(message, Message::Event(event) if matches!(**event, Event::CellDone { .. }));
        let number = |run: u32, message: Message<'_>| {
            let number = self.count.get();
            self.count.set(number + 1);
            (run, number, message.into_owned())
        };
        let say = |run: u32, message: Message<'_>| {
            let (run, number, message) = number(run, message);
            out(&Numbered {
                run,
                number,
                message,
            });
        };
        match self.fault {
            Some(InjectedFault::LostCell) if is_cell => {}
            Some(InjectedFault::LostReport) if matches!(message, Message::Event(event) if matches!(**event, Event::StepDone { .. })) =>
            {
                self.count.set(self.count.get() + 1);
            }
            Some(InjectedFault::DoubledCell) if is_cell => {
                say(self.run, message.clone());
                say(self.run, message.clone());
            }
            Some(InjectedFault::OtherCell) if is_cell => {
                let Message::Event(event) = message else {
                    return;
                };
                let mut event = event.clone().into_owned();
                if let Event::CellDone { cell } = &mut event {
                    cell.name.push_str("-2");
                }
                say(self.run, Message::Event(Cow::Owned(event)));
            }
            Some(InjectedFault::OtherRun) => say(self.run ^ 1, message.clone()),
            _ => say(self.run, message.clone()),
        }
    }
}

/// How a worker ends that has nothing more to do.
pub fn last_words(fault: Option<InjectedFault>) {
    if fault == Some(InjectedFault::LastWords) {
        std::process::exit(PANICKED);
    }
}
