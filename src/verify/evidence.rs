//! The bundle for a cell that is not green: everything one needs to argue with the verdict.

use super::job::Job;
use super::watch::{Place, Sightings};
use crate::frame::Tag;
use crate::guest::{screen_path, serial_log};
use crate::lab::{Direction, LIBVIRTD_LOG, log_path, qemu_log_path};
use crate::probe::Probe;
use crate::report::model::{Cell, ProbeResult, Verdict};
use crate::report::pcapng::{self, EvidencePacket};
use std::collections::HashMap;
use std::path::Path;
use std::time::Duration;

/// What a cell has left behind, however far it came.
pub struct Traces<'a> {
    /// Name of the domain: its logs are called after it.
    pub domain: &'a str,
    /// The domain's XML: the live one, or what libvirt was given.
    pub xml: &'a str,
    /// The kernel's rules with their counters.
    pub rules: &'a str,
    /// Frames of each phase with the phase's probes; no probes where none was judged.
    pub frames: &'a [(&'a Sightings, &'a [Probe])],
}

/// Writes the bundle into `out/<cell>` and returns the files' names relative to `out`.
///
/// # Errors
/// The first file that could not be written, with the reason (a full disk, say).
pub fn write(
    out: &Path,
    cell: &Cell,
    job: &Job,
    traces: &Traces<'_>,
) -> Result<Vec<String>, String> {
    let folder = cell.name.replace('/', "-");
    let dir = out.join(&folder);
    std::fs::create_dir_all(&dir).map_err(|error| format!("{folder}: {error}"))?;
    let mut files = vec![
        ("domain.xml".to_owned(), traces.xml.as_bytes().to_vec()),
        ("rules.txt".to_owned(), traces.rules.as_bytes().to_vec()),
    ];
    let logs = [
        ("serial.log", serial_log(traces.domain)),
        ("qemu.log", qemu_log_path(traces.domain)),
        ("libvirtd.log", LIBVIRTD_LOG.to_owned()),
        ("dnsmasq.log", log_path("dnsmasq")),
    ];
    // A log that was never begun is part of the story: its file is empty.
    files.extend(logs.map(|(name, path)| {
        let text = std::fs::read(path).unwrap_or_default();
        (name.to_owned(), text)
    }));
    files.extend(job.filters.iter().map(|filter| {
        (
            format!("filter-{}.xml", filter.name),
            filter.xml.clone().into_bytes(),
        )
    }));
    // Only foreign guests have a screen.
    if let Ok(picture) = std::fs::read(screen_path(traces.domain)) {
        files.push(("screen.ppm".to_owned(), picture));
    }
    // The largest last: where a disk fills up, the rest is there.
    files.push(("frames.pcapng".to_owned(), capture(cell, traces.frames)?));
    let mut names = Vec::new();
    for (name, content) in files {
        std::fs::write(dir.join(&name), content)
            .map_err(|error| format!("{folder}/{name}: {error}"))?;
        names.push(format!("{folder}/{name}"));
    }
    Ok(names)
}

/// All frames of all phases in the order of time, each with its probe's verdict as comment.
fn capture(cell: &Cell, phases: &[(&Sightings, &[Probe])]) -> Result<Vec<u8>, String> {
    let results: HashMap<&str, &ProbeResult> = cell
        .probes
        .iter()
        .map(|result| (result.id.as_str(), result))
        .collect();
    let mut packets = Vec::new();
    for (sightings, probes) in phases {
        for (place, seen) in sightings.frames() {
            let tag = Tag::find(&seen.frame);
            let probe =
                tag.and_then(|tag| probes.get(usize::from(tag.index)).map(|probe| (tag, probe)));
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
