//! What changes with the back end, as libvirt's source has it.

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
