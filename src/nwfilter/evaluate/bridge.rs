//! What never gets across a Linux bridge, with or without a filter
//! (frames that do not come out while nothing is bound; measured: docs/measurements.md#M2).

use super::field::{Field, Fields};
use crate::frame::checksum::checksum;

/// Whether the bridge keeps the frame back before any rule sees it: its source
/// is a group or nobody, it is for a group that bridges keep to themselves
/// (IEEE 802.1D 7.12.6), or its VLAN tag is cut. The group of the spanning tree
/// is forwarded where the bridge runs none.
pub fn keeps_back(frame: &[u8], fields: &Fields) -> bool {
    let source = fields.get(Field::SrcMac);
    let from_nobody = source == 0 || source >> 40 & 1 == 1;
    let for_bridges = (0x0180_c200_0001..=0x0180_c200_000f).contains(&fields.get(Field::DstMac));
    let tagged = matches!(fields.get(Field::EtherType), 0x8100 | 0x88a8);
    from_nobody || for_bridges || (tagged && is_tag_cut(&frame[14..]))
}

/// A tag is taken off with the two bytes behind it in view; a second one of
/// 802.1Q must be whole.
fn is_tag_cut(tag: &[u8]) -> bool {
    let least = if tag.get(2..4) == Some(&[0x81, 0x00]) {
        8
    } else {
        6
    };
    tag.len() < least
}

/// Whether br_netfilter throws the packet away before iptables sees it.
pub fn is_malformed(frame: &[u8], fields: &Fields) -> bool {
    let packet = &frame[14..];
    let total = |at: usize| {
        let bytes = packet.get(at..at + 2);
        bytes.map_or(0, |bytes| {
            usize::from(u16::from_be_bytes([bytes[0], bytes[1]]))
        })
    };
    match fields.get(Field::EtherType) {
        0x0800 => {
            let Some(first) = packet.first().filter(|_| packet.len() >= 20) else {
                return true;
            };
            let header = usize::from(first & 0x0f) * 4;
            let length = total(2);
            first >> 4 != 4
                || header < 20
                || length < header
                || length > packet.len()
                || checksum(&packet[..header]) != 0
        }
        0x86dd => {
            let version = packet.first().map(|first| first >> 4);
            let cut = packet.len() < 40 || total(4) + 40 > packet.len();
            version != Some(6) || cut || (packet[6] == 0 && !has_good_options(&packet[40..]))
        }
        // Its fixed part, for arptables.
        0x0806 => packet.len() < 8,
        _ => false,
    }
}

/// The frame without what follows its IP packet, where something does.
pub fn behind_cut<'f>(frame: &'f [u8], fields: &Fields) -> Option<&'f [u8]> {
    let packet = frame.get(14..)?;
    let at = |at: usize| -> Option<usize> {
        let bytes = packet.get(at..at + 2)?;
        Some(usize::from(u16::from_be_bytes([bytes[0], bytes[1]])))
    };
    let length = match fields.get(Field::EtherType) {
        0x0800 => at(2)?,
        0x86dd => at(4)? + 40,
        _ => return None,
    };
    frame
        .get(..14 + length)
        .filter(|cut| cut.len() < frame.len())
}

/// Whether the hop-by-hop options of an IPv6 packet are whole (RFC 8200 4.2).
fn has_good_options(header: &[u8]) -> bool {
    const PAD1: u8 = 0;
    const JUMBO: u8 = 0xc2;
    let Some(length) = header.get(1).map(|units| (usize::from(*units) + 1) * 8) else {
        return false;
    };
    let Some(mut options) = header.get(2..length) else {
        return false;
    };
    while let [kind, rest @ ..] = options {
        options = match (*kind, rest) {
            (PAD1, rest) => rest,
            // A jumbogram is larger than any frame.
            (JUMBO, _) => return false,
            (_, [length, rest @ ..]) if usize::from(*length) <= rest.len() => {
                &rest[usize::from(*length)..]
            }
            _ => return false,
        };
    }
    true
}
