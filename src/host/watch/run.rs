//! The watcher itself: it waits for whatever happens first and does what the machine says.

use super::domain_events::{DomainEvent, DomainEvents};
use super::hands::{Hands, HandsError};
use super::journal::{Journal, LogFormat};
use super::links::Links;
use super::look::{Look, look};
use super::machine::{Level, Machine, Millis, Note, Orders, Seen};
use super::mender::{Done, Mender, Task};
use super::rule_events::RuleEvents;
use super::service::Service;
use super::tables::Tables;
use crate::host::gate::{self, GateError};
use crate::host::prove::is_of_a_proof;
use crate::policy::Policy;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::signal::{SigSet, Signal};
use nix::sys::signalfd::{SfdFlags, SignalFd};
use std::collections::{BTreeMap, BTreeSet};
use std::io::{self, Read as _};
use std::os::fd::AsFd as _;
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::time::{Duration, Instant};
use thiserror::Error;

/// What the user asked for.
#[derive(Debug)]
pub struct Options {
    /// URI of libvirt.
    pub uri: Option<String>,
    /// What is meant.
    pub policy: Policy,
    /// Pause between audits when nothing happens.
    pub interval: Duration,
    /// Look and tell, but change nothing.
    pub alert_only: bool,
    /// Where metrics go.
    pub metrics: Option<PathBuf>,
    /// How lines look.
    pub format: LogFormat,
}

/// Why there is no watching.
#[derive(Debug, Error)]
pub enum WatchError {
    /// A source of events cannot be opened.
    #[error(
        "{what} cannot be listened to: {source}\n  cure: run lanfence as root, or give it CAP_NET_ADMIN; the kernel needs nftables"
    )]
    Source {
        /// Which.
        what: &'static str,
        /// Why.
        source: io::Error,
    },
    /// The kernel's rules cannot be read.
    #[error(
        "the kernel's rules cannot be read: {source}\n  cure: run lanfence as root, or give it CAP_NET_ADMIN"
    )]
    Rules {
        /// Why.
        source: io::Error,
    },
    /// The gate cannot be looked at.
    #[error(transparent)]
    Gate(#[from] GateError),
    /// The process itself lacks something.
    #[error("{doing}: {source}")]
    System {
        /// What was being done.
        doing: &'static str,
        /// Why.
        source: io::Error,
    },
    /// The thread for audits and repairs ended by a fault.
    #[error(
        "the thread that audits and repairs has ended\n  cure: this is a fault of lanfence; please report it with the lines above"
    )]
    Mender,
}

impl From<HandsError> for WatchError {
    fn from(error: HandsError) -> Self {
        match error {
            HandsError::Rules(source) => Self::Rules { source },
            HandsError::Mender => Self::Mender,
        }
    }
}

/// An audit or a repair that takes longer is stuck: systemd is not told any more that the
/// watcher is well. A thousand bindings take some minutes.
const STUCK: Millis = 20 * 60_000;

/// Rules are looked at again at the earliest after so many times what the last look took.
const REST: u32 = 2;

/// Watches until it is told to end by SIGTERM or SIGINT. At SIGHUP `reread` reads the policy
/// again, and everything is looked at.
///
/// # Errors
/// When a source of events is missing or breaks.
pub fn run(
    options: Options,
    reread: &dyn Fn() -> Result<Policy, String>,
) -> Result<(), WatchError> {
    let mut watcher = Watcher::start(options)?;
    loop {
        if watcher.wait()? {
            watcher.turn(reread)?;
        } else {
            return Ok(());
        }
    }
}

/// Everything that a watcher has open.
struct Watcher {
    machine: Machine,
    hands: Hands,
    tables: Tables,
    /// Those whose taps have to be fenced from their first frame on.
    bridges: BTreeSet<String>,
    rules: RuleEvents,
    links: Links,
    domains: DomainEvents,
    done: Receiver<Done>,
    awake: UnixStream,
    signals: SignalFd,
    service: Service,
    started: Instant,
    /// When systemd wants to hear again that all is well.
    feed_at: Option<Instant>,
    /// Rules are looked at from then on.
    rest_until: Instant,
    status: String,
    reload: bool,
}

