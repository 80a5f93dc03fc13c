//! Two taps on a bridge and a libvirtd: the least lab that has a filter in the way.
//!
//! Nobody else is on the bridge, so that any bytes can be sent, also such as
//! hosts would answer, and every frame that comes out is one that was put in.

use super::error::LabError;
use super::first_look::first_look;
use super::libvirtd::{self, Libvirt};
use super::netns::{bridge_batch, set_sysctls};
use super::network::bare_bridge;
use super::ruleset;
use super::shortcuts::Shortcuts;
use super::tap::{LARGEST, Tap, check_device};
use crate::nwfilter::evaluate::Backend;
use std::collections::BTreeSet;
use std::io;
use std::time::{Duration, Instant};

/// The tap that filters are bound to.
const GUEST: &str = "tap0";
/// The tap behind the filter.
const BEHIND: &str = "tap1";

/// Where the kernel keeps the times after which it forgets connections.
const TIMEOUTS: &str = "/proc/sys/net/netfilter";

/// Whether the bridge hands IPv4 packets to iptables.
const BRIDGE_NF: &str = "/proc/sys/net/bridge/bridge-nf-call-iptables";

/// Frames that came out and were not the one just put in. More than a few mean
/// that the kernel no longer takes a frame all the way within one call.
const STRAYS: usize = 16;

/// Frames that are under way at once: far fewer than a tap keeps for its reader.
const BATCH: usize = 4096;

/// A pair that is up.
#[derive(Debug)]
pub struct Pair {
    /// The connection to the private libvirtd.
    pub libvirt: Libvirt,
    /// What `iptables --version` prints.
    pub iptables: String,
    /// The tap that filters are bound to.
    guest: Tap,
    /// The tap behind the filter.
    behind: Tap,
    buffer: Vec<u8>,
}

impl Pair {
    /// Builds the pair in the namespaces that [`enter`](super::enter()) has made.
    ///
    /// # Errors
    /// When a device or a tool of the lab is missing, or libvirtd does not start.
    pub async fn up(shortcuts: Shortcuts, backend: Backend) -> Result<Self, LabError> {
        check_device()?;
        ruleset::check_tools(backend)?;
        let slowness = first_look()?;
        let libvirtd = libvirtd::start(shortcuts, backend)?;
        bare_bridge()?;
        forget_connections()?;
        let (guest, behind) = (Tap::open(GUEST)?, Tap::open(BEHIND)?);
        // A bridge that learned would keep frames from a MAC that it knows on the
        // sender's side, and random frames have any MAC on either side.
        bridge_batch(&[GUEST, BEHIND].map(unlearned).concat())?;
        let libvirt = Libvirt::connect(libvirtd, shortcuts, backend, slowness).await?;
        Ok(Self {
            libvirt,
            iptables: ruleset::version()?,
            guest,
            behind,
            buffer: vec![0; LARGEST],
        })
    }

    /// The device to bind filters to.
    pub fn device(&self) -> &str {
        self.guest.name()
    }

    /// Why nothing that is seen can be trusted; none while libvirtd runs.
    pub fn fault(&self) -> Option<String> {
        self.libvirt.fault()
    }

    /// Whether the bridge hands IPv4 packets to iptables: br_netfilter is loaded and at work.
    /// The kernel loads it with the first rule of iptables that asks for a bridge's port.
    pub fn bridge_nf(&self) -> bool {
        std::fs::read_to_string(BRIDGE_NF).is_ok_and(|value| value.trim() == "1")
    }

    /// Makes the device as if nothing had ever been bound to it, after libvirt has
    /// refused: see [`ruleset::clear`].
    ///
    /// # Errors
    /// As for [`ruleset::clear`].
    pub fn forget_refusal(&self) -> Result<(), LabError> {
        ruleset::clear(self.libvirt.backend())?;
        ruleset::wait_for_rcu()
    }

