//! Ethernet II, 802.3 length frames and VLAN tags.

use crate::ethertype;
use crate::mac::Mac;

/// Least length of a frame in bytes, without FCS (IEEE 802.3 4.4.2).
pub const MIN_FRAME: usize = 60;

/// Greatest length of an untagged frame in bytes, without FCS (IEEE 802.3 4.4.2).
pub const MAX_FRAME: usize = 1514;

/// One tag of a VLAN stack, outermost first.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct VlanTag {
    /// EtherType of the tag: 0x8100, 0x88a8, 0x9100.
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

    /// A tag of priority 0 with this EtherType.
    pub const fn new(tpid: u16, vid: u16) -> Self {
        let priority = 0;
        Self {
            tpid,
            priority,
            vid,
        }
    }

    /// Tag control information: priority, no drop eligibility, VLAN (IEEE 802.1Q 9.6).
    fn control(self) -> u16 {
        u16::from(self.priority & 7) << 13 | (self.vid & 0x0fff)
    }
}

/// The two ends of a frame (IEEE 802.3 3.2).
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

    /// An Ethernet II frame, padded with zeros to [`MIN_FRAME`]: EtherType and payload.
    ///
    /// ```
    /// use lanfence_frame::{Link, MIN_FRAME, ethertype};
    ///
    /// let frame = Link::new([2, 0, 0, 0, 0, 1], [2, 0, 0, 0, 0, 2]).frame(ethertype::LLDP, b"x");
    /// assert_eq!((frame.len(), &frame[12..15]), (MIN_FRAME, &b"\x88\xccx"[..]));
    /// ```
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

    /// An Ethernet II frame behind a stack of VLAN tags, outermost first (IEEE 802.1Q 9).
    pub fn stacked(self, tags: &[VlanTag], kind: u16, payload: &[u8]) -> Vec<u8> {
        let mut frame = [self.dst, self.src].concat();
        for tag in tags {
            frame.extend(tag.tpid.to_be_bytes());
            frame.extend(tag.control().to_be_bytes());
        }
        frame.extend(kind.to_be_bytes());
        frame.extend(payload);
        pad(frame)
    }

    /// An 802.3 frame: the payload's length instead of an EtherType.
    ///
    /// # Panics
    /// For a payload of 64 KiB and more.
    pub fn length_frame(self, payload: &[u8]) -> Vec<u8> {
        let length = u16::try_from(payload.len()).expect("a frame's payload is under 1501 bytes");
        self.frame(length, payload)
    }
}

fn pad(mut frame: Vec<u8>) -> Vec<u8> {
    if frame.len() < MIN_FRAME {
        frame.resize(MIN_FRAME, 0);
    }
    frame
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
