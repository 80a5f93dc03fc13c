//! What the watcher tells: one line on standard error for each thing that happened.

use super::judged::Nic;
use super::links::Counters;
use super::machine::{Fall, Level, Note};
use super::rule_events::Culprit;
use crate::report::text::rfc3339;
use serde::Serialize;
use std::time::{SystemTime, UNIX_EPOCH};

/// How lines look.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum LogFormat {
    /// For people and the journal.
    #[default]
    Text,
    /// One JSON object a line.
    Json,
}

/// Where the lines go, and how they look.
#[derive(Debug, Clone, Copy)]
pub struct Journal {
    format: LogFormat,
    /// systemd's journal reads the lines: it knows the time, and takes the level from the
    /// line's beginning (sd-daemon(3)).
    for_systemd: bool,
}

/// One line.
#[derive(Debug, Serialize)]
pub struct Entry<'a> {
    time: String,
    level: Level,
    event: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    guest: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    mac: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    network: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    device: Option<&'a str>,
    message: &'a str,
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    culprits: &'a [Culprit],
    #[serde(skip_serializing_if = "Option::is_none")]
    open_ms: Option<u64>,
    #[serde(flatten)]
    passed: Option<Passed>,
}

/// What came from the guest and went to it while its fence was down: at most this, since
/// frames count that something else has stopped.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Passed {
    frames_from_guest: u64,
    bytes_from_guest: u64,
    frames_to_guest: u64,
    /// Since when it was counted, before the gate was closed.
    counted_ms: u64,
}

impl Passed {
    /// Of a tap's counters, read so many milliseconds one after the other.
    pub fn of(carried: Counters, counted_ms: u64) -> Self {
        Self {
            frames_from_guest: carried.frames_from,
            bytes_from_guest: carried.bytes_from,
            frames_to_guest: carried.frames_to,
            counted_ms,
        }
    }
}

impl Journal {
    /// For standard error.
    pub fn new(format: LogFormat) -> Self {
        let for_systemd = std::env::var_os("JOURNAL_STREAM").is_some();
        Self {
            format,
            for_systemd,
        }
    }

    /// Tells of something.
    pub fn note(&self, note: &Note) {
        let mut entry = Entry::new(note.level, note.event, &note.message);
        entry.of(note.device.as_deref(), note.nic.as_ref());
        self.write(&entry);
    }

    /// Tells of a fence that fell. `open_ms` is the time from the kernel's notification to
    /// the closed gate; none where the gate was not closed.
    pub fn fall(&self, fall: &Fall, open_ms: Option<u64>, passed: Option<Passed>) {
        let event = if fall.was_fenced {
            "fell"
        } else {
            "not-fenced"
        };
        let mut entry = Entry::new(Level::Alert, event, &fall.why);
        entry.of(Some(&fall.device), Some(&fall.nic));
        entry.culprits = &fall.culprits;
        entry.open_ms = open_ms.filter(|_| fall.was_fenced);
        entry.passed = passed.filter(|_| fall.was_fenced);
        let closed = if open_ms.is_some() {
            "it is closed"
        } else {
            "nothing is closed"
        };
        let message = format!("{}; {closed}", fall.why);
        entry.message = &message;
        self.write(&entry);
    }

    fn write(self, entry: &Entry<'_>) {
        eprintln!("{}", self.line(entry));
    }

    fn line(self, entry: &Entry<'_>) -> String {
        match self.format {
            LogFormat::Json => serde_json::to_string(entry).expect("text and numbers"),
            LogFormat::Text if self.for_systemd => {
                let level = match entry.level {
                    Level::Alert => 1,
                    Level::Warning => 4,
                    Level::Info => 6,
                };
                format!("<{level}>{}", entry.text())
            }
            LogFormat::Text => format!("{} {}", entry.time, entry.text()),
        }
    }
}

