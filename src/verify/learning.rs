//! The time after the binding in which libvirt learns the guest's address. Until it knows it,
//! rules of its own are in force instead of the filter.

use super::endpoint::{Endpoint, Hosts};
use super::watch::Watch;
use crate::frame::{DhcpStep, Tag};
use crate::guest::GuestError;
use crate::nwfilter::learning::Learning;
use crate::policy::Policy;
use crate::probe::{Pass, Point, Probe, Stimulus, learning_probe};
use crate::report::model::LearningPhase;
use std::time::{Duration, Instant};

/// From the start of one round to that of the next. A round is one frame to the WAN and one to
/// the LAN peer after it.
const ROUND: Duration = Duration::from_millis(50);

/// Rounds in a row whose frame to the WAN does not arrive, until the filter counts as in force.
const CLOSED_ROUNDS: usize = 8;

/// Rounds before the guest asks for a lease, where libvirt learns from that alone.
const ROUNDS_BEFORE_LEASE: usize = 4;

/// Longest wait for the filter to come into force, from the guest's first frame or its lease on.
/// libvirt needs a second or two (measured: docs/measurements.md#M51).
const LONGEST: Duration = Duration::from_secs(20);

/// Sends until the filter is in force or the time is over; what was seen. The probe's frames
/// bear the same tag each time, so that the pass that follows judges all of them as one.
///
/// # Errors
/// When the guest's agent fails a request.
pub async fn watch(
    policy: &Policy,
    learning: Learning,
    endpoint: &mut impl Endpoint,
    hosts: Hosts<'_>,
    watch: &Watch<'_>,
    (run, pass): (u32, Pass),
) -> Result<LearningPhase, GuestError> {
    let tag_of = |index| pass.tag(run, index);
    let (probe, follower) = learning_probe(policy, hosts.layout, tag_of);
    let Stimulus::Frames(mut frames) = probe.stimulus.clone() else {
        unreachable!("the probe is made of raw frames");
    };
    let follower_tag = Tag::find(&follower);
    frames.push(follower);
    let mut phase = LearningPhase {
        learning,
        before_first_frame: pass == Pass::FirstFrame,
        sent: 0,
        let_out: 0,
        in_force_after_ms: None,
    };
    let mut rounds = Rounds {
        frames,
        probe,
        watch,
        begun: Instant::now(),
        last_out: None,
        quiet: 0,
    };
    if learning == Learning::Dhcp {
        for _ in 0..ROUNDS_BEFORE_LEASE {
            rounds.next(endpoint, &mut phase).await?;
        }
        endpoint.dhcp(&[DhcpStep::Bind]).await?;
    }
    hosts.introduce()?;
    let end = Instant::now() + hosts.lab.slowness.stretch(LONGEST);
    while Instant::now() < end {
        rounds.next(endpoint, &mut phase).await?;
        let arrived = || watch.count(Point::Peer, |frame| Tag::find(frame) == follower_tag) > 0;
        let after = match learning {
            Learning::Any => rounds.closed(),
            // Until the lease nothing passes, so the peer hears of the filter.
            Learning::Dhcp => arrived().then(|| rounds.begun.elapsed()),
        };
        if let Some(after) = after {
            phase.in_force_after_ms = Some(u64::try_from(after.as_millis()).unwrap_or(u64::MAX));
            break;
        }
    }
    Ok(phase)
}

/// The rounds of a learning phase.
struct Rounds<'a> {
    frames: Vec<Vec<u8>>,
    probe: Probe,
    watch: &'a Watch<'a>,
    begun: Instant,
    /// When the last frame was sent that got out.
    last_out: Option<Instant>,
    /// Rounds since then.
    quiet: usize,
}

impl Rounds<'_> {
    /// How long the last frame that got out was sent after the first, once none has got out for
    /// some rounds.
    fn closed(&self) -> Option<Duration> {
        let last = self.last_out.unwrap_or(self.begun);
        (self.quiet >= CLOSED_ROUNDS).then(|| last - self.begun)
    }

    /// Sends the frames of a round and waits for the start of the next.
    async fn next(
        &mut self,
        endpoint: &mut impl Endpoint,
        phase: &mut LearningPhase,
    ) -> Result<(), GuestError> {
        let start = Instant::now();
        endpoint.frames(&self.frames).await?;
        tokio::time::sleep_until((start + ROUND).into()).await;
        phase.sent += 1;
        let out = self
            .watch
            .count(Point::Wan, |frame| self.probe.received.matches(frame));
        if out > phase.let_out {
            phase.let_out = out;
            self.last_out = Some(start);
            self.quiet = 0;
        } else {
            self.quiet += 1;
        }
        Ok(())
    }
}
