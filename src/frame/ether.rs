//! Ethernet II, 802.3 length frames and VLAN tags.

use super::Mac;
use pnet::packet::ethernet::{EtherType, MutableEthernetPacket};
use pnet::packet::vlan::{ClassOfService, MutableVlanPacket};
use pnet::util::MacAddr;
use std::net::Ipv6Addr;

/// Least length of a frame in bytes, without FCS (IEEE 802.3 4.4.2).
pub const MIN_FRAME: usize = 60;

/// Greatest length of an untagged frame in bytes, without FCS.
pub const MAX_FRAME: usize = 1514;

/// `EtherTypes`, as assigned by the IEEE.
pub mod ethertype {
    /// IPv4.
    pub const IPV4: u16 = 0x0800;
    /// ARP.
    pub const ARP: u16 = 0x0806;
    /// RARP.
    pub const RARP: u16 = 0x8035;
    /// IPv6.
    pub const IPV6: u16 = 0x86dd;
    /// 802.1Q customer tag.
    pub const VLAN: u16 = 0x8100;
    /// 802.1ad service tag.
    pub const QINQ: u16 = 0x88a8;
    /// Service tag of gear older than 802.1ad.
    pub const OLD_QINQ: u16 = 0x9100;
    /// `PPPoE` discovery (RFC 2516).
    pub const PPPOE_DISCOVERY: u16 = 0x8863;
    /// `PPPoE` session (RFC 2516).
    pub const PPPOE_SESSION: u16 = 0x8864;
    /// MPLS unicast (RFC 5332).
    pub const MPLS: u16 = 0x8847;
    /// LLDP.
    pub const LLDP: u16 = 0x88cc;
    /// 802.1X authentication.
    pub const EAPOL: u16 = 0x888e;
}

/// One tag of a VLAN stack, outermost first.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct VlanTag {
    /// `EtherType` of the tag: 0x8100, 0x88a8, 0x9100.
    pub tpid: u16,
    /// Priority, 0 to 7.
    pub priority: u8,
    /// VLAN, 0 to 4095.
    pub vid: u16,
}

impl VlanTag {
    /// An 802.1Q tag of priority 0.
    pub const fn q(vid: u16) -> Self {
        Self::new(ethertype::VLAN, vid)
    }

    /// A tag of priority 0 with this `EtherType`.
    pub const fn new(tpid: u16, vid: u16) -> Self {
        let priority = 0;
        Self {
            tpid,
            priority,
            vid,
        }
    }
}

/// The two ends of a frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Link {
    /// Source MAC.
    pub src: Mac,
    /// Destination MAC.
    pub dst: Mac,
}

impl Link {
    /// From one MAC to another.
    pub const fn new(src: Mac, dst: Mac) -> Self {
        Self { src, dst }
    }

    /// An Ethernet II frame, padded with zeros.
    pub fn frame(self, kind: u16, payload: &[u8]) -> Vec<u8> {
        self.stacked(&[], kind, payload)
    }

    /// An Ethernet II frame with bytes behind the payload, where padding goes:
    /// for protocols that carry nothing of the sender's choice. A bridge and a
    /// NIC keep such bytes, a router does not, and neither does Linux' bridge
    /// for IPv4 and IPv6 once `br_netfilter` trims to the packet's length.
    pub fn frame_with_trailer(self, kind: u16, payload: &[u8], trailer: &[u8]) -> Vec<u8> {
        self.frame(kind, &[payload, trailer].concat())
    }

    /// An Ethernet II frame behind a stack of VLAN tags.
    pub fn stacked(self, tags: &[VlanTag], kind: u16, payload: &[u8]) -> Vec<u8> {
        let header = MutableEthernetPacket::minimum_packet_size();
        let mut frame = vec![0; header];
        let outer = tags.first().map_or(kind, |tag| tag.tpid);
        let mut packet = MutableEthernetPacket::new(&mut frame).expect("the buffer is a header");
        packet.set_source(mac_addr(self.src));
        packet.set_destination(mac_addr(self.dst));
        packet.set_ethertype(EtherType(outer));
        for (at, tag) in tags.iter().enumerate() {
            let next = tags.get(at + 1).map_or(kind, |tag| tag.tpid);
            frame.extend(tag_bytes(*tag, next));
        }
        frame.extend(payload);
        pad(frame)
    }

