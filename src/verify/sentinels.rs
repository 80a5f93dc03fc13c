//! Sentinels: what is sent last on every path and seen arriving proves that whatever was
//! sent before it has arrived too, or never will.

use super::endpoint::{Endpoint, Hosts};
use super::watch::{Sightings, Watch};
use crate::frame::Tag;
use crate::guest::GuestError;
use crate::lab::{Lab, LabError, Sender, Slowness};
use crate::layout::Layout;
use crate::layout::wan::WAN4;
use crate::probe::{
    Origin, Pass, Point, Probe, SENTINEL, inbound_sentinels, sentinels, source_port,
};
use std::net::{Ipv4Addr, UdpSocket};
use std::ops::Range;
use std::time::{Duration, Instant};

/// Longest wait for a sentinel. It arrives within milliseconds unless the filter
/// stops it or the path is broken; both are outcomes.
const SENTINEL_WAIT: Duration = Duration::from_millis(1500);

/// How long a sentinel is waited for before one of another kind is sent too.
const NEXT: Duration = Duration::from_millis(50);

/// Rounds of sentinels. The second starts only after the first has crossed the
/// whole path, so a frame that a busy CPU's queue still held is through by then.
const ROUNDS: u16 = 2;

/// Tags of one round.
const PER_ROUND: u16 = 64;

/// Tags of a round by the path that they were sent on, so that a sentinel of
/// one path, or an error message that quotes it, is not taken for another's.
const OUTBOUND: Range<u16> = 0..16;
const FROM_PEER: Range<u16> = 16..32;
const FROM_GATEWAY: Range<u16> = 32..48;
const TO_WAN: Range<u16> = 48..PER_ROUND;

/// Paths on which sentinels that were sent last have arrived.
#[expect(
    clippy::struct_excessive_bools,
    reason = "one fact a path, all combinations occur"
)]
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Bounds {
    /// Guest to both LAN-side ports.
    pub outbound: bool,
    /// LAN peer to the guest's tap.
    pub from_peer: bool,
    /// Router to the guest's tap.
    pub from_gateway: bool,
    /// LAN through the router to the WAN host.
    pub wan: bool,
}

impl Bounds {
    /// Nothing has failed to arrive yet.
    pub const ALL: Self = Self {
        outbound: true,
        from_peer: true,
        from_gateway: true,
        wan: true,
    };

    /// The paths that these prove, or others that were sent when the filter was gone. The way
    /// from the LAN to the WAN leads through no filter: a sentinel that did not arrive there
    /// in the pass itself was stopped by something else, and so may a probe have been.
    #[must_use]
    pub fn or_later(self, later: Self) -> Self {
        Self {
            outbound: self.outbound || later.outbound,
            from_peer: self.from_peer || later.from_peer,
            from_gateway: self.from_gateway || later.from_gateway,
            wan: self.wan,
        }
    }

    /// Whether an absence of the probe's frame is proven by these sentinels.
    pub fn cover(self, probe: &Probe) -> bool {
        match probe.origin {
            Origin::Guest => self.outbound && (self.wan || probe.received_at != Point::Wan),
            Origin::Peer => self.from_peer,
            // What comes from the WAN host has been seen leaving the router.
            Origin::Gateway | Origin::Wan => self.from_gateway,
        }
    }
}

/// Where the last sentinel of each path stands among the frames of its sender.
#[derive(Debug, Clone, Copy, Default)]
pub struct Order {
    /// At the guest's tap; none also where the guest can send none.
    pub guest: Option<usize>,
    /// At the LAN peer.
    pub peer: Option<usize>,
    /// At the router.
    pub gateway: Option<usize>,
}

impl Order {
    /// Of the sentinels of a pass, as the sensors saw them leave.
    pub fn of(sightings: &Sightings) -> Self {
        let last = |point, path: &Range<u16>| {
            sightings.last(point, |tag| {
                tag.pass == SENTINEL && path.contains(&(tag.index % PER_ROUND))
            })
        };
        Self {
            guest: last(Point::TapFromGuest, &OUTBOUND),
            peer: last(Point::FromPeer, &FROM_PEER),
            gateway: last(Point::FromGateway, &FROM_GATEWAY),
        }
    }

