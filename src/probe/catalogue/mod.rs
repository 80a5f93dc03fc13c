//! All probes, one file for each row of the report's table or a few of them.

mod book;
mod control;
mod dhcp;
mod edges;
mod encapsulation;
mod firmware;
mod inbound;
mod lan;
mod learning;
mod multicast;
mod reflection;
mod rogue;
mod rules;
mod tunnels;
mod wan4;
mod wan6;

pub(super) use book::{Draft, source_port};
pub use firmware::firmware_catalogue;
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
    lan::add(&mut book);
    multicast::add(&mut book);
    control::add(&mut book);
    inbound::add_lan(&mut book);
    wan4::add(&mut book);
    wan6::add(&mut book);
    edges::add(&mut book);
    tunnels::add(&mut book);
    reflection::add(&mut book);
    encapsulation::add(&mut book);
    rogue::add(&mut book);
    inbound::add_wan(&mut book);
    book.finish()
}

#[cfg(test)]
mod tests;
