use super::*;
use crate::frame::{Ip4, Link, ethertype};
use crate::nwfilter::evaluate::{Decision, Way};
use crate::nwfilter::read;
use rstest::rstest;

const GUEST: Mac = [0x52, 0x54, 0, 0, 1, 1];
const OWN: Ipv4Addr = Ipv4Addr::new(192, 168, 1, 11);
const WAN: Ipv4Addr = Ipv4Addr::new(203, 0, 113, 10);
const PINNED: &str = "<filter name='x'><rule action='return' direction='out'><ip srcipaddr='$IP'/></rule><rule action='drop' direction='out'/></filter>";
const PLAIN: &str = "<filter name='x'><rule action='drop' direction='out'/></filter>";
const SECOND: &str = "<filter name='x'><rule action='drop' direction='out'><ip srcipaddr='$IP' dstipaddr='$A'/></rule></filter>";

fn bind(xml: &str, parameters: &[(&str, &str)]) -> Result<Bound, TreeError> {
    let tree = FilterTree::generated(read(xml, "test").unwrap());
    tree.bind(GUEST, OWN, &owned(parameters), Backend::Ebtables)
}

fn owned(parameters: &[(&str, &str)]) -> Vec<(String, String)> {
    let pairs = parameters.iter();
    pairs
        .map(|(name, value)| ((*name).into(), (*value).into()))
        .collect()
}

#[rstest]
#[case::by_default(PINNED, &[], AddressSource::Learnt(Learning::Any))]
#[case::any(PINNED, &[("CTRL_IP_LEARNING", "ANY")], AddressSource::Learnt(Learning::Any))]
#[case::dhcp(PINNED, &[("CTRL_IP_LEARNING", "dhcp")], AddressSource::Learnt(Learning::Dhcp))]
#[case::given(PINNED, &[("IP", "10.0.0.9"), ("CTRL_IP_LEARNING", "dhcp")], AddressSource::Given)]
#[case::given_none(PINNED, &[("IP", "10.0.0.9"), ("CTRL_IP_LEARNING", "none")], AddressSource::Given)]
#[case::not_asked(PLAIN, &[("CTRL_IP_LEARNING", "none")], AddressSource::NotAsked)]
fn where_the_address_comes_from(
    #[case] xml: &str,
    #[case] parameters: &[(&str, &str)],
    #[case] expected: AddressSource,
) {
    let bound = bind(xml, parameters).unwrap();
    assert_eq!(bound.address, expected);
    let learns = matches!(expected, AddressSource::Learnt(_));
    assert_eq!(bound.while_learning.is_some(), learns);
}

#[rstest]
#[case::none(PINNED, &[("CTRL_IP_LEARNING", "none")], "rule 1 of x uses $IP, which nothing gives, and CTRL_IP_LEARNING=none")]
#[case::unknown(PINNED, &[("CTRL_IP_LEARNING", "maybe")], "rule 1 of x uses $IP, which nothing gives, and CTRL_IP_LEARNING=maybe")]
#[case::two_without_a_value(SECOND, &[], "rule 1 of x uses $A, which nothing sets")]
fn what_libvirt_refuses(
    #[case] xml: &str,
    #[case] parameters: &[(&str, &str)],
    #[case] expected: &str,
) {
    let message = bind(xml, parameters).unwrap_err().to_string();
    assert!(message.starts_with(expected), "{message}");
}

#[rstest]
#[case::any_lets_ipv4_out(Learning::Any, &[], Way::FromGuest, udp(40_000, 53), Decision::Accept)]
#[case::any_lets_everything_in(Learning::Any, &[], Way::ToGuest, udp(40_000, 53), Decision::Accept)]
#[case::dhcp_lets_nothing_out(Learning::Dhcp, &[], Way::FromGuest, udp(40_000, 53), Decision::Drop)]
#[case::dhcp_lets_questions_out(Learning::Dhcp, &[], Way::FromGuest, udp(68, 67), Decision::Accept)]
#[case::dhcp_lets_answers_in(Learning::Dhcp, &[], Way::ToGuest, answer(), Decision::Accept)]
#[case::dhcp_of_another_server(Learning::Dhcp, &[("DHCPSERVER", "10.9.9.9")], Way::ToGuest, answer(), Decision::Drop)]
fn while_libvirt_learns(
    #[case] learning: Learning,
    #[case] parameters: &[(&str, &str)],
    #[case] way: Way,
    #[case] frame: Vec<u8>,
    #[case] expected: Decision,
) {
    let filter = learning.filter(&owned(parameters));
    let compiled = Compiled::new(&[filter], "libvirt-learns", GUEST, &[]).unwrap();
    assert_eq!(compiled.evaluate(&frame, way).decision, expected);
}

fn udp(from: u16, to: u16) -> Vec<u8> {
    let packet = Ip4::new(OWN, WAN).udp(from, to, b"x");
    Link::new(GUEST, [2, 0, 0, 0, 0, 1]).frame(ethertype::IPV4, &packet)
}

fn answer() -> Vec<u8> {
    let packet = Ip4::new(Ipv4Addr::new(192, 168, 1, 1), OWN).udp(67, 68, b"x");
    Link::new([2, 0, 0, 0, 0, 1], GUEST).frame(ethertype::IPV4, &packet)
}

/// The interface's parameters win over those of references, as libvirt has it.
#[rstest]
#[case::by_nobody("<filterref filter='y'/>", &[], None)]
#[case::by_a_reference("<filterref filter='y'><parameter name='IP' value='192.168.1.77'/></filterref>", &[], Some("192.168.1.77"))]
#[case::by_both("<filterref filter='y'><parameter name='IP' value='192.168.1.77'/></filterref>", &["192.168.1.5"], Some("192.168.1.5"))]
#[case::by_the_interface("<filterref filter='y'/>", &["192.168.1.5", "192.168.1.6"], Some("192.168.1.5"))]
#[case::of_another_variable("<filterref filter='y'><parameter name='GATEWAY' value='192.168.1.1'/></filterref>", &[], None)]
fn the_address_is_given(
    #[case] reference: &str,
    #[case] given: &[&str],
    #[case] expected: Option<&str>,
) {
    let text = format!("<filter name='x'>{reference}</filter>");
    let tree = FilterTree::generated(crate::nwfilter::read(&text, "test").unwrap());
    let given: Vec<(String, String)> = given
        .iter()
        .map(|ip| ("IP".to_owned(), (*ip).to_owned()))
        .collect();
    let expected = expected.map(|ip| ip.parse().unwrap());
    assert_eq!(tree.given_address(&given), expected);
}
