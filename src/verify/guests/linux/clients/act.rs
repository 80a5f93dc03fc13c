//! All DHCP clients played once through the guest's NIC, and what the sensors saw meanwhile.

use crate::frame::dhcp::{Message, message};
use crate::frame::{Checksum, Datagram, Mac};
use crate::guest::{AgentClient, GuestError};
use crate::lab::{Lab, Sensor};
use crate::probe::Point;
use crate::report::model::ClientRun;
use crate::verify::guests::linux::endpoint::ANSWER;
use crate::verify::sentinels::Bounds;
use crate::verify::watch::{Marks, Sightings, Watch};
use lanfence_agent::clients::{PROFILES, Played, Step, nth};
use lanfence_agent::{Answer, Op};
use std::net::Ipv4Addr;
use std::time::Duration;

/// All steps of a client.
const STEPS: [Step; 4] = [Step::Bind, Step::Renew, Step::Inform, Step::Release];

/// Deadline of a client; it takes some ten milliseconds under emulation.
pub const DEADLINE: Duration = Duration::from_secs(2);

/// Deadline of a client once another has heard nothing: where a filter stops DHCP,
/// all but the first would wait in vain. What came too late is told from what was
/// stopped by the sensors.
const SILENT: Duration = Duration::from_millis(300);

/// All clients, played once.
#[derive(Debug)]
pub struct Act {
    /// What the guest reports of each; an error when it could not play them.
    pub played: Result<Vec<Played>, String>,
    /// Transaction of the first.
    pub xid: u32,
    /// Where the sensors' records stood before.
    pub marks: Marks,
}

/// An act with what the sensors saw meanwhile.
#[derive(Debug)]
pub struct Seen {
    /// The act.
    pub act: Act,
    /// The frames.
    pub sightings: Sightings,
    /// What the sentinels after it prove.
    pub bounds: Bounds,
    /// Why the sensors are not to be trusted, if so.
    pub fault: Option<String>,
}

/// Plays all clients through the device. Their transactions are counted from the number.
///
/// # Errors
/// When the guest does not answer at all.
pub async fn act(
    agent: &mut AgentClient,
    (dev, xid): (&str, u32),
    lab: &Lab,
    tap: &Sensor,
) -> Result<Act, GuestError> {
    let marks = Watch::start(lab, tap).began();
    let op = Op::DhcpClients {
        dev: dev.into(),
        profiles: PROFILES.iter().map(|profile| profile.name.into()).collect(),
        xid,
        deadline_ms: millis(agent.stretch(DEADLINE)),
        silent_ms: millis(agent.stretch(SILENT)),
    };
    let longest = DEADLINE * u32::try_from(PROFILES.len()).unwrap_or(u32::MAX);
    let played = match agent.ask(op, longest + ANSWER).await {
        Ok(Answer::DhcpClients { played }) => Ok(played),
        Ok(_) => Err("the agent answered with something else".into()),
        Err(GuestError::Agent { source, .. }) => Err(source.0),
        Err(error) => return Err(error),
    };
    Ok(Act { played, xid, marks })
}

impl Act {
    /// Takes in what the sensors saw. Sentinels have been sent after it, so that
    /// everything on their paths has arrived.
    pub fn seen(self, lab: &Lab, tap: &Sensor, bounds: Bounds) -> Seen {
        let watch = Watch::resume(lab, tap, self.marks);
        let (sightings, _) = watch.sightings();
        Seen {
            act: self,
            sightings,
            bounds,
            fault: watch.fault(),
        }
    }
}

/// One client of an act.
pub struct Part<'a> {
    /// The act that it is of.
    pub seen: &'a Seen,
    /// What the guest reports; none when it could not play.
    pub played: Option<&'a Played>,
    /// Its first transaction.
    pub xid: u32,
    /// The guest's MAC.
    pub mac: Mac,
}

impl Seen {
    /// The part of the client with this number.
    pub fn part(&self, place: u32, mac: Mac) -> Part<'_> {
        let at = usize::try_from(place).unwrap_or(usize::MAX);
        Part {
            seen: self,
            played: self.act.played.as_ref().ok().and_then(|all| all.get(at)),
            xid: nth(self.act.xid, place),
            mac,
        }
    }
}

impl Part<'_> {
    /// Its run for the report.
    pub fn run(&self) -> ClientRun {
        let Some(played) = self.played else {
            let why = self.seen.act.played.as_ref().err().cloned();
            return ClientRun {
                failure: Some(why.unwrap_or_else(|| "the guest did not play it".into())),
                ..ClientRun::default()
            };
        };
        ClientRun {
            at_tap: self.at_tap(),
            ..told(played)
        }
    }

    /// The worst checksum of the server's answers to this client at the NIC's tap.
    fn at_tap(&self) -> Option<Checksum> {
        let place = Point::TapToGuest;
        let there = self.seen.sightings.frames().filter(|(at, _)| *at == place);
        let sums = there.filter_map(|(_, sighted)| {
            let datagram = Datagram::read(&sighted.frame, sighted.checksum_pending)?;
            let message = Message::parse(datagram.payload)?;
            let of_this = STEPS.iter().any(|step| self.is_mine(&message, *step));
            let answer = matches!(
                message.kind,
                Some(message::OFFER | message::ACK | message::NAK)
            );
            (of_this && answer).then_some(datagram.checksum)
        });
        sums.max()
    }

    /// Whether a message is of this client and of this step.
    pub fn is_mine(&self, message: &Message, step: Step) -> bool {
        message.client == self.mac && message.xid == lanfence_agent::clients::xid(self.xid, step)
    }

    /// The server that it has its lease from.
    pub fn server(&self) -> Option<Ipv4Addr> {
        self.played.and_then(|played| played.server)
    }
}

/// A client's run as it reports it.
pub fn told(played: &Played) -> ClientRun {
    let took = |step| {
        let taken = played.steps.iter().find(|taken| taken.step == step)?;
        taken.failure.is_none().then_some(taken.us)
    };
    let failure = played.steps.iter().find_map(|taken| taken.failure.clone());
    ClientRun {
        bound_us: took(Step::Bind),
        renewed_us: took(Step::Renew),
        informed_us: took(Step::Inform),
        at_tap: None,
        at_guest: played.heard.iter().max().copied(),
        failure,
        refused: played.refused_its_answer(),
    }
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}