    /// An 802.3 frame: the payload's length instead of an `EtherType`.
    pub fn length_frame(self, payload: &[u8]) -> Vec<u8> {
        let length = u16::try_from(payload.len()).expect("a frame's payload is under 1501 bytes");
        self.frame(length, payload)
    }
}

fn tag_bytes(tag: VlanTag, next: u16) -> Vec<u8> {
    let mut bytes = vec![0; MutableVlanPacket::minimum_packet_size()];
    let mut packet = MutableVlanPacket::new(&mut bytes).expect("the buffer is a header");
    packet.set_priority_code_point(ClassOfService(tag.priority));
    packet.set_vlan_identifier(tag.vid);
    packet.set_ethertype(EtherType(next));
    bytes
}

fn pad(mut frame: Vec<u8>) -> Vec<u8> {
    if frame.len() < MIN_FRAME {
        frame.resize(MIN_FRAME, 0);
    }
    frame
}

pub(super) fn mac_addr(mac: Mac) -> MacAddr {
    MacAddr::from(mac)
}

/// The link-local address that the kernel derives from a MAC (RFC 4291 appendix A).
pub fn link_local(mac: Mac) -> Ipv6Addr {
    let word = |high: u8, low: u8| u16::from_be_bytes([high, low]);
    Ipv6Addr::new(
        0xfe80,
        0,
        0,
        0,
        word(mac[0] ^ 0x02, mac[1]),
        word(mac[2], 0xff),
        word(0xfe, mac[3]),
        word(mac[4], mac[5]),
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use pnet::packet::Packet;
    use pnet::packet::ethernet::EthernetPacket;
    use pnet::packet::vlan::VlanPacket;
    use rstest::rstest;

    const LINK: Link = Link::new([2, 0, 0, 0, 0, 1], [2, 0, 0, 0, 0, 2]);

    #[rstest]
    #[case::empty(0, MIN_FRAME)]
    #[case::just_under(45, MIN_FRAME)]
    #[case::just_enough(46, MIN_FRAME)]
    #[case::just_over(47, 61)]
    #[case::full(1500, MAX_FRAME)]
    fn short_frames_are_padded(#[case] payload: usize, #[case] length: usize) {
        let frame = LINK.frame(ethertype::IPV4, &vec![7; payload]);
        assert_eq!(frame.len(), length);
        let packet = EthernetPacket::new(&frame).unwrap();
        assert_eq!(packet.get_ethertype().0, ethertype::IPV4);
        assert_eq!(packet.get_source().octets(), LINK.src);
        assert_eq!(packet.get_destination().octets(), LINK.dst);
        assert_eq!(packet.payload()[..payload], vec![7; payload]);
    }

    #[test]
    fn a_stack_of_tags_chains_its_types() {
        let tags = [
            VlanTag::new(ethertype::QINQ, 7),
            VlanTag {
                tpid: ethertype::VLAN,
                priority: 5,
                vid: 4095,
            },
        ];
        let frame = LINK.stacked(&tags, ethertype::IPV6, &[9; 50]);
        let outer = EthernetPacket::new(&frame).unwrap();
        assert_eq!(outer.get_ethertype().0, ethertype::QINQ);
        let first = VlanPacket::new(outer.payload()).unwrap();
        assert_eq!(
            (first.get_vlan_identifier(), first.get_ethertype().0),
            (7, ethertype::VLAN)
        );
        let second = VlanPacket::new(first.payload()).unwrap();
        assert_eq!(
            (
                second.get_vlan_identifier(),
                second.get_priority_code_point().0
            ),
            (4095, 5)
        );
        assert_eq!(second.get_ethertype().0, ethertype::IPV6);
        assert_eq!(second.payload(), [9; 50]);
    }

    #[test]
    fn a_length_frame_counts_its_payload_not_the_padding() {
        let frame = LINK.length_frame(&[1, 2, 3]);
        assert_eq!((frame.len(), &frame[12..14]), (MIN_FRAME, &[0, 3][..]));
    }
}