    /// Whether a sentinel left the probe's sender after the probe. Where none was seen, there
    /// is nothing to be in order with.
    pub fn is_kept(self, sightings: &Sightings, probe: &Probe) -> bool {
        let (sentinel, sighting) = match probe.origin {
            Origin::Guest => (self.guest, &probe.sent),
            Origin::Peer => (self.peer, &probe.sent),
            // What comes from the WAN host has been seen leaving the router.
            Origin::Gateway | Origin::Wan => (self.gateway, &probe.received),
        };
        let point = match probe.origin {
            Origin::Wan => Point::FromGateway,
            origin => origin.sent_at(),
        };
        let probe = sightings.first(point, sighting);
        probe.is_none_or(|probe| sentinel.is_none_or(|sentinel| probe < sentinel))
    }

    /// Which host that sends sentinels sent none; none where all did. `guest_sends` says
    /// that it sends some.
    pub fn missing(self, guest_sends: bool) -> Option<String> {
        let senders = [
            ("guest", self.guest.is_none() && guest_sends),
            ("LAN peer", self.peer.is_none()),
            ("router", self.gateway.is_none()),
        ];
        let (sender, _) = senders.into_iter().find(|(_, silent)| *silent)?;
        Some(format!("no sentinel was seen leaving the {sender}"))
    }
}

/// Sends sentinels on every path. The number of the series tells them from those of other passes.
///
/// # Errors
/// When the guest's agent or the lab cannot send.
pub async fn bound(
    endpoint: &mut impl Endpoint,
    hosts: Hosts<'_>,
    watch: &Watch<'_>,
    run: u32,
    series: u16,
) -> Result<Bounds, GuestError> {
    let mut bounds = Bounds::ALL;
    for round in 0..ROUNDS {
        let first = (series * ROUNDS + round) * PER_ROUND;
        let slowness = hosts.lab.slowness;
        let round = Round {
            watch: watch.afresh(),
            run,
            first,
            slowness,
        };
        bounds = sentinel_round(endpoint, hosts, &round, bounds).await?;
    }
    Ok(bounds)
}

/// Series of the sentinels that are sent after those of the first-frame pass.
pub const AFTER_FIRST_FRAME: u16 = Pass::FirstFrame.number() as u16 + 1;

/// The sentinels of one round.
struct Round<'a> {
    /// Begun with the round: none of its sentinels came earlier.
    watch: Watch<'a>,
    run: u32,
    first: u16,
    slowness: Slowness,
}

impl Round<'_> {
    /// The tag of a sentinel on a path.
    fn tag(&self, path: &Range<u16>, index: u16) -> Tag {
        Tag {
            run: self.run,
            pass: SENTINEL,
            index: self.first + path.start + index,
        }
    }

    /// Waits until a sentinel of the path is seen at the point.
    async fn arrives(&self, path: &Range<u16>, point: Point) -> bool {
        self.arrives_within(SENTINEL_WAIT, path, point).await
    }

    async fn arrives_within(&self, longest: Duration, path: &Range<u16>, point: Point) -> bool {
        let wanted = self.tag(path, 0).index..self.first + path.end;
        let is_wanted = |frame: &[u8]| {
            Tag::find(frame).is_some_and(|tag| {
                tag.run == self.run && tag.pass == SENTINEL && wanted.contains(&tag.index)
            })
        };
        let deadline = Instant::now() + self.slowness.stretch(longest);
        self.watch.wait_for(point, deadline, is_wanted).await
    }

    /// Sends sentinels until one of them is seen at the guest's tap: a legacy stack
    /// that has room for four frames must not be flooded.
    async fn inbound(
        &self,
        (sender, from): (&Sender, Point),
        (path, pace): (&Range<u16>, Pace),
        frames: Vec<Vec<u8>>,
    ) -> Result<bool, LabError> {
        for frame in frames {
            let heard = self.watch.afresh();
            sender.send(&frame)?;
            if self.arrives_within(NEXT, path, Point::TapToGuest).await {
                pace.wait(&heard, self.slowness).await;
                // On a busy machine the sensor of where it ends may be ahead of that of where it
                // begins.
                self.arrives(path, from).await;
                return Ok(true);
            }
        }
        Ok(self.arrives(path, Point::TapToGuest).await)
    }
}

