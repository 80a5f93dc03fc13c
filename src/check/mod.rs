//! The static check: a filter compared with a policy without a guest.
//!
//! Lints, every probe of the catalogue through the evaluator, and the exact sets of all frames
//! that the policy rules come to one [`Conclusion`], with the words that `verify` uses.

mod coverage;
mod expectations;
pub mod learning;
pub mod probes;

pub use coverage::{RuleCoverage, coverage};
pub use expectations::{Expectations, Judgement};

use crate::frame::Mac;
use crate::layout::Layout;
use crate::nwfilter::evaluate::Compiled;
use crate::nwfilter::evaluate::field::Field;
use crate::nwfilter::lint::{Finding, Levels};
use crate::nwfilter::reach::{TrafficClass, classes};
use crate::policy::Policy;
use crate::verdict::Conclusion;
use learning::LearningPhase;

/// Everything that is found out about a filter without a guest.
pub struct Checked {
    /// Findings of the lints, with the levels applied.
    pub lint: Vec<Finding>,
    /// Whether one of them is denied.
    pub denied: bool,
    /// The probes, and the statements of the policy.
    pub judgement: Judgement,
    /// What the guest can send to, kind of frame by kind of frame.
    pub classes: Vec<TrafficClass>,
    /// Which probes test which rules.
    pub coverage: Vec<RuleCoverage>,
    /// The time before that, where libvirt learns the guest's address.
    pub learning: Option<LearningPhase>,
}

/// Judges a compiled filter; `findings` are those of its lints.
pub fn check(
    filter: &Compiled,
    policy: &Policy,
    layout: &Layout,
    expectations: &Expectations,
    findings: Vec<Finding>,
    levels: &Levels,
) -> Checked {
    let lint = levels.apply(findings);
    let judgement = expectations.judge(filter);
    Checked {
        denied: lint.iter().any(|finding| levels.denies(finding.lint)),
        lint,
        coverage: coverage(filter, &judgement.probes),
        judgement,
        classes: classes(filter, policy, &usual(layout)),
        learning: None,
    }
}

impl Checked {
    /// What it all comes to. A denied lint fails as a leak does.
    pub fn conclusion(&self) -> Conclusion {
        let learning = self.learning.as_ref().map(LearningPhase::conclusion);
        learning
            .unwrap_or(Conclusion::Pass)
            .max(self.of_the_filter())
    }

    /// What it comes to once the guest's address is known.
    fn of_the_filter(&self) -> Conclusion {
        if self.denied {
            Conclusion::Fail
        } else {
            self.judgement.conclusion()
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
