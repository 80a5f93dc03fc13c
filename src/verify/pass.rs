//! One pass of a cell: send the probes, bound the wait with sentinels, collect the sightings.

use super::endpoint::{Endpoint, Exchange, Hosts, Moment};
use super::hearing::Hearing;
use super::record::PassRecord;
use super::sentinels::{Order, bound};
use super::watch::Watch;
use crate::frame::{DhcpStep, Tag};
use crate::guest::GuestError;
use crate::probe::{Origin, Pass, Point, Probe, Sighting, Stimulus, source_port};
use std::collections::HashSet;
use std::time::{Duration, Instant};

/// Longest wait for the frames of a pass to leave. They are on their way when
/// the agent answers; what comes later waits for a neighbour that does not answer.
const LEAVE: Duration = Duration::from_millis(1500);

/// Where the LAN peer's use of port 22 stands among the probes, which have ports by their place:
/// after all of them.
const SSH: u16 = 8_000;

/// Runs a pass with the probes that were built for it.
///
/// In the first-frame pass the raw frames that the filter must stop have been sent before
/// this is called: they are the guest's first frames.
///
/// # Errors
/// When the guest's agent fails a request, or the lab cannot send.
pub async fn run(
    endpoint: &mut impl Endpoint,
    hosts: Hosts<'_>,
    watch: Watch<'_>,
    run: u32,
    pass: Pass,
    probes: Vec<Probe>,
) -> Result<PassRecord, GuestError> {
    endpoint.start_afresh().await?;
    let mut refused = endpoint.join(&probes, pass, Moment::First).await?;
    let steps = dhcp_steps(&probes);
    let dhcp = if steps.is_empty() {
        Vec::new()
    } else {
        endpoint.dhcp(&steps).await?
    };
    hosts.introduce()?;
    if pass == Pass::FirstFrame {
        endpoint.tell_forbidden_neighbours(&probes).await?;
    }
    endpoint.meet_neighbours(pass).await?;
    let ssh = if probes.iter().any(|probe| probe.stimulus == Stimulus::Ssh) {
        let tag = pass.tag(run, SSH);
        Some(endpoint.ssh(source_port(tag))?)
    } else {
        None
    };
    refused.extend(endpoint.send(&probes, pass).await?);
    refused.extend(hosts.send_from_outside(&probes)?);
    let ssh = ssh.map(Exchange::end).transpose()?;
    refused.extend(endpoint.join(&probes, pass, Moment::Last).await?);
    let longest = hosts.lab.slowness.stretch(LEAVE);
    let lost = departed(&watch, &probes, longest).await;
    if !lost.is_empty() {
        let frames: Vec<Vec<u8>> = lost.iter().flat_map(|(_, frames)| frames.clone()).collect();
        endpoint.frames(&frames).await?;
        departed(&watch, &probes, longest).await;
    }
    let hearing = Hearing::test(hosts.lab, hosts.layout, &watch, (run, pass)).await?;
    let bounds = bound(endpoint, hosts, &watch, run, u16::from(pass.number())).await?;
    let (sightings, end) = watch.sightings();
    let order = Order::of(&sightings);
    let sent_again = lost.into_iter().map(|(probe, _)| probe).collect();
    let fault = watch.fault().or_else(|| hearing.deaf(&sightings));
    Ok(PassRecord {
        probes,
        sightings,
        order,
        end,
        bounds,
        fault: fault.or_else(|| order.missing(true)),
        dhcp,
        refused,
        ssh,
        sent_again,
        learning: None,
    })
}

/// The steps that the probes watch, in the order of a lease's lifetime.
fn dhcp_steps(probes: &[Probe]) -> Vec<DhcpStep> {
    [DhcpStep::Bind, DhcpStep::Renew, DhcpStep::Release]
        .into_iter()
        .filter(|step| {
            probes
                .iter()
                .any(|probe| probe.stimulus == Stimulus::Dhcp(*step))
        })
        .collect()
}

/// A probe by its id, with its raw frames.
type Lost = (String, Vec<Vec<u8>>);

