//! Values at the boundaries of what a case's rules test, to make frames of.

use super::grammar::Case;
use super::values::{Kind, kind};
use crate::frame::Mac;
use crate::layout::mac;
use crate::nwfilter::vocabulary::parse::prefix_length;
use crate::nwfilter::{Element, Filter};
use std::net::{Ipv4Addr, Ipv6Addr};

/// Values for the fields of frames. Never empty.
#[derive(Debug, Clone)]
pub struct Seeds {
    /// MACs.
    pub macs: Vec<Mac>,
    /// IPv4 addresses.
    pub v4: Vec<Ipv4Addr>,
    /// IPv6 addresses.
    pub v6: Vec<Ipv6Addr>,
    /// Ports, ARP types and operations, VLANs.
    pub words: Vec<u16>,
    /// EtherTypes.
    pub kinds: Vec<u16>,
    /// IP protocols.
    pub protocols: Vec<u8>,
    /// TOS, ICMP types and codes.
    pub bytes: Vec<u8>,
}

impl Seeds {
    /// What is worth trying with every filter.
    fn base() -> Self {
        Self {
            macs: vec![mac::guest(1, None), mac::GATEWAY, [2, 0, 0, 0, 0, 9]],
            v4: vec![
                Ipv4Addr::new(192, 168, 1, 77),
                Ipv4Addr::new(192, 168, 1, 10),
                Ipv4Addr::new(203, 0, 113, 10),
            ],
            v6: vec![
                Ipv6Addr::new(0xfe80, 0, 0, 0, 0x5054, 0xff, 0xfe00, 0x101),
                Ipv6Addr::new(0x2001, 0xdb8, 0xffff, 0, 0, 0, 0, 0x10),
            ],
            words: vec![1, 53, 68, 1024],
            kinds: vec![0x0800, 0x0806, 0x86dd, 0x8100, 0x8035, 0x88b5],
            protocols: vec![1, 2, 6, 17, 33, 47, 50, 51, 58, 132, 136],
            bytes: vec![0, 8, 128],
        }
    }

    /// The same with the boundaries of the case's rules.
    pub fn of(case: &Case) -> Self {
        let mut seeds = Self::base();
        for rule in case.filters.iter().flat_map(Filter::rules) {
            for element in &rule.elements {
                for (name, value) in &element.attributes {
                    let Some(kind) = kind(element.protocol, name) else {
                        continue;
                    };
                    let mask = mask(&rule.elements, name);
                    match value.strip_prefix('$') {
                        None => seeds.add(kind, value, mask),
                        Some(variable) => seeds.add_list(case, kind, variable, mask),
                    }
                }
            }
        }
        seeds
    }

    /// Every value of a variable, wherever it is set.
    fn add_list(&mut self, case: &Case, kind: Kind, variable: &str, mask: Option<&str>) {
        let name = variable.split('[').next().unwrap_or_default();
        let references = case.filters.iter().flat_map(Filter::all_parameters);
        let all = case
            .parameters
            .iter()
            .map(|(name, value)| (name.as_str(), value.as_str()))
            .chain(references);
        for (_, value) in all.filter(|(known, _)| *known == name) {
            self.add(kind, value, mask);
        }
    }

    fn add(&mut self, kind: Kind, value: &str, mask: Option<&str>) {
        match kind {
            Kind::Mac | Kind::MacMask => {
                self.macs.extend(mac(value).into_iter().flat_map(near_mac));
            }
            Kind::V4 => self.add_v4(value, mask),
            Kind::V6 => self.add_v6(value, mask),
            Kind::EtherType | Kind::Encap => {
                let number = number(value);
                self.kinds.extend(number.into_iter().flat_map(near_word));
                // What is printed as decimal and read as hexadecimal.
                let misread =
                    number.and_then(|number| u32::from_str_radix(&number.to_string(), 16).ok());
                self.kinds.extend(
                    misread
                        .into_iter()
                        .flat_map(|number| near_word(number & 0xffff)),
                );
            }
            Kind::Protocol | Kind::WithPorts => {
                let near = number(value).into_iter().flat_map(near_byte);
                self.protocols.extend(near);
            }
            Kind::Port | Kind::Vlan | Kind::Opcode | Kind::ArpType => {
                self.words
                    .extend(number(value).into_iter().flat_map(near_word));
            }
            Kind::Dscp => {
                let number = number(value).unwrap_or(0);
                let shifted = [number, number * 4, number * 4 + 3];
                self.bytes.extend(shifted.into_iter().flat_map(near_byte));
            }
            Kind::Byte => self
                .bytes
                .extend(number(value).into_iter().flat_map(near_byte)),
            Kind::V4Mask
            | Kind::V6Mask
            | Kind::Boolean
            | Kind::State
            | Kind::Flags
            | Kind::Comment => {}
        }
    }

