//! Proof in place: the filter of a guest is bound to a tap that nobody uses, on the guest's own
//! bridge and by the host's own libvirt, and frames are sent through it.
//!
//! For when "the rules are there" is not enough. The frames are harmless, and each is sent
//! without the filter first: one that does not arrive then proves nothing afterwards.

mod frames;
mod own;

pub use own::{Look, look};

use super::audit::Reason;
use super::change::Target;
use super::error::HostError;
use super::libvirt::Libvirt;
use super::links;
use crate::domain::Interface;
use crate::lab::{LARGEST_FRAME, Tap};
use crate::nwfilter::FilterRef;
use crate::nwfilter::learning::given_address;
use crate::nwfilter::vocabulary::variables;
use crate::policy::Policy;
use frames::{Direction, GUEST, Nonce, Shot, shots, to_all};
use std::collections::BTreeSet;
use std::time::{Duration, Instant};

/// Longest wait for frames on the bridge: the kernel takes them through within the call that
/// sends them, unless it is busy.
const LONGEST: Duration = Duration::from_secs(5);

/// How long nothing must come any more after the last frame that passes.
const QUIET: Duration = Duration::from_millis(50);

/// From one look to the next.
const LOOK: Duration = Duration::from_millis(2);

/// What a proof came to.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct Proof {
    /// Frames that the filter stopped, and was to stop.
    pub stopped: usize,
    /// Frames that it let through, and was to let through.
    pub passed: usize,
    /// Frames that it was to stop.
    pub leaks: Vec<&'static str>,
    /// Frames that it was to let through.
    pub blocked: Vec<&'static str>,
    /// Frames of which nothing is proven, each with the reason.
    pub unproven: Vec<String>,
}

impl Proof {
    /// What it says of the interface.
    pub fn reasons(&self) -> Vec<Reason> {
        let mut out = Vec::new();
        if !self.leaks.is_empty() {
            out.push(Reason::Leaked(self.leaks.clone()));
        }
        if !self.blocked.is_empty() {
            out.push(Reason::Blocked(self.blocked.clone()));
        }
        if !self.unproven.is_empty() {
            out.push(Reason::Unproven(self.unproven.join("; ")));
        }
        if out.is_empty() {
            let (stopped, passed) = (self.stopped, self.passed);
            out.push(Reason::Proven { stopped, passed });
        }
        out
    }
}

/// Two taps on a bridge that go with this.
struct Stage<'a> {
    libvirt: &'a Libvirt,
    guest: Tap,
    behind: Tap,
    run: u32,
    bound: bool,
}

/// Proves the filter of a running guest's interface.
///
/// # Errors
/// When the taps cannot be made, or libvirt does not bind the filter.
pub fn prove(libvirt: &Libvirt, policy: &Policy, live: &Interface) -> Result<Proof, HostError> {
    let refused = |what: &str, cure: &str| HostError::refused(what, cure);
    let reference = live
        .filterref()
        .ok_or_else(|| refused("the running guest has no filter", "lanfence apply"))?;
    let device = live.target.as_deref().unwrap_or_default();
    let bridge = links::bridge_of(device).ok_or_else(|| {
        refused(
            &format!("{device} is in no Linux bridge"),
            "`lanfence audit` says more",
        )
    })?;
    let own = given_address(&reference.parameters);
    let shots = shots(policy, own).ok_or_else(|| {
        refused(
            "the policy's LAN has no room for two hosts",
            "take a larger prefix",
        )
    })?;
    let mut stage = Stage::set(libvirt, &bridge)?;
    let before = stage.pass(1, &shots)?;
    stage.bind(reference, &shots)?;
    let after = stage.pass(2, &shots)?;
    stage.send_to_all()?;
    Ok(judge(&shots, &before, &after))
}

/// How the names of a proof's taps begin and end; the process stands between. At most 15 characters:
/// process numbers have at most seven digits.
const PREFIX: &str = "lf";
const SIDES: [char; 2] = ['g', 'b'];

