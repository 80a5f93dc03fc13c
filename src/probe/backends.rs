//! What a back end of libvirt makes impossible.

use super::types::Probe;
use crate::nwfilter::evaluate::Backend;

/// `MLDv1` reports go to the group itself, where hosts listen.
const MLD_V1: &str = "libvirt's nftables rules see the first header of IPv6 only: whatever lets these \
                      reports pass lets forged router advertisements pass that hide behind the same \
                      header; MLDv2, which all systems speak, passes";

/// Probes with nftables whose frames no filter can treat as the policy wants, and why.
const NFTABLES: &[(&str, &str)] = &[("ipv6-control/mld1-report", MLD_V1)];

impl Probe {
    /// The probe with the known gaps of the back end that makes the rules.
    #[must_use]
    pub fn with(mut self, backend: Backend) -> Self {
        let gaps = match backend {
            Backend::Ebtables => &[],
            Backend::Nftables => NFTABLES,
        };
        let gap = gaps.iter().find(|(id, _)| *id == self.id);
        self.known_gap = self.known_gap.or(gap.map(|(_, why)| *why));
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::layout::Layout;
    use crate::policy::Policy;
    use crate::probe::{Pass, catalogue};

    #[test]
    fn every_gap_is_of_a_probe_in_the_catalogue() {
        let policy = Policy::example();
        let layout = Layout::of(&policy).unwrap();
        let probes = catalogue(&policy, &layout, |index| Pass::Filtered.tag(1, index));
        for (id, _) in NFTABLES {
            let probe = probes.iter().find(|probe| probe.id == *id).unwrap();
            assert!(probe.clone().with(Backend::Ebtables).known_gap.is_none());
            assert!(probe.clone().with(Backend::Nftables).known_gap.is_some());
        }
    }
}