    /// Puts a frame in at one end; whether it comes out at the other. The kernel
    /// takes it through the bridge within the call that writes it, so what has
    /// not come out then never will; [`Pair::drain`] makes sure of that.
    ///
    /// # Errors
    /// When a tap cannot be written to or read from.
    pub fn carry(&mut self, from_guest: bool, frame: &[u8]) -> Result<bool, LabError> {
        let (sender, receiver) = if from_guest {
            (&self.guest, &self.behind)
        } else {
            (&self.behind, &self.guest)
        };
        let failed = |source| LabError::system(format!("send {} bytes", frame.len()), source);
        sender.write(frame).map_err(failed)?;
        for _ in 0..STRAYS {
            match receiver.read(&mut self.buffer).map_err(failed)? {
                None => return Ok(false),
                Some(length) if starts_alike(frame, &self.buffer[..length]) => return Ok(true),
                Some(_) => {}
            }
        }
        Err(failed(io::Error::other(
            "what comes out is not what was put in",
        )))
    }

    /// The same for many frames, all put in before the first is taken out: for
    /// each whether it came out.
    ///
    /// # Errors
    /// When the lab breaks down, or frames come out that were not put in.
    pub fn carry_all(&mut self, from_guest: bool, frames: &[&[u8]]) -> Result<Vec<bool>, LabError> {
        let mut passed = Vec::with_capacity(frames.len());
        for batch in frames.chunks(BATCH) {
            passed.extend(self.carry_batch(from_guest, batch)?);
        }
        Ok(passed)
    }

    /// Writes the frames as the guest would and throws away what comes out; how
    /// long the writing took.
    ///
    /// # Errors
    /// When a tap cannot be written to or read from.
    pub fn only_write(&mut self, frames: &[&[u8]]) -> Result<Duration, LabError> {
        let failed = |source| LabError::system(format!("send {} frames", frames.len()), source);
        let started = Instant::now();
        for frame in frames {
            self.guest.write(frame).map_err(failed)?;
        }
        let took = started.elapsed();
        while self
            .behind
            .read(&mut self.buffer)
            .map_err(failed)?
            .is_some()
        {}
        Ok(took)
    }

    fn carry_batch(&mut self, from_guest: bool, batch: &[&[u8]]) -> Result<Vec<bool>, LabError> {
        let (sender, receiver) = if from_guest {
            (&self.guest, &self.behind)
        } else {
            (&self.behind, &self.guest)
        };
        let failed = |source| LabError::system(format!("send {} frames", batch.len()), source);
        for frame in batch {
            sender.write(frame).map_err(failed)?;
        }
        let mut sorted = Sorted::of(batch);
        while let Some(length) = receiver.read(&mut self.buffer).map_err(failed)? {
            sorted.came_out(&self.buffer[..length]);
        }
        if sorted.strays > STRAYS {
            let text = format!("{} frames came out that were not put in", sorted.strays);
            return Err(failed(io::Error::other(text)));
        }
        let Sorted {
            mut passed, unsure, ..
        } = sorted;
        for at in unsure {
            passed[at] = self.carry(from_guest, batch[at])?;
        }
        Ok(passed)
    }

    /// Sends a last frame each way, which no filter may be in the way of. Returns what
    /// came out besides: frames that were late, so that nothing is proven of those
    /// that were taken for dropped.
    ///
    /// # Errors
    /// When a tap cannot be written to or read from, or the last frame itself is lost.
    pub fn drain(&mut self) -> Result<Vec<Vec<u8>>, LabError> {
        let last = [
            &[2, 0, 0, 0, 0, 2, 2, 0, 0, 0, 0, 1, 0x88, 0xb5][..],
            b"last",
        ]
        .concat();
        let mut late = Vec::new();
        for (sender, receiver) in [(&self.guest, &self.behind), (&self.behind, &self.guest)] {
            let failed = |source| LabError::system("send the last frame of a batch", source);
            sender.write(&last).map_err(failed)?;
            let mut out = Vec::new();
            while let Some(length) = receiver.read(&mut self.buffer).map_err(failed)? {
                out.push(self.buffer[..length].to_vec());
            }
            if out.pop_if(|frame| *frame == last).is_none() {
                let text = format!("it did not come out, but {} others", out.len());
                return Err(failed(io::Error::other(text)));
            }
            late.append(&mut out);
        }
        Ok(late)
    }
}

