//! The bundle for a cell that is not green: everything one needs to argue with the verdict.

use super::job::Job;
use super::watch::Sightings;
use crate::frame::Tag;
use crate::lab::{Direction, LIBVIRTD_LOG, log_path};
use crate::probe::{Point, Probe};
use crate::report::model::{Cell, ProbeResult, Verdict};
use crate::report::pcapng::{self, EvidencePacket};
use std::collections::HashMap;
use std::path::Path;
use std::time::Duration;

/// What a cell has left behind, however far it came.
pub struct Traces<'a> {
    /// What only cells of its kind have, by the file's name.
    pub own: &'a [(&'static str, Own)],
    /// The kernel's rules with their counters.
    pub rules: &'a str,
    /// Frames of each pass with the pass's probes; no probes where none was judged.
    pub frames: &'a [(&'a Sightings, &'a [Probe])],
}

/// A file of the bundle that only some kinds of cells have.
#[derive(Debug)]
pub enum Own {
    /// Its text.
    Text(String),
    /// The log that it is a copy of.
    Log(String),
}

/// A file of the bundle that could not be written.
#[derive(Debug, thiserror::Error)]
#[error("{file}: {source}")]
pub struct EvidenceError {
    /// Its name relative to the directory of all evidence.
    file: String,
    /// Why.
    source: std::io::Error,
}

impl EvidenceError {
    fn at(file: &str, source: std::io::Error) -> Self {
        let file = file.to_owned();
        Self { file, source }
    }
}

/// Writes the bundle into `out/<cell>` and returns the files' names relative to `out`.
///
/// # Errors
/// The first file that could not be written, because the disk is full for example.
pub fn write(
    out: &Path,
    cell: &Cell,
    job: &Job,
    traces: &Traces<'_>,
) -> Result<Vec<String>, EvidenceError> {
    let folder = cell.name.replace('/', "-");
    let dir = out.join(&folder);
    std::fs::create_dir_all(&dir).map_err(|source| EvidenceError::at(&folder, source))?;
    let own = traces.own.iter().map(|(name, own)| {
        let content = match own {
            Own::Text(text) => text.as_bytes().to_vec(),
            Own::Log(path) => log(path),
        };
        ((*name).to_owned(), content)
    });
    let mut files: Vec<(String, Vec<u8>)> = own.collect();
    files.extend([
        ("rules.txt".to_owned(), traces.rules.as_bytes().to_vec()),
        ("libvirtd.log".to_owned(), log(LIBVIRTD_LOG)),
        ("dnsmasq.log".to_owned(), log(&log_path("dnsmasq"))),
    ]);
    files.extend(job.filters.iter().map(|filter| {
        (
            format!("filter-{}.xml", filter.name),
            filter.xml.clone().into_bytes(),
        )
    }));
    // The largest last: where a disk fills up, the rest is there.
    files.push(("frames.pcapng".to_owned(), capture(cell, traces.frames)?));
    let mut names = Vec::new();
    for (name, content) in files {
        std::fs::write(dir.join(&name), content)
            .map_err(|source| EvidenceError::at(&format!("{folder}/{name}"), source))?;
        names.push(format!("{folder}/{name}"));
    }
    Ok(names)
}

/// A log that was never begun is part of the story: its file is empty.
fn log(path: &str) -> Vec<u8> {
    std::fs::read(path).unwrap_or_default()
}

/// All frames of all passes in the order of time, each with its probe's verdict as comment.
fn capture(cell: &Cell, passes: &[(&Sightings, &[Probe])]) -> Result<Vec<u8>, EvidenceError> {
    let results: HashMap<&str, &ProbeResult> = cell
        .probes
        .iter()
        .map(|result| (result.id.as_str(), result))
        .collect();
    let mut packets = Vec::new();
    for (sightings, probes) in passes {
        for (place, seen) in sightings.frames() {
            let tag = Tag::find(&seen.frame);
            let probe =
                tag.and_then(|tag| probes.get(usize::from(tag.index)).map(|probe| (tag, probe)));
            let comment = probe.and_then(|(tag, probe)| {
                let result = results.get(probe.id.as_str())?;
                Some(format!(
                    "{} {:?}: {}; {}",
                    probe.id,
                    tag.pass,
                    probe.summary,
                    verdict(result.verdict)
                ))
            });
            packets.push(EvidencePacket {
                interface: interface(place).to_owned(),
                at: Duration::from_nanos(seen.at_ns),
                direction: match seen.direction {
                    Direction::In => pcapng::Direction::In,
                    Direction::Out => pcapng::Direction::Out,
                },
                frame: seen.frame.clone(),
                comment,
            });
        }
    }
    packets.sort_by_key(|packet| packet.at);
    let mut bytes = Vec::new();
    pcapng::write_pcapng(&mut bytes, &packets)
        .map_err(|error| EvidenceError::at("frames.pcapng", std::io::Error::other(error)))?;
    Ok(bytes)
}

fn verdict(verdict: Verdict) -> String {
    match verdict {
        Verdict::Pass => "pass".into(),
        Verdict::Fail(failure) => format!("{failure:?}").to_lowercase(),
        Verdict::KnownGap => "known gap".into(),
        Verdict::Inconclusive => "inconclusive".into(),
    }
}

fn interface(point: Point) -> &'static str {
    match point {
        Point::TapFromGuest | Point::TapToGuest => "tap",
        Point::Peer | Point::FromPeer => "peer",
        Point::Gateway | Point::FromGateway => "gateway",
        Point::Wan | Point::FromWan => "wan",
    }
}
