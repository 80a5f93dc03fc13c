//! A concrete frame out of a region.

use super::region::{EXTENSIONS, Region};
use crate::frame::group::{igmp, igmp_message};
use crate::frame::{Ends, Ip4, Ip6, Link, Mac, arp, ethertype, l4, protocol};
use crate::nwfilter::evaluate::field::{ABSENT, Field};
use std::net::{Ipv4Addr, Ipv6Addr};

/// A frame of the region, where one can be built: IPv4, IPv6, ARP and RARP
/// with whole headers, any other EtherType without a body. `usual` are values
/// that are taken where the region allows them, so that the frame looks real.
pub fn witness(region: &Region, usual: &[(Field, u128)]) -> Option<Vec<u8>> {
    let pick = Pick { region, usual };
    let kind = pick.of(Field::EtherType)?;
    let link = Link::new(pick.mac(Field::SrcMac)?, pick.mac(Field::DstMac)?);
    let kind = u16::try_from(kind).ok()?;
    match kind {
        ethertype::IPV4 => Some(link.frame(kind, &pick.ipv4()?)),
        ethertype::IPV6 => Some(link.frame(kind, &pick.ipv6()?)),
        ethertype::ARP | ethertype::RARP => {
            let mut frame = arp::frame(link, pick.arp()?, &[]);
            frame[12..14].copy_from_slice(&kind.to_be_bytes());
            frame[14..16].copy_from_slice(&pick.word(Field::ArpHardware)?.to_be_bytes());
            frame[16..18].copy_from_slice(&pick.word(Field::ArpProtocol)?.to_be_bytes());
            Some(frame)
        }
        ethertype::VLAN => {
            let id = u16::try_from(pick.of(Field::VlanId)?).ok()?;
            let inner = u16::try_from(pick.of(Field::VlanEncap)?).ok()?;
            // Bridges keep back a tag with less behind it.
            let body = [0; 8];
            Some(link.stacked(&[crate::frame::VlanTag::q(id)], inner, &body))
        }
        _ => Some(link.frame(kind, &[])),
    }
}

/// IPv6's "no next header" (RFC 8200 section 4.7).
const NO_NEXT: u8 = 59;

/// Its fragment header.
const FRAGMENT: u8 = 44;

struct Pick<'a> {
    region: &'a Region,
    usual: &'a [(Field, u128)],
}

