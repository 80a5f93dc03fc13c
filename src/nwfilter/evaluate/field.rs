//! What rules can look at, read from a frame as the kernel's matches read it.
//!
//! Sources: experiments with libvirt 11.3.0, ebtables 1.8.9 and Linux 6.18.
//! A field that the frame does not have holds [`ABSENT`], which is in no
//! rule's set, negated or not: a later fragment, say, matches no port test.

use crate::frame::ethertype;
use crate::nwfilter::intervals::IntervalSet;

/// The value of a field that a frame does not have; above every real value of
/// the fields that can be missing.
pub const ABSENT: u128 = 1 << 64;

/// Something that a rule can test.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Field {
    /// The outer EtherType, or the length of an 802.3 frame.
    EtherType,
    /// Destination MAC.
    DstMac,
    /// Source MAC.
    SrcMac,
    /// VLAN of a frame of type 0x8100.
    VlanId,
    /// EtherType behind the tag of a frame of type 0x8100.
    VlanEncap,
    /// 1 where the header of the frame's EtherType (IPv4, IPv6, ARP, RARP) is whole.
    Header,
    /// Source address, of either family.
    Src,
    /// Destination address, of either family.
    Dst,
    /// IP protocol; for IPv6 the one behind the extension headers.
    Protocol,
    /// What an IPv6 header names as next, an extension header among them.
    NextHeader,
    /// Source port.
    SrcPort,
    /// Destination port.
    DstPort,
    /// TOS byte or traffic class.
    Tos,
    /// ICMP or ICMPv6 type.
    IcmpType,
    /// ICMP or ICMPv6 code.
    IcmpCode,
    /// Flags of a TCP segment.
    TcpFlags,
    /// ARP hardware type.
    ArpHardware,
    /// ARP protocol type.
    ArpProtocol,
    /// ARP operation.
    ArpOperation,
    /// 1 where both MACs in the ARP body are Ethernet's.
    ArpMacs,
    /// MAC of the sender in the ARP body.
    ArpSrcMac,
    /// MAC of the target in the ARP body.
    ArpDstMac,
    /// 1 where the ARP body has IPv4 addresses.
    ArpAddresses,
    /// IPv4 address of the sender in the ARP body.
    ArpSrc,
    /// IPv4 address of the target in the ARP body.
    ArpDst,
    /// 1 where both are the same.
    ArpGratuitous,
}

/// How many fields there are.
pub const COUNT: usize = Field::ArpGratuitous as usize + 1;

impl Field {
    /// Every field.
    pub const ALL: [Self; COUNT] = [
        Self::EtherType,
        Self::DstMac,
        Self::SrcMac,
        Self::VlanId,
        Self::VlanEncap,
        Self::Header,
        Self::Src,
        Self::Dst,
        Self::Protocol,
        Self::NextHeader,
        Self::SrcPort,
        Self::DstPort,
        Self::Tos,
        Self::IcmpType,
        Self::IcmpCode,
        Self::TcpFlags,
        Self::ArpHardware,
        Self::ArpProtocol,
        Self::ArpOperation,
        Self::ArpMacs,
        Self::ArpSrcMac,
        Self::ArpDstMac,
        Self::ArpAddresses,
        Self::ArpSrc,
        Self::ArpDst,
        Self::ArpGratuitous,
    ];

    /// The greatest value that a frame can hold. Addresses are given the
    /// width of IPv6; IPv4 uses the lowest 2^32.
    pub fn greatest(self) -> u128 {
        match self {
            Self::Src | Self::Dst => u128::MAX,
            Self::DstMac | Self::SrcMac | Self::ArpSrcMac | Self::ArpDstMac => (1 << 48) - 1,
            Self::ArpSrc | Self::ArpDst => 0xffff_ffff,
            Self::EtherType
            | Self::VlanEncap
            | Self::SrcPort
            | Self::DstPort
            | Self::ArpHardware
            | Self::ArpProtocol
            | Self::ArpOperation => 0xffff,
            Self::VlanId => 0xfff,
            Self::Protocol
            | Self::NextHeader
            | Self::Tos
            | Self::IcmpType
            | Self::IcmpCode
            | Self::TcpFlags => 0xff,
            Self::Header | Self::ArpMacs | Self::ArpAddresses | Self::ArpGratuitous => 1,
        }
    }

    /// Everything that a frame can hold.
    pub fn all(self) -> IntervalSet {
        IntervalSet::range(0, self.greatest())
    }

