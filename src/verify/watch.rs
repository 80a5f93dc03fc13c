//! Matches what the sensors saw against the probes of one pass.

use crate::frame::Tag;
use crate::lab::{Direction, Lab, Sensor, Sighted};
use crate::probe::{Expect, Origin, Point, Probe, Sighting, Stimulus};
use crate::report::model::Points;
use std::collections::HashMap;
use std::time::Instant;

/// A sensor, its bookmark, and what its two directions are called.
type Watched<'a> = (&'a Sensor, usize, [(Direction, Point); 2]);

/// Sensors of a cell with the bookmark at which a pass began.
pub struct Watch<'a> {
    sensors: [Watched<'a>; 4],
}

/// A bookmark in each sensor's record.
pub type Marks = [usize; 4];

impl<'a> Watch<'a> {
    /// Bookmarks every sensor.
    pub fn start(lab: &'a Lab, tap: &'a Sensor) -> Self {
        let sensors = [tap, &lab.peer_sensor, &lab.gateway_sensor, &lab.wan_sensor];
        Self::resume(lab, tap, sensors.map(Sensor::mark))
    }

    /// Bookmarks before there is a tap: all that will come there, and what comes elsewhere.
    pub fn marks(lab: &Lab) -> Marks {
        let [peer, gateway, wan] =
            [&lab.peer_sensor, &lab.gateway_sensor, &lab.wan_sensor].map(Sensor::mark);
        [0, peer, gateway, wan]
    }

    /// Watches on from where an earlier watch ended.
    pub fn resume(lab: &'a Lab, tap: &'a Sensor, marks: Marks) -> Self {
        let mut marks = marks.into_iter();
        let mut entry = |sensor: &'a Sensor, incoming, outgoing| {
            (
                sensor,
                marks.next().expect("a mark for each sensor"),
                [(Direction::In, incoming), (Direction::Out, outgoing)],
            )
        };
        Self {
            sensors: [
                entry(tap, Point::TapFromGuest, Point::TapToGuest),
                entry(&lab.peer_sensor, Point::Peer, Point::FromPeer),
                entry(&lab.gateway_sensor, Point::Gateway, Point::FromGateway),
                entry(&lab.wan_sensor, Point::Wan, Point::FromWan),
            ],
        }
    }

    /// The same watch begun now.
    pub fn afresh(&self) -> Watch<'a> {
        Watch {
            sensors: self
                .sensors
                .map(|(sensor, _, points)| (sensor, sensor.mark(), points)),
        }
    }

    /// The bookmarks at which it began.
    pub fn began(&self) -> Marks {
        self.sensors.each_ref().map(|(_, mark, _)| *mark)
    }

    /// Why the sensors' silence proves nothing; none when all are healthy.
    pub fn fault(&self) -> Option<String> {
        self.sensors.iter().find_map(|(sensor, ..)| sensor.fault())
    }

    /// Waits until a frame that satisfies the predicate is seen at the point. Asks it of
    /// each frame once, in the order in which they came.
    pub async fn wait_for(
        &self,
        point: Point,
        deadline: Instant,
        mut wanted: impl FnMut(&[u8]) -> bool,
    ) -> bool {
        for (sensor, mark, points) in &self.sensors {
            if let Some((direction, _)) = points.iter().find(|(_, candidate)| *candidate == point) {
                return sensor
                    .wait_for(*mark, deadline, |seen| {
                        seen.direction == *direction && wanted(&seen.frame)
                    })
                    .await;
            }
        }
        false
    }

    /// How many frames that satisfy the predicate were seen at the point so far.
    pub fn count(&self, point: Point, wanted: impl Fn(&[u8]) -> bool) -> usize {
        let mut found = 0;
        for (sensor, mark, points) in &self.sensors {
            if let Some((direction, _)) = points.iter().find(|(_, candidate)| *candidate == point) {
                let frames = sensor.since(*mark);
                let there = frames.iter().filter(|seen| seen.direction == *direction);
                found += there.filter(|seen| wanted(&seen.frame)).count();
            }
        }
        found
    }

    /// The same watch begun at a later moment: what came up to then is left out.
    #[must_use]
    pub fn later_than(mut self, at_ns: u64) -> Self {
        for (sensor, mark, _) in &mut self.sensors {
            let frames = sensor.since(*mark);
            let first = frames.iter().position(|seen| seen.at_ns > at_ns);
            *mark += first.unwrap_or(frames.len());
        }
        self
    }

    /// Everything since the start, by point, and where it ends.
    pub fn sightings(&self) -> (Sightings, Marks) {
        let mut all = Sightings::default();
        let end = self.sensors.each_ref().map(|(sensor, mark, points)| {
            let frames = sensor.since(*mark);
            let end = mark + frames.len();
            for seen in frames {
                let point = points
                    .iter()
                    .find(|(direction, _)| *direction == seen.direction)
                    .map(|(_, point)| *point);
                all.add(point.expect("both directions have a point"), seen);
            }
            end
        });
        (all, end)
    }
}

