//! What changes with the back end. Every case is as `lanfence crosscheck` has found it with
//! libvirt 12.9.0 or as its source has it, which the same runs hold against the kernel.

use crate::frame::{Ip4, Ip6, Link, Mac, VlanTag, ethertype};
use crate::nwfilter::evaluate::{Backend, CompileError, Compiled, Decision, Way};
use crate::nwfilter::read;
use rstest::rstest;
use std::net::{Ipv4Addr, Ipv6Addr};

const GUEST: Mac = [0x52, 0x54, 0, 0, 1, 1];
const ROUTER: Mac = [0x52, 0x54, 0, 0, 0, 1];
const OWN: Ipv4Addr = Ipv4Addr::new(192, 168, 1, 77);
const WAN: Ipv4Addr = Ipv4Addr::new(203, 0, 113, 10);

fn compile(texts: &[impl AsRef<str>], backend: Backend) -> Result<Compiled, CompileError> {
    let read = |text: &str| read(text, "test").unwrap();
    let filters: Vec<_> = texts.iter().map(|text| read(text.as_ref())).collect();
    Compiled::with_backend(&filters, &filters[0].name, GUEST, &[], backend)
}

fn root(rules: &str) -> String {
    format!("<filter name='x'>{rules}</filter>")
}

fn v4(payload: &[u8]) -> Vec<u8> {
    Link::new(GUEST, ROUTER).frame(ethertype::IPV4, payload)
}

fn udp() -> Vec<u8> {
    v4(&Ip4::new(OWN, WAN).udp(4000, 53, b"x"))
}

/// The same with a TOS byte and the header's checksum over it.
fn udp_with_tos(tos: u8) -> Vec<u8> {
    let mut packet = Ip4::new(OWN, WAN).udp(4000, 53, b"x");
    let sum = u16::from_be_bytes([packet[10], packet[11]]);
    // The complement of the sum falls by what the byte grows (RFC 1624).
    let sum = sum - u16::from(tos - packet[1]);
    packet[1] = tos;
    packet[10..12].copy_from_slice(&sum.to_be_bytes());
    v4(&packet)
}

fn tagged() -> Vec<u8> {
    let packet = Ip4::new(OWN, WAN).udp(4000, 53, b"x");
    Link::new(GUEST, ROUTER).stacked(&[VlanTag::q(5)], ethertype::ARP, &packet)
}

/// What QEMU sends when a guest has moved.
fn rarp() -> Vec<u8> {
    let mut message = vec![0, 1, 8, 0, 6, 4, 0, 3];
    for mac in [GUEST, ROUTER] {
        message.extend(mac);
        message.extend([0; 4]);
    }
    Link::new(GUEST, [0xff; 6]).frame(ethertype::RARP, &message)
}

/// UDP behind a hop-by-hop header.
fn udp_behind_hop_by_hop() -> Vec<u8> {
    let own: Ipv6Addr = "fe80::77".parse().unwrap();
    let udp = Ip6::new(own, own).udp(4000, 53, b"x");
    let behind = [&[17, 0, 1, 4, 0, 0, 0, 0], &udp[40..]].concat();
    Link::new(GUEST, ROUTER).frame(ethertype::IPV6, &Ip6::new(own, own).packet(0, &behind))
}

/// A rule of two chains of which the second is the root's.
fn sub_chain() -> [String; 2] {
    [
        "<filter name='x'><filterref filter='s'/><rule action='drop' direction='out'/></filter>",
        "<filter name='s' chain='ipv4'><rule action='drop' direction='out'><arp/></rule></filter>",
    ]
    .map(str::to_owned)
}

