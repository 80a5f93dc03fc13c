//! `hosts bench`: how long it takes until a command in a host has written something.

use super::booted::Booted;
use super::host::{Handed, Host, Job, Output};
use super::run_directory::RunDirectory;
use super::table::aligned;
use crate::cache::Cache;
use anyhow::{Context as _, Result};
use std::io;
use std::path::Path;
use std::time::{Duration, Instant};

/// Measures each way as often, in turns.
///
/// # Errors
///
/// If the host does not boot, cannot be restored, or runs nothing.
pub fn table(
    cache: &Cache,
    booted: &Booted,
    handed: &Handed,
    work: &Path,
    rounds: usize,
) -> Result<String> {
    let (mut cold, mut restored) = (Vec::new(), Vec::new());
    for round in 1..=rounds {
        eprintln!("round {round} of {rounds}");
        cold.push(boot(cache, booted)?);
        restored.push(restore(cache, booted, handed, work)?);
    }
    let row = |what: &str, times: &mut Vec<Duration>| {
        times.sort();
        let seconds = |time: &Duration| format!("{:.1}", time.as_secs_f64());
        vec![
            what.to_owned(),
            times.first().map_or_else(String::new, seconds),
            times.get(times.len() / 2).map_or_else(String::new, seconds),
            times.last().map_or_else(String::new, seconds),
        ]
    };
    let headings = ["s to the first output", "least", "median", "most"];
    Ok(aligned(&[
        headings.map(str::to_owned).to_vec(),
        row("cold boot", &mut cold),
        row("restored", &mut restored),
    ]))
}

fn boot(cache: &Cache, booted: &Booted) -> Result<Duration> {
    let start = Instant::now();
    let run = RunDirectory::new(cache)?;
    let mut machine = booted.cold(&run)?;
    machine.run("/bin/true", &[], &mut || Ok(()))?;
    Ok(start.elapsed())
}

fn restore(cache: &Cache, booted: &Booted, handed: &Handed, work: &Path) -> Result<Duration> {
    let start = Instant::now();
    let mut host = Host::restore(cache, booted, handed, work)?;
    let mut first = First { start, seen: None };
    let job = Job {
        words: vec!["lanfence".into(), "--version".into()],
        user: None,
        before: "",
    };
    host.run(
        &job,
        &mut Output {
            out: &mut first,
            err: &mut io::stderr(),
        },
    )?;
    first.seen.context("lanfence wrote nothing")
}

/// Notes when the first byte comes.
struct First {
    start: Instant,
    seen: Option<Duration>,
}

impl io::Write for First {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.seen.get_or_insert_with(|| self.start.elapsed());
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
