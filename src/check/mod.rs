//! The static check: a filter compared with a policy without a guest.
//!
//! Lints, every probe of the catalogue through the evaluator, and the exact sets of
//! destinations come to one [`Conclusion`], with the words that `verify` uses.

pub mod probes;

use crate::frame::Mac;
use crate::layout::Layout;
use crate::nwfilter::evaluate::Compiled;
use crate::nwfilter::evaluate::field::Field;
use crate::nwfilter::lint::{Finding, Levels};
use crate::nwfilter::reach::{TrafficClass, classes};
use crate::policy::Policy;
use crate::verdict::{Conclusion, Counts, Verdict};
use probes::{Judged, judge_all};

/// Everything that is found out about a filter without a guest.
pub struct Checked {
    /// Findings of the lints, with the levels applied.
    pub lint: Vec<Finding>,
    /// Whether one of them is denied.
    pub denied: bool,
    /// The probes of the catalogue, in its order.
    pub probes: Vec<Judged>,
    /// What the guest can send to, kind of frame by kind of frame.
    pub classes: Vec<TrafficClass>,
}

/// Judges a compiled filter; `findings` are those of its lints.
pub fn check(
    filter: &Compiled,
    policy: &Policy,
    layout: &Layout,
    findings: Vec<Finding>,
    levels: &Levels,
) -> Checked {
    let lint = levels.apply(findings);
    Checked {
        denied: lint.iter().any(|finding| levels.denies(finding.lint)),
        lint,
        probes: judge_all(filter, policy, layout),
        classes: classes(filter, policy, &usual(layout)),
    }
}

impl Checked {
    /// The probes with a verdict.
    pub fn with(&self, verdict: Verdict) -> impl Iterator<Item = &Judged> {
        let probes = self.probes.iter();
        probes.filter(move |judged| judged.verdict == verdict)
    }

    /// How many probes came out how.
    pub fn counts(&self) -> Counts {
        Counts::of(self.probes.iter().map(|judged| judged.verdict))
    }

    /// What it all comes to. A denied lint fails as a leak does.
    pub fn conclusion(&self) -> Conclusion {
        let counts = self.counts();
        let wrong = |class: &TrafficClass| !class.leaked.is_empty() || !class.blocked.is_empty();
        if self.denied || counts.failed() > 0 || self.classes.iter().any(wrong) {
            Conclusion::Fail
        } else if counts.inconclusive > 0 || !self.classes.iter().all(TrafficClass::is_proven) {
            Conclusion::Inconclusive
        } else {
            Conclusion::Pass
        }
    }
}

/// Values that make an example look like something that a guest would send.
pub fn usual(layout: &Layout) -> Vec<(Field, u128)> {
    let mac = |mac: Mac| {
        mac.iter()
            .fold(0, |value, octet| value << 8 | u128::from(*octet))
    };
    vec![
        (Field::SrcMac, mac(layout.guest.mac)),
        (Field::DstMac, mac(layout.gateway.mac)),
        (Field::DstMac, mac(crate::frame::BROADCAST)),
        (Field::Src, layout.guest.v4.to_bits().into()),
        (Field::Src, layout.guest.v6.to_bits()),
        (Field::Src, layout.guest.link_local.to_bits()),
        (Field::Dst, layout.wan4.to_bits().into()),
        (Field::Dst, layout.wan6.to_bits()),
        (Field::Dst, layout.peer.v4.to_bits().into()),
        (Field::SrcPort, 40_000),
        (Field::DstPort, 443),
        (Field::Protocol, u128::from(crate::frame::protocol::GRE)),
        (Field::IcmpType, 8),
        (Field::IcmpType, 128),
        (Field::TcpFlags, u128::from(crate::frame::l4::flag::SYN)),
        (Field::EtherType, u128::from(crate::frame::ethertype::VLAN)),
        (Field::VlanEncap, u128::from(crate::frame::ethertype::IPV4)),
        (Field::ArpOperation, 2),
        (Field::ArpSrcMac, mac(layout.guest.mac)),
        (Field::ArpDstMac, mac(layout.peer.mac)),
        (Field::ArpSrc, layout.gateway.v4.to_bits().into()),
        (Field::ArpDst, layout.peer.v4.to_bits().into()),
    ]
}
