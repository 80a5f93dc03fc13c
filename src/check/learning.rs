//! What a guest can send while libvirt learns its address.

use super::probes::{Judged, Trial};
use crate::nwfilter::learning::{AddressSource, Bound, Learning};
use crate::probe::Expect;
use crate::verdict::{Conclusion, Failure, Verdict};

/// The time before libvirt knows the guest's address, when the filter is not in force.
pub struct LearningPhase {
    /// What libvirt learns it from.
    pub learning: Learning,
    /// The guest's probes that the policy forbids, in the catalogue's order. That others are
    /// stopped in this short time is not held against the filter.
    pub probes: Vec<Judged>,
}

impl LearningPhase {
    /// Judges the rules that libvirt has in force while it learns; none where it does not.
    pub fn of(bound: &Bound, trials: &[Trial]) -> Option<Self> {
        let (AddressSource::Learnt(learning), Some(rules)) = (bound.address, &bound.while_learning)
        else {
            return None;
        };
        let all = trials.iter().map(|trial| trial.judged(rules));
        let forbidden =
            |judged: &Judged| judged.probe.is_from_guest() && judged.probe.expect == Expect::Drop;
        let mut probes: Vec<Judged> = all.filter(forbidden).collect();
        if learning == Learning::Dhcp {
            for judged in &mut probes {
                if judged.verdict == Verdict::Fail(Failure::Leak) {
                    judged.verdict = Verdict::KnownGap;
                }
            }
        }
        Some(Self { learning, probes })
    }

    /// Frames that get out and must not.
    pub fn leaks(&self) -> impl Iterator<Item = &Judged> {
        self.with(Verdict::Fail(Failure::Leak))
    }

    /// Frames that get out whatever the filter says: libvirt lets the guest's DHCP questions pass
    /// to any address until it knows the lease.
    pub fn known_gaps(&self) -> impl Iterator<Item = &Judged> {
        self.with(Verdict::KnownGap)
            .filter(|judged| judged.probe.known_gap.is_none())
    }

    fn with(&self, verdict: Verdict) -> impl Iterator<Item = &Judged> {
        let probes = self.probes.iter();
        probes.filter(move |judged| judged.verdict == verdict)
    }

    /// What it comes to.
    pub fn conclusion(&self) -> Conclusion {
        let inconclusive = |judged: &Judged| judged.verdict == Verdict::Inconclusive;
        if self.leaks().next().is_some() {
            Conclusion::Fail
        } else if self.probes.iter().any(inconclusive) {
            Conclusion::Inconclusive
        } else {
            Conclusion::Pass
        }
    }
}
