//! One frame in one line, in the manner of tcpdump.

use crate::arp::{self, Arp};
use crate::group::{igmp, igmp_reported, mld, mld_reported};
use crate::l4::flag;
use crate::mac::{BROADCAST, Mac, mac_text};
use crate::tag::Tag;
use crate::view::{Body, Packet4, Packet6, Upper, View};
use crate::{dhcp, ethertype, names, nd, protocol};
use std::fmt::{self, Display, Write as _};
use std::net::{IpAddr, SocketAddr};

/// One line about a frame, whatever its bytes: addresses, what it is, its
/// VLAN stack and its tag. `192.168.1.77:40000 > 203.0.113.10:53 udp 40 bytes [tag …]`
pub fn summary(frame: &[u8]) -> String {
    let mut line = match View::parse(frame) {
        Some(view) => Line(&view).to_string(),
        None => format!("{} bytes, less than an Ethernet header", frame.len()),
    };
    if let Some(tag) = Tag::find(frame) {
        let _ = write!(line, " [tag {tag}]");
    }
    line
}

struct Line<'a, 'b>(&'a View<'b>);

impl Display for Line<'_, '_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let view = self.0;
        for tag in &view.tags {
            write!(f, "vlan {}", tag.vid)?;
            if tag.priority > 0 {
                write!(f, " prio {}", tag.priority)?;
            }
            if tag.tpid != ethertype::VLAN {
                write!(f, " ({:#06x})", tag.tpid)?;
            }
            f.write_str(", ")?;
        }
        match &view.body {
            Body::V4(packet) => line4(f, packet),
            Body::V6(packet) => line6(f, packet),
            Body::Arp(body) => arp_line(f, view.kind, body),
            Body::Other(rest) => other(f, view, rest),
        }
    }
}

fn line4(f: &mut fmt::Formatter<'_>, packet: &Packet4<'_>) -> fmt::Result {
    upper(f, &packet.upper())?;
    if let Some((offset, more)) = packet.fragment {
        fragment(f, offset, more)?;
    }
    if !packet.options.is_empty() {
        write!(f, ", options {:02x?}", packet.options)?;
    }
    if packet.ttl <= 1 {
        write!(f, ", ttl {}", packet.ttl)?;
    }
    if !packet.sum_ok {
        f.write_str(", bad header checksum")?;
    }
    Ok(())
}

fn line6(f: &mut fmt::Formatter<'_>, packet: &Packet6<'_>) -> fmt::Result {
    upper(f, &packet.upper())?;
    if let Some((offset, more)) = packet.fragment {
        fragment(f, offset, more)?;
    }
    for header in &packet.headers {
        match header {
            0 => f.write_str(", hop-by-hop")?,
            43 => f.write_str(", routing header")?,
            60 => f.write_str(", destination options")?,
            51 => f.write_str(", ah")?,
            _ => {}
        }
    }
    if let Some(last) = packet.routed_to {
        write!(f, " to {last}")?;
    }
    if packet.hops <= 1 {
        write!(f, ", hop limit {}", packet.hops)?;
    }
    Ok(())
}

fn fragment(f: &mut fmt::Formatter<'_>, offset: usize, more: bool) -> fmt::Result {
    write!(f, ", fragment at {offset}{}", if more { "+" } else { "" })
}

fn upper(f: &mut fmt::Formatter<'_>, upper: &Upper<'_>) -> fmt::Result {
    match upper.ports() {
        Some((from, to)) => write!(
            f,
            "{} > {} ",
            SocketAddr::new(upper.src, from),
            SocketAddr::new(upper.dst, to)
        )?,
        None => write!(f, "{} > {} ", upper.src, upper.dst)?,
    }
    if !upper.has_header {
        return write!(f, "{}, {} bytes", name(upper.protocol), upper.payload.len());
    }
    match upper.protocol {
        protocol::UDP => udp(f, upper),
        protocol::TCP => tcp(f, upper),
        protocol::ICMP => icmp(f, upper.payload),
        protocol::ICMPV6 => icmp6(f, upper.payload),
        protocol::IGMP => igmp_line(f, upper.payload),
        other => write!(f, "{}, {} bytes", name(other), upper.payload.len()),
    }?;
    match upper.sum_ok() {
        Some(false) if upper.is_offloaded() => f.write_str(", checksum left to offload")?,
        Some(false) => f.write_str(", bad checksum")?,
        _ => {}
    }
    Ok(())
}