/// Sends one round of sentinels on every path that still answers.
async fn sentinel_round(
    endpoint: &mut impl Endpoint,
    hosts: Hosts<'_>,
    round: &Round<'_>,
    before: Bounds,
) -> Result<Bounds, GuestError> {
    let Hosts { lab, layout } = hosts;
    let mut after = Bounds::default();
    if before.outbound {
        let frames = sentinels(layout, |index| round.tag(&OUTBOUND, index));
        endpoint.frames(&frames).await?;
        after.outbound = round.arrives(&OUTBOUND, Point::Peer).await
            && round.arrives(&OUTBOUND, Point::Gateway).await;
    }
    let outside = from_outside(lab, layout, round, (before, Pace::None)).await?;
    Ok(Bounds {
        outbound: after.outbound,
        ..outside
    })
}

/// How long a guest gets to take a sentinel in before the next one is sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Pace {
    /// No time: it may lose what it does not take.
    None,
    /// The time to answer it. One NIC never recovers from a full receive ring of four frames,
    /// and the host may have taken the guest's CPU away for a while.
    Answered,
}

/// Longest wait for a guest to answer a sentinel. It may have nothing to say.
const REPLY: Duration = Duration::from_millis(250);

impl Pace {
    /// Waits for a sentinel that is at the guest's tap; the watch began before it.
    async fn wait(self, heard: &Watch<'_>, slowness: Slowness) {
        if self == Self::Answered {
            let place = Point::TapFromGuest;
            let deadline = Instant::now() + slowness.stretch(REPLY);
            heard.wait_for(place, deadline, |_| true).await;
        }
    }
}

/// Sentinels on the paths that do not begin in the guest, for a guest that can
/// send none itself. `outbound` of the result is false.
///
/// # Errors
/// When the lab cannot send.
pub async fn bound_from_outside(
    lab: &Lab,
    layout: &Layout,
    watch: &Watch<'_>,
    run: u32,
    (series, pace): (u16, Pace),
) -> Result<Bounds, GuestError> {
    let mut bounds = Bounds::ALL;
    for round in 0..ROUNDS {
        let first = (series * ROUNDS + round) * PER_ROUND;
        let slowness = lab.slowness;
        let round = Round {
            watch: watch.afresh(),
            run,
            first,
            slowness,
        };
        bounds = from_outside(lab, layout, &round, (bounds, pace)).await?;
    }
    Ok(bounds)
}

/// One round of sentinels that begin outside of the guest.
async fn from_outside(
    lab: &Lab,
    layout: &Layout,
    round: &Round<'_>,
    (before, pace): (Bounds, Pace),
) -> Result<Bounds, GuestError> {
    let mut after = Bounds::default();
    if before.from_peer {
        let frames = inbound_sentinels(layout, |index| round.tag(&FROM_PEER, index));
        after.from_peer = round
            .inbound(
                (&lab.peer_sender, Point::FromPeer),
                (&FROM_PEER, pace),
                frames,
            )
            .await?;
    }
    if before.from_gateway {
        let layout = as_gateway(layout);
        let frames = inbound_sentinels(&layout, |index| round.tag(&FROM_GATEWAY, index));
        after.from_gateway = round
            .inbound(
                (&lab.gateway_sender, Point::FromGateway),
                (&FROM_GATEWAY, pace),
                frames,
            )
            .await?;
    }
    if before.wan {
        to_wan_host(lab, round.tag(&TO_WAN, 0))?;
        after.wan = round.arrives(&TO_WAN, Point::Wan).await;
    }
    Ok(after)
}