    /// The field at the other end, for rules that are turned round.
    #[must_use]
    pub fn opposite(self) -> Self {
        match self {
            Self::DstMac => Self::SrcMac,
            Self::SrcMac => Self::DstMac,
            Self::Src => Self::Dst,
            Self::Dst => Self::Src,
            Self::SrcPort => Self::DstPort,
            Self::DstPort => Self::SrcPort,
            Self::ArpSrcMac => Self::ArpDstMac,
            Self::ArpDstMac => Self::ArpSrcMac,
            Self::ArpSrc => Self::ArpDst,
            Self::ArpDst => Self::ArpSrc,
            other => other,
        }
    }
}

/// Who reads a frame: they do not agree on where an IPv6 packet's headers end, nor on what
/// must be whole for a field to be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reader {
    /// ebtables goes behind an authentication header and finds nothing behind
    /// "no next header".
    Ebtables,
    /// iptables; ip6tables takes both for the protocol.
    Iptables,
    /// An nftables rule of layer 2, which reads each field by itself at a fixed place
    /// (measured: docs/measurements.md#M47).
    NftLayer2,
    /// One of layer 3, which asks for the protocol that the kernel has found in the packet.
    NftLayer3,
}

impl Reader {
    fn is_nft(self) -> bool {
        matches!(self, Self::NftLayer2 | Self::NftLayer3)
    }
}

/// The fields of one frame.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fields {
    values: [u128; COUNT],
    /// Whether it is a part of an IP packet.
    pub fragment: bool,
    /// Whether its SCTP or ICMP header is cut: a layer-3 rule that looks into it
    /// discards the packet, whatever its action.
    pub cut_upper: bool,
}

impl Fields {
    /// The value of a field, [`ABSENT`] where the frame does not have it.
    pub fn get(&self, field: Field) -> u128 {
        self.values[field as usize]
    }

    fn set(&mut self, field: Field, value: impl Into<u128>) {
        self.values[field as usize] = value.into();
    }

    /// Reads a frame; none when it is shorter than an Ethernet header.
    pub fn read(frame: &[u8], reader: Reader) -> Option<Self> {
        let mut out = Self {
            values: [ABSENT; COUNT],
            fragment: false,
            cut_upper: false,
        };
        let kind = be16(frame, 12)?;
        let payload = frame.get(14..)?;
        out.set(Field::DstMac, mac(frame, 0)?);
        out.set(Field::SrcMac, mac(frame, 6)?);
        out.set(Field::EtherType, kind);
        out.set(Field::Header, 0_u8);
        // A missing address must not fall into a set of IPv6 addresses, whose
        // values reach beyond ABSENT; `Header` keeps address tests from it.
        let whole = match kind {
            ethertype::IPV4 => out.read_v4(payload, reader),
            ethertype::IPV6 => out.read_v6(payload, reader),
            ethertype::ARP | ethertype::RARP if reader.is_nft() => out.read_arp_in_place(payload),
            ethertype::ARP | ethertype::RARP => out.read_arp(payload),
            ethertype::VLAN => out.read_vlan(payload),
            _ => None,
        };
        if whole.is_some() {
            out.set(Field::Header, 1_u8);
        }
        Some(out)
    }

    fn read_vlan(&mut self, payload: &[u8]) -> Option<()> {
        let (tag, encapsulated) = (be16(payload, 0)?, be16(payload, 2)?);
        self.set(Field::VlanId, tag & 0xfff);
        self.set(Field::VlanEncap, encapsulated);
        Some(())
    }

    fn read_v4(&mut self, packet: &[u8], reader: Reader) -> Option<()> {
        let header = packet.get(..20)?;
        self.set(Field::Tos, header[1]);
        let sound = !reader.is_nft() || is_sound_v4(header, packet.len());
        // Of layer 3 only `<icmp>` looks at the header's own field.
        if sound || reader == Reader::NftLayer2 || header[9] == 1 {
            self.set(Field::Protocol, header[9]);
        }
        self.set(Field::Src, be32(header, 12)?);
        self.set(Field::Dst, be32(header, 16)?);
        let fragment = be16(header, 6)?;
        self.fragment = fragment & 0x3fff != 0;
        // The header's length is taken as it stands: ebtables does not check it.
        let start = usize::from(header[0] & 0x0f) * 4;
        let upper = Upper {
            protocol: header[9],
            bytes: packet.get(start..).unwrap_or_default(),
            icmp: 1,
            later: fragment & 0x1fff != 0,
        };
        if sound {
            self.read_upper(&upper, reader);
        }
        Some(())
    }

