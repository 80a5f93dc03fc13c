use super::*;
use crate::frame::{BROADCAST, Ip4, Ip6, Link, VlanTag, link};
use proptest::prelude::*;
use rstest::rstest;

const ME: Ipv4Addr = Ipv4Addr::new(192, 168, 1, 77);
const ROUTER: Ipv4Addr = Ipv4Addr::new(192, 168, 1, 1);
const LINK: Link = Link::new([2, 0, 0, 0, 0, 1], BROADCAST);
const ME6: &str = "fe80::1";

fn v4(from: Ipv4Addr, to: [u8; 4], port: u16) -> Vec<u8> {
    LINK.frame(
        ethertype::IPV4,
        &Ip4::new(from, to.into()).udp(40000, port, b"x"),
    )
}

fn v6(from: &str, to: &str, port: u16) -> Vec<u8> {
    let ip = Ip6::new(from.parse().unwrap(), to.parse().unwrap());
    LINK.frame(ethertype::IPV6, &ip.udp(40000, port, b"x"))
}

fn solicitation(from: &str) -> Vec<u8> {
    let ip = Ip6::new(from.parse().unwrap(), "ff02::2".parse().unwrap());
    LINK.frame(ethertype::IPV6, &ip.icmp(133, 0, &[0; 4]))
}

fn lease(kind: u8, to: [u8; 4]) -> Vec<u8> {
    let body = dhcp::Message::from_client(dhcp::MessageType(kind), LINK.src).to_bytes(&[]);
    let packet = Ip4::new(Ipv4Addr::UNSPECIFIED, to.into()).udp(68, 67, &body);
    LINK.frame(ethertype::IPV4, &packet)
}

fn arps(sender: Ipv4Addr, target: [u8; 4]) -> Vec<u8> {
    arp::request((LINK.src, sender), target.into(), &[])
}

fn told(frame: &[u8]) -> String {
    let policy = Policy::example();
    let judge = Judge {
        policy: &policy,
        lan4: "192.168.1.0/24".parse().unwrap(),
        gateway: ROUTER,
    };
    match judge.kind(frame) {
        Some((kind, expect)) => format!("{} {expect:?}", kind.id()),
        None => "none".into(),
    }
}

#[rstest]
#[case::discover(lease(1, [255; 4]), "dhcp/discover Pass")]
#[case::inform(lease(8, [255; 4]), "dhcp/message-8 Pass")]
#[case::lease_from_the_wan(lease(3, [203, 0, 113, 10]), "wan-ipv4/udp Drop")]
#[case::netbios(v4(ME, [192, 168, 1, 255], 137), "broadcast/udp-137 Pass")]
#[case::limited(v4(ME, [255; 4], 137), "broadcast/limited-udp-137 Pass")]
#[case::no_address_yet(v4(Ipv4Addr::UNSPECIFIED, [255; 4], 137), "none")]
#[case::llmnr(v4(ME, [224, 0, 0, 252], 5355), "multicast/224.0.0.252-udp-5355 Pass")]
#[case::dns(v4(ME, [192, 168, 1, 1], 53), "lan-unicast/udp-53 Pass")]
#[case::ntp(v4(ME, [203, 0, 113, 10], 123), "wan-ipv4/udp Drop")]
#[case::spoofed_to_the_wan(v4([10, 9, 9, 9].into(), [203, 0, 113, 10], 123), "wan-ipv4/udp Drop")]
#[case::spoofed_to_the_lan(v4([10, 9, 9, 9].into(), [192, 168, 1, 10], 123), "none")]
#[case::broadcast_of_another_lan(v4(ME, [192, 168, 2, 255], 137), "wan-ipv4/udp Drop")]
#[case::asks(arps(ME, [192, 168, 1, 1]), "arp/request Pass")]
#[case::announces(arps(ME, [192, 168, 1, 77]), "arp/announce Pass")]
#[case::is_it_free(arps(Ipv4Addr::UNSPECIFIED, [192, 168, 1, 77]), "arp/probe Pass")]
#[case::claims_the_router(arps(ROUTER, [192, 168, 1, 10]), "rogue/arp-router Drop")]
#[case::asks_beyond(arps(ME, [203, 0, 113, 10]), "none")]
#[case::router_solicitation(solicitation(ME6), "ipv6-control/icmp6-133 Pass")]
#[case::before_any_address(solicitation("::"), "ipv6-control/icmp6-133 Pass")]
#[case::dhcp6(v6(ME6, "ff02::1:2", 547), "multicast/ff02::1:2-udp-547 Pass")]
#[case::beyond_the_link(v6(ME6, "ff05::2", 547), "multicast/ff05::2-udp-547-unwanted Drop")]
#[case::lan6(v6(ME6, "fe80::2", 53), "lan-unicast/ip6-udp-53 Pass")]
#[case::wan6(v6("2001:db8:1::7", "2001:db8:ffff::10", 53), "wan-ipv6/udp Drop")]
#[case::vlan(LINK.stacked(&[VlanTag::q(7)], ethertype::IPV4, &[0; 40]), "encapsulation/vlan Drop")]
#[case::netbeui(LINK.length_frame(&link::llc(0xf0, &[0; 40])), "encapsulation/llc Drop")]
#[case::lltd(LINK.frame(0x88d9, &[0; 46]), "encapsulation/88d9 Drop")]
#[case::eapol(to_bridges(0x03, 0x888e), "none")]
#[case::lldp(to_bridges(0x0e, 0x88cc), "none")]
#[case::spanning_tree(to_bridges(0x00, 0x0026), "encapsulation/llc Drop")]
#[case::behind_the_reserved(to_bridges(0x10, 0x88cc), "encapsulation/88cc Drop")]
#[case::cut_ip(LINK.frame(ethertype::IPV4, &[0; 4]), "none")]
fn kinds(#[case] frame: Vec<u8>, #[case] expected: &str) {
    assert_eq!(told(&frame), expected);
}

/// A frame to the group address of bridges that ends like this.
fn to_bridges(last: u8, kind: u16) -> Vec<u8> {
    Link::new([2; 6], [0x01, 0x80, 0xc2, 0, 0, last]).frame(kind, &[0; 46])
}

proptest! {
    #[test]
    fn any_bytes_have_a_kind_or_none(frame in proptest::collection::vec(any::<u8>(), 0..120)) {
        let _ = told(&frame);
    }

    /// Whatever is sent to an address that is neither on the LAN nor a group must be stopped.
    #[test]
    fn what_goes_to_the_wan_is_never_overlooked(from: u32, to: u32, port: u16) {
        let to = Ipv4Addr::from(to);
        prop_assume!(!Policy::example().may_send_to(to));
        let told = told(&v4(from.into(), to.octets(), port));
        prop_assert!(told.ends_with("Drop"), "{}", told);
    }
}