/// Where among the frames of a point a tag was seen first and last.
#[derive(Debug, Clone, Copy)]
struct Places {
    first: usize,
    last: usize,
}

/// Frames of a pass, indexed by tag since most probes are recognised by it.
#[derive(Debug, Default)]
pub struct Sightings {
    frames: HashMap<Point, Vec<Sighted>>,
    tags: HashMap<(Point, Tag), Places>,
}

impl Sightings {
    pub(super) fn add(&mut self, point: Point, seen: Sighted) {
        let frames = self.frames.entry(point).or_default();
        if let Some(tag) = Tag::find(&seen.frame) {
            let (first, last) = (frames.len(), frames.len());
            let places = self.tags.entry((point, tag));
            places.or_insert(Places { first, last }).last = last;
        }
        frames.push(seen);
    }

    /// Whether the sighting happened at the point.
    pub fn at(&self, point: Point, sighting: &Sighting) -> bool {
        match sighting {
            Sighting::Tag(tag) => self.tags.contains_key(&(point, *tag)),
            other => self
                .frames
                .get(&point)
                .is_some_and(|frames| frames.iter().any(|seen| other.matches(&seen.frame))),
        }
    }

    /// Whether the tag was seen at the point.
    pub fn has(&self, point: Point, tag: Tag) -> bool {
        self.tags.contains_key(&(point, tag))
    }

    /// Where among the frames of the point the last one stands whose tag is wanted.
    pub fn last(&self, point: Point, wanted: impl Fn(Tag) -> bool) -> Option<usize> {
        let tags = self.tags.iter();
        let there = tags.filter(|((at, tag), _)| *at == point && wanted(*tag));
        there.map(|(_, places)| places.last).max()
    }

    /// Where among the frames of the point the first one of the sighting stands.
    pub fn first(&self, point: Point, sighting: &Sighting) -> Option<usize> {
        match sighting {
            Sighting::Tag(tag) => Some(self.tags.get(&(point, *tag))?.first),
            other => {
                let mut frames = self.frames.get(&point)?.iter();
                frames.position(|seen| other.matches(&seen.frame))
            }
        }
    }

    /// Whether a frame at the point satisfies the predicate.
    pub fn any(&self, point: Point, wanted: impl Fn(&[u8]) -> bool) -> bool {
        self.frames
            .get(&point)
            .is_some_and(|frames| frames.iter().any(|seen| wanted(&seen.frame)))
    }

    /// Frames at a point, for evidence.
    pub fn frames(&self) -> impl Iterator<Item = (Point, &Sighted)> {
        self.frames
            .iter()
            .flat_map(|(point, frames)| frames.iter().map(|seen| (*point, seen)))
    }

    /// Whether the probe's frame left its origin and entered the path.
    pub fn sent(&self, probe: &Probe) -> bool {
        // What the router did not forward never met the filter.
        let forwarded = probe.origin != Origin::Wan || self.at(Point::FromGateway, &probe.received);
        forwarded && self.left(probe)
    }

    /// Whether all the frames were seen that the probe consists of, and no others in their
    /// place: a tag alone says nothing of the frame that bears it.
    fn left(&self, probe: &Probe) -> bool {
        let point = probe.sent_at();
        match (&probe.sent, &probe.stimulus) {
            (Sighting::Tag(_), Stimulus::Frames(frames)) if !frames.is_empty() => frames
                .iter()
                .all(|frame| self.any(point, |seen| seen.starts_with(frame))),
            (Sighting::Tag(tag), stimulus @ (Stimulus::Udp { .. } | Stimulus::Ping { .. })) => self
                .any(point, |seen| {
                    Tag::find(seen) == Some(*tag) && stimulus.is_seen_in(seen)
                }),
            (sighting, _) => self.at(point, sighting),
        }
    }

    /// Whether the probe's frame arrived where it must.
    pub fn arrived(&self, probe: &Probe) -> bool {
        self.at(probe.received_at, &probe.received)
    }

    /// Whether a frame that must be stopped was seen anywhere behind the filter.
    pub fn escaped(&self, probe: &Probe) -> bool {
        if probe.expect == Expect::Pass {
            return false;
        }
        behind(probe.origin)
            .iter()
            .any(|point| self.at(*point, &probe.received) || self.at(*point, &probe.sent))
    }

