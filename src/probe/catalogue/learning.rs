//! The probe of the time in which libvirt learns the guest's address.

use super::book::{Book, Draft};
use crate::frame::{Tag, ethertype};
use crate::layout::Layout;
use crate::policy::Policy;
use crate::probe::{Expect, Group, Point, Probe};

/// UDP's discard port (RFC 863).
const DISCARD: u16 = 9;

/// Its place in a pass: behind all others, and they are some hundreds.
const INDEX: u16 = 4000;

/// The probe that is sent again and again while libvirt learns the address, and what follows
/// each of its frames: a frame to the LAN peer, which the policy allows.
///
/// `pass_tag` makes tags as for [`catalogue`](super::catalogue).
pub fn learning_probe(
    policy: &Policy,
    layout: &Layout,
    pass_tag: impl Fn(u16) -> Tag,
) -> (Probe, Vec<u8>) {
    let tag_of = |place: u16| pass_tag(INDEX + place);
    let mut book = Book::new(policy, layout, &tag_of);
    let wan = layout.wan4;
    book.row(Group::WanIpv4, Expect::Drop, Point::Wan).raw(
        "while-learning",
        "UDP to a WAN host while libvirt learns the guest's address",
        |draft| draft.to_router4(&draft.ip4(wan).udp(draft.port, DISCARD, &draft.bytes())),
    );
    let mut follower = Vec::new();
    book.row(Group::LanUnicast, Expect::Pass, Point::Peer).raw(
        "after-learning",
        "UDP to the LAN peer after it",
        |draft| {
            follower = to_peer(draft, layout);
            follower.clone()
        },
    );
    let mut probes = book.finish();
    (probes.swap_remove(0), follower)
}

fn to_peer(draft: &Draft<'_>, layout: &Layout) -> Vec<u8> {
    let packet = draft
        .ip4(layout.peer.v4)
        .udp(draft.port, DISCARD, &draft.bytes());
    draft.link(layout.peer.mac).frame(ethertype::IPV4, &packet)
}
