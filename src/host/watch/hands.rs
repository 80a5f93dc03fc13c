//! Does what the machine says, and tells what came of it.

use super::journal::{Journal, Passed};
use super::links::{Counters, Links};
use super::look::Look;
use super::machine::{Action, Fall, Level, Machine, Note};
use super::mender::Task;
use super::tables::{Table, Tables};
use crate::host::gate::{self, GateError};
use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::sync::mpsc::Sender;
use std::time::{Duration, Instant};

/// What no watcher can go on after.
#[derive(Debug)]
pub enum HandsError {
    /// The kernel's rules cannot be read.
    Rules(io::Error),
    /// The thread that audits and repairs is gone.
    Mender,
}

/// Counters of so many taps are read before the rules are looked at: more would take time
/// that a fallen fence does not have.
const COUNTED: usize = 64;

/// A gate that could not be closed is tried again after this.
const AGAIN: Duration = Duration::from_secs(1);

/// The watcher's hands.
#[derive(Debug)]
pub struct Hands {
    tasks: Sender<Task>,
    journal: Journal,
    /// The gate's rules as they were made.
    gate: Option<Table>,
    /// What the taps had carried when the first of the last notifications came.
    counted: Option<(Instant, BTreeMap<String, Counters>)>,
    /// The looks when the audit began.
    before: BTreeMap<String, Look>,
    /// When the gate is to be closed again, because it could not be.
    again: Option<Instant>,
}

impl Hands {
    /// For these tasks and this journal.
    pub fn new(tasks: Sender<Task>, journal: Journal) -> Self {
        Self {
            tasks,
            journal,
            gate: None,
            counted: None,
            before: BTreeMap::new(),
            again: None,
        }
    }

    /// Tells.
    pub fn say(&self, note: &Note) {
        self.journal.note(note);
    }

    /// Asks the other thread.
    ///
    /// # Errors
    /// When it has ended.
    pub fn task(&self, task: Task) -> Result<(), HandsError> {
        self.tasks.send(task).map_err(|_| HandsError::Mender)
    }

    /// The looks when the audit began that has just ended.
    pub fn looks_before(&mut self) -> BTreeMap<String, Look> {
        std::mem::take(&mut self.before)
    }

    /// Reads what the taps have carried up to now.
    pub fn count(&mut self, links: &Links, machine: &Machine) {
        let now = Instant::now();
        let all: Vec<&str> = machine.watched().collect();
        if all.len() > COUNTED {
            self.counted = None;
            return;
        }
        let read = |device: &str| Some((device.to_owned(), links.counters(device).ok()??));
        self.counted = Some((now, all.into_iter().filter_map(read).collect()));
    }

    /// Whether the gate's rules are those that it was made with.
    pub fn gate_is_whole(&self, tables: &Tables) -> bool {
        let Some(made) = &self.gate else {
            // An earlier lanfence made it: it is made anew.
            return false;
        };
        tables.gate().is_ok_and(|now| now.as_ref() == Some(made))
    }

    /// What is closed, where the gate has to be closed again now.
    pub fn reclose(&mut self, now: Instant) -> Option<Result<BTreeSet<String>, GateError>> {
        self.again.take_if(|at| *at <= now).map(|_| gate::closed())
    }

    /// Does one thing. `first` is when the first notification of its cause came.
    ///
    /// # Errors
    /// When the watcher cannot go on.
    pub fn act(
        &mut self,
        action: Action,
        first: Instant,
        tables: &Tables,
        links: &Links,
        looks: Option<BTreeMap<String, Look>>,
    ) -> Result<(), HandsError> {
        match action {
            Action::Close(falls) => {
                let names: Vec<&str> = falls.iter().map(|fall| fall.device.as_str()).collect();
                let closed = self.close(&names, tables)?;
                let took =
                    closed.then(|| u64::try_from(first.elapsed().as_millis()).unwrap_or(u64::MAX));
                self.tell(&falls, took, links);
            }
            Action::Tell(falls) => self.tell(&falls, None, links),
            Action::CloseAgain(devices) => {
                let names: Vec<&str> = devices.iter().map(String::as_str).collect();
                self.close(&names, tables)?;
                let message = format!(
                    "somebody changed the gate's rules; closed again: {}",
                    names.join(", ")
                );
                self.note(Level::Warning, "gate-changed", message);
            }
            Action::Open(devices) => {
                let names: Vec<&str> = devices.iter().map(String::as_str).collect();
                if let Err(error) = gate::open(&names) {
                    self.note(Level::Warning, "not-opened", error.to_string());
                }
            }
            Action::Audit => {
                self.before = looks.unwrap_or_default();
                self.task(Task::Audit)?;
            }
            Action::Mend(nics) => self.task(Task::Mend(nics))?,
            Action::Say(note) => self.say(&note),
        }
        Ok(())
    }

    fn close(&mut self, names: &[&str], tables: &Tables) -> Result<bool, HandsError> {
        if let Err(error) = gate::close(names) {
            self.again = Some(Instant::now() + AGAIN);
            self.note(Level::Alert, "not-closed", error.to_string());
            return Ok(false);
        }
        self.gate = tables.gate().map_err(HandsError::Rules)?;
        Ok(true)
    }

    fn tell(&self, falls: &[Fall], took: Option<u64>, links: &Links) {
        for fall in falls {
            let before = self
                .counted
                .as_ref()
                .and_then(|(at, all)| Some((*at, *all.get(&fall.device)?)));
            let now = links.counters(&fall.device).ok().flatten();
            let passed = now.zip(before).map(|(now, (at, before))| {
                let ms = u64::try_from(at.elapsed().as_millis()).unwrap_or(u64::MAX);
                Passed::of(now.since(before), ms)
            });
            self.journal.fall(fall, took, passed);
        }
    }

    fn note(&self, level: Level, event: &'static str, message: String) {
        self.say(&Note {
            level,
            event,
            device: None,
            nic: None,
            message,
        });
    }
}