    /// Whether a frame of a pass got behind the filter after that pass had ended, by the
    /// sightings since then. Known only of frames that no later pass sends too.
    pub fn came_late(&self, probe: &Probe) -> bool {
        let received = &probe.received;
        received.is_of_one_pass()
            && !self.sent(probe)
            && behind(probe.origin)
                .iter()
                .any(|point| self.at(*point, received))
    }

    /// Every point at which a frame of the probe was seen.
    pub fn points(&self, probe: &Probe) -> Points {
        Points::where_seen(|point| self.at(point, &probe.received) || self.at(point, &probe.sent))
    }

    /// The last point on the way at which the probe's frame was seen.
    pub fn last_seen(&self, probe: &Probe) -> Option<Point> {
        let way: &[Point] = match probe.origin {
            Origin::Guest => &[Point::Wan, Point::Gateway, Point::Peer, Point::TapFromGuest],
            _ => &[Point::TapToGuest],
        };
        let seen = way
            .iter()
            .copied()
            .find(|point| self.at(*point, &probe.received) || self.at(*point, &probe.sent));
        seen.or_else(|| self.sent(probe).then_some(probe.sent_at().host()))
    }
}

/// The points behind the filter for frames of this origin.
fn behind(origin: Origin) -> &'static [Point] {
    match origin {
        Origin::Guest => &[Point::Peer, Point::Gateway, Point::Wan],
        Origin::Peer | Origin::Gateway | Origin::Wan => &[Point::TapToGuest],
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::probe::Group;
    use crate::probe::Pass;
    use rstest::rstest;
    use std::net::Ipv4Addr;

    const TAG: Tag = Tag {
        run: 1,
        pass: Pass::Filtered.number(),
        index: 7,
    };
    const OUT: Point = Point::TapFromGuest;
    const WAN: Point = Point::Wan;

    fn probe(origin: Origin, received_at: Point, sighting: Sighting) -> Probe {
        Probe {
            id: "wan-ipv4/x".into(),
            group: Group::WanIpv4,
            summary: String::new(),
            expect: Expect::Drop,
            known_gap: None,
            any_guest: false,
            origin,
            stimulus: Stimulus::Frames(Vec::new()),
            sent: sighting.clone(),
            received: sighting,
            received_at,
        }
    }

    fn seen_at(points: &[Point]) -> Sightings {
        let mut all = Sightings::default();
        for point in points {
            let frame = [&[0; 60][..], &TAG.to_bytes()].concat();
            let seen = Sighted {
                direction: Direction::In,
                at_ns: 0,
                checksum_pending: false,
                frame,
            };
            all.add(*point, seen);
        }
        all
    }

    #[rstest]
    #[case::reordered(&[WAN], true)]
    #[case::sent_again_after_the_filter_went(&[OUT, WAN], false)]
    #[case::nothing(&[], false)]
    #[case::only_sent(&[OUT], false)]
    fn late_frames(#[case] points: &[Point], #[case] late: bool) {
        let probe = probe(Origin::Guest, Point::Wan, Sighting::Tag(TAG));
        assert_eq!(seen_at(points).came_late(&probe), late);
    }

    /// A nonce in another frame, or a part of the frames, is not the probe.
    #[rstest]
    #[case::all(&[0, 1], true)]
    #[case::a_part(&[0], false)]
    #[case::other(&[2], false)]
    fn what_is_sent_is_the_frame_itself(#[case] seen: &[u8], #[case] sent: bool) {
        let frame = |byte: u8| [&[byte; 60][..], &TAG.to_bytes()].concat();
        let mut probe = probe(Origin::Guest, Point::Wan, Sighting::Tag(TAG));
        probe.stimulus = Stimulus::Frames(vec![frame(0), frame(1)]);
        let mut all = Sightings::default();
        for byte in seen {
            let seen = Sighted {
                direction: Direction::In,
                at_ns: 0,
                checksum_pending: false,
                frame: frame(*byte),
            };
            all.add(OUT, seen);
        }
        assert_eq!(all.sent(&probe), sent);
    }

    #[test]
    fn what_came_to_the_guest_is_late_at_its_tap_only() {
        let probe = probe(Origin::Peer, Point::TapToGuest, Sighting::Tag(TAG));
        assert!(seen_at(&[Point::TapToGuest]).came_late(&probe));
        assert!(!seen_at(&[WAN]).came_late(&probe));
    }

    #[test]
    fn what_every_pass_repeats_is_never_called_late() {
        let group = Ipv4Addr::new(224, 0, 0, 251);
        let probe = probe(Origin::Guest, Point::Gateway, Sighting::Igmp { group });
        assert!(!probe.received.is_of_one_pass());
        assert!(!seen_at(&[WAN]).came_late(&probe));
    }
}
