//! Decides what a watcher does: it is told what was seen and answers with what is to be done.
//! It looks at nothing and changes nothing itself, so that every history can be tried on it.

mod fall;
mod judge;
mod links;
#[cfg(test)]
mod tests;

use super::judged::{Judged, Nic};
use super::links::LinkEvent;
use super::look::Look;
use super::rule_events::Culprit;
use std::collections::{BTreeMap, BTreeSet};

/// Milliseconds since the watcher started.
pub type Millis = u64;

/// The kernel's rules must have been quiet so long before they are judged.
const QUIET: Millis = 300;
/// They are judged after so long even if they are not quiet.
const PATIENCE: Millis = 2_000;
/// Longest time that a rebuild by libvirt is waited for.
const REBUILD: Millis = 20_000;
/// First and longest pause before something is tried again that did not help.
const RETRY: (Millis, Millis) = (1_000, 60_000);
/// The same for what is no leak, such as a persistent definition.
const RETRY_CALMLY: (Millis, Millis) = (10_000, 3_600_000);
/// How long a closed tap may be one that no guest of libvirt has.
const UNCLAIMED: Millis = 30_000;
/// After this time what another lanfence has closed is taken over: that one has ended.
const ABANDONED: Millis = 60_000;

/// What the watcher is to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Orders {
    /// Look and tell, but change nothing.
    pub alert_only: bool,
    /// Pause between audits when nothing happens.
    pub interval: Millis,
}

/// What was seen.
#[derive(Debug, Clone)]
pub enum Seen {
    /// The gate as it is when the watcher starts.
    GateAtStart(BTreeSet<String>),
    /// The gate's table was changed; what is closed now, and whether its rules are whole.
    Gate(BTreeSet<String>, bool),
    /// The kernel's rules were changed: what is there now for each device that is watched.
    Looked {
        /// The looks, by device.
        looks: BTreeMap<String, Look>,
        /// Who made the changes.
        culprits: BTreeSet<Culprit>,
    },
    /// Something happened to a tap. Whether the policy covers its bridge.
    Link(LinkEvent, bool),
    /// libvirt told of a change of a guest, or rules were changed that have frames before the bridge.
    Guest,
    /// An audit came to its end: what it says, and the looks when it began and ended.
    Judged {
        /// The interfaces of running guests.
        judged: Vec<Judged>,
        /// The looks when it began.
        before: BTreeMap<String, Look>,
        /// The looks when it ended.
        after: BTreeMap<String, Look>,
    },
    /// An audit could not be made.
    NotJudged(String),
    /// A repair came to its end.
    Mended(Result<(), String>),
    /// Time has passed.
    Nothing,
}

/// What is to be done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Action {
    /// Close the gate for these devices, at once, then tell of the falls.
    Close(Vec<Fall>),
    /// Tell of these falls; nothing is closed.
    Tell(Vec<Fall>),
    /// Close the gate for these devices again: somebody opened it.
    CloseAgain(Vec<String>),
    /// Open the gate for these devices.
    Open(Vec<String>),
    /// Audit all guests.
    Audit,
    /// Repair these interfaces.
    Mend(Vec<(String, Nic)>),
    /// Tell.
    Say(Note),
}

/// A fence that fell, or was not there when it had to be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fall {
    /// The device.
    pub device: String,
    /// Its interface.
    pub nic: Nic,
    /// What was seen.
    pub why: String,
    /// Who did it, where the kernel told.
    pub culprits: Vec<Culprit>,
    /// It was fenced before: the fence fell. Else it had none yet.
    pub was_fenced: bool,
}

/// Something to tell.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Note {
    /// How urgent it is.
    pub level: Level,
    /// A word that stays.
    pub event: &'static str,
    /// The device that it is about.
    pub device: Option<String>,
    /// The device's interface.
    pub nic: Option<Nic>,
    /// One sentence.
    pub message: String,
}

/// How urgent something is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Level {
    /// A guest is or was open.
    Alert,
    /// Something is not as it must be.
    Warning,
    /// All goes its way.
    Info,
}

/// A device that is watched.
#[derive(Debug, Clone)]
struct Device {
    nic: Nic,
    phase: Phase,
    wanted: bool,
    /// When it was first seen, or last lost by the audit.
    since: Millis,
    /// When its rules changed last.
    changed: Option<Millis>,
    /// What was there when they were looked at last.
    seen: Option<Look>,
    /// Repairs since it was fenced last.
    tries: u32,
    /// When the next repair may begin.
    retry: Millis,
    /// Something that is no leak must be mended.
    blemish: bool,
    /// What was told of it last, so that it is told once.
    told: Option<String>,
}

