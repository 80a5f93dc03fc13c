//! How the frames of a probe are recognised.

use super::{Sighting, Stimulus};
use crate::frame::dhcp::{self, MessageType};
use crate::frame::group::{igmp_reported, mld_reported};
use crate::frame::l4::flag;
use crate::frame::{Mac, Tag, Upper, View, names, nd, protocol};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

impl Sighting {
    /// Whether the frame, as captured with its VLAN tags in place, is one of
    /// the probe's. Never panics, whatever the bytes.
    pub fn matches(&self, frame: &[u8]) -> bool {
        if let Self::Tag(tag) = self {
            return Tag::find(frame) == Some(*tag);
        }
        let Some(view) = View::parse(frame) else {
            return false;
        };
        view.upper().is_some_and(|upper| self.matches_upper(&upper))
    }

    /// Whether it recognises the frames of one pass only: tags, asked names and
    /// source ports differ between passes, groups and DHCP messages do not.
    pub fn is_of_one_pass(&self) -> bool {
        match self {
            Self::Tag(_) | Self::Dns { .. } | Self::Tftp { .. } | Self::Http { .. } => true,
            Self::TcpSyn { source_port, .. } => source_port.is_some(),
            Self::Igmp { .. }
            | Self::Mld { .. }
            | Self::Echo { .. }
            | Self::Dad { .. }
            | Self::Dhcp { .. } => false,
        }
    }

    /// The same for what is above IP; a tag is looked for in whole frames only.
    pub(super) fn matches_upper(&self, upper: &Upper<'_>) -> bool {
        match self {
            Self::Tag(_) => false,
            Self::TcpSyn {
                to,
                port,
                source_port,
            } => is_syn(upper) && reaches(upper, *to, *port, *source_port),
            Self::Dns { name } => asks(upper, name),
            Self::Tftp { name } => names_file(upper, name),
            Self::Http { name } => is_web(upper, name),
            Self::Igmp { group } => {
                let igmp = upper.protocol == protocol::IGMP && upper.has_header;
                igmp && igmp_reported(upper.payload).contains(group)
            }
            Self::Mld { group } => {
                let icmp6 = upper.protocol == protocol::ICMPV6 && upper.has_header;
                icmp6 && mld_reported(upper.payload).contains(group)
            }
            Self::Echo { from, to, answer } => is_echo(upper, (*from, *to), *answer),
            Self::Dad { target } => looks_for(upper, *target),
            Self::Dhcp {
                message,
                client,
                to,
            } => is_dhcp(upper, *message, *client, *to),
        }
    }
}

impl Stimulus {
    /// Whether the frame goes where a stack is asked to send its packet: of a datagram or an
    /// echo request the address, the protocol and the ports. True of what is not told by them.
    pub fn is_seen_in(&self, frame: &[u8]) -> bool {
        let upper = View::parse(frame).and_then(|view| view.upper());
        match (self, upper) {
            (
                Self::Udp {
                    source_port, to, ..
                },
                Some(upper),
            ) => {
                let ports = (*source_port, to.port());
                upper.protocol == protocol::UDP
                    && upper.dst == to.ip()
                    && upper.ports() == Some(ports)
            }
            (Self::Ping { to, .. }, Some(upper)) => {
                let protocols = [protocol::ICMP, protocol::ICMPV6];
                protocols.contains(&upper.protocol) && upper.dst == *to
            }
            (Self::Udp { .. } | Self::Ping { .. }, None) => false,
            _ => true,
        }
    }
}

fn is_syn(upper: &Upper<'_>) -> bool {
    let flags = upper.tcp_flags().unwrap_or_default();
    flags & (flag::SYN | flag::ACK) == flag::SYN
}

fn reaches(upper: &Upper<'_>, to: IpAddr, port: u16, source: Option<u16>) -> bool {
    upper.ports().is_some_and(|(from, at)| {
        upper.dst == to && at == port && source.is_none_or(|source| source == from)
    })
}