#[rstest]
#[case::the_end_of_a_chain(&sub_chain(), &udp(), Way::FromGuest, [true, false])]
#[case::dscp_46(&[root("<rule action='drop' direction='out'><ip dscp='46'/></rule>")], &udp_with_tos(46 << 2), Way::FromGuest, [true, false])]
#[case::tos_46(&[root("<rule action='drop' direction='out'><ip dscp='46'/></rule>")], &udp_with_tos(46), Way::FromGuest, [false, true])]
#[case::encap(&[root("<rule action='drop' direction='out'><vlan encap-protocol='arp'/></rule>")], &tagged(), Way::FromGuest, [true, false])]
#[case::extension_header(&[root("<rule action='drop' direction='out'><ipv6 protocol='udp'/></rule>")], &udp_behind_hop_by_hop(), Way::FromGuest, [false, true])]
#[case::negated_protocol(&[root("<rule action='drop' direction='out'><ip match='no' protocol='tcp'/></rule>")], &udp(), Way::FromGuest, [false, true])]
#[case::mirrored_drop(&[root("<rule action='drop' direction='in'><udp dstipaddr='192.168.1.77'/></rule>")], &udp(), Way::FromGuest, [false, true])]
#[case::mirrored_source(&[root("<rule action='drop' direction='in'><udp srcipaddr='203.0.113.10'/></rule>")], &udp(), Way::FromGuest, [false, true])]
#[case::inout(&[root("<rule action='drop' direction='inout'><udp dstipaddr='203.0.113.10'/></rule>")], &udp(), Way::FromGuest, [true, false])]
#[case::icmp_type_inout(&[root("<rule action='drop' direction='inout'><icmp type='8'/></rule>")], &v4(&Ip4::new(OWN, WAN).echo(b"")), Way::FromGuest, [true, false])]
#[case::mac_beside_its_mask(&[root("<rule action='drop' direction='out'><mac dstmacaddr='52:54:00:00:00:02' dstmacmask='ff:ff:ff:00:00:00'/></rule>")], &udp(), Way::FromGuest, [false, true])]
#[case::rarp_sender(&[root("<rule action='drop' direction='inout'><rarp arpsrcmacaddr='52:54:00:00:01:01'/></rule>")], &rarp(), Way::FromGuest, [true, false])]
#[case::rarp_frame(&[root("<rule action='drop' direction='inout'><rarp dstmacaddr='52:54:00:00:01:01'/></rule>")], &rarp(), Way::FromGuest, [false, false])]
#[case::inout_accept_before_a_drop(&[root("<rule action='accept' direction='inout' priority='1'><udp/></rule><rule action='drop' direction='inout' priority='2'><all/></rule>")], &udp(), Way::FromGuest, [true, true])]
#[case::layer_3_continue(&[root("<rule action='continue' direction='out' priority='1'><ip/></rule><rule action='drop' direction='out' priority='2'><udp/></rule>")], &udp(), Way::FromGuest, [false, false])]
fn verdicts(
    #[case] texts: &[String],
    #[case] frame: &[u8],
    #[case] way: Way,
    #[case] passes: [bool; 2],
) {
    let found = [Backend::Ebtables, Backend::Nftables].map(|backend| {
        let filter = compile(texts, backend).unwrap();
        match filter.decide(frame, way) {
            Decision::Accept => true,
            Decision::Drop => false,
            Decision::Undecided(why) => panic!("undecided: {why}"),
        }
    });
    assert_eq!(found, passes);
}

#[rstest]
#[case::negated_address("<rule action='drop' direction='out'><udp match='no' dstipaddr='1.2.3.4'/></rule>", [true, false])]
#[case::backward_range("<rule action='drop' direction='out'><udp srcipfrom='10.0.0.9' srcipto='10.0.0.1'/></rule>", [true, false])]
#[case::dscp_of_ipv6("<rule action='drop' direction='out'><udp-ipv6 dscp='46'/></rule>", [true, false])]
#[case::dscp_behind_an_address("<rule action='drop' direction='out'><udp-ipv6 srcipaddr='fe80::1' dscp='46'/></rule>", [true, true])]
#[case::vlan_4095("<rule action='drop' direction='out'><vlan vlanid='4095'/></rule>", [false, true])]
#[case::rarp_mask("<rule action='drop' direction='out'><rarp arpsrcipaddr='192.168.1.0' arpsrcipmask='24'/></rule>", [true, false])]
#[case::rarp_gratuitous("<rule action='drop' direction='out'><rarp gratuitous='true'/></rule>", [true, false])]
#[case::two_flags("<rule action='drop' direction='out'><tcp flags='SYN,ACK/SYN'/></rule>", [true, false])]
#[case::one_flag("<rule action='drop' direction='out'><tcp flags='SYN/SYN'/></rule>", [true, true])]
#[case::ports_of_a_negated_protocol("<rule action='drop' direction='out'><ip match='no' protocol='tcp' dstportstart='80'/></rule>", [false, true])]
#[case::negated_dscp("<rule action='drop' direction='out'><udp match='no' dscp='46'/></rule>", [true, false])]
#[case::tcp_option("<rule action='drop' direction='out'><tcp option='7'/></rule>", [true, false])]
fn bindings(#[case] rules: &str, #[case] bound: [bool; 2]) {
    let text = root(rules);
    let found =
        [Backend::Ebtables, Backend::Nftables].map(|backend| compile(&[&text], backend).is_ok());
    assert_eq!(found, bound);
}

#[test]
fn rules_below_their_chains_priority_keep_the_order_in_which_they_are_written() {
    let top = "<filter name='x'><filterref filter='s'/></filter>";
    let sub = "<filter name='s' chain='ipv4' priority='100'>\
        <rule action='drop' direction='out' priority='2'/>\
        <rule action='accept' direction='out' priority='1'/></filter>";
    let passes = |backend| {
        let filter = compile(&[top, sub], backend).unwrap();
        filter.decide(&udp(), Way::FromGuest) == Decision::Accept
    };
    assert!(passes(Backend::Ebtables), "sorted, then raised");
    assert!(!passes(Backend::Nftables), "raised, then sorted");
}