fn udp(f: &mut fmt::Formatter<'_>, upper: &Upper<'_>) -> fmt::Result {
    let payload = upper.udp_payload().unwrap_or_default();
    let ports = upper.ports().unwrap_or_default();
    let is = |port| ports.0 == port || ports.1 == port;
    if (is(dhcp::SERVER_PORT) || is(dhcp::CLIENT_PORT))
        && let Some(message) = dhcp::Message::parse(payload)
    {
        return write!(
            f,
            "dhcp {} for {}",
            dhcp_kind(message.kind),
            Hex(message.client)
        );
    }
    let dns = is(names::DNS_PORT) || is(names::MDNS_PORT) || is(names::LLMNR_PORT);
    if let (true, Some(question)) = (dns, names::questioned(payload)) {
        return write!(f, "dns {}", question.escape_debug());
    }
    write!(f, "udp {} bytes", payload.len())
}

fn dhcp_kind(kind: Option<dhcp::MessageType>) -> &'static str {
    match kind {
        Some(dhcp::message::DISCOVER) => "discover",
        Some(dhcp::message::OFFER) => "offer",
        Some(dhcp::message::REQUEST) => "request",
        Some(dhcp::message::ACK) => "ack",
        Some(dhcp::message::RELEASE) => "release",
        Some(_) => "message",
        None => "bootp",
    }
}

fn tcp(f: &mut fmt::Formatter<'_>, upper: &Upper<'_>) -> fmt::Result {
    f.write_str("tcp")?;
    let flags = upper.tcp_flags().unwrap_or_default();
    let shown = [
        (flag::SYN, "syn"),
        (flag::ACK, "ack"),
        (flag::FIN, "fin"),
        (flag::RST, "rst"),
    ];
    for (_, text) in shown.iter().filter(|(bit, _)| flags & bit != 0) {
        write!(f, " {text}")?;
    }
    let header = upper
        .payload
        .get(12)
        .map_or(20, |byte| usize::from(byte >> 4) * 4);
    write!(f, " {} bytes", upper.payload.len().saturating_sub(header))
}

fn icmp(f: &mut fmt::Formatter<'_>, message: &[u8]) -> fmt::Result {
    match message.first() {
        Some(0) => f.write_str("icmp echo reply"),
        Some(3) => f.write_str("icmp unreachable"),
        Some(5) => f.write_str("icmp redirect"),
        Some(8) => f.write_str("icmp echo request"),
        Some(11) => f.write_str("icmp time exceeded"),
        Some(kind) => write!(f, "icmp type {kind}"),
        None => f.write_str("icmp, cut"),
    }
}

fn icmp6(f: &mut fmt::Formatter<'_>, message: &[u8]) -> fmt::Result {
    let Some(&kind) = message.first() else {
        return f.write_str("icmp6, cut");
    };
    match kind {
        1 => f.write_str("icmp6 unreachable"),
        128 => f.write_str("icmp6 echo request"),
        129 => f.write_str("icmp6 echo reply"),
        mld::QUERY => f.write_str("mld query"),
        mld::REPORT_V1 | mld::REPORT_V2 => {
            write!(f, "mld report {}", List(&mld_reported(message)))
        }
        mld::DONE => f.write_str("mld done"),
        nd::kind::ROUTER_SOLICIT => f.write_str("router solicitation"),
        nd::kind::ROUTER_ADVERT => f.write_str("router advertisement"),
        nd::kind::NEIGHBOUR_SOLICIT => f.write_str("neighbour solicitation"),
        nd::kind::NEIGHBOUR_ADVERT => f.write_str("neighbour advertisement"),
        nd::kind::REDIRECT => f.write_str("icmp6 redirect"),
        _ => write!(f, "icmp6 type {kind}"),
    }
}

