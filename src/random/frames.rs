//! Random frames around the boundaries of a case.

use super::generator::Random;
use super::seeds::Seeds;
use crate::frame::checksum::checksum;
use crate::frame::{
    BROADCAST, Ends, Ext, Ip4, Ip6, Link, Mac, VlanTag, ethertype, l4, link, options4, protocol,
};
use crate::layout::mac;
use std::net::{Ipv4Addr, Ipv6Addr};

const GROUPS: [Mac; 4] = [
    BROADCAST,
    [0x01, 0x00, 0x5e, 0, 0, 0xfb],
    [0x33, 0x33, 0, 0, 0, 1],
    [0x01, 0x80, 0xc2, 0, 0, 0],
];

/// What a frame is about, by how often it is wanted.
#[derive(Debug, Clone, Copy)]
enum Topic {
    V4,
    V6,
    Arp,
    Tagged,
    Llc,
    Other,
}

/// Makes one frame.
pub fn frame(random: &mut Random, seeds: &Seeds) -> Vec<u8> {
    let mut frame = Maker { random, seeds }.whole();
    spoil(random, &mut frame);
    frame
}

struct Maker<'a> {
    random: &'a mut Random,
    seeds: &'a Seeds,
}

impl Maker<'_> {
    fn whole(&mut self) -> Vec<u8> {
        let topics = [
            (Topic::V4, 42),
            (Topic::V6, 26),
            (Topic::Arp, 14),
            (Topic::Tagged, 8),
            (Topic::Llc, 4),
            (Topic::Other, 6),
        ];
        let mut at = self.random.below(100);
        let mut topic = Topic::Other;
        for (candidate, weight) in topics {
            if at < weight {
                topic = candidate;
                break;
            }
            at -= weight;
        }
        let link = self.link();
        match topic {
            Topic::V4 => link.frame(ethertype::IPV4, &self.packet4()),
            Topic::V6 => link.frame(ethertype::IPV6, &self.packet6()),
            Topic::Arp => {
                let kinds = [ethertype::ARP, ethertype::ARP, ethertype::RARP];
                let kind = *self.random.pick(&kinds);
                link.frame(kind, &self.arp())
            }
            Topic::Tagged => self.tagged(link),
            Topic::Llc => self.llc(link),
            Topic::Other => {
                let kind = *self.random.pick(&self.seeds.kinds);
                link.frame(kind, &self.packet4())
            }
        }
    }

    fn link(&mut self) -> Link {
        let src = *self.random.pick(&self.seeds.macs);
        let dst = if self.random.chance(25) {
            *self.random.pick(&GROUPS)
        } else {
            *self.random.pick(&self.seeds.macs)
        };
        // A bridge takes no frame from a group or from nobody.
        let src = if self.random.chance(95) && (src[0] & 1 == 1 || src == [0; 6]) {
            mac::guest(1, None)
        } else {
            src
        };
        Link::new(src, dst)
    }

    fn tagged(&mut self, link: Link) -> Vec<u8> {
        let tpids = [0x8100, 0x8100, 0x8100, 0x88a8, 0x9100];
        let mut tags = vec![VlanTag::new(*self.random.pick(&tpids), self.word() & 0xfff)];
        if self.random.chance(20) {
            tags.push(VlanTag::q(self.word() & 0xfff));
        }
        tags[0].priority = u8::try_from(self.random.below(8)).expect("below 8");
        let (kind, payload) = match self.random.below(3) {
            0 => (ethertype::IPV4, self.packet4()),
            1 => (*self.random.pick(&self.seeds.kinds), self.arp()),
            _ => (ethertype::IPV6, self.packet6()),
        };
        link.stacked(&tags, kind, &payload)
    }

    fn llc(&mut self, link: Link) -> Vec<u8> {
        let payload = match self.random.below(3) {
            0 => link::snap(ethertype::IPV4, &self.packet4()),
            1 => link::bpdu(link.src, b""),
            _ => link::llc(0xf0, b"llc"),
        };
        link.length_frame(&payload)
    }

    fn word(&mut self) -> u16 {
        if self.random.chance(10) {
            return self.random.word();
        }
        *self.random.pick(&self.seeds.words)
    }

    fn byte(&mut self) -> u8 {
        if self.random.chance(10) {
            return self.random.byte();
        }
        *self.random.pick(&self.seeds.bytes)
    }

    fn v4(&mut self) -> Ipv4Addr {
        *self.random.pick(&self.seeds.v4)
    }

    fn v6(&mut self) -> Ipv6Addr {
        *self.random.pick(&self.seeds.v6)
    }

    fn packet4(&mut self) -> Vec<u8> {
        let mut ip = Ip4::new(self.v4(), self.v4());
        if self.random.chance(10) {
            ip = ip.options(options4::router_alert());
        }
        if self.random.chance(8) {
            let offset = *self.random.pick(&[0, 0, 1, 185]);
            ip = ip.fragment(offset, self.random.chance(60));
        }
        let protocol = *self.random.pick(&self.seeds.protocols);
        let payload = self.upper(ip.ends(), protocol);
        let mut packet = ip.packet(protocol, &payload);
        if self.random.chance(40) {
            packet[1] = self.byte();
            packet[10..12].fill(0);
            let header = usize::from(packet[0] & 0x0f) * 4;
            let sum = checksum(&packet[..header]);
            packet[10..12].copy_from_slice(&sum.to_be_bytes());
        }
        packet
    }

    fn packet6(&mut self) -> Vec<u8> {
        let mut ip = Ip6::new(self.v6(), self.v6());
        for _ in 0..*self.random.pick(&[0, 0, 0, 0, 1, 1, 2]) {
            let ext = self.extension();
            ip = ip.ext(ext);
        }
        let protocol = match self.random.below(10) {
            0 => 59,
            1 => *self.random.pick(&[0, 43, 60]),
            2..=4 => protocol::ICMPV6,
            _ => *self.random.pick(&self.seeds.protocols),
        };
        let payload = self.upper(ip.ends(), protocol);
        let mut packet = ip.packet(protocol, &payload);
        if self.random.chance(30) {
            let class = self.byte();
            packet[0] = 0x60 | class >> 4;
            packet[1] = class << 4;
        }
        packet
    }

    fn extension(&mut self) -> Ext {
        match self.random.below(5) {
            0 => Ext::router_alert(),
            1 => Ext::Destination(vec![1, 0]),
            2 => Ext::Routing {
                kind: *self.random.pick(&[0, 2, 4]),
                left: u8::from(self.random.chance(50)),
                next: self.v6(),
            },
            _ => Ext::Fragment {
                offset: *self.random.pick(&[0, 0, 1, 185]),
                more: self.random.chance(60),
            },
        }
    }

    /// What is above IP, with its checksum.
    fn upper(&mut self, ends: Ends, protocol: u8) -> Vec<u8> {
        let (from, to) = (self.word(), self.word());
        let (kind, code) = (self.byte(), self.byte());
        match protocol {
            protocol::TCP => {
                let flags = [0x02, 0x02, 0x12, 0x10, 0x11, 0x04, 0x18, 0x00, 0x3f];
                l4::tcp(ends, from, to, *self.random.pick(&flags), b"x")
            }
            protocol::UDP => l4::udp(ends, from, to, b"xy"),
            protocol::UDPLITE => l4::udplite(ends, from, to, b"xy"),
            protocol::DCCP => l4::dccp_request(ends, from, to, b"xy"),
            protocol::SCTP => l4::sctp_data(from, to, b"xy"),
            protocol::ICMP => l4::icmp(kind, code, l4::ECHO_ID, b"ping"),
            protocol::ICMPV6 => l4::icmp6(ends, kind, code, b"lf\x00\x01ping"),
            protocol::AH => l4::ah(protocol::UDP, &l4::udp(ends, from, to, b"")),
            protocol::ESP => l4::esp(b"secret"),
            _ => vec![kind, code, 0, 0, 1, 2, 3, 4],
        }
    }

    /// The body of ARP or RARP, mostly for IPv4 over Ethernet.
    fn arp(&mut self) -> Vec<u8> {
        let odd = self.random.chance(15);
        let (hardware, protocol) = if odd {
            (self.word(), *self.random.pick(&self.seeds.kinds))
        } else {
            (1, 0x0800)
        };
        let lengths = if self.random.chance(5) {
            [self.byte() % 16, self.byte() % 20]
        } else {
            [6, 4]
        };
        let operation = if self.random.chance(50) {
            1
        } else {
            self.word()
        };
        let mut out = Vec::new();
        out.extend(hardware.to_be_bytes());
        out.extend(protocol.to_be_bytes());
        out.extend(lengths);
        out.extend(operation.to_be_bytes());
        let sender = self.v4();
        let target = if self.random.chance(15) {
            sender
        } else {
            self.v4()
        };
        for address in [sender, target] {
            out.extend(self.random.pick(&self.seeds.macs));
            out.extend(address.octets());
        }
        out
    }
}