/// Whether a proof that is running has made the tap: no guest's frames come through it.
pub fn is_of_a_proof(tap: &str) -> bool {
    let process = tap
        .strip_prefix(PREFIX)
        .and_then(|it| it.strip_suffix(SIDES));
    let process = process.and_then(|digits| u32::from_str_radix(digits, 16).ok());
    process.is_some_and(|process| {
        let name = std::fs::read_to_string(format!("/proc/{process}/comm"));
        name.is_ok_and(|name| name.trim() == env!("CARGO_PKG_NAME"))
    })
}

impl<'a> Stage<'a> {
    fn set(libvirt: &'a Libvirt, bridge: &str) -> Result<Self, HostError> {
        let run = std::process::id();
        let tap = |side| {
            let name = format!("{PREFIX}{run:x}{side}");
            Tap::open_on(&name, bridge).map_err(HostError::Lab)
        };
        let [guest, behind] = SIDES;
        Ok(Self {
            libvirt,
            guest: tap(guest)?,
            behind: tap(behind)?,
            run,
            bound: false,
        })
    }

    /// Binds the guest's filter with its parameters; an address that libvirt would learn is
    /// given.
    fn bind(&mut self, reference: &FilterRef, shots: &[Shot]) -> Result<(), HostError> {
        let mut reference = reference.clone();
        let given = reference
            .parameters
            .iter()
            .any(|(name, _)| name == variables::IP);
        if let Some(own) = shots.iter().find_map(Shot::own).filter(|_| !given) {
            let parameter = (variables::IP.to_owned(), own.to_string());
            reference.parameters.push(parameter);
        }
        let target = Target {
            guest: "lanfence-proof".into(),
            uuid: "6f0b9c9e-0c0b-4c9a-9d6e-3a6d1d1f2b78".into(),
            mac: GUEST,
            device: None,
        };
        let device = self.guest.name();
        let xml = super::change::binding(&target, device, &reference);
        self.libvirt.create_binding(device, &xml)?;
        self.bound = true;
        Ok(())
    }

    /// Sends every frame; which have arrived. What must pass goes last in its direction: when
    /// it has arrived, so has everything before it.
    fn pass(&mut self, pass: u8, shots: &[Shot]) -> Result<BTreeSet<u16>, HostError> {
        let nonce = Nonce {
            run: self.run,
            pass,
        };
        let mut seen = BTreeSet::new();
        for shot in shots {
            let from = match shot.direction {
                Direction::FromGuest => &self.guest,
                Direction::ToGuest => &self.behind,
            };
            from.write(&shot.bytes(nonce))
                .map_err(|source| HostError::File {
                    path: format!("/sys/class/net/{}", from.name()).into(),
                    source,
                })?;
            self.read(nonce, shots, &mut seen)?;
        }
        let last: BTreeSet<u16> = shots
            .iter()
            .filter(|shot| shot.passes)
            .map(|shot| shot.index)
            .collect();
        let end = Instant::now() + LONGEST;
        let mut quiet = Instant::now();
        while Instant::now() < end && (!last.is_subset(&seen) || quiet.elapsed() < QUIET) {
            let known = seen.len();
            self.read(nonce, shots, &mut seen)?;
            if seen.len() > known {
                quiet = Instant::now();
            }
            std::thread::sleep(LOOK);
        }
        Ok(seen)
    }

    /// Sends what must come to the rules of every guest on the bridge.
    fn send_to_all(&self) -> Result<(), HostError> {
        let nonce = Nonce {
            run: self.run,
            pass: 3,
        };
        for _ in 0..own::TO_ALL {
            let sent = self.behind.write(&to_all(nonce));
            sent.map_err(|source| HostError::File {
                path: format!("/sys/class/net/{}", self.behind.name()).into(),
                source,
            })?;
        }
        Ok(())
    }

