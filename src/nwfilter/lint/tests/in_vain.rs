//! What libvirt leaves out, and what matches nothing.

use super::*;

#[rstest]
#[case::mask4("<ip dstipmask='24'/>", "<ip dstipaddr='10.0.0.0' dstipmask='24'/>")]
#[case::source_mask(
    "<ip srcipmask='24' protocol='tcp'/>",
    "<ip srcipmask='24' srcipaddr='10.0.0.0'/>"
)]
#[case::mask6(
    "<ipv6 srcipmask='64'/>",
    "<ipv6 srcipaddr='2001:db8::' srcipmask='64'/>"
)]
#[case::mask_at_layer_3(
    "<all srcipaddr='10.0.0.1' dstipmask='8'/>",
    "<all srcipaddr='10.0.0.0' srcipmask='8'/>"
)]
#[case::mask_of_another_element(
    "<ip match='no' srcipaddr='10.0.0.0'/><ip dstipmask='8'/>",
    "<ip match='no' srcipaddr='10.0.0.0'/><ip srcipmask='8'/>"
)]
#[case::mac_mask(
    "<mac srcmacmask='ff:ff:ff:00:00:00'/>",
    "<mac srcmacaddr='02:00:00:00:00:00' srcmacmask='ff:ff:ff:00:00:00'/>"
)]
#[case::mac_mask_of_ip(
    "<ip dstmacmask='ff:ff:ff:00:00:00'/>",
    "<ip dstmacaddr='02:00:00:00:00:00' dstmacmask='ff:ff:ff:00:00:00'/>"
)]
#[case::arp_mask(
    "<arp arpsrcipmask='24'/>",
    "<arp arpsrcipaddr='10.0.0.0' arpsrcipmask='24'/>"
)]
#[case::rarp_target_mask(
    "<rarp arpsrcipaddr='10.0.0.0' arpdstipmask='24'/>",
    "<rarp arpdstipaddr='10.0.0.0' arpdstipmask='24'/>"
)]
#[case::end_of_ports(
    "<ip protocol='tcp' dstportend='80'/>",
    "<ip protocol='tcp' dstportstart='1' dstportend='80'/>"
)]
#[case::end_of_source_ports("<udp srcportend='80'/>", "<udp srcportstart='1' srcportend='80'/>")]
#[case::end_of_addresses(
    "<all srcipto='10.0.0.9'/>",
    "<all srcipfrom='10.0.0.1' srcipto='10.0.0.9'/>"
)]
#[case::end_of_other_addresses(
    "<all srcipfrom='10.0.0.1' dstipto='10.0.0.9'/>",
    "<all dstipfrom='10.0.0.1' dstipto='10.0.0.9'/>"
)]
#[case::range_beside_an_address(
    "<all srcipaddr='10.0.0.1' srcipfrom='10.0.0.5' srcipto='10.0.0.9'/>",
    "<all srcipaddr='10.0.0.1' dstipfrom='10.0.0.5' dstipto='10.0.0.9'/>"
)]
#[case::flags_without_a_set("<all ipsetflags='src'/>", "<all ipset='x' ipsetflags='src'/>")]
#[case::a_set_without_flags("<all ipset='x'/>", "<all ipset='x' ipsetflags='src'/>")]
fn of_what_libvirt_leaves_out(#[case] bad: &str, #[case] good: &str) {
    assert!(finds("left-out", &[&rule("out", bad)]), "{bad}");
    assert!(!finds("left-out", &[&rule("out", good)]), "{good}");
}

#[rstest]
#[case::all_addresses_negated(
    "<ip match='no' dstipaddr='0.0.0.0' dstipmask='0'/>",
    "<ip match='no' dstipaddr='0.0.0.0' dstipmask='1'/>",
    "no destination address"
)]
#[case::all_of_ipv6_negated(
    "<ipv6 match='no' srcipaddr='::' srcipmask='0'/>",
    "<ipv6 srcipaddr='::' srcipmask='0'/>",
    "no source address"
)]
#[case::all_arp_addresses_negated(
    "<arp match='no' arpsrcipaddr='0.0.0.0' arpsrcipmask='0'/>",
    "<arp match='no' arpsrcipaddr='0.0.0.0'/>",
    "no address of a sender"
)]
#[case::all_ports_negated(
    "<ip protocol='tcp'/><ip match='no' dstportstart='0' dstportend='65535'/>",
    "<ip protocol='tcp'/><ip match='no' dstportstart='1' dstportend='65535'/>",
    "no destination port"
)]
#[case::gratuitous_with_two_addresses(
    "<arp gratuitous='true' arpsrcipaddr='1.2.3.4' arpdstipaddr='1.2.3.5'/>",
    "<arp gratuitous='true' arpsrcipaddr='1.2.3.4' arpdstipaddr='1.2.3.0' arpdstipmask='24'/>",
    "one address twice"
)]
#[case::not_gratuitous_with_one_address(
    "<arp arpsrcipaddr='1.2.3.4' arpdstipaddr='1.2.3.4'/><arp match='no' gratuitous='true'/>",
    "<arp arpsrcipaddr='1.2.3.4'/><arp match='no' gratuitous='true'/>",
    "exclude"
)]
#[case::flags_outside_of_the_mask(
    "<tcp flags='SYN/ACK'/>",
    "<tcp flags='SYN,ACK/ACK'/>",
    "their mask leaves out"
)]
#[case::flags_without_a_mask(
    "<tcp flags='NONE/SYN'/>",
    "<tcp flags='SYN/NONE'/>",
    "their mask leaves out"
)]
#[case::a_group_as_source(
    "<mac srcmacaddr='01:00:5e:00:00:01'/>",
    "<mac dstmacaddr='01:00:5e:00:00:01'/>",
    "MAC of a group"
)]
#[case::broadcast_as_source(
    "<ip srcmacaddr='ff:ff:ff:ff:ff:ff'/>",
    "<ip srcmacaddr='fe:ff:ff:ff:ff:ff'/>",
    "MAC of a group"
)]
#[case::nobody_as_source(
    "<all srcmacaddr='00:00:00:00:00:00'/>",
    "<all srcmacaddr='00:00:00:00:00:01'/>",
    "of nobody"
)]
#[case::a_backward_range(
    "<all srcipfrom='10.0.0.9' srcipto='10.0.0.1'/>",
    "<all srcipfrom='10.0.0.1' srcipto='10.0.0.9'/>",
    "no source address"
)]
#[case::a_backward_range_of_targets(
    "<tcp dstipfrom='10.0.0.9' dstipto='10.0.0.1'/>",
    "<tcp match='no' dstipfrom='10.0.0.9' dstipto='10.0.0.1'/>",
    "no destination address"
)]
#[case::what_a_bridge_keeps(
    "<mac dstmacaddr='01:80:c2:00:00:0e'/>",
    "<mac dstmacaddr='01:80:c2:00:00:00'/>",
    "does not forward"
)]
fn of_rules_that_match_nothing(#[case] bad: &str, #[case] good: &str, #[case] part: &str) {
    let message = |element: &str| {
        let filter = read(&rule("out", element), "test").unwrap();
        let compiled = Compiled::new(std::slice::from_ref(&filter), "x", [2; 6], &[]).unwrap();
        let mut findings = lint(&[filter], "x", &compiled).into_iter();
        let found = findings.find(|finding| finding.lint == "matches-nothing");
        found.map(|finding| finding.message)
    };
    let found = message(bad).expect(bad);
    assert!(found.contains(part), "{found}");
    assert_eq!(message(good), None, "{good}");
}