/// Now and then cuts a frame short, adds to it or changes a byte behind its addresses.
pub fn spoil(random: &mut Random, frame: &mut Vec<u8>) {
    if random.chance(4) {
        let length = 14 + random.below(frame.len() - 13);
        frame.truncate(length);
    }
    if random.chance(4) && frame.len() > 14 {
        let at = 14 + random.below(frame.len() - 14);
        frame[at] = random.byte();
    }
    if random.chance(4) {
        let more = 1 + random.below(20);
        frame.extend((0..more).map(|_| random.byte()));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::nwfilter::evaluate::field::{Field, Fields, Reader};
    use crate::random::grammar::case;
    use std::collections::BTreeSet;

    #[test]
    fn frames_are_whole_enough_and_of_all_kinds() {
        let mut seen = BTreeSet::new();
        for number in 0..200 {
            let mut random = Random::of(5, number);
            let seeds = Seeds::of(&case(&mut random));
            for _ in 0..50 {
                let frame = frame(&mut random, &seeds);
                assert!((14..=1514).contains(&frame.len()), "{}", frame.len());
                let fields = Fields::read(&frame, Reader::Ebtables).expect("an Ethernet header");
                seen.insert(fields.get(Field::EtherType));
            }
        }
        for kind in [0x0800, 0x0806, 0x86dd, 0x8100, 0x88a8, 0x8035] {
            assert!(seen.contains(&kind), "{kind:#x}");
        }
        assert!(seen.len() > 20, "{seen:?}");
    }
}
