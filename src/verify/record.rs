//! What the passes of a trial brought to light, before it is judged.

use super::VerifyError;
use super::endpoint::Refusals;
use super::sentinels::{Bounds, Order};
use super::watch::{Marks, Sightings};
use crate::frame::DhcpStep;
use crate::frame::Tag;
use crate::lab::ruleset::CountedChain;
use crate::probe::{Pass, Point, Probe, Sighting, Stimulus};
use crate::report::model::{LearningPhase, SentAgain, Step};

/// What a pass brought to light.
#[derive(Debug)]
pub struct PassRecord {
    /// The probes as sent in this pass.
    pub probes: Vec<Probe>,
    /// What the sensors saw.
    pub sightings: Sightings,
    /// Where in the sensors' records those sightings end.
    pub end: Marks,
    /// What the sentinels prove.
    pub bounds: Bounds,
    /// When they were sent.
    pub order: Order,
    /// Why the sensors are not to be trusted, if so.
    pub fault: Option<String>,
    /// DHCP steps and whether the client completed them.
    pub dhcp: Vec<(DhcpStep, bool)>,
    /// What was refused before it became a frame, and why, by the probe's id.
    pub refused: Refusals,
    /// Whether the command over SSH was answered; none when not tried.
    pub ssh: Option<bool>,
    /// The probes whose frames were sent once more, since they had not left, by their ids.
    pub sent_again: Vec<String>,
    /// The time before it in which libvirt learned the guest's address, where it did.
    pub learning: Option<LearningPhase>,
}

impl PassRecord {
    /// Whether all its nonces are those of this pass: others would let frames of another pass
    /// count.
    pub fn is_of(&self, run: u32, pass: Pass) -> bool {
        let own = |tag: &Tag| tag.run == run && tag.pass == pass.number();
        let sightings = self.probes.iter().flat_map(|it| [&it.sent, &it.received]);
        sightings.into_iter().all(|sighting| match sighting {
            Sighting::Tag(tag) => own(tag),
            _ => true,
        })
    }

    /// Whether the far end of an exchange was heard answering at the guest's tap.
    /// Where it was not, the guest is to blame for what is missing and not the filter.
    pub fn answered(&self, probe: &Probe) -> bool {
        probe.stimulus == Stimulus::Ssh && self.sightings.any(Point::TapFromGuest, is_from_ssh)
    }

    /// Whether the exchange behind a probe was completed as far as its user can tell.
    pub fn completed(&self, probe: &Probe) -> bool {
        match (&probe.stimulus, probe.received_at) {
            (Stimulus::Ssh, _) => self.ssh.unwrap_or(false),
            (Stimulus::Dhcp(step), Point::TapToGuest) => {
                self.dhcp.iter().any(|(done, ok)| done == step && *ok)
            }
            _ => true,
        }
    }
}

/// An IPv4 TCP segment from port 22.
fn is_from_ssh(frame: &[u8]) -> bool {
    let header = frame
        .get(14)
        .map_or(0, |first| usize::from(first & 0x0f) * 4);
    frame.get(12..14) == Some(&[0x08, 0x00])
        && frame.get(23) == Some(&6)
        && frame.get(14 + header..16 + header) == Some(&22_u16.to_be_bytes())
}

/// A pass with the filter.
#[derive(Debug)]
pub struct FilteredRecord {
    /// What it brought to light.
    pub record: PassRecord,
    /// What was seen after its end.
    pub late: Sightings,
    /// What the sentinels prove that were sent when the filter was gone.
    pub later: Bounds,
}

impl From<PassRecord> for FilteredRecord {
    /// A pass that is not over: nothing has come after it yet.
    fn from(record: PassRecord) -> Self {
        Self {
            record,
            late: Sightings::default(),
            later: Bounds::default(),
        }
    }
}

/// What the passes of a trial brought to light.
#[derive(Debug, Default)]
pub struct TrialRecord {
    /// With the filter there before the first frame.
    pub first_frame: Option<FilteredRecord>,
    /// Without the filter.
    pub control: Option<PassRecord>,
    /// With the filter put on a NIC in use, where that was to be tried.
    pub attached: Option<AttachedRecord>,
    /// The kernel's rules during the last filtered run, with their counters.
    pub rules: String,
    /// The counters of the rules of layer 2 at the end of each pass with the filter.
    pub counters: Vec<Vec<CountedChain>>,
    /// Why it did not come to its end.
    pub stopped: Option<VerifyError>,
}

/// The filter on a NIC in use, as far as it came.
#[derive(Debug, Default)]
pub struct AttachedRecord {
    /// With it.
    pub filtered: Option<FilteredRecord>,
    /// With the filter taken away again.
    pub leak_check: Option<PassRecord>,
}

impl TrialRecord {
    /// The last run without a filter that came after one with it.
    pub fn bare_again(&self) -> Option<&PassRecord> {
        match &self.attached {
            Some(attached) => attached.leak_check.as_ref(),
            None => self.control.as_ref().filter(|_| self.first_frame.is_some()),
        }
    }

    /// The times in which libvirt learned the guest's address.
    pub fn learning(&self) -> impl Iterator<Item = &LearningPhase> {
        let attached = self.attached.as_ref();
        let filtered = attached.and_then(|attached| attached.filtered.as_ref());
        let passes = self.first_frame.iter().chain(filtered);
        passes.filter_map(|pass| pass.record.learning.as_ref())
    }

    /// The probes whose frames were sent once more.
    pub fn sent_again(&self) -> Vec<SentAgain> {
        let attached = self.attached.as_ref();
        let filtered = attached.and_then(|attached| attached.filtered.as_ref());
        let passes = [
            (
                Step::FirstFrame,
                self.first_frame.as_ref().map(|run| &run.record),
            ),
            (Step::Control, self.control.as_ref()),
            (Step::Filtered, filtered.map(|run| &run.record)),
            (
                Step::LeakCheck,
                attached.and_then(|attached| attached.leak_check.as_ref()),
            ),
        ];
        let of = |(step, record): (Step, Option<&PassRecord>)| {
            let ids = record.map_or_else(Vec::new, |record| record.sent_again.clone());
            ids.into_iter().map(move |probe| SentAgain { step, probe })
        };
        passes.into_iter().flat_map(of).collect()
    }

    /// Frames of the passes that were reached with their probes, for evidence.
    pub fn frames(&self) -> Vec<(&Sightings, &[Probe])> {
        let attached = self.attached.as_ref();
        let filtered = attached.and_then(|attached| attached.filtered.as_ref());
        let passes = [
            self.control.as_ref(),
            filtered.map(|run| &run.record),
            attached.and_then(|attached| attached.leak_check.as_ref()),
            self.first_frame.as_ref().map(|run| &run.record),
        ];
        let frames = passes.into_iter().flatten();
        frames
            .map(|record| (&record.sightings, record.probes.as_slice()))
            .collect()
    }
}