    /// Takes in what has come out at both ends.
    fn read(
        &self,
        nonce: Nonce,
        shots: &[Shot],
        seen: &mut BTreeSet<u16>,
    ) -> Result<(), HostError> {
        let mut buffer = vec![0; LARGEST_FRAME];
        for (tap, direction) in [
            (&self.behind, Direction::FromGuest),
            (&self.guest, Direction::ToGuest),
        ] {
            let failed = |source| HostError::File {
                path: format!("/sys/class/net/{}", tap.name()).into(),
                source,
            };
            while let Some(length) = tap.read(&mut buffer).map_err(failed)? {
                let index = nonce.index(&buffer[..length]);
                let own = |index: &u16| {
                    let shot = shots.iter().find(|shot| shot.index == *index);
                    shot.is_some_and(|shot| shot.direction == direction)
                };
                seen.extend(index.filter(own));
            }
        }
        Ok(())
    }
}

impl Drop for Stage<'_> {
    fn drop(&mut self) {
        if self.bound {
            // The taps go with this; a binding without its tap has no rules.
            let _ = self.libvirt.delete_binding(self.guest.name());
        }
    }
}

/// What each frame proves. A frame is stopped only if it arrived without the filter, and if
/// one that was sent after it on the same way arrived with the filter.
fn judge(shots: &[Shot], before: &BTreeSet<u16>, after: &BTreeSet<u16>) -> Proof {
    let mut proof = Proof::default();
    let alive = |direction| {
        let mut sentinels = shots
            .iter()
            .filter(|shot| shot.passes && shot.direction == direction);
        sentinels.any(|shot| after.contains(&shot.index))
    };
    for shot in shots {
        let what = shot.what;
        if !before.contains(&shot.index) {
            let why = format!("{what}: it did not arrive without the filter either");
            proof.unproven.push(why);
            continue;
        }
        match (after.contains(&shot.index), shot.passes) {
            (true, true) => proof.passed += 1,
            (true, false) => proof.leaks.push(what),
            (false, true) => proof.blocked.push(what),
            (false, false) if alive(shot.direction) => proof.stopped += 1,
            (false, false) => {
                let why = format!("{what}: nothing that was sent after it arrived");
                proof.unproven.push(why);
            }
        }
    }
    proof
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    fn example() -> Vec<Shot> {
        shots(&Policy::example(), None).unwrap()
    }

    fn numbers(shots: &[Shot], which: impl Fn(&Shot) -> bool) -> BTreeSet<u16> {
        let chosen = shots.iter().filter(|shot| which(shot));
        chosen.map(|shot| shot.index).collect()
    }

    #[test]
    fn a_filter_that_holds() {
        let shots = example();
        let proof = judge(
            &shots,
            &numbers(&shots, |_| true),
            &numbers(&shots, |shot| shot.passes),
        );
        assert!(proof.leaks.is_empty() && proof.blocked.is_empty() && proof.unproven.is_empty());
        assert_eq!(proof.stopped + proof.passed, shots.len());
    }

    #[rstest]
    #[case::a_dead_bridge(false, false)]
    #[case::a_bridge_that_died_meanwhile(true, false)]
    fn what_never_arrives_is_no_proof(#[case] before: bool, #[case] after: bool) {
        let shots = example();
        let proof = judge(
            &shots,
            &numbers(&shots, |_| before),
            &numbers(&shots, |_| after),
        );
        assert_eq!(proof.stopped + proof.passed, 0);
        assert!(!proof.unproven.is_empty());
    }

    #[test]
    fn what_arrives_and_must_not_is_a_leak() {
        let shots = example();
        let proof = judge(
            &shots,
            &numbers(&shots, |_| true),
            &numbers(&shots, |_| true),
        );
        assert_eq!(
            proof.leaks.len(),
            shots.iter().filter(|shot| !shot.passes).count()
        );
    }
}