impl Watcher {
    fn start(options: Options) -> Result<Self, WatchError> {
        let system = |doing| move |source: io::Error| WatchError::System { doing, source };
        let signals = signals().map_err(system("listen to signals"))?;
        // Before any other connection to libvirt.
        let domains = DomainEvents::listen(options.uri.clone());
        let domains = domains.map_err(system("listen to libvirt"))?;
        let source = |what| move |source| WatchError::Source { what, source };
        let rules = RuleEvents::listen().map_err(source("the kernel's notifications of rules"))?;
        let links = Links::listen().map_err(source("the kernel's notifications of devices"))?;
        let tables = Tables::read().map_err(|source| WatchError::Rules { source })?;
        let closed = gate::closed()?;
        let mender = Mender {
            uri: options.uri,
            policy: options.policy.clone(),
            metrics: options.metrics,
            alert_only: options.alert_only,
            references: None,
        };
        let (tasks, done, awake) = begin(mender).map_err(system("start a thread"))?;
        let now = Instant::now();
        let mut watcher = Self {
            machine: Machine::new(Orders {
                alert_only: options.alert_only,
                interval: millis(options.interval),
            }),
            hands: Hands::new(tasks, Journal::new(options.format)),
            tables,
            bridges: options.policy.fence.bridges.into_iter().collect(),
            rules,
            links,
            domains,
            done,
            awake,
            signals,
            service: Service::from_environment(),
            started: now,
            feed_at: None,
            rest_until: now,
            status: String::new(),
            reload: false,
        };
        let quiet = "; it changes nothing (--alert-only)";
        let text = if options.alert_only { quiet } else { "" };
        watcher.say(
            Level::Info,
            "ready",
            format!("lanfence watches the guests of this host{text}"),
        );
        watcher.service.ready();
        watcher.step(Seen::GateAtStart(closed), now)?;
        Ok(watcher)
    }