fn igmp_line(f: &mut fmt::Formatter<'_>, message: &[u8]) -> fmt::Result {
    match message.first() {
        Some(&igmp::QUERY) => f.write_str("igmp query"),
        Some(&(igmp::REPORT_V1 | igmp::REPORT_V2 | igmp::REPORT_V3)) => {
            write!(f, "igmp report {}", List(&igmp_reported(message)))
        }
        Some(&igmp::LEAVE) => f.write_str("igmp leave"),
        Some(kind) => write!(f, "igmp type {kind:#04x}"),
        None => f.write_str("igmp, cut"),
    }
}

fn arp_line(f: &mut fmt::Formatter<'_>, kind: u16, body: &Arp) -> fmt::Result {
    let family = if kind == ethertype::RARP {
        "rarp"
    } else {
        "arp"
    };
    let (mac, sender) = body.sender;
    let target = body.target.1;
    match body.operation {
        arp::op::REQUEST if sender == target => {
            write!(f, "{family} announce {sender} at {}", Hex(mac))
        }
        arp::op::REQUEST => write!(f, "{family} who-has {target} tell {sender}"),
        arp::op::REPLY => write!(f, "{family} {sender} is-at {}", Hex(mac)),
        other => write!(f, "{family} operation {other} from {}", Hex(mac)),
    }
}

fn other(f: &mut fmt::Formatter<'_>, view: &View<'_>, rest: &[u8]) -> fmt::Result {
    write!(f, "{} > {} ", Hex(view.src), Hex(view.dst))?;
    let length = rest.len();
    if view.kind >= 0x600 {
        return write!(f, "{}, {length} bytes", ether_name(view.kind));
    }
    match rest {
        [0xaa, 0xaa, 3, _, _, _, a, b, ..] => {
            write!(
                f,
                "802.3 snap {:#06x}, {length} bytes",
                u16::from_be_bytes([*a, *b])
            )
        }
        [0x42, 0x42, 3, ..] => write!(f, "802.3 spanning tree, {length} bytes"),
        [0xff, 0xff, ..] => write!(f, "802.3 raw ipx, {length} bytes"),
        [sap, ..] => write!(f, "802.3 llc {sap:#04x}, {length} bytes"),
        [] => f.write_str("802.3, cut"),
    }
}

fn ether_name(kind: u16) -> String {
    let text = match kind {
        ethertype::IPV4 => "ipv4, cut",
        ethertype::IPV6 => "ipv6, cut",
        ethertype::ARP => "arp, cut",
        ethertype::RARP => "rarp, cut",
        ethertype::PPPOE_DISCOVERY => "pppoe discovery",
        ethertype::PPPOE_SESSION => "pppoe session",
        ethertype::MPLS => "mpls",
        ethertype::LLDP => "lldp",
        ethertype::EAPOL => "eapol",
        _ => return format!("ethertype {kind:#06x}"),
    };
    text.to_owned()
}

fn name(number: u8) -> String {
    let text = match number {
        protocol::ICMP => "icmp",
        protocol::IGMP => "igmp",
        protocol::IPIP => "ipip",
        protocol::TCP => "tcp",
        protocol::UDP => "udp",
        protocol::DCCP => "dccp",
        protocol::IPV6 => "6in4",
        protocol::GRE => "gre",
        protocol::ESP => "esp",
        protocol::AH => "ah",
        protocol::ICMPV6 => "icmp6",
        protocol::ETHERIP => "etherip",
        protocol::L2TP => "l2tp",
        protocol::SCTP => "sctp",
        protocol::UDPLITE => "udplite",
        _ => return format!("protocol {number}"),
    };
    text.to_owned()
}

