//! DHCP clients of other systems: played through the guest's NIC, without the filter
//! and with it, and judged by the sensors like any probe.

mod judge;
mod legs;

use super::endpoint::ANSWER;
use crate::frame::dhcp::{Message, message};
use crate::frame::{Checksum, Datagram, Mac};
use crate::guest::{AgentClient, GuestError};
use crate::lab::{Lab, LabError, Sensor, VhostTap};
use crate::layout::mac;
use crate::probe::Point;
use crate::report::model::{ClientRun, DhcpClient, DhcpClients, ProbeResult};
use crate::verify::sentinels::Bounds;
use crate::verify::watch::{Marks, Sightings, Watch};
use crate::verify::{VerifyError, random};
use lanfence_agent::clients::{Order, PROFILES, Played, Profile, Step, Sums, nth, play, profile};
use lanfence_agent::{Answer, Op};
use std::net::Ipv4Addr;
use std::time::{Duration, Instant};

/// Deadline of a client; it takes some ten milliseconds under emulation.
const DEADLINE: Duration = Duration::from_secs(2);

/// Deadline of a client once another has heard nothing: where a filter stops DHCP,
/// all but the first would wait in vain. What came too late is told from what was
/// stopped by the sensors.
const SILENT: Duration = Duration::from_millis(300);

/// What is played where there is no guest: one client that checks, one that does not.
const WITHOUT_GUEST: [&str; 2] = ["windows-2003", "busybox"];

/// All clients, played once.
#[derive(Debug)]
pub struct Act {
    /// What became of each as its guest tells; none when the guest could not play them.
    played: Result<Vec<Played>, String>,
    /// Transaction of the first.
    xid: u32,
    /// Where the sensors' records stood before.
    marks: Marks,
}

/// An act with what the sensors saw of it.
#[derive(Debug)]
pub struct Seen {
    act: Act,
    sightings: Sightings,
    bounds: Bounds,
    fault: Option<String>,
}

/// Plays all clients through the device.
///
/// # Errors
/// When the guest does not answer at all.
pub async fn act(
    agent: &mut AgentClient,
    dev: &str,
    lab: &Lab,
    tap: &Sensor,
) -> Result<Act, GuestError> {
    let marks = Watch::start(lab, tap).began();
    let xid = random::number();
    let op = Op::DhcpClients {
        dev: dev.into(),
        profiles: PROFILES.iter().map(|profile| profile.name.into()).collect(),
        xid,
        deadline_ms: millis(DEADLINE),
        silent_ms: millis(SILENT),
    };
    let longest = DEADLINE * u32::try_from(PROFILES.len()).unwrap_or(u32::MAX);
    let played = match agent.ask(op, longest + ANSWER).await {
        Ok(Answer::DhcpClients { played }) => Ok(played),
        Ok(_) => Err("the agent answered with something else".into()),
        Err(GuestError::Agent { message, .. }) => Err(message),
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

/// The cell's clients for the report, and a verdict for each that can be judged.
pub fn conclude(
    control: &Seen,
    filtered: Option<&Seen>,
    mac: Mac,
) -> (DhcpClients, Vec<ProbeResult>) {
    let mut clients = Vec::new();
    let mut results = Vec::new();
    for (place, profile) in (0..).zip(PROFILES) {
        let (without, with) = (
            control.part(place, mac),
            filtered.map(|it| it.part(place, mac)),
        );
        clients.push(DhcpClient {
            control: without.run(),
            filtered: with.as_ref().map(Part::run),
            ..client(profile)
        });
        if let Some(with) = &with {
            results.extend(judge::result(profile, &without, with));
        }
    }
    let vhost = Vec::new();
    (DhcpClients { clients, vhost }, results)
}

fn client(profile: &Profile) -> DhcpClient {
    DhcpClient {
        name: profile.name.into(),
        system: profile.system.into(),
        strict: profile.sums == Sums::Strict,
        control: ClientRun::default(),
        filtered: None,
    }
}

/// One client of an act.
struct Part<'a> {
    seen: &'a Seen,
    /// What the guest tells; none when it could not play.
    played: Option<&'a Played>,
    xid: u32,
    mac: Mac,
}

impl Seen {
    fn part(&self, place: u32, mac: Mac) -> Part<'_> {
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
    fn run(&self) -> ClientRun {
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
            let of_this = legs::STEPS.iter().any(|step| self.is_mine(&message, *step));
            let answer = matches!(
                message.kind,
                Some(message::OFFER | message::ACK | message::NAK)
            );
            (of_this && answer).then_some(datagram.checksum)
        });
        sums.max()
    }

    fn is_mine(&self, message: &Message, step: Step) -> bool {
        message.client == self.mac && message.xid == lanfence_agent::clients::xid(self.xid, step)
    }

    fn server(&self) -> Option<Ipv4Addr> {
        self.played.and_then(|played| played.server)
    }
}

/// A client's run as it tells itself.
fn told(played: &Played) -> ClientRun {
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

/// Plays one client that checks sums and one that does not on a tap that is read as
/// vhost-net reads one.
pub fn without_guest() -> Result<Vec<DhcpClient>, VerifyError> {
    let mut tap = VhostTap::open("vhost0")?;
    let all = WITHOUT_GUEST.map(|name| profile(name).expect("a name of the table"));
    let mut clients = Vec::new();
    for profile in all {
        let order = Order {
            profile,
            mac: mac::STAND_IN,
            xid: random::number(),
            deadline: Instant::now() + DEADLINE,
        };
        let played = tokio::task::block_in_place(|| play(&mut tap, &order));
        let played = played.map_err(|source| {
            LabError::system(format!("play the {} client on a tap", profile.name), source)
        })?;
        clients.push(DhcpClient {
            control: told(&played),
            ..client(profile)
        });
    }
    Ok(clients)
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}