    /// Waits for the next thing to happen. False when the watcher is to end.
    fn wait(&mut self) -> Result<bool, WatchError> {
        let system = |source: io::Error| WatchError::System {
            doing: "wait",
            source,
        };
        let now = Instant::now();
        let next = self
            .started
            .checked_add(Duration::from_millis(self.machine.next()));
        let resting = self.rest_until > now;
        let rest = resting.then_some(self.rest_until);
        let first = [next, self.feed_at, rest].into_iter().flatten().min();
        // A moment later rather than a moment too early, or it would wake in vain.
        let pause = first.map(|it| it.saturating_duration_since(now) + Duration::from_micros(999));
        let pause = pause.map_or(PollTimeout::MAX, |pause| {
            PollTimeout::try_from(pause.min(Duration::from_secs(3600))).unwrap_or(PollTimeout::MAX)
        });
        let read = |fd| PollFd::new(fd, PollFlags::POLLIN);
        let mut all = vec![
            read(self.signals.as_fd()),
            read(self.links.as_fd()),
            read(self.domains.as_fd()),
            read(self.awake.as_fd()),
        ];
        if !resting {
            all.push(read(self.rules.as_fd()));
        }
        match poll(&mut all, pause) {
            Ok(_) | Err(nix::Error::EINTR) => {}
            Err(errno) => return Err(system(errno.into())),
        }
        while let Ok(Some(signal)) = self.signals.read_signal() {
            if i32::try_from(signal.ssi_signo) == Ok(Signal::SIGHUP as i32) {
                self.reload = true;
            } else {
                self.end();
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// Deals with whatever has happened.
    fn turn(&mut self, reread: &dyn Fn() -> Result<Policy, String>) -> Result<(), WatchError> {
        let first = Instant::now();
        self.take_links(first)?;
        if first >= self.rest_until {
            self.take_rules(first)?;
        }
        self.take_domains(first)?;
        self.take_done(first)?;
        if std::mem::take(&mut self.reload) {
            self.take_policy(reread(), first)?;
        }
        if let Some(closed) = self.hands.reclose(first) {
            self.step(Seen::Gate(closed?, false), first)?;
        }
        self.step(Seen::Nothing, first)?;
        self.feed(Instant::now());
        Ok(())
    }

    fn take_links(&mut self, first: Instant) -> Result<(), WatchError> {
        let what = "the kernel's notifications of devices";
        let events = self
            .links
            .changes()
            .map_err(|source| WatchError::Source { what, source })?;
        for event in events {
            let covered = match &event {
                // A proof in place needs its taps open, and no guest has them.
                super::LinkEvent::Joined { tap, .. } if is_of_a_proof(tap) => continue,
                super::LinkEvent::Joined { bridge, .. } => self.bridges.contains(bridge),
                _ => false,
            };
            self.step(Seen::Link(event, covered), first)?;
        }
        Ok(())
    }

    fn take_rules(&mut self, first: Instant) -> Result<(), WatchError> {
        let what = "the kernel's notifications of rules";
        self.hands.count(&self.links, &self.machine);
        let changes = self
            .rules
            .changes()
            .map_err(|source| WatchError::Source { what, source })?;
        if changes.overrun {
            let message = "the kernel had more to tell than there was room for; all is looked at";
            self.say(Level::Warning, "overrun", message.to_owned());
        }
        if !changes.parts.is_empty() {
            let rules = |source| WatchError::Rules { source };
            self.tables.refresh(&changes.parts).map_err(rules)?;
            let mut looks = self.looks();
            for (device, look) in &mut looks {
                look.rebuilding |= changes.rebuilds(device);
            }
            let culprits = changes.culprits.clone();
            self.step(Seen::Looked { looks, culprits }, first)?;
        }
        if changes.gate {
            let whole = self.hands.gate_is_whole(&self.tables);
            self.step(Seen::Gate(gate::closed()?, whole), first)?;
        }
        if changes.early {
            self.step(Seen::Guest, first)?;
        }
        if !changes.is_empty() {
            self.rest_until = Instant::now() + first.elapsed() * REST;
        }
        Ok(())
    }

    /// What changed before an answer came counts with it.
    fn take_rules_at_once(&mut self, first: Instant) -> Result<(), WatchError> {
        self.rest_until = first;
        self.take_rules(first)
    }

    fn take_domains(&mut self, first: Instant) -> Result<(), WatchError> {
        for event in self.domains.take() {
            match event {
                DomainEvent::Connected => {
                    self.hands.task(Task::Forget)?;
                    self.say(
                        Level::Info,
                        "connected",
                        "libvirt tells of its guests".into(),
                    );
                }
                DomainEvent::Lost(why) => {
                    let message = format!(
                        "libvirt tells nothing; the kernel's rules are watched all the same: {why}"
                    );
                    self.say(Level::Warning, "disconnected", message);
                    continue;
                }
                DomainEvent::Changed { .. } => {}
            }
            self.step(Seen::Guest, first)?;
        }
        Ok(())
    }

    fn take_done(&mut self, first: Instant) -> Result<(), WatchError> {
        let mut bytes = [0; 64];
        while matches!(self.awake.read(&mut bytes), Ok(length) if length > 0) {}
        loop {
            let seen = match self.done.try_recv() {
                Ok(Done::Audit(Ok(judged))) => {
                    self.take_rules_at_once(first)?;
                    let before = self.hands.looks_before();
                    Seen::Judged {
                        judged,
                        before,
                        after: self.looks(),
                    }
                }
                Ok(Done::Audit(Err(why))) => Seen::NotJudged(why),
                Ok(Done::Mend(result)) => {
                    self.take_rules_at_once(first)?;
                    for step in result.iter().flatten() {
                        self.say(Level::Info, "mended", step.clone());
                    }
                    Seen::Mended(result.map(drop))
                }
                Ok(Done::Bridges(bridges)) => {
                    self.bridges = bridges;
                    continue;
                }
                Ok(Done::Warning { event, why }) => {
                    self.say(Level::Warning, event, why);
                    continue;
                }
                Err(std::sync::mpsc::TryRecvError::Empty) => return Ok(()),
                Err(std::sync::mpsc::TryRecvError::Disconnected) => return Err(WatchError::Mender),
            };
            self.step(seen, first)?;
        }
    }

    fn take_policy(
        &mut self,
        policy: Result<Policy, String>,
        first: Instant,
    ) -> Result<(), WatchError> {
        match policy {
            Ok(policy) => {
                self.bridges.extend(policy.fence.bridges.iter().cloned());
                self.hands.task(Task::Policy(Box::new(policy)))?;
                self.say(Level::Info, "reloaded", "the policy was read again".into());
                self.step(Seen::Guest, first)
            }
            Err(why) => {
                let message = format!("the policy stays as it was: {why}");
                self.say(Level::Warning, "not-reloaded", message);
                Ok(())
            }
        }
    }

    /// What the kernel has for each tap, as far as it has been read.
    fn looks(&self) -> BTreeMap<String, Look> {
        let taps = self.links.ports().map(|(tap, _)| tap);
        let all = taps.chain(self.machine.watched());
        all.map(|device| (device.to_owned(), look(&self.tables, device)))
            .collect()
    }

    /// Has the machine decide, and does what it says. `first` is when the first notification
    /// of what was seen came.
    fn step(&mut self, seen: Seen, first: Instant) -> Result<(), WatchError> {
        let now = millis(self.started.elapsed());
        for action in self.machine.step(now, seen) {
            let looks = matches!(action, super::Action::Audit).then(|| self.looks());
            self.hands
                .act(action, first, &self.tables, &self.links, looks)?;
        }
        Ok(())
    }

    fn feed(&mut self, now: Instant) {
        let (fenced, wanted) = self.machine.counts();
        let closed: Vec<&str> = self.machine.closed().iter().map(String::as_str).collect();
        let mut status = vec![format!("{fenced} of {wanted} interfaces are fenced")];
        if !closed.is_empty() {
            status.push(format!("closed: {}", closed.join(", ")));
        }
        let status = status.join("; ");
        if status != self.status {
            self.service.status(&status);
            self.status = status;
        }
        let Some(every) = self.service.watchdog() else {
            return;
        };
        let busy = self.machine.busy_for(millis(self.started.elapsed()));
        let is_well = busy.is_none_or(|busy| busy < STUCK);
        if is_well && self.feed_at.is_none_or(|at| at <= now) {
            self.service.alive();
        }
        if self.feed_at.is_none_or(|at| at <= now) {
            self.feed_at = Some(now + every);
        }
    }

    fn end(&mut self) {
        self.service.stopping();
        let closed: Vec<&str> = self.machine.closed().iter().map(String::as_str).collect();
        let text = if closed.is_empty() {
            "lanfence watches no longer".to_owned()
        } else {
            format!(
                "lanfence watches no longer; these stay closed until it does: {}",
                closed.join(", ")
            )
        };
        self.say(Level::Info, "end", text);
    }

    fn say(&self, level: Level, event: &'static str, message: String) {
        self.hands.say(&Note {
            level,
            event,
            device: None,
            nic: None,
            message,
        });
    }
}

/// The signals that the watcher waits for. Threads that are started later inherit that they
/// do not have them.
fn signals() -> io::Result<SignalFd> {
    let mut set = SigSet::empty();
    for signal in [Signal::SIGTERM, Signal::SIGINT, Signal::SIGHUP] {
        set.add(signal);
    }
    set.thread_block()?;
    Ok(SignalFd::with_flags(
        &set,
        SfdFlags::SFD_CLOEXEC | SfdFlags::SFD_NONBLOCK,
    )?)
}

/// Starts the thread that audits and repairs.
fn begin(mender: Mender) -> io::Result<(Sender<Task>, Receiver<Done>, UnixStream)> {
    let (awake, wake) = UnixStream::pair()?;
    awake.set_nonblocking(true)?;
    wake.set_nonblocking(true)?;
    let (tasks, asked) = channel();
    let (answers, done) = channel();
    let thread = std::thread::Builder::new().name("lanfence-mender".into());
    thread.spawn(move || mender.serve(&asked, &answers, &wake))?;
    Ok((tasks, done, awake))
}

fn millis(duration: Duration) -> Millis {
    Millis::try_from(duration.as_millis()).unwrap_or(Millis::MAX)
}
