//! Why a domain ended, as QEMU and libvirt noted it.

use crate::lab::{LIBVIRTD_LOG, Lab, qemu_log_path};
use serde::Deserialize;
use std::time::{Duration, Instant};

/// Longest wait for libvirt to note a domain's end in QEMU's log; it does so within
/// milliseconds.
const NOTED: Duration = Duration::from_secs(2);

/// How often the log is looked at.
const LOOK: Duration = Duration::from_millis(20);

/// What libvirt writes last into QEMU's log (`qemuProcessStop` in its `qemu_process.c`).
const LAST: &str = ": shutting down, reason=";

/// QEMU's reason when it is ended by a signal, as libvirt ends it (qapi/run-state.json).
const SIGNAL: &str = "host-signal";

/// Lines of QEMU's log that are quoted; its command line comes long before.
const LINES: usize = 3;

/// How long the lab's log of libvirtd is by now.
pub fn log_length() -> usize {
    std::fs::read(LIBVIRTD_LOG).map_or(0, |log| log.len())
}

/// What a domain that had ended by itself left in the logs, in words; none where it ran until its
/// owner ended it. `from` is how long libvirtd's log was before the domain began.
///
/// A domain that ends takes its monitor, its tap and its rules along, so whoever works with it
/// may stumble over any of them first.
pub async fn early_end(lab: &Lab, name: &str, from: usize) -> Option<String> {
    let told = reason(&events(from)).is_some_and(|reason| reason != SIGNAL);
    if told || lab.early_ends.has(name) {
        Some(obituary(lab, name, from).await)
    } else {
        None
    }
}

/// QEMU's reason for the end of the domain and the end of QEMU's log, in words. `from` is how
/// long libvirtd's log was before the domain began.
pub async fn obituary(lab: &Lab, name: &str, from: usize) -> String {
    let end = Instant::now() + lab.slowness.stretch(NOTED);
    let read = || {
        let log = std::fs::read(qemu_log_path(name)).unwrap_or_default();
        String::from_utf8_lossy(&log).into_owned()
    };
    let mut log = read();
    while !log.contains(LAST) && Instant::now() < end {
        tokio::time::sleep(LOOK).await;
        log = read();
    }
    in_words(&events(from), &log)
}

/// What libvirtd has noted since its log had this length.
fn events(from: usize) -> String {
    let events = std::fs::read(LIBVIRTD_LOG).unwrap_or_default();
    String::from_utf8_lossy(events.get(from..).unwrap_or_default()).into_owned()
}

/// QEMU's event of this name (qapi/run-state.json).
#[derive(Deserialize)]
struct Event {
    event: String,
    data: Option<Shutdown>,
}

/// What belongs to the event SHUTDOWN.
#[derive(Deserialize)]
struct Shutdown {
    reason: Option<String>,
}

/// The reason in the first SHUTDOWN of the QEMU that has shut down last. libvirt notes QEMU's
/// events in its log as they came, behind `mon=` and `event=`. Once one has come it ends QEMU by
/// a signal, and QEMU tells of that too.
fn reason(events: &str) -> Option<String> {
    let shutdown = |line| {
        let (before, event) = str::split_once(line, " event=")?;
        let (_, monitor) = before.rsplit_once(" mon=")?;
        let event: Event = serde_json::from_str(event).ok()?;
        (event.event == "SHUTDOWN").then_some((monitor, event.data?.reason?))
    };
    let all: Vec<(&str, String)> = events.lines().filter_map(shutdown).collect();
    let (last, _) = all.last()?;
    let first = all.iter().find(|(monitor, _)| monitor == last)?;
    Some(first.1.clone())
}

fn in_words(events: &str, log: &str) -> String {
    let reason = reason(events).map_or_else(
        || "QEMU gave no reason".to_owned(),
        |reason| format!("QEMU's reason: {reason}"),
    );
    let lines: Vec<&str> = log.lines().filter(|line| !line.is_empty()).collect();
    let lines = &lines[lines.len().saturating_sub(LINES)..];
    if lines.is_empty() {
        return reason;
    }
    format!("{reason}; its log ends with:\n    {}", lines.join("\n    "))
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    const RESET: &str = "2026-11-30 01:02:03.456+0000: 7: info : qemuMonitorJSONIOProcessLine:206 : QEMU_MONITOR_RECV_EVENT: mon=0x7f event={\"timestamp\": {\"seconds\": 1, \"microseconds\": 2}, \"event\": \"SHUTDOWN\", \"data\": {\"guest\": true, \"reason\": \"guest-reset\"}}\n";
    const STOP: &str = "7: info : QEMU_MONITOR_RECV_EVENT: mon=0x7f event={\"event\": \"STOP\"}\n";
    const SIGNALLED: &str = "7: info : QEMU_MONITOR_RECV_EVENT: mon=0x7f event={\"event\": \"SHUTDOWN\", \"data\": {\"guest\": false, \"reason\": \"host-signal\"}}\n";
    const OTHER: &str = "7: info : QEMU_MONITOR_RECV_EVENT: mon=0x55 event={\"event\": \"SHUTDOWN\", \"data\": {\"guest\": true, \"reason\": \"guest-panic\"}}\n";

    #[rstest]
    #[case::of_the_guest(&[RESET, STOP], "", "QEMU's reason: guest-reset")]
    #[case::ended_by_libvirt_then(&[RESET, STOP, SIGNALLED], "", "QEMU's reason: guest-reset")]
    #[case::after_another(&[OTHER, RESET, SIGNALLED], "", "QEMU's reason: guest-reset")]
    #[case::killed(&[STOP], "", "QEMU gave no reason")]
    #[case::cut_short(&[STOP, &RESET[..190]], "", "QEMU gave no reason")]
    #[case::with_a_log(
        &[RESET],
        "-device x\n\nterminating on signal 15\n1: shutting down, reason=shutdown\n",
        "QEMU's reason: guest-reset; its log ends with:\n    -device x\n    terminating on signal 15\n    1: shutting down, reason=shutdown"
    )]
    fn the_end_of_a_domain(#[case] events: &[&str], #[case] log: &str, #[case] words: &str) {
        assert_eq!(in_words(&events.concat(), log), words);
    }
}