    fn read_v6(&mut self, packet: &[u8], reader: Reader) -> Option<()> {
        let header = packet.get(..40)?;
        self.set(Field::Tos, (header[0] << 4) | (header[1] >> 4));
        self.set(Field::Src, be128(header, 8)?);
        self.set(Field::Dst, be128(header, 24)?);
        self.set(Field::NextHeader, header[6]);
        let whole = packet.len() >= 40 + usize::from(be16(header, 4)?);
        if reader.is_nft() && (header[0] >> 4 != 6 || !whole) {
            return Some(());
        }
        if let Some(upper) = self.skip_extensions(packet, header[6], reader) {
            self.set(Field::Protocol, upper.protocol);
            self.read_upper(&upper, reader);
        }
        Some(())
    }

    /// What is behind the extension headers. For ebtables a later fragment has
    /// protocol 44, and a chain that is cut has none.
    fn skip_extensions<'p>(
        &mut self,
        packet: &'p [u8],
        first: u8,
        reader: Reader,
    ) -> Option<Upper<'p>> {
        let (mut next, mut at) = (first, 40);
        while matches!(next, 0 | 43 | 44 | 51 | 59 | 60) {
            match (next, reader) {
                (59, Reader::Ebtables) => return None,
                (_, Reader::Ebtables) => {}
                (51 | 59, _) => break,
                _ => {}
            }
            let (following, length) = (*packet.get(at)?, usize::from(*packet.get(at + 1)?));
            let size = match next {
                44 => {
                    self.fragment = true;
                    if be16(packet, at + 2)? & !7 != 0 {
                        return Upper::later_fragment(following, packet, reader);
                    }
                    8
                }
                51 => (length + 2) * 4,
                _ => (length + 1) * 8,
            };
            (next, at) = (following, at + size);
        }
        Some(Upper {
            protocol: next,
            bytes: packet.get(at..).unwrap_or_default(),
            icmp: 58,
            later: false,
        })
    }

    fn read_upper(&mut self, upper: &Upper<'_>, reader: Reader) {
        let is_icmp = upper.protocol == upper.icmp;
        match reader {
            Reader::Ebtables if upper.later => {}
            // Whatever the protocol, since a rule for ports asks for one by itself; and later
            // fragments too, as if they began with the header (measured:
            // docs/measurements.md#M47).
            Reader::NftLayer2 | Reader::NftLayer3 => {
                self.read_ports(upper.bytes);
                self.read_flags(upper.bytes);
                for (field, byte) in [Field::IcmpType, Field::IcmpCode]
                    .into_iter()
                    .zip(upper.bytes)
                {
                    self.set(field, *byte);
                }
            }
            // ebtables wants both ports, and type and code, or neither.
            Reader::Ebtables => match (upper.protocol, upper.bytes.get(..4)) {
                (6 | 17 | 33 | 132 | 136, Some(_)) => self.read_ports(upper.bytes),
                (_, Some(head)) if is_icmp => self.read_type(head),
                _ => {}
            },
            Reader::Iptables => match upper.protocol {
                // Later fragments too, as if they began with the header.
                6 | 17 => {
                    self.read_ports(upper.bytes);
                    if upper.protocol == 6 {
                        self.read_flags(upper.bytes);
                    }
                }
                132 if !upper.later => {
                    self.cut_upper = upper.bytes.len() < 12;
                    self.read_ports(upper.bytes);
                }
                _ if is_icmp && !upper.later => {
                    self.cut_upper = upper.bytes.len() < 8;
                    self.read_type(upper.bytes);
                }
                _ => {}
            },
        }
    }

    fn read_flags(&mut self, bytes: &[u8]) {
        if let Some(flags) = bytes.get(13) {
            self.set(Field::TcpFlags, *flags);
        }
    }

    fn read_ports(&mut self, bytes: &[u8]) {
        for (field, at) in [(Field::SrcPort, 0), (Field::DstPort, 2)] {
            if let Some(port) = be16(bytes, at) {
                self.set(field, port);
            }
        }
    }

    fn read_type(&mut self, bytes: &[u8]) {
        if let [kind, code, ..] = bytes {
            self.set(Field::IcmpType, *kind);
            self.set(Field::IcmpCode, *code);
        }
    }

    /// The fields of a message about IPv4 over Ethernet, whatever its header says it is.
    fn read_arp_in_place(&mut self, body: &[u8]) -> Option<()> {
        for (field, at) in [
            (Field::ArpHardware, 0),
            (Field::ArpProtocol, 2),
            (Field::ArpOperation, 6),
        ] {
            self.set(field, be16(body, at)?);
        }
        self.set(Field::ArpMacs, 1_u8);
        self.set(Field::ArpAddresses, 1_u8);
        self.set(Field::ArpSrcMac, mac(body, 8)?);
        let from = be32(body, 14)?;
        self.set(Field::ArpSrc, from);
        self.set(Field::ArpDstMac, mac(body, 18)?);
        let to = be32(body, 24)?;
        self.set(Field::ArpDst, to);
        self.set(Field::ArpGratuitous, u8::from(from == to));
        Some(())
    }

    fn read_arp(&mut self, body: &[u8]) -> Option<()> {
        let header = body.get(..8)?;
        let (hardware, protocol) = (be16(header, 0)?, be16(header, 2)?);
        let (mac_len, address_len) = (usize::from(header[4]), usize::from(header[5]));
        self.set(Field::ArpHardware, hardware);
        self.set(Field::ArpProtocol, protocol);
        self.set(Field::ArpOperation, be16(header, 6)?);
        self.set(Field::ArpMacs, 0_u8);
        self.set(Field::ArpAddresses, 0_u8);
        let (sender, target) = (8 + mac_len, 8 + 2 * mac_len + address_len);
        let addresses = (be32(body, sender), be32(body, target));
        if let (4, ethertype::IPV4, (Some(from), Some(to))) = (address_len, protocol, addresses) {
            self.set(Field::ArpAddresses, 1_u8);
            self.set(Field::ArpSrc, from);
            self.set(Field::ArpDst, to);
            self.set(Field::ArpGratuitous, u8::from(from == to));
        }
        if let (6, 1, Some(from)) = (mac_len, hardware, mac(body, 8)) {
            self.set(Field::ArpMacs, 1_u8);
            self.set(Field::ArpSrcMac, from);
            if let Some(to) = mac(body, target - mac_len) {
                self.set(Field::ArpDstMac, to);
            }
        }
        Some(())
    }
}

