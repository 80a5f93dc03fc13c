//! What happened to a frame, in words.

use super::evaluate::{Evaluation, TraceStep};
use super::tree::FilterTree;

/// What happened to a frame, a line an event.
pub fn trace(tree: &FilterTree, outcome: &Evaluation) -> Vec<String> {
    let line = |event: &TraceStep| {
        match event {
        TraceStep::NotForwarded => "the bridge does not forward it: its source is no host address, its destination is reserved for bridges, or its VLAN tag is truncated".to_owned(),
        TraceStep::Unfiltered => "no layer-2 rule applies to this direction".to_owned(),
        TraceStep::Entered(chain) => format!("enters the chain {chain}"),
        TraceStep::Matched(origin, _) => format!("matches {}", tree.describe(origin)),
        TraceStep::Matched3(origin, _) => format!("matches, at layer 3, {}", tree.describe(origin)),
        TraceStep::RanOff(chain) => {
            format!("matches no other rule of the chain {chain}, which accepts at its end")
        }
        TraceStep::WentBack(chain) => {
            format!("matches no other rule of the chain {chain}, and continues in the root chain")
        }
        TraceStep::RanOff3 => "matches no layer-3 rule, so it is accepted".to_owned(),
        TraceStep::Cut(origin) => format!(
            "is dropped by {}, which looks into an SCTP or ICMP header that is truncated",
            tree.describe(origin)
        ),
        TraceStep::Malformed => {
            "br_netfilter drops it because its IP header is broken (bridge-nf-call-iptables=1)".to_owned()
        }
    }
    };
    outcome.trace.iter().map(line).collect()
}