/// How a device stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    /// Nobody has judged it yet.
    Unjudged,
    /// Nobody asks for a fence here.
    Unwanted,
    /// Its rules were proven, and are still the same.
    Fenced(Look),
    /// libvirt makes them anew, and those that are there still lead to it.
    Rebuilding(Look, Millis),
    /// They are gone or others.
    Fallen,
    /// No filter can hold it.
    Unfilterable,
}

/// What is being done outside.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Job {
    Audit { began: Millis },
    Mend { began: Millis },
}

/// The watcher's mind.
#[derive(Debug)]
pub struct Machine {
    orders: Orders,
    devices: BTreeMap<String, Device>,
    /// What this watcher holds closed.
    closed: BTreeSet<String>,
    /// What others hold closed, since when.
    others: BTreeMap<String, Millis>,
    job: Option<Job>,
    /// What is being repaired. The repair opens what it has proven.
    mending: BTreeSet<String>,
    /// When the next audit is due.
    audit_at: Millis,
    /// When the changes began that the next audit is for.
    unquiet_since: Option<Millis>,
    /// Audits that failed, one after the other.
    failures: u32,
    /// Audits that could not judge everything, one after the other.
    unsure: u32,
}

impl Machine {
    /// Begins with nothing known; the first audit is due at once.
    pub fn new(orders: Orders) -> Self {
        Self {
            orders,
            devices: BTreeMap::new(),
            closed: BTreeSet::new(),
            others: BTreeMap::new(),
            job: None,
            mending: BTreeSet::new(),
            audit_at: 0,
            unquiet_since: None,
            failures: 0,
            unsure: 0,
        }
    }

    /// The devices whose rules are to be looked at when rules change.
    pub fn watched(&self) -> impl Iterator<Item = &str> {
        self.devices.keys().map(String::as_str)
    }

    /// What this watcher holds closed.
    pub fn closed(&self) -> &BTreeSet<String> {
        &self.closed
    }

    /// How many interfaces are fenced, and how many are meant to be.
    pub fn counts(&self) -> (usize, usize) {
        let wanted = self.devices.values().filter(|it| it.wanted);
        let holds = |it: &&Device| matches!(it.phase, Phase::Fenced(_) | Phase::Rebuilding(..));
        (wanted.clone().filter(holds).count(), wanted.count())
    }

    /// When the machine wants to be asked again at the latest.
    pub fn next(&self) -> Millis {
        let rebuilds = self.devices.values().filter_map(|it| match it.phase {
            Phase::Rebuilding(_, since) => Some(since + REBUILD),
            _ => None,
        });
        let rebuilds = rebuilds.min().unwrap_or(Millis::MAX);
        if self.job.is_some() {
            return rebuilds;
        }
        let mend = |it: &&Device| !self.orders.alert_only && it.is_to_mend();
        let retries = self.devices.values().filter(mend).map(|it| it.retry);
        retries.chain([rebuilds]).fold(self.audit_at, Millis::min)
    }

    /// Takes in what was seen and says what is to be done, in this order.
    pub fn step(&mut self, now: Millis, seen: Seen) -> Vec<Action> {
        let mut out = Vec::new();
        match seen {
            Seen::GateAtStart(closed) => self.take_over(closed, &mut out),
            Seen::Gate(closed, whole) => self.gate_changed(now, &closed, whole, &mut out),
            Seen::Looked { looks, culprits } => self.looked(now, &looks, &culprits, &mut out),
            Seen::Link(event, covered) => self.link(now, event, covered, &mut out),
            Seen::Guest => self.changed(now),
            Seen::Judged {
                judged,
                before,
                after,
            } => {
                self.judged(now, &judged, &before, &after, &mut out);
            }
            Seen::NotJudged(why) => self.not_judged(now, why, &mut out),
            Seen::Mended(result) => self.mended(now, result, &mut out),
            Seen::Nothing => {}
        }
        self.rebuilds_that_do_not_end(now, &mut out);
        self.begin_a_job(now, &mut out);
        out
    }

    /// Something changed that an audit must see, once it is quiet.
    fn changed(&mut self, now: Millis) {
        let since = *self.unquiet_since.get_or_insert(now);
        // While a job is done the next audit waits for its end anyway.
        self.audit_at = (now + QUIET).min(since + PATIENCE).max(now);
    }