fn unlearned(tap: &str) -> String {
    format!("link set dev {tap} learning off flood on mcast_flood on bcast_flood on\n")
}

/// The addresses and the type are the same; br_netfilter cuts padding off.
fn starts_alike(sent: &[u8], got: &[u8]) -> bool {
    sent.len() >= 14 && got.get(..14) == sent.get(..14)
}

/// A batch in an order in which what came out is found: behind a frame stand
/// those that begin with it. The order in which frames come out does not count.
struct Sorted<'a> {
    batch: &'a [&'a [u8]],
    order: Vec<usize>,
    /// For each frame of the batch whether it came out.
    passed: Vec<bool>,
    /// Frames of which one came out, and which cannot be told: they are equal
    /// but for what br_netfilter cuts off. Each must be sent by itself.
    unsure: BTreeSet<usize>,
    /// What came out and was not put in.
    strays: usize,
}

impl<'a> Sorted<'a> {
    fn of(batch: &'a [&'a [u8]]) -> Self {
        let mut order: Vec<usize> = (0..batch.len()).collect();
        order.sort_unstable_by_key(|at| batch[*at]);
        Self {
            batch,
            order,
            passed: vec![false; batch.len()],
            unsure: BTreeSet::new(),
            strays: 0,
        }
    }

    fn came_out(&mut self, got: &[u8]) {
        let from = self.order.partition_point(|at| self.batch[*at] < got);
        let alike = self.order[from..].iter().copied();
        let alike: Vec<usize> = alike
            .take_while(|at| self.batch[*at].starts_with(got))
            .collect();
        match alike.as_slice() {
            [] => self.strays += 1,
            [at] => self.passed[*at] = true,
            _ => self.unsure.extend(alike),
        }
    }
}

/// Makes every frame the first of its connection, whatever was sent before.
fn forget_connections() -> Result<(), LabError> {
    let mut settings = timeouts()?;
    if settings.is_empty() {
        ruleset::load_tracking()?;
        settings = timeouts()?;
    }
    if settings.is_empty() {
        return Err(LabError::host(
            format!("{TIMEOUTS} has no times after which connections are forgotten"),
            "load the kernel's module nf_conntrack: `modprobe nf_conntrack`",
        ));
    }
    let settings: Vec<(&str, &str)> = settings.iter().map(|name| (name.as_str(), "0")).collect();
    set_sysctls(&settings)
}

/// The settings for those times; none where connection tracking is not loaded.
fn timeouts() -> Result<Vec<String>, LabError> {
    let failed = |source| LabError::File {
        path: TIMEOUTS.into(),
        source,
    };
    let mut settings = Vec::new();
    for entry in std::fs::read_dir(TIMEOUTS).map_err(failed)? {
        let name = entry.map_err(failed)?.file_name();
        let name = name.to_string_lossy().into_owned();
        if name.starts_with("nf_conntrack_") && name.contains("_timeout") {
            settings.push(format!("netfilter.{name}"));
        }
    }
    Ok(settings)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_came_out_is_found_whole_or_cut_and_never_guessed() {
        let batch: [&[u8]; 7] = [b"one", b"two, padded", b"three", b"x", b"x", b"xy", b"four"];
        let mut sorted = Sorted::of(&batch);
        for got in [&b"four"[..], b"two", b"x", b"five"] {
            sorted.came_out(got);
        }
        assert_eq!(
            sorted.passed,
            [false, true, false, false, false, false, true]
        );
        assert_eq!(sorted.unsure, BTreeSet::from([3, 4, 5]));
        assert_eq!(sorted.strays, 1);
    }
}