impl<'a> Entry<'a> {
    fn new(level: Level, event: &'a str, message: &'a str) -> Self {
        let now = SystemTime::now().duration_since(UNIX_EPOCH);
        Self {
            time: rfc3339(now.unwrap_or_default()),
            level,
            event,
            guest: None,
            mac: None,
            network: None,
            device: None,
            message,
            culprits: &[],
            open_ms: None,
            passed: None,
        }
    }

    fn of(&mut self, device: Option<&'a str>, nic: Option<&'a Nic>) {
        let said = |text: &'a String| Some(text.as_str()).filter(|text| !text.is_empty());
        self.device = device;
        self.guest = nic.and_then(|nic| said(&nic.guest));
        self.mac = nic.and_then(|nic| said(&nic.mac));
        self.network = nic.and_then(|nic| said(&nic.network));
    }

    fn text(&self) -> String {
        let level = match self.level {
            Level::Alert => "alert",
            Level::Warning => "warning",
            Level::Info => "info",
        };
        let known = [self.guest, self.device, self.mac].into_iter().flatten();
        let mut names: Vec<&str> = known.collect();
        if let Some(network) = self.network {
            names.extend(["on", network]);
        }
        let separator = if names.is_empty() { "" } else { ": " };
        let names = names.join(" ");
        let took = self.open_ms.map(|ms| format!(" after {ms} ms"));
        let took = took.unwrap_or_default();
        let mut parts = vec![format!(
            "{level} {}: {names}{separator}{}{took}",
            self.event, self.message
        )];
        parts.extend(self.passed.map(|passed| {
            format!(
                "in {} ms before that at most {} frames ({} bytes) from the guest passed, and {} to it",
                passed.counted_ms,
                passed.frames_from_guest,
                passed.bytes_from_guest,
                passed.frames_to_guest
            )
        }));
        if !self.culprits.is_empty() {
            let all: Vec<String> = self.culprits.iter().map(ToString::to_string).collect();
            parts.push(format!("the rules were changed by {}", all.join(", ")));
        }
        // Errors name their cure on a line of its own.
        let text = parts.join("; ");
        text.lines().map(str::trim).collect::<Vec<_>>().join("; ")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fall(was_fenced: bool) -> Fall {
        Fall {
            device: "vnet0".into(),
            nic: Nic {
                guest: "web".into(),
                mac: "52:54:00:00:00:01".into(),
                network: "br0".into(),
            },
            why: "the kernel's rules are not those that were proven".into(),
            culprits: vec![Culprit {
                pid: 4711,
                name: "nft".into(),
            }],
            was_fenced,
        }
    }

    #[test]
    fn the_lines_of_what_can_happen() {
        let carried = Counters {
            frames_from: 3,
            bytes_from: 180,
            frames_to: 1,
            bytes_to: 60,
        };
        let told = |journal: Journal| {
            let mut lines = Vec::new();
            let note = Note {
                level: Level::Info,
                event: "ready",
                device: None,
                nic: None,
                message: "it watches\n  cure: none".into(),
            };
            let mut entry = Entry::new(note.level, note.event, &note.message);
            entry.time = "2026-01-02T03:04:05Z".into();
            lines.push(journal.line(&entry));
            let fall = fall(true);
            let mut entry = Entry::new(Level::Alert, "fell", &fall.why);
            entry.time = "2026-01-02T03:04:05Z".into();
            entry.of(Some(&fall.device), Some(&fall.nic));
            entry.culprits = &fall.culprits;
            entry.open_ms = Some(4);
            entry.passed = Some(Passed::of(carried, 5));
            lines.push(journal.line(&entry));
            lines.join("\n")
        };
        let texts = [
            Journal {
                format: LogFormat::Text,
                for_systemd: false,
            },
            Journal {
                format: LogFormat::Text,
                for_systemd: true,
            },
            Journal {
                format: LogFormat::Json,
                for_systemd: true,
            },
        ];
        insta::assert_snapshot!(texts.map(told).join("\n\n"));
    }
}