impl Pick<'_> {
    /// A value of the field that a frame can hold: a usual one, else the least.
    fn of(&self, field: Field) -> Option<u128> {
        let set = self.region.get(field);
        let usual = self.usual.iter().find(|(usual, value)| {
            *usual == field && set.contains(*value) && self.suits(field, *value)
        });
        let value = usual.map(|(_, value)| *value).or_else(|| set.first())?;
        let is_address = matches!(field, Field::Src | Field::Dst);
        (is_address || value != ABSENT).then_some(value)
    }

    /// Whether a usual value is one of the frame's IP version.
    fn suits(&self, field: Field, value: u128) -> bool {
        let v6 = self.region.get(Field::EtherType).contains(0x86dd);
        match field {
            Field::Src | Field::Dst => v6 == (value > u128::from(u32::MAX)),
            Field::IcmpType => v6 == (value >= 128),
            _ => true,
        }
    }

    /// Whether no frame of the region has the field.
    fn absent(&self, field: Field) -> bool {
        !self.region.get(field).meets(&field.all())
    }

    fn mac(&self, field: Field) -> Option<Mac> {
        let [_, _, octets @ ..] = u64::try_from(self.of(field)?).ok()?.to_be_bytes();
        Some(octets)
    }

    fn byte(&self, field: Field) -> Option<u8> {
        u8::try_from(self.of(field)?).ok()
    }

    fn word(&self, field: Field) -> Option<u16> {
        u16::try_from(self.of(field)?).ok()
    }

    fn v4(&self, field: Field) -> Option<Ipv4Addr> {
        u32::try_from(self.of(field)?).ok().map(Ipv4Addr::from_bits)
    }

    fn ipv4(&self) -> Option<Vec<u8>> {
        let (from, to) = (self.v4(Field::Src)?, self.v4(Field::Dst)?);
        let upper = self.byte(Field::Protocol)?;
        let ip = Ip4::new(from, to);
        let headless = match upper {
            protocol::ICMP => self.absent(Field::IcmpType),
            protocol::TCP | protocol::UDP | protocol::DCCP | protocol::SCTP | protocol::UDPLITE => {
                self.absent(Field::SrcPort)
            }
            _ => false,
        };
        let payload = if headless {
            vec![0; 16]
        } else {
            self.upper(upper, ip.ends())?
        };
        let mut packet = ip.packet(upper, &payload);
        packet[1] = self.byte(Field::Tos)?;
        if headless {
            // What a full frame's worth of octets came before, in units of eight.
            packet[6..8].copy_from_slice(&185_u16.to_be_bytes());
        }
        repair(&mut packet);
        Some(packet)
    }

    fn ipv6(&self) -> Option<Vec<u8>> {
        let from = Ipv6Addr::from_bits(self.of(Field::Src)?);
        let to = Ipv6Addr::from_bits(self.of(Field::Dst)?);
        let headers = self.region.get(Field::NextHeader);
        let named = self.byte(Field::Protocol);
        let upper = named.or_else(|| headers.contains(NO_NEXT.into()).then_some(NO_NEXT))?;
        let ip = Ip6::new(from, to);
        let mut payload = match upper {
            // A later fragment of a UDP datagram.
            FRAGMENT => [
                &[protocol::UDP, 0, 0x05, 0xc8, 0, 0, 0, 1],
                [0; 16].as_slice(),
            ]
            .concat(),
            _ => self.upper(upper, ip.ends())?,
        };
        let mut next = upper;
        if !headers.contains(upper.into()) {
            // An extension header of eight octets, all of whose fields are 0 but the next.
            let extension = EXTENSIONS
                .iter()
                .find(|header| headers.contains(**header))?;
            next = u8::try_from(*extension).ok()?;
            payload = [&[upper, 0, 0, 0, 0, 0, 0, 0], payload.as_slice()].concat();
        }
        let mut packet = ip.packet(next, &payload);
        let class = self.byte(Field::Tos)?;
        packet[0] = 0x60 | class >> 4;
        packet[1] = class << 4 | packet[1] & 0x0f;
        Some(packet)
    }

    fn upper(&self, upper: u8, ends: Ends) -> Option<Vec<u8>> {
        Some(match upper {
            protocol::UDP => l4::udp(
                ends,
                self.word(Field::SrcPort)?,
                self.word(Field::DstPort)?,
                b"",
            ),
            protocol::TCP => {
                let flags = self.byte(Field::TcpFlags)?;
                l4::tcp(
                    ends,
                    self.word(Field::SrcPort)?,
                    self.word(Field::DstPort)?,
                    flags,
                    b"",
                )
            }
            // Each version of IP has its own; the other's is a protocol like any.
            protocol::ICMP | protocol::ICMPV6 if self.absent(Field::IcmpType) => vec![0; 16],
            protocol::ICMP => l4::icmp(
                self.byte(Field::IcmpType)?,
                self.byte(Field::IcmpCode)?,
                [0; 4],
                b"",
            ),
            protocol::ICMPV6 => l4::icmp6(
                ends,
                self.byte(Field::IcmpType)?,
                self.byte(Field::IcmpCode)?,
                &[0; 4],
            ),
            protocol::IGMP => igmp_message(igmp::REPORT_V2, 0, Ipv4Addr::new(239, 1, 2, 3), b""),
            // Ports of the other protocols that have them come first too.
            protocol::DCCP | protocol::SCTP | protocol::UDPLITE => {
                let ports = [self.word(Field::SrcPort)?, self.word(Field::DstPort)?];
                ports
                    .iter()
                    .flat_map(|port| port.to_be_bytes())
                    .chain([0; 16])
                    .collect()
            }
            _ => vec![0; 16],
        })
    }

    /// The body; a field that the region has without is 0.
    fn arp(&self) -> Option<arp::Arp> {
        let end = |mac, address| {
            let mac = if self.absent(mac) {
                Some([0; 6])
            } else {
                self.mac(mac)
            };
            let address = if self.absent(address) {
                Some(Ipv4Addr::UNSPECIFIED)
            } else {
                self.v4(address)
            };
            Some((mac?, address?))
        };
        let body = arp::Arp {
            operation: self.word(Field::ArpOperation)?,
            sender: end(Field::ArpSrcMac, Field::ArpSrc)?,
            target: end(Field::ArpDstMac, Field::ArpDst)?,
        };
        Some(body)
    }
}

/// The header's checksum anew.
fn repair(packet: &mut [u8]) {
    packet[10..12].fill(0);
    let header = usize::from(packet[0] & 0x0f) * 4;
    let words = packet[..header].chunks_exact(2);
    let mut sum: u32 = words
        .map(|word| u32::from(u16::from_be_bytes([word[0], word[1]])))
        .sum();
    while sum > 0xffff {
        sum = (sum & 0xffff) + (sum >> 16);
    }
    let sum = !u16::try_from(sum).unwrap_or(0);
    packet[10..12].copy_from_slice(&sum.to_be_bytes());
}
