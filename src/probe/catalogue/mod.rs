//! All probes, one file for each row of the report's table or a few of them.

mod arp_fields;
mod arrivals;
mod book;
mod control;
mod dhcp;
mod dhcp_edges;
mod edges;
mod encapsulation;
mod families;
mod fields;
mod firmware;
mod group_edges;
mod inbound;
mod lan;
mod learning;
mod multicast;
mod pairs;
mod places;
mod reflection;
mod rogue;
mod rules;
mod tunnels;
mod unaddressed;
mod wan4;
mod wan6;

pub(super) use book::Draft;
pub use book::source_port;
pub use firmware::{Shows, TFTP_PORT, firmware_catalogue};
pub use learning::learning_probe;

use super::Probe;
use crate::frame::Tag;
use crate::layout::Layout;
use crate::policy::Policy;
use book::Book;

/// All probes for a policy, in a fixed order.
///
/// `pass_tag` makes the tag of the probe at an index of the vector. The same
/// policy and layout give the same ids, stimuli and expectations for every
/// pass; only tags, source ports and DNS names differ. Source ports are in
/// 20000 to 64999 and repeat in no other pass of the run.
///
/// In the control pass every probe must be seen at its `received_at`; what the lab
/// has to provide for that is written beside the probes that need it.
pub fn catalogue(policy: &Policy, layout: &Layout, pass_tag: impl Fn(u16) -> Tag) -> Vec<Probe> {
    let mut book = Book::new(policy, layout, &pass_tag);
    dhcp::add(&mut book);
    dhcp_edges::add_requests(&mut book);
    lan::add_hosts(&mut book);
    pairs::add_hosts(&mut book);
    fields::add_hosts(&mut book);
    lan::add_broadcast(&mut book);
    group_edges::add_broadcast(&mut book);
    multicast::add(&mut book);
    group_edges::add_multicast(&mut book);
    control::add_arp(&mut book);
    arp_fields::add_arp(&mut book);
    control::add(&mut book);
    group_edges::add_control(&mut book);
    fields::add_control(&mut book);
    inbound::add_lan(&mut book);
    arrivals::add_lan(&mut book);
    wan4::add(&mut book);
    wan6::add(&mut book);
    edges::add(&mut book);
    pairs::add_targets(&mut book);
    tunnels::add(&mut book);
    reflection::add(&mut book);
    pairs::add_sources(&mut book);
    group_edges::add_beside(&mut book);
    dhcp_edges::add_sources(&mut book);
    encapsulation::add(&mut book);
    rogue::add(&mut book);
    pairs::add_protocols(&mut book);
    pairs::add_macs(&mut book);
    group_edges::add_macs(&mut book);
    group_edges::add_protocols(&mut book);
    dhcp_edges::add_macs(&mut book);
    arp_fields::add_rogue(&mut book);
    fields::add_router(&mut book);
    inbound::add_wan(&mut book);
    arrivals::add_wan(&mut book);
    book.finish()
}

#[cfg(test)]
mod tests;