/// Waits until every probe from the guest has been seen leaving, or the
/// deadline is reached: what never left is judged as never sent. Returns those that did not
/// leave, where they are few, with their raw frames.
async fn departed(watch: &Watch<'_>, probes: &[Probe], longest: Duration) -> Vec<Lost> {
    let deadline = Instant::now() + longest;
    let mut missing = Missing::of(probes);
    if !missing.is_empty() {
        let last = |frame: &[u8]| {
            missing.remove(frame);
            missing.is_empty()
        };
        watch.wait_for(Point::TapFromGuest, deadline, last).await;
    }
    missing.lost(probes)
}

/// Most probes whose frames are sent once more. On slow hosts one to three of some 300 frames never came
/// to the tap in one run of twenty (measured: docs/measurements.md#M63), and neither guest nor sensor
/// noticed. Nothing is known of such a frame yet, so that sending it again hides no verdict. Where more
/// do not leave, it is the path that is at fault.
const MOST_AGAIN: usize = 8;

/// Frames that have not been seen leaving yet. Each frame that leaves is looked at once: there
/// are hundreds of both.
struct Missing<'a> {
    tags: HashSet<Tag>,
    others: Vec<&'a Sighting>,
}

impl<'a> Missing<'a> {
    fn of(probes: &'a [Probe]) -> Self {
        let guests = probes.iter().filter(|probe| probe.origin == Origin::Guest);
        let (mut tags, mut others) = (HashSet::new(), Vec::new());
        for probe in guests {
            match &probe.sent {
                Sighting::Tag(tag) => {
                    tags.insert(*tag);
                }
                other => others.push(other),
            }
        }
        Self { tags, others }
    }

    fn remove(&mut self, frame: &[u8]) {
        if let Some(tag) = Tag::find(frame) {
            self.tags.remove(&tag);
        }
        self.others.retain(|sighting| !sighting.matches(frame));
    }

    fn is_empty(&self) -> bool {
        self.tags.is_empty() && self.others.is_empty()
    }

    /// The probes of raw frames that are still missing; none where they are too many.
    fn lost(&self, probes: &[Probe]) -> Vec<Lost> {
        let still = |probe: &&Probe| match &probe.sent {
            Sighting::Tag(tag) => self.tags.contains(tag),
            other => self.others.contains(&other),
        };
        let guests = probes.iter().filter(|probe| probe.origin == Origin::Guest);
        let lost: Vec<Lost> = guests
            .filter(still)
            .filter_map(|probe| match &probe.stimulus {
                Stimulus::Frames(frames) => Some((probe.id.clone(), frames.clone())),
                _ => None,
            })
            .collect();
        if lost.len() > MOST_AGAIN {
            return Vec::new();
        }
        lost
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::layout::Layout;
    use crate::policy::Policy;
    use crate::probe::catalogue;
    use rstest::rstest;

    fn raw(probe: &Probe) -> Option<Lost> {
        match &probe.stimulus {
            Stimulus::Frames(frames) if probe.origin == Origin::Guest => {
                Some((probe.id.clone(), frames.clone()))
            }
            _ => None,
        }
    }

    #[rstest]
    #[case::none(0, 0)]
    #[case::one(1, 1)]
    #[case::the_most(MOST_AGAIN, MOST_AGAIN)]
    #[case::the_path_is_at_fault(MOST_AGAIN + 1, 0)]
    fn frames_that_did_not_leave_are_sent_again_where_they_are_few(
        #[case] lost: usize,
        #[case] again: usize,
    ) {
        let policy = Policy::example();
        let layout = Layout::of(&policy).unwrap();
        let probes = catalogue(&policy, &layout, |index| Pass::Filtered.tag(1, index));
        let mut missing = Missing::of(&probes);
        let from_guest: Vec<Lost> = probes.iter().filter_map(raw).collect();
        for frame in from_guest[lost..].iter().flat_map(|(_, frames)| frames) {
            missing.remove(frame);
        }
        // What the guest's own stack sends is not sent again.
        assert_eq!(missing.lost(&probes), from_guest[..again]);
    }
}
