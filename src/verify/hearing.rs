//! Whether the sensors behind the filter hear frames of every kind, as they are. Tested in each
//! pass: a sensor that went deaf between two passes would make a leak look like a drop.

use super::watch::{Sightings, Watch};
use crate::frame::Tag;
use crate::lab::{Lab, LabError, Sender, Slowness};
use crate::layout::Layout;
use crate::probe::{HEARING, Pass, Point, hearing, wan_hearing};
use std::time::{Duration, Instant};

/// Longest wait for the last frame of a test. It arrives within milliseconds.
const WAIT: Duration = Duration::from_millis(1500);

/// Tags of a pass.
const PER_PASS: u16 = 64;

/// Tags of a test.
const PER_TEST: u16 = 16;

/// A frame that a sensor has to hear.
struct Sent {
    point: Point,
    kind: &'static str,
    tag: Tag,
    /// What it must begin with; none where a router has changed it.
    exactly: Option<Vec<u8>>,
}

/// The frames of the tests of a pass.
pub struct Hearing(Vec<Sent>);

impl Hearing {
    /// Sends the frames and waits until the last of each test has been heard.
    ///
    /// # Errors
    /// When the lab cannot send.
    pub async fn test(
        lab: &Lab,
        layout: &Layout,
        watch: &Watch<'_>,
        (run, pass): (u32, Pass),
    ) -> Result<Self, LabError> {
        let tag_of = |test: u16| {
            move |index: u16| Tag {
                run,
                pass: HEARING,
                index: u16::from(pass.number()) * PER_PASS + test * PER_TEST + index,
            }
        };
        let (peer, gateway) = (&layout.peer, &layout.gateway);
        let tests: [(Point, &Sender, Vec<_>); 3] = [
            (
                Point::Gateway,
                &lab.peer_sender,
                hearing(peer, gateway, tag_of(0)),
            ),
            (
                Point::Peer,
                &lab.gateway_sender,
                hearing(gateway, peer, tag_of(1)),
            ),
            (Point::Wan, &lab.peer_sender, wan_hearing(layout, tag_of(2))),
        ];
        // None of them came earlier.
        let since = watch.afresh();
        let mut all = Vec::new();
        for (point, sender, frames) in tests {
            for (kind, frame) in frames {
                sender.send(&frame)?;
                all.extend(Tag::find(&frame).map(|tag| Sent {
                    point,
                    kind,
                    tag,
                    exactly: (point != Point::Wan).then_some(frame),
                }));
            }
        }
        let hearing = Self(all);
        hearing.wait(&since, lab.slowness).await;
        Ok(hearing)
    }

    async fn wait(&self, watch: &Watch<'_>, slowness: Slowness) {
        let deadline = Instant::now() + slowness.stretch(WAIT);
        for sent in &self.0 {
            let arrived = |frame: &[u8]| Tag::find(frame) == Some(sent.tag);
            watch.wait_for(sent.point, deadline, arrived).await;
        }
    }

    /// Which sensor did not hear what; none where all is well.
    pub fn deaf(&self, sightings: &Sightings) -> Option<String> {
        let heard = |sent: &Sent| match &sent.exactly {
            Some(frame) => sightings.any(sent.point, |seen| seen.starts_with(frame)),
            None => sightings.has(sent.point, sent.tag),
        };
        let missed = self.0.iter().find(|sent| !heard(sent))?;
        Some(format!(
            "the sensor at {:?} did not hear a frame that went there beside the filter, or not as it was ({})",
            missed.point, missed.kind
        ))
    }
}