    /// What a watcher that is gone has left closed is this one's from now on.
    fn take_over(&mut self, closed: BTreeSet<String>, out: &mut Vec<Action>) {
        if self.orders.alert_only {
            return;
        }
        for device in &closed {
            let message = "it is closed by an earlier lanfence and is taken over: it opens when its rules are proven";
            out.push(self.note(Level::Warning, "taken-over", device, message));
        }
        self.closed.extend(closed);
    }

    fn gate_changed(
        &mut self,
        now: Millis,
        closed: &BTreeSet<String>,
        whole: bool,
        out: &mut Vec<Action>,
    ) {
        self.others.retain(|device, _| closed.contains(device));
        for device in closed.difference(&self.closed) {
            self.others.entry(device.clone()).or_insert(now);
        }
        let mended = self.mending.difference(closed).cloned();
        for device in mended.collect::<Vec<_>>() {
            self.closed.remove(&device);
        }
        if !self.closed.is_empty() && (!whole || !self.closed.is_subset(closed)) {
            out.push(Action::CloseAgain(self.closed.iter().cloned().collect()));
        }
    }

    fn not_judged(&mut self, now: Millis, why: String, out: &mut Vec<Action>) {
        self.job = None;
        self.failures += 1;
        self.audit_at = now + backoff(RETRY, self.failures);
        // That nobody could look is no reason to think that rules are gone.
        if self.failures == 1 {
            out.push(Action::Say(Note {
                level: Level::Warning,
                event: "audit-failed",
                device: None,
                nic: None,
                message: why,
            }));
        }
    }

    fn mended(&mut self, now: Millis, result: Result<(), String>, out: &mut Vec<Action>) {
        self.job = None;
        self.mending.clear();
        if let Err(why) = result {
            out.push(Action::Say(Note {
                level: Level::Warning,
                event: "repair-failed",
                device: None,
                nic: None,
                message: why,
            }));
        }
        // Whatever it says, only the audit tells whether it helped.
        self.audit_at = now;
    }

    fn begin_a_job(&mut self, now: Millis, out: &mut Vec<Action>) {
        if self.job.is_some() {
            return;
        }
        let due: Vec<String> = self
            .devices
            .iter()
            .filter(|(_, it)| !self.orders.alert_only && it.is_to_mend() && it.retry <= now)
            .map(|(device, _)| device.clone())
            .collect();
        if !due.is_empty() {
            let mut all = Vec::new();
            for name in due {
                if let Some(device) = self.devices.get_mut(&name) {
                    let pauses = if device.phase == Phase::Fallen {
                        RETRY
                    } else {
                        RETRY_CALMLY
                    };
                    device.tries += 1;
                    device.retry = now + backoff(pauses, device.tries);
                    all.push((name, device.nic.clone()));
                }
            }
            self.job = Some(Job::Mend { began: now });
            self.mending = all.iter().map(|(name, _)| name.clone()).collect();
            out.push(Action::Mend(all));
        } else if self.audit_at <= now {
            self.audit_at = now + self.orders.interval;
            self.unquiet_since = None;
            self.job = Some(Job::Audit { began: now });
            out.push(Action::Audit);
        }
    }

    /// How long the job that is being done has been going on.
    pub fn busy_for(&self, now: Millis) -> Option<Millis> {
        let (Job::Audit { began } | Job::Mend { began }) = self.job?;
        Some(now.saturating_sub(began))
    }

    fn note(&self, level: Level, event: &'static str, device: &str, message: &str) -> Action {
        Action::Say(Note {
            level,
            event,
            device: Some(device.to_owned()),
            nic: self.devices.get(device).map(|it| it.nic.clone()),
            message: message.to_owned(),
        })
    }
}

impl Device {
    fn new(nic: Nic, now: Millis) -> Self {
        Self {
            nic,
            phase: Phase::Unjudged,
            wanted: false,
            since: now,
            changed: None,
            seen: None,
            tries: 0,
            retry: 0,
            blemish: false,
            told: None,
        }
    }

    fn is_to_mend(&self) -> bool {
        // What has no guest yet is not libvirt's to mend.
        let known = !self.nic.guest.is_empty();
        known && self.wanted && (self.phase == Phase::Fallen || self.blemish)
    }
}

/// The pause after so many tries: twice as long each time.
fn backoff((first, longest): (Millis, Millis), tries: u32) -> Millis {
    first
        .saturating_mul(1 << tries.saturating_sub(1).min(20))
        .min(longest)
}