    /// The address, and the first and last under its mask with their neighbours.
    fn add_v4(&mut self, value: &str, mask: Option<&str>) {
        let Ok(address) = value.parse::<Ipv4Addr>() else {
            return;
        };
        self.v4.push(address);
        let length = mask.map_or(Some(32), |mask| prefix_length(mask, false));
        let Some(host) = length.map(|length| u32::MAX.checked_shr(length).unwrap_or(0)) else {
            return;
        };
        let (low, high) = (address.to_bits() & !host, address.to_bits() | host);
        let ends = [low, low.wrapping_sub(1), high, high.wrapping_add(1)];
        self.v4.extend(ends.map(Ipv4Addr::from_bits));
    }

    fn add_v6(&mut self, value: &str, mask: Option<&str>) {
        let Ok(address) = value.parse::<Ipv6Addr>() else {
            return;
        };
        self.v6.push(address);
        let length = mask.map_or(Some(128), |mask| prefix_length(mask, true));
        let Some(host) = length.map(|length| u128::MAX.checked_shr(length).unwrap_or(0)) else {
            return;
        };
        let (low, high) = (address.to_bits() & !host, address.to_bits() | host);
        let ends = [low, low.wrapping_sub(1), high, high.wrapping_add(1)];
        self.v6.extend(ends.map(Ipv6Addr::from_bits));
    }
}

/// The plain value of the mask that belongs to an address.
fn mask<'a>(elements: &'a [Element], address: &str) -> Option<&'a str> {
    let name = address.strip_suffix("addr")?.to_owned() + "mask";
    let mut all = elements.iter().flat_map(|element| &element.attributes);
    let found = all.find(|(known, _)| *known == name);
    found.map(|(_, value)| value.as_str())
}

fn mac(text: &str) -> Option<Mac> {
    let mut octets = text.split(':').map(|part| u8::from_str_radix(part, 16));
    let mut out = [0; 6];
    for octet in &mut out {
        *octet = octets.next()?.ok()?;
    }
    Some(out)
}

/// The MAC and two that differ from it in one bit, at either end of masks.
fn near_mac(mac: Mac) -> [Mac; 3] {
    let (mut last, mut middle) = (mac, mac);
    last[5] ^= 1;
    middle[3] ^= 0x80;
    [mac, last, middle]
}

fn near_word(number: u32) -> impl Iterator<Item = u16> {
    let near = [Some(number), number.checked_sub(1), Some(number + 1)];
    near.into_iter()
        .flatten()
        .filter_map(|number| u16::try_from(number).ok())
}

fn near_byte(number: u32) -> impl Iterator<Item = u8> {
    near_word(number).filter_map(|number| u8::try_from(number).ok())
}

/// A number, or the number behind a name; names of different tables do not clash.
fn number(text: &str) -> Option<u32> {
    const NAMES: [(&str, u32); 18] = [
        ("arp", 0x0806),
        ("rarp", 0x8035),
        ("ipv4", 0x0800),
        ("ipv6", 0x86dd),
        ("vlan", 0x8100),
        ("tcp", 6),
        ("udp", 17),
        ("icmp", 1),
        ("icmpv6", 58),
        ("igmp", 2),
        ("esp", 50),
        ("ah", 51),
        ("sctp", 132),
        ("udplite", 136),
        ("request", 1),
        ("reply", 2),
        ("request_reverse", 3),
        ("arp_nak", 9),
    ];
    let known = NAMES
        .iter()
        .find(|(name, _)| name.eq_ignore_ascii_case(text));
    if let Some((_, number)) = known {
        return Some(*number);
    }
    match text.strip_prefix("0x") {
        Some(digits) => u32::from_str_radix(digits, 16).ok(),
        None => text.parse().ok(),
    }
}
