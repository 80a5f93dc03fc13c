//! A frame as the parts of the kernel read it on its way.

use super::bridge;
use super::field::Fields;
use super::way::Way;

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
}

impl<'f> ParsedFrame<'f> {
    /// None when it is shorter than an Ethernet header. `bridge_nf` says whether
    /// the bridge hands IP packets to iptables.
    pub fn parse(frame: &'f [u8], way: Way, bridge_nf: bool) -> Option<Self> {
        let whole = Fields::read(frame)?;
        // br_netfilter cuts off what is behind a packet, after the rules for
        // frames from the guest and before all others.
        let cut = bridge_nf
            .then(|| bridge::behind_cut(frame, &whole))
            .flatten();
        let kept_back = bridge::keeps_back(frame, &whole);
        let malformed = bridge_nf && bridge::is_malformed(frame, &whole);
        let later = cut.filter(|_| way == Way::ToGuest).and_then(Fields::read);
        Some(Self {
            layer2: later.unwrap_or(whole),
            packet: cut.unwrap_or(frame),
            kept_back,
            malformed,
        })
    }

    /// As the rules of layer 3 read it.
    pub fn layer3(&self) -> Fields {
        Fields::read_layer3(self.packet).unwrap_or_else(|| self.layer2.clone())
    }
}