/// The layout with the router in the peer's place: sentinels from the router's port.
fn as_gateway(layout: &Layout) -> Layout {
    Layout {
        peer: layout.gateway.clone(),
        ..layout.clone()
    }
}

/// A datagram from the LAN peer through the router: the path behind the bridge works.
fn to_wan_host(lab: &Lab, tag: Tag) -> Result<(), LabError> {
    let datagram = || -> std::io::Result<()> {
        UdpSocket::bind((Ipv4Addr::UNSPECIFIED, source_port(tag)))?
            .send_to(&tag.to_bytes(), (WAN4, 9))
            .map(drop)
    };
    let sent = tokio::task::block_in_place(|| lab.network.peer.run(datagram))?;
    sent.map_err(|source| {
        LabError::system("send a sentinel from the LAN peer to the WAN host", source)
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::lab::{Direction, Sighted};
    use crate::probe::{Expect, Group, Sighting, Stimulus};
    use rstest::rstest;

    fn probe(origin: Origin, received_at: Point) -> Probe {
        let sighting = Sighting::Dns { name: "a".into() };
        Probe {
            id: "group/name".into(),
            group: Group::LanUnicast,
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

    const PEER_ONLY: Bounds = Bounds {
        from_gateway: false,
        ..Bounds::ALL
    };
    const NO_WAN: Bounds = Bounds {
        wan: false,
        ..Bounds::ALL
    };

    #[rstest]
    #[case::peer(PEER_ONLY, Origin::Peer, Point::TapToGuest, true)]
    #[case::router(PEER_ONLY, Origin::Gateway, Point::TapToGuest, false)]
    #[case::far_side(PEER_ONLY, Origin::Wan, Point::TapToGuest, false)]
    #[case::guest_to_lan(NO_WAN, Origin::Guest, Point::Peer, true)]
    #[case::guest_to_wan(NO_WAN, Origin::Guest, Point::Wan, false)]
    fn a_sentinel_bounds_its_own_path_only(
        #[case] bounds: Bounds,
        #[case] origin: Origin,
        #[case] received_at: Point,
        #[case] covered: bool,
    ) {
        assert_eq!(bounds.cover(&probe(origin, received_at)), covered);
    }

    /// What is sent later shows nothing of the way behind the router as it was before.
    #[test]
    fn the_way_to_the_wan_is_bounded_in_the_pass_itself() {
        let stopped = Bounds::default();
        let later = stopped.or_later(Bounds::ALL);
        assert!(later.cover(&probe(Origin::Guest, Point::Peer)));
        assert!(!later.cover(&probe(Origin::Guest, Point::Wan)));
    }

    #[rstest]
    #[case::behind_the_probe(&[false, true], true)]
    #[case::before_the_probe(&[true, false], false)]
    #[case::before_and_behind(&[true, false, true], true)]
    #[case::none(&[false], true)]
    fn a_sentinel_bounds_what_was_sent_before_it(#[case] sent: &[bool], #[case] kept: bool) {
        let tag = |pass| Tag {
            run: 1,
            pass,
            index: 3,
        };
        let mut sightings = Sightings::default();
        for is_sentinel in sent {
            let pass = if *is_sentinel { SENTINEL } else { 1 };
            let seen = Sighted {
                direction: Direction::In,
                at_ns: 0,
                checksum_pending: false,
                frame: [&[0; 60][..], &tag(pass).to_bytes()].concat(),
            };
            sightings.add(Point::TapFromGuest, seen);
        }
        let probe = Probe {
            sent: Sighting::Tag(tag(1)),
            ..probe(Origin::Guest, Point::Wan)
        };
        let order = Order::of(&sightings);
        assert_eq!(order.is_kept(&sightings, &probe), kept);
        assert!(order.missing(true).is_some(), "peer and router sent none");
    }

    #[test]
    fn the_tags_of_a_round_are_split_between_the_paths() {
        let paths = [OUTBOUND, FROM_PEER, FROM_GATEWAY, TO_WAN];
        let all: Vec<u16> = paths.into_iter().flatten().collect();
        assert_eq!(all, (0..PER_ROUND).collect::<Vec<_>>());
    }
}