struct Hex(Mac);

impl Display for Hex {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0 == BROADCAST {
            return f.write_str("broadcast");
        }
        f.write_str(&mac_text(self.0))
    }
}

struct List<'a, A>(&'a [A]);

impl<A: Copy + Into<IpAddr>> Display for List<'_, A> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (at, item) in self.0.iter().enumerate() {
            let gap = if at > 0 { " " } else { "" };
            write!(f, "{gap}{}", (*item).into())?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Ext, Ip4, Ip6, Link, VlanTag, group, link, options4};
    use proptest::prelude::*;
    use rstest::rstest;
    use std::net::{Ipv4Addr, Ipv6Addr};

    const LINK: Link = Link::new([2, 0, 0, 0, 0, 1], [2, 0, 0, 0, 0, 2]);
    const TAG: Tag = Tag {
        run: 0xabcd,
        pass: 1,
        index: 7,
    };
    const A: Ipv4Addr = Ipv4Addr::new(192, 168, 1, 77);
    const B: Ipv4Addr = Ipv4Addr::new(203, 0, 113, 10);
    const A6: Ipv6Addr = Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 0, 1);
    const B6: Ipv6Addr = Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 2);

    fn v4(packet: &[u8]) -> Vec<u8> {
        LINK.frame(ethertype::IPV4, packet)
    }

    fn v6(packet: &[u8]) -> Vec<u8> {
        LINK.frame(ethertype::IPV6, packet)
    }

    fn ip() -> Ip4 {
        Ip4::new(A, B)
    }

    fn ip6() -> Ip6 {
        Ip6::new(A6, B6)
    }

    fn dhcp_frame() -> Vec<u8> {
        let body = dhcp::Message::from_client(dhcp::message::DISCOVER, LINK.src).to_bytes(&[]);
        v4(&ip().udp(68, 67, &body))
    }

    #[rstest]
    #[case::udp(v4(&ip().udp(40000, 9, &TAG.to_bytes())), "192.168.1.77:40000 > 203.0.113.10:9 udp 16 bytes [tag 0000abcd/1/7]")]
    #[case::tcp(v4(&ip().tcp(40000, 80, flag::SYN, b"abc")), "192.168.1.77:40000 > 203.0.113.10:80 tcp syn 3 bytes")]
    #[case::echo(v4(&ip().echo(b"")), "192.168.1.77 > 203.0.113.10 icmp echo request")]
    #[case::dhcp(
        dhcp_frame(),
        "192.168.1.77:68 > 203.0.113.10:67 dhcp discover for 02:00:00:00:00:01"
    )]
    #[case::dns(v4(&ip().udp(1, 53, &names::question(1, true, "a.test", None))), "192.168.1.77:1 > 203.0.113.10:53 dns a.test")]
    #[case::options(v4(&ip().options(options4::router_alert()).udp(1, 2, b"")), "192.168.1.77:1 > 203.0.113.10:2 udp 0 bytes, options [94, 04, 00, 00]")]
    #[case::fragment(v4(&ip().fragment(2, true).udp(1, 2, b"")), "192.168.1.77 > 203.0.113.10 udp, 8 bytes, fragment at 16+")]
    #[case::igmp(v4(&ip().packet(2, &group::igmp3_report(4, A, b""))), "192.168.1.77 > 203.0.113.10 igmp report 192.168.1.77")]
    #[case::gre(v4(&ip().packet(47, b"")), "192.168.1.77 > 203.0.113.10 gre, 0 bytes")]
    #[case::udp6(v6(&ip6().udp(1, 2, b"x")), "[fe80::1]:1 > [2001:db8::2]:2 udp 1 bytes")]
    #[case::ext(v6(&ip6().ext(Ext::router_alert()).hops(1).echo(b"")), "fe80::1 > 2001:db8::2 icmp6 echo request, hop-by-hop, hop limit 1")]
    #[case::vlan(LINK.stacked(&[VlanTag::new(0x88a8, 9), VlanTag::q(0)], 0x0800, &ip().echo(b"")), "vlan 9 (0x88a8), vlan 0, 192.168.1.77 > 203.0.113.10 icmp echo request")]
    #[case::arp(arp::request((LINK.src, A), B, &[]), "arp who-has 203.0.113.10 tell 192.168.1.77")]
    #[case::rarp(arp::qemu_announce(LINK.src, &[]), "rarp operation 3 from 02:00:00:00:00:01")]
    #[case::pppoe(LINK.frame(0x8863, &link::pppoe_padi(b"")), "02:00:00:00:00:01 > 02:00:00:00:00:02 pppoe discovery, 46 bytes")]
    #[case::snap(LINK.length_frame(&link::snap(0x0800, &ip().echo(b""))), "02:00:00:00:00:01 > 02:00:00:00:00:02 802.3 snap 0x0800, 46 bytes")]
    #[case::unknown(LINK.frame(0x0835, b""), "02:00:00:00:00:01 > 02:00:00:00:00:02 ethertype 0x0835, 46 bytes")]
    #[case::short(vec![1, 2, 3], "3 bytes, less than an Ethernet header")]
    fn lines(#[case] frame: Vec<u8>, #[case] line: &str) {
        assert_eq!(summary(&frame), line);
    }

    proptest! {
        #[test]
        fn cut_and_flipped_frames_never_panic(which in 0..8_usize, at in any::<prop::sample::Index>(), byte: u8, cut in any::<prop::sample::Index>()) {
            let mut frame = match which {
                0 => dhcp_frame(),
                1 => v6(&ip6().ext(Ext::Fragment { offset: 0, more: true }).udp(1, 53, b"abc")),
                2 => arp::request((LINK.src, A), B, &[]),
                3 => v4(&ip().by_way_to(A, options4::loose_route(&[A])).tcp(1, 2, 2, b"")),
                4 => LINK.stacked(&[VlanTag::q(1), VlanTag::q(2)], 0x86dd, &ip6().ext(Ext::Routing { kind: 0, left: 1, next: A6 }).echo(b"")),
                5 => v4(&ip().packet(2, &group::igmp3_report(4, A, b""))),
                6 => v4(&ip().udp(1, 53, &names::question(1, true, "a.test", Some(TAG)))),
                _ => LINK.length_frame(&link::bpdu([2; 6], &TAG.to_bytes())),
            };
            let at = at.index(frame.len());
            frame[at] = byte;
            for end in [cut.index(frame.len() + 1), frame.len()] {
                prop_assert!(!summary(&frame[..end]).contains('\n'));
            }
        }

        #[test]
        fn random_bytes_never_panic(bytes in proptest::collection::vec(any::<u8>(), 0..120)) {
            prop_assert!(!summary(&bytes).is_empty());
        }
    }

    #[test]
    fn a_sum_left_to_offload_is_told_from_a_bad_one() {
        let mut frame = v4(&ip().udp(40000, 9, b"abc"));
        // Pseudo-header of 192.168.1.77 > 203.0.113.10, protocol 17, 11 bytes.
        frame[40..42].copy_from_slice(&0xfe1c_u16.to_be_bytes());
        assert!(summary(&frame).ends_with("udp 3 bytes, checksum left to offload"));
        frame[41] ^= 1;
        assert!(summary(&frame).ends_with("udp 3 bytes, bad checksum"));
    }

    #[test]
    fn every_cut_of_every_builder_is_read() {
        for frame in [
            dhcp_frame(),
            v4(&ip().echo(b"x")),
            v6(&ip6().ext(Ext::router_alert()).udp(1, 2, b"x")),
        ] {
            for end in 0..=frame.len() {
                assert!(!summary(&frame[..end]).is_empty());
            }
        }
    }
}