#[test]
fn layer_3_needs_no_br_netfilter() {
    let text = root("<rule action='drop' direction='out'><udp/></rule>");
    for (backend, passes) in [(Backend::Ebtables, true), (Backend::Nftables, false)] {
        let filter = compile(&[&text], backend).unwrap().without_bridge_nf();
        let decision = filter.decide(&udp(), Way::FromGuest);
        assert_eq!(decision == Decision::Accept, passes, "{backend}");
    }
}

/// libvirt writes an address of IPv6 that a variable holds as one of IPv4 for nft, which then
/// refuses the rule; and a mask of IPv4 goes through as it stands.
#[rstest]
#[case::address("<udp-ipv6 dstipaddr='$A'/>", "2001:db8::1", [true, false])]
#[case::first_of_a_range("<all-ipv6 srcipfrom='$A'/>", "2001:db8::1", [true, false])]
#[case::ipv4("<udp dstipaddr='$A'/>", "192.0.2.1", [true, true])]
#[case::layer_2("<ipv6 dstipaddr='$A'/>", "2001:db8::1", [true, true])]
#[case::long_mask("<udp dstipaddr='192.0.2.0' dstipmask='$A'/>", "255.255.255.0", [true, false])]
#[case::length("<udp dstipaddr='192.0.2.0' dstipmask='$A'/>", "24", [true, true])]
fn values_of_variables(#[case] element: &str, #[case] value: &str, #[case] bound: [bool; 2]) {
    let text = root(&format!(
        "<rule action='drop' direction='out'>{element}</rule>"
    ));
    let filters = [read(&text, "test").unwrap()];
    let parameters = [("A".to_owned(), value.to_owned())];
    let found = [Backend::Ebtables, Backend::Nftables]
        .map(|backend| Compiled::with_backend(&filters, "x", GUEST, &parameters, backend).is_ok());
    assert_eq!(found, bound);
}

/// Chains of equal priority come in random order with ebtables, and with nftables in the
/// order of their first rules.
#[rstest]
#[case::dropped_first(1, 2, Decision::Drop)]
#[case::accepted_first(2, 1, Decision::Accept)]
fn equal_priorities_of_chains(#[case] drop: i16, #[case] accept: i16, #[case] expected: Decision) {
    let top = "<filter name='x'><filterref filter='a'/><filterref filter='b'/></filter>";
    let chain = |name: &str, action: &str, priority: i16| {
        format!(
            "<filter name='{name}' chain='ipv4-{name}' priority='100'>\
             <rule action='{action}' direction='out' priority='{}'/></filter>",
            priority + 100
        )
    };
    let texts = [
        top.to_owned(),
        chain("a", "drop", drop),
        chain("b", "accept", accept),
    ];
    let decide = |backend| {
        let filter = compile(&texts, backend).unwrap();
        filter.decide(&udp(), Way::FromGuest)
    };
    assert!(matches!(decide(Backend::Ebtables), Decision::Undecided(_)));
    assert_eq!(decide(Backend::Nftables), expected);
}

/// The kernel's nftables read a part of a packet that is not its first as if it began with
/// the header, at layer 2 too.
#[rstest]
#[case::layer_2("<ip protocol='udp' dstportstart='53'/>", [true, false])]
#[case::layer_3("<udp dstportstart='53'/>", [false, false])]
fn ports_of_later_fragments(#[case] element: &str, #[case] passes: [bool; 2]) {
    let text = root(&format!(
        "<rule action='drop' direction='out'>{element}</rule>"
    ));
    let mut packet = Ip4::new(OWN, WAN).udp(4000, 53, b"x");
    packet[7] = 4;
    let sum = u16::from_be_bytes([packet[10], packet[11]]) - 4;
    packet[10..12].copy_from_slice(&sum.to_be_bytes());
    let found = [Backend::Ebtables, Backend::Nftables].map(|backend| {
        let filter = compile(&[&text], backend).unwrap();
        filter.decide(&v4(&packet), Way::FromGuest) == Decision::Accept
    });
    assert_eq!(found, passes);
}

/// Connection tracking for bridges comes before libvirt's rules and waits for the other parts,
/// also behind a tag.
#[rstest]
#[case::plain(false)]
#[case::tagged(true)]
fn fragments_are_left_open_where_connections_are_tracked(#[case] tagged: bool) {
    let text = root(
        "<rule action='drop' direction='out'/><rule action='accept' direction='in'><udp/></rule>",
    );
    let mut packet = Ip4::new(OWN, WAN).udp(4000, 53, b"x");
    packet[6] = 0x20;
    let link = Link::new(GUEST, ROUTER);
    let frame = if tagged {
        link.stacked(&[VlanTag::q(5)], ethertype::IPV4, &packet)
    } else {
        link.frame(ethertype::IPV4, &packet)
    };
    let filter = compile(&[&text], Backend::Nftables).unwrap();
    let decision = filter.without_bridge_nf().decide(&frame, Way::FromGuest);
    assert!(matches!(decision, Decision::Undecided(_)), "{decision:?}");
}
