//! The bundle for a cell that is not green: everything one needs to argue with the verdict.

use super::job::Job;
use super::phase::Outcome;
use super::trial::Trial;
use super::watch::Place;
use crate::frame::Tag;
use crate::lab::{Direction, LIBVIRTD_LOG, log_path};
use crate::report::model::{Cell, ProbeResult, Verdict};
use crate::report::pcapng::{self, EvidencePacket};
use std::collections::HashMap;
use std::path::Path;
use std::time::Duration;

/// Writes the bundle into `out/<cell>`, the files of the cell's kind first, and returns the files' names relative to `out`.
///
/// # Errors
/// The first file that could not be written, with the reason (a full disk, say).
pub fn write(
    out: &Path,
    cell: &Cell,
    job: &Job,
    own: Vec<(&str, Vec<u8>)>,
    trial: &Trial,
) -> Result<Vec<String>, String> {
    let folder = cell.name.replace('/', "-");
    let dir = out.join(&folder);
    std::fs::create_dir_all(&dir).map_err(|error| format!("{folder}: {error}"))?;
    let own = own.into_iter();
    let mut files: Vec<(String, Vec<u8>)> = own
        .map(|(name, content)| (name.to_owned(), content))
        .collect();
    files.extend([
        ("rules.txt".to_owned(), trial.rules.as_bytes().to_vec()),
        (
            "libvirtd.log".to_owned(),
            std::fs::read(LIBVIRTD_LOG).unwrap_or_default(),
        ),
        (
            "dnsmasq.log".to_owned(),
            std::fs::read(log_path("dnsmasq")).unwrap_or_default(),
        ),
        (
            "frames.pcapng".to_owned(),
            capture(cell, &trial.outcomes())?,
        ),
    ]);
    files.extend(job.filters.iter().map(|filter| {
        (
            format!("filter-{}.xml", filter.name),
            filter.xml.clone().into_bytes(),
        )
    }));
    let mut names = Vec::new();
    for (name, content) in files {
        std::fs::write(dir.join(&name), content)
            .map_err(|error| format!("{folder}/{name}: {error}"))?;
        names.push(format!("{folder}/{name}"));
    }
    Ok(names)
}

/// Whether the cell needs no evidence.
pub fn is_green(cell: &Cell) -> bool {
    let good = |probe: &ProbeResult| matches!(probe.verdict, Verdict::Pass | Verdict::Residual);
    cell.teeth == Some(true) && cell.probes.iter().all(good)
}

/// All frames of all phases in the order of time, each with its probe's verdict as comment.
fn capture(cell: &Cell, outcomes: &[Option<&Outcome>]) -> Result<Vec<u8>, String> {
    let results: HashMap<&str, &ProbeResult> = cell
        .probes
        .iter()
        .map(|result| (result.id.as_str(), result))
        .collect();
    let mut packets = Vec::new();
    for outcome in outcomes.iter().flatten() {
        for (place, seen) in outcome.sightings.frames() {
            let tag = Tag::find(&seen.frame);
            let probe = tag.and_then(|tag| {
                outcome
                    .probes
                    .get(usize::from(tag.index))
                    .map(|probe| (tag, probe))
            });
            let comment = probe.and_then(|(tag, probe)| {
                let result = results.get(probe.id.as_str())?;
                Some(format!(
                    "{} {:?}: {}; {}",
                    probe.id,
                    tag.phase,
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
        .map_err(|error| format!("frames.pcapng: {error}"))?;
    Ok(bytes)
}

fn verdict(verdict: Verdict) -> String {
    match verdict {
        Verdict::Pass => "pass".into(),
        Verdict::Fail(failure) => format!("{failure:?}").to_lowercase(),
        Verdict::Residual => "known residual".into(),
        Verdict::Inconclusive => "inconclusive".into(),
    }
}

fn interface(place: Place) -> &'static str {
    use crate::probe::Point;
    match place {
        Place::At(Point::TapFromGuest | Point::TapToGuest) => "tap",
        Place::At(Point::Peer) | Place::PeerOut => "peer",
        Place::At(Point::Gateway) | Place::GatewayOut => "gateway",
        Place::At(Point::Wan) | Place::WanOut => "wan",
    }
}