fn asks(upper: &Upper<'_>, name: &str) -> bool {
    const PORTS: [u16; 3] = [names::DNS_PORT, names::MDNS_PORT, names::LLMNR_PORT];
    let Some(payload) = upper.udp_payload() else {
        return false;
    };
    // The destination alone: an answer repeats the question.
    let asked = upper.ports().is_some_and(|(_, to)| PORTS.contains(&to));
    asked && names::is_query(payload) && names::questioned(payload).as_deref() == Some(name)
}

/// A read request begins with the name behind its opcode, the one block of our
/// server's files with the name behind opcode and number (RFC 1350).
fn names_file(upper: &Upper<'_>, name: &str) -> bool {
    let Some(payload) = upper.udp_payload() else {
        return false;
    };
    let request = payload
        .strip_prefix(&[0, 1])
        .and_then(|rest| rest.split(|byte| *byte == 0).next());
    let block = payload.strip_prefix(&[0, 3, 0, 1]);
    [request, block]
        .map(|named| named.map(file_name))
        .contains(&Some(name.as_bytes()))
}

/// The name of a file without the slash that some clients put before it: GRUB asks for paths.
pub fn file_name(name: &[u8]) -> &[u8] {
    name.strip_prefix(b"/").unwrap_or(name)
}

/// A request begins with the method and the name; the body of an answer is the name.
fn is_web(upper: &Upper<'_>, name: &str) -> bool {
    if upper.protocol != protocol::TCP || !upper.has_header {
        return false;
    }
    let header = upper
        .payload
        .get(12)
        .map_or(0, |byte| usize::from(byte >> 4) * 4);
    let data = upper.payload.get(header..).unwrap_or_default();
    let request = data
        .strip_prefix(b"GET /")
        .and_then(|rest| rest.split(|byte| *byte == b' ').next());
    let body = data
        .starts_with(b"HTTP/")
        .then(|| data.rsplit(|byte| *byte == b'\n').next())
        .flatten();
    [request, body].contains(&Some(name.as_bytes()))
}

fn is_echo(upper: &Upper<'_>, ends: (IpAddr, IpAddr), answer: bool) -> bool {
    let kind = match (upper.protocol, answer) {
        (protocol::ICMP, false) => 8,
        (protocol::ICMP, true) => 0,
        (protocol::ICMPV6, false) => 128,
        (protocol::ICMPV6, true) => 129,
        _ => return false,
    };
    upper.has_header && upper.payload.first() == Some(&kind) && (upper.src, upper.dst) == ends
}

/// Type, code, checksum and four bytes come before the address.
fn looks_for(upper: &Upper<'_>, target: Ipv6Addr) -> bool {
    let solicits = upper.protocol == protocol::ICMPV6
        && upper.has_header
        && upper.payload.first() == Some(&nd::kind::NEIGHBOUR_SOLICIT);
    let looked_for = upper.payload.get(8..24);
    solicits && upper.src.is_unspecified() && looked_for == Some(&target.octets()[..])
}

