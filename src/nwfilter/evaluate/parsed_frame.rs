//! A frame as the parts of the kernel read it on its way.

use super::backend::Backend;
use super::bridge;
use super::field::{Field, Fields, Reader};
use super::way::Way;

/// Why a part of a packet is not decided.
pub const HELD_BACK: &str = "connection tracking holds fragments back until the packet is whole";

/// A frame as the parts of the kernel see it on its way.
pub struct ParsedFrame<'f> {
    /// As the rules of layer 2 read it.
    pub layer2: Fields,
    /// As it comes to layer 3.
    pub packet: &'f [u8],
    /// Whether the bridge itself keeps it back.
    pub kept_back: bool,
    /// Whether br_netfilter discards it.
    pub malformed: bool,
    /// Why no rule is asked about it; none where the rules decide.
    pub open: Option<&'static str>,
    backend: Backend,
}

/// What there is on a frame's way besides the rules.
#[derive(Debug, Clone, Copy)]
pub struct Surroundings {
    /// Whether the bridge hands IP packets to iptables.
    pub bridge_nf: bool,
    /// Whose rules they are.
    pub backend: Backend,
    /// Whether any rule of layer 3 asks for a connection's state.
    pub tracks: bool,
}

impl<'f> ParsedFrame<'f> {
    /// None when it is shorter than an Ethernet header.
    pub fn parse(frame: &'f [u8], way: Way, surroundings: Surroundings) -> Option<Self> {
        let Surroundings {
            bridge_nf, backend, ..
        } = surroundings;
        let reader = match backend {
            Backend::Ebtables => Reader::Ebtables,
            Backend::Nftables => Reader::NftLayer2,
        };
        let whole = Fields::read(frame, reader)?;
        let is_ip = matches!(whole.get(Field::EtherType), 0x0800 | 0x86dd);
        // That of bridges tracks both families and comes before libvirt's rules.
        let tracks = backend == Backend::Nftables && surroundings.tracks;
        let tracked_first = tracks && is_ip;
        // br_netfilter cuts off what is behind a packet, after the rules for
        // frames from the guest and before all others; so does the tracking.
        let cut = (bridge_nf || tracked_first)
            .then(|| bridge::behind_cut(frame, &whole))
            .flatten();
        let kept_back = bridge::keeps_back(frame, &whole);
        let malformed = bridge_nf && bridge::is_malformed(frame, &whole);
        let early = way == Way::ToGuest || tracked_first;
        let later = cut.filter(|_| early);
        let later = later.and_then(|frame| Fields::read(frame, reader));
        let layer2 = later.unwrap_or(whole);
        Some(Self {
            open: if tracks && is_fragment(frame) {
                Some(HELD_BACK)
            } else if backend == Backend::Nftables && is_ip && layer2.get(Field::Header) == 0 {
                // br_netfilter would discard it.
                (!malformed).then_some("the IP header is cut, and each rule reads what is left")
            } else {
                None
            },
            layer2,
            packet: cut.unwrap_or(frame),
            kept_back,
            malformed,
            backend,
        })
    }

    /// As the rules of layer 3 read it.
    pub fn layer3(&self) -> Fields {
        let reader = match self.backend {
            Backend::Ebtables => Reader::Iptables,
            Backend::Nftables => Reader::NftLayer3,
        };
        Fields::read(self.packet, reader).unwrap_or_else(|| self.layer2.clone())
    }
}

/// Whether the frame holds a part of an IP packet, also behind a tag, which the kernel takes
/// off before anything else.
fn is_fragment(frame: &[u8]) -> bool {
    let is_part = |frame: &[u8]| {
        let fields = Fields::read(frame, Reader::NftLayer2);
        fields.is_some_and(|fields| fields.fragment)
    };
    match frame.get(12..14) {
        Some([0x81, 0x00] | [0x88, 0xa8]) if frame.len() >= 18 => {
            is_part(&[&frame[..12], &frame[16..]].concat())
        }
        _ => is_part(frame),
    }
}
