//! Bodies of neighbour discovery messages (RFC 4861), everything after the checksum.
//!
//! The tag rides in an option of an experimental type: receivers skip options
//! that they do not know (RFC 4861 9), and it stays inside the packet's length,
//! so a bridge that trims padding keeps it.

use crate::mac::Mac;
use crate::tag::{LEN as TAG_LEN, Tag};
use std::net::Ipv6Addr;

/// Message types, which are ICMPv6 types (RFC 4861 4).
pub mod kind {
    /// Router solicitation.
    pub const ROUTER_SOLICIT: u8 = 133;
    /// Router advertisement.
    pub const ROUTER_ADVERT: u8 = 134;
    /// Neighbour solicitation.
    pub const NEIGHBOUR_SOLICIT: u8 = 135;
    /// Neighbour advertisement.
    pub const NEIGHBOUR_ADVERT: u8 = 136;
    /// Redirect.
    pub const REDIRECT: u8 = 137;
}

/// Option type for experiments (RFC 4727 5.1.3).
const EXPERIMENT: u8 = 253;

/// The option that carries a tag: 24 bytes, six of them zero.
pub fn tag_option(tag: Tag) -> [u8; 24] {
    let mut out = [0; 24];
    out[0] = EXPERIMENT;
    out[1] = 3;
    out[2..2 + TAG_LEN].copy_from_slice(&tag.to_bytes());
    out
}

/// A link-layer address option (RFC 4861 4.6.1): type 1 for the source's, 2 for the target's.
fn link_option(kind: u8, mac: Mac) -> Vec<u8> {
    [&[kind, 1][..], &mac].concat()
}

/// Neighbour solicitation (RFC 4861 4.3); without `source` it is one of duplicate address
/// detection (RFC 4862 5.4.2).
pub fn solicit(target: Ipv6Addr, source: Option<Mac>, tag: Tag) -> Vec<u8> {
    let mut out = vec![0; 4];
    out.extend(target.octets());
    out.extend(source.into_iter().flat_map(|mac| link_option(1, mac)));
    out.extend(tag_option(tag));
    out
}

/// Neighbour advertisement (RFC 4861 4.4) with the override flag, solicited or not.
pub fn advertise(target: Ipv6Addr, mac: Mac, solicited: bool, tag: Tag) -> Vec<u8> {
    let mut out = answer(target, mac);
    if !solicited {
        out[0] = 0x20;
    }
    out.extend(tag_option(tag));
    out
}

/// Neighbour advertisement, solicited, with the override flag and without a tag: how an
/// owner answers.
pub fn answer(target: Ipv6Addr, mac: Mac) -> Vec<u8> {
    let mut out = vec![0x60, 0, 0, 0];
    out.extend(target.octets());
    out.extend(link_option(2, mac));
    out
}

/// Router solicitation (RFC 4861 4.1).
pub fn router_solicit(mac: Mac, tag: Tag) -> Vec<u8> {
    let mut out = vec![0; 4];
    out.extend(link_option(1, mac));
    out.extend(tag_option(tag));
    out
}

/// Router advertisement (RFC 4861 4.2) with lifetime 0 and no prefix: it looks right and
/// gives no host a route.
pub fn router_advert(mac: Mac, tag: Tag) -> Vec<u8> {
    // Hop limit and flags unspecified, lifetime, reachable time, retransmission timer 0.
    let mut out = vec![0; 12];
    out.extend(link_option(1, mac));
    out.extend(tag_option(tag));
    out
}

/// Redirect of `destination` to `target` (RFC 4861 4.5).
pub fn redirect(target: Ipv6Addr, destination: Ipv6Addr, mac: Mac, tag: Tag) -> Vec<u8> {
    let mut out = vec![0; 4];
    out.extend(target.octets());
    out.extend(destination.octets());
    out.extend(link_option(2, mac));
    out.extend(tag_option(tag));
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Ip6;
    use pnet::packet::icmpv6::ndp;
    use pnet::packet::ipv6::Ipv6Packet;
    use pnet::packet::{FromPacket, Packet};
    use rstest::rstest;

    const MAC: Mac = [2, 0, 0, 0, 0, 1];
    const TAG: Tag = Tag {
        run: 9,
        pass: 3,
        index: 3,
    };
    const HOST: Ipv6Addr = Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 0, 0x77);

    fn message(kind: u8, body: &[u8]) -> Vec<u8> {
        let bytes = Ip6::new(HOST, HOST).hops(255).icmp(kind, 0, body);
        Ipv6Packet::new(&bytes).unwrap().payload().to_vec()
    }

    #[test]
    fn solicitation_reads_back() {
        let bytes = message(kind::NEIGHBOUR_SOLICIT, &solicit(HOST, Some(MAC), TAG));
        let read = ndp::NeighborSolicitPacket::new(&bytes)
            .unwrap()
            .from_packet();
        assert_eq!(read.target_addr, HOST);
        assert_eq!(read.options[0].data, MAC);
        assert_eq!(read.options[1].option_type.0, EXPERIMENT);
    }

    #[test]
    fn advertisement_reads_back() {
        let bytes = message(kind::NEIGHBOUR_ADVERT, &advertise(HOST, MAC, true, TAG));
        let read = ndp::NeighborAdvertPacket::new(&bytes)
            .unwrap()
            .from_packet();
        assert_eq!((read.target_addr, read.flags), (HOST, 0x60));
    }

    #[test]
    fn router_messages_read_back() {
        let bytes = message(kind::ROUTER_ADVERT, &router_advert(MAC, TAG));
        let read = ndp::RouterAdvertPacket::new(&bytes).unwrap().from_packet();
        assert_eq!((read.lifetime, read.options.len()), (0, 2));
        let bytes = message(
            kind::REDIRECT,
            &redirect(HOST, Ipv6Addr::LOCALHOST, MAC, TAG),
        );
        let read = ndp::RedirectPacket::new(&bytes).unwrap().from_packet();
        assert_eq!(
            (read.target_addr, read.dest_addr),
            (HOST, Ipv6Addr::LOCALHOST)
        );
    }

    #[rstest]
    #[case::dad(solicit(HOST, None, TAG))]
    #[case::unsolicited(advertise(HOST, MAC, false, TAG))]
    #[case::rs(router_solicit(MAC, TAG))]
    fn carries_the_tag_and_whole_options(#[case] body: Vec<u8>) {
        assert_eq!(Tag::find(&body), Some(TAG));
        assert_eq!(
            body.len() % 8,
            4,
            "the checksum's four bytes complete the last eight"
        );
    }
}
