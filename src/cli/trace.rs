//! What happened to a frame, in words.

use crate::nwfilter::FilterTree;
use crate::nwfilter::evaluate::{Evaluation, TraceStep};

/// What happened to a frame, a line an event.
pub fn trace(tree: &FilterTree, outcome: &Evaluation) -> Vec<String> {
    let line = |event: &TraceStep| {
        match event {
        TraceStep::NotForwarded => "the bridge itself keeps it back: its source is no host, its destination is for bridges, or its tag is cut".to_owned(),
        TraceStep::Unfiltered => "no layer-2 rule is for this direction".to_owned(),
        TraceStep::Entered(chain) => format!("enters the chain {chain}"),
        TraceStep::Matched(origin, _) => format!("matches {}", tree.describe(origin)),
        TraceStep::Matched3(origin, _) => format!("matches, at layer 3, {}", tree.describe(origin)),
        TraceStep::RanOff(chain) => {
            format!("matches no other rule of the chain {chain}, whose end accepts")
        }
        TraceStep::WentBack(chain) => {
            format!("matches no other rule of the chain {chain}, and goes on in the root chain")
        }
        TraceStep::RanOff3 => "matches no layer-3 rule, which accepts".to_owned(),
        TraceStep::Cut(origin) => format!(
            "is dropped by {}, which looks into an SCTP or ICMP header that is cut",
            tree.describe(origin)
        ),
        TraceStep::Malformed => {
            "br_netfilter drops it for its broken IP header (bridge-nf-call-iptables=1)".to_owned()
        }
    }
    };
    outcome.trace.iter().map(line).collect()
}