/// Whether the kernel's nftables for bridges look behind an IPv4 header
/// (`nft_set_pktinfo_ipv4_validate` in its `nf_tables_ipv4.h`).
fn is_sound_v4(header: &[u8], packet: usize) -> bool {
    let size = usize::from(header[0] & 0x0f) * 4;
    let total = usize::from(u16::from_be_bytes([header[2], header[3]]));
    header[0] >> 4 == 4 && size >= 20 && (size..=packet).contains(&total)
}

/// What is above IP.
struct Upper<'p> {
    protocol: u8,
    bytes: &'p [u8],
    /// The number of ICMP in this family.
    icmp: u8,
    /// Whether it is a fragment that its packet does not begin with.
    later: bool,
}

impl<'p> Upper<'p> {
    /// An IPv6 fragment without its packet's headers. ip6tables knows its
    /// protocol, and looks for ports and flags where the packet begins.
    fn later_fragment(following: u8, packet: &'p [u8], reader: Reader) -> Option<Self> {
        let protocol = match (reader, following) {
            (Reader::Ebtables, _) => 44,
            (Reader::Iptables, 59) | (_, 0 | 43 | 44 | 51 | 60) => return None,
            (_, protocol) => protocol,
        };
        Some(Self {
            protocol,
            bytes: packet,
            icmp: 58,
            later: true,
        })
    }
}

fn be16(bytes: &[u8], at: usize) -> Option<u16> {
    let bytes = bytes.get(at..at + 2)?;
    Some(u16::from_be_bytes([bytes[0], bytes[1]]))
}

fn be32(bytes: &[u8], at: usize) -> Option<u32> {
    let bytes: [u8; 4] = bytes.get(at..at + 4)?.try_into().ok()?;
    Some(u32::from_be_bytes(bytes))
}

fn be128(bytes: &[u8], at: usize) -> Option<u128> {
    let bytes: [u8; 16] = bytes.get(at..at + 16)?.try_into().ok()?;
    Some(u128::from_be_bytes(bytes))
}

fn mac(bytes: &[u8], at: usize) -> Option<u64> {
    let bytes: [u8; 6] = bytes.get(at..at + 6)?.try_into().ok()?;
    Some(
        bytes
            .iter()
            .fold(0, |value, byte| value << 8 | u64::from(*byte)),
    )
}