fn is_dhcp(upper: &Upper<'_>, kind: MessageType, client: Mac, to: Option<Ipv4Addr>) -> bool {
    const PORTS: [u16; 2] = [dhcp::SERVER_PORT, dhcp::CLIENT_PORT];
    let ports = upper
        .ports()
        .is_some_and(|(from, at)| PORTS.contains(&from) && PORTS.contains(&at));
    let addressed = to.is_none_or(|to| upper.dst == IpAddr::V4(to));
    let Some(payload) = upper.udp_payload().filter(|_| ports && addressed) else {
        return false;
    };
    dhcp::Message::parse(payload)
        .is_some_and(|message| message.kind == Some(kind) && message.client == client)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::frame::dhcp::message;
    use crate::frame::{Ip4, Ip6, Link, VlanTag, ethertype, group};
    use crate::probe::Pass;
    use proptest::prelude::*;
    use rstest::rstest;

    const LINK: Link = Link::new([2, 0, 0, 0, 0, 1], [2, 0, 0, 0, 0, 2]);
    const TAG: Tag = Tag {
        run: 5,
        pass: Pass::Control.number(),
        index: 7,
    };
    const A: Ipv4Addr = Ipv4Addr::new(192, 168, 1, 77);
    const B: Ipv4Addr = Ipv4Addr::new(192, 168, 1, 1);
    const GROUP6: Ipv6Addr = Ipv6Addr::new(0xff02, 0, 0, 0, 0, 0, 0, 0xfb);

    fn v4(packet: &[u8]) -> Vec<u8> {
        LINK.frame(ethertype::IPV4, packet)
    }

    fn syn(port: u16, source_port: Option<u16>) -> Sighting {
        let to = B.into();
        Sighting::TcpSyn {
            to,
            port,
            source_port,
        }
    }

    fn dns(name: &str) -> Sighting {
        Sighting::Dns {
            name: name.to_owned(),
        }
    }

    fn lease(message: MessageType, to: Option<Ipv4Addr>) -> Sighting {
        let client = LINK.src;
        Sighting::Dhcp {
            message,
            client,
            to,
        }
    }

    fn tcp(flags: u8) -> Vec<u8> {
        v4(&Ip4::new(A, B).tcp(40000, 22, flags, b""))
    }

    fn question(port: u16) -> Vec<u8> {
        v4(&Ip4::new(A, B).udp(40000, port, &names::question(1, true, "A.test", None)))
    }

    fn tftp(name: &str) -> Sighting {
        Sighting::Tftp { name: name.into() }
    }

    fn web(name: &str) -> Sighting {
        Sighting::Http { name: name.into() }
    }

    fn segment(payload: &[u8]) -> Vec<u8> {
        v4(&Ip4::new(A, B).tcp(40000, 80, flag::ACK, payload))
    }

    fn transfer(payload: &[u8]) -> Vec<u8> {
        v4(&Ip4::new(A, B).udp(2070, 69, payload))
    }

    fn request() -> Vec<u8> {
        let body = dhcp::Message::from_client(message::REQUEST, LINK.src).to_bytes(&[]);
        v4(&Ip4::new(A, B).udp(68, 67, &body))
    }

    fn mld_frame() -> Vec<u8> {
        let body = group::mld2_report_body(4, GROUP6, &[]);
        let ip = Ip6::new(Ipv6Addr::LOCALHOST, GROUP6).ext(crate::frame::Ext::router_alert());
        LINK.frame(ethertype::IPV6, &ip.icmp(group::mld::REPORT_V2, 0, &body))
    }

    const OWN6: Ipv6Addr = Ipv6Addr::new(0x2001, 0xdb8, 1, 0, 0, 0, 0, 7);

    fn solicitation(from: Ipv6Addr) -> Vec<u8> {
        let body = nd::solicit(OWN6, None, TAG);
        let ip = Ip6::new(from, GROUP6);
        LINK.frame(
            ethertype::IPV6,
            &ip.icmp(nd::kind::NEIGHBOUR_SOLICIT, 0, &body),
        )
    }

    fn echo(from: Ipv4Addr, to: Ipv4Addr, answer: bool) -> Sighting {
        let (from, to) = (from.into(), to.into());
        Sighting::Echo { from, to, answer }
    }

    fn igmp_frame() -> Vec<u8> {
        v4(&Ip4::new(A, B).packet(protocol::IGMP, &group::igmp3_report(4, B, &[])))
    }

    #[rstest]
    #[case::tag(Sighting::Tag(TAG), v4(&Ip4::new(A, B).echo(&TAG.to_bytes())), true)]
    #[case::other_tag(Sighting::Tag(Tag { index: 8, ..TAG }), v4(&Ip4::new(A, B).echo(&TAG.to_bytes())), false)]
    #[case::syn(syn(22, None), tcp(flag::SYN), true)]
    #[case::syn_of_port(syn(22, Some(40000)), tcp(flag::SYN), true)]
    #[case::syn_of_other_port(syn(22, Some(40001)), tcp(flag::SYN), false)]
    #[case::syn_ack(syn(22, None), tcp(flag::SYN | flag::ACK), false)]
    #[case::syn_elsewhere(syn(23, None), tcp(flag::SYN), false)]
    #[case::dns(dns("a.test"), question(53), true)]
    #[case::mdns(dns("a.test"), question(5353), true)]
    #[case::not_dns(dns("a.test"), question(54), false)]
    #[case::other_name(dns("b.test"), question(53), false)]
    #[case::file(tftp("lan-1"), transfer(b"\0\x01lan-1\0octet\0"), true)]
    #[case::file_as_a_path(tftp("lan-1"), transfer(b"\0\x01/lan-1\0octet\0"), true)]
    #[case::its_block(tftp("lan-1"), transfer(b"\0\x03\0\x01lan-1"), true)]
    #[case::other_file(tftp("lan-1"), transfer(b"\0\x01lan-12\0octet\0"), false)]
    #[case::page(web("lan-1"), segment(b"GET /lan-1 HTTP/1.1\r\n\r\n"), true)]
    #[case::its_body(web("lan-1"), segment(b"HTTP/1.0 200 OK\r\n\r\nlan-1"), true)]
    #[case::other_page(web("lan-1"), segment(b"GET /lan-12 HTTP/1.1\r\n\r\n"), false)]
    #[case::other_body(web("lan-1"), segment(b"HTTP/1.0 200 OK\r\n\r\nlan-12"), false)]
    #[case::page_over_udp(web("lan-1"), transfer(b"GET /lan-1 HTTP/1.1\r\n\r\n"), false)]
    #[case::igmp(Sighting::Igmp { group: B }, igmp_frame(), true)]
    #[case::other_group(Sighting::Igmp { group: A }, igmp_frame(), false)]
    #[case::mld(Sighting::Mld { group: GROUP6 }, mld_frame(), true)]
    #[case::other_group6(Sighting::Mld { group: Ipv6Addr::LOCALHOST }, mld_frame(), false)]
    #[case::echo(echo(A, B, false), v4(&Ip4::new(A, B).echo(b"")), true)]
    #[case::an_echo_from_elsewhere(echo(B, A, false), v4(&Ip4::new(A, B).echo(b"")), false)]
    #[case::no_answer(echo(A, B, true), v4(&Ip4::new(A, B).echo(b"")), false)]
    #[case::its_answer(echo(A, B, true), v4(&Ip4::new(A, B).icmp(0, 0, [0; 4], b"")), true)]
    #[case::a_first_look(Sighting::Dad { target: OWN6 }, solicitation(Ipv6Addr::UNSPECIFIED), true)]
    #[case::a_look_for_a_neighbour(Sighting::Dad { target: OWN6 }, solicitation(Ipv6Addr::LOCALHOST), false)]
    #[case::a_look_for_another(Sighting::Dad { target: GROUP6 }, solicitation(Ipv6Addr::UNSPECIFIED), false)]
    #[case::request(lease(message::REQUEST, None), request(), true)]
    #[case::request_to(lease(message::REQUEST, Some(B)), request(), true)]
    #[case::request_to_all(lease(message::REQUEST, Some(Ipv4Addr::BROADCAST)), request(), false)]
    #[case::ack(lease(message::ACK, None), request(), false)]
    fn recognises(#[case] sighting: Sighting, #[case] frame: Vec<u8>, #[case] expected: bool) {
        assert_eq!(sighting.matches(&frame), expected);
    }

    #[test]
    fn tags_do_not_hide_a_frame() {
        let packet = Ip4::new(A, B).tcp(40000, 22, flag::SYN, b"");
        let frame = LINK.stacked(&[VlanTag::q(0), VlanTag::q(7)], ethertype::IPV4, &packet);
        assert!(syn(22, None).matches(&frame));
    }

    proptest! {
        #[test]
        fn cut_frames_never_panic(which in 0..5_usize, cut in any::<prop::sample::Index>(), byte: u8) {
            let mut frame = [tcp(flag::SYN), question(53), request(), mld_frame(), igmp_frame()][which].clone();
            let at = cut.index(frame.len());
            frame[at] = byte;
            for sighting in [Sighting::Tag(TAG), syn(22, None), dns("a.test"), lease(message::REQUEST, Some(B)), Sighting::Igmp { group: B }, Sighting::Mld { group: GROUP6 }] {
                for end in [at, frame.len()] {
                    let _ = sighting.matches(&frame[..end]);
                }
            }
        }
    }
}
