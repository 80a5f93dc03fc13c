use super::*;
use crate::frame::{Ip4, Ip6, Link, Mac, VlanTag, arp, ethertype};
use crate::nwfilter::{Filter, RuleId, generate, read};
use crate::policy::Policy;
use proptest::prelude::*;
use rstest::rstest;
use std::net::{Ipv4Addr, Ipv6Addr};

mod backends;
mod crosschecked;

const GUEST: Mac = [0x52, 0x54, 0, 0, 1, 1];
const ROUTER: Mac = [0x52, 0x54, 0, 0, 0, 1];
const OWN: Ipv4Addr = Ipv4Addr::new(192, 168, 1, 77);
const LAN: Ipv4Addr = Ipv4Addr::new(192, 168, 1, 10);
const WAN: Ipv4Addr = Ipv4Addr::new(203, 0, 113, 10);
const OWN6: Ipv6Addr = Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 0, 0x77);
const WAN6: Ipv6Addr = Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 1);

fn filters(texts: &[&str]) -> Vec<Filter> {
    texts
        .iter()
        .map(|text| read(text, "test").unwrap())
        .collect()
}

/// Compiles filters of which the first is bound.
fn compile_with(texts: &[&str], parameters: &[(&str, &str)]) -> Result<Compiled, CompileError> {
    let filters = filters(texts);
    let owned = |(name, value): &(&str, &str)| ((*name).to_owned(), (*value).to_owned());
    let parameters: Vec<_> = parameters.iter().map(owned).collect();
    Compiled::new(&filters, &filters[0].name, GUEST, &parameters)
}

fn compile(texts: &[&str]) -> Compiled {
    compile_with(texts, &[]).unwrap()
}

/// A filter of the root chain with these rules.
fn root(rules: &str) -> String {
    format!("<filter name='x'>{rules}</filter>")
}

fn udp(from: Ipv4Addr, to: Ipv4Addr, port: u16) -> Vec<u8> {
    Link::new(GUEST, ROUTER).frame(ethertype::IPV4, &Ip4::new(from, to).udp(4000, port, b"x"))
}

fn udp6(to: Ipv6Addr, port: u16) -> Vec<u8> {
    Link::new(GUEST, ROUTER).frame(ethertype::IPV6, &Ip6::new(OWN6, to).udp(4000, port, b"x"))
}

fn passes(filter: &Compiled, frame: &[u8], way: Way) -> bool {
    match filter.decide(frame, way) {
        Decision::Accept => true,
        Decision::Drop => false,
        Decision::Undecided(why) => panic!("undecided: {why}"),
    }
}

fn out(filter: &Compiled, frame: &[u8]) -> bool {
    passes(filter, frame, Way::FromGuest)
}

const ARTICLE: &str = include_str!("../../../examples/no-out-traffic.xml");

#[rstest]
#[case::lan(udp(OWN, LAN, 53), true)]
#[case::wan(udp(OWN, WAN, 53), false)]
#[case::class_e(udp(OWN, Ipv4Addr::new(255, 255, 255, 7), 53), true)]
#[case::group_224(udp(OWN, Ipv4Addr::new(224, 0, 0, 251), 53), true)]
#[case::group_225(udp(OWN, Ipv4Addr::new(225, 0, 0, 1), 53), false)]
#[case::ipv6(udp6(WAN6, 53), true)]
#[case::spoofed_source(udp(WAN, LAN, 53), true)]
#[case::vlan(Link::new(GUEST, ROUTER).stacked(&[VlanTag::q(0)], ethertype::IPV4, &Ip4::new(OWN, WAN).echo(b"")), true)]
fn the_articles_filter(#[case] frame: Vec<u8>, #[case] passes_out: bool) {
    let filter = compile(&[ARTICLE]);
    assert_eq!(out(&filter, &frame), passes_out);
    assert!(
        passes(&filter, &frame, Way::ToGuest),
        "nothing is filtered towards the guest"
    );
}

#[test]
fn the_trace_names_the_rules() {
    let outcome = compile(&[ARTICLE]).evaluate(&udp(OWN, WAN, 53), Way::FromGuest);
    let origin = RuleId {
        filter: "no-out-traffic".into(),
        rule: 1,
    };
    let expected = [
        TraceStep::Entered("ipv4".into()),
        TraceStep::Matched(origin, crate::nwfilter::Action::Drop),
    ];
    assert_eq!(outcome.trace, expected);
}

#[test]
fn a_sub_chain_that_runs_off_its_end_accepts() {
    let top = "<filter name='x'><filterref filter='s'/><rule action='drop' direction='out' priority='500'/></filter>";
    let sub = "<filter name='s' chain='ipv4'><rule action='drop' direction='out'><ip dstipaddr='1.1.1.1'/></rule></filter>";
    let filter = compile(&[top, sub]);
    assert!(out(&filter, &udp(OWN, WAN, 53)));
    assert!(!out(&filter, &udp6(WAN6, 53)), "the root's drop");
    let sub = sub.replace(
        "</filter>",
        "<rule action='return' direction='out' priority='900'/></filter>",
    );
    assert!(
        !out(&compile(&[top, &sub]), &udp(OWN, WAN, 53)),
        "a return goes back to the root"
    );
}

#[test]
fn jumps_come_before_rules_of_the_same_priority() {
    let sub = "<filter name='s' chain='ipv4' priority='100'><rule action='drop' direction='out'/></filter>";
    let top = |priority: i16| {
        format!(
            "<filter name='x'><rule action='accept' direction='out' priority='{priority}'/><filterref filter='s'/></filter>"
        )
    };
    for (priority, accepted) in [(99, true), (100, false), (101, false)] {
        let filter = compile(&[&top(priority), sub]);
        assert_eq!(out(&filter, &udp(OWN, WAN, 53)), accepted, "{priority}");
    }
}

#[test]
fn equal_rules_keep_their_order_and_none_means_500() {
    let rule = |action: &str, priority: &str| {
        format!("<rule action='{action}' direction='out' {priority}/>")
    };
    let first = root(&(rule("accept", "priority='500'") + &rule("drop", "")));
    assert!(out(&compile(&[&first]), &udp(OWN, WAN, 1)));
    let second = root(&(rule("accept", "") + &rule("drop", "priority='499'")));
    assert!(!out(&compile(&[&second]), &udp(OWN, WAN, 1)));
}

#[test]
fn inout_is_written_from_the_viewpoint_of_frames_to_the_guest() {
    let filter = compile(&[&root(
        "<rule action='drop' direction='inout'><ip srcipaddr='203.0.113.10'/></rule>",
    )]);
    assert!(
        !out(&filter, &udp(OWN, WAN, 1)),
        "destination from the guest"
    );
    assert!(out(&filter, &udp(WAN, LAN, 1)));
    assert!(
        !passes(&filter, &udp(WAN, OWN, 1), Way::ToGuest),
        "source towards it"
    );
    assert!(passes(&filter, &udp(OWN, WAN, 1), Way::ToGuest));
}

#[test]
fn chains_of_equal_priority_give_no_answer_where_their_order_matters() {
    let top = "<filter name='x'><filterref filter='a'/><filterref filter='b'/></filter>";
    let a = "<filter name='a' chain='ipv4-a' priority='-700'><rule action='accept' direction='out'/></filter>";
    let b = "<filter name='b' chain='ipv4-b' priority='-700'><rule action='drop' direction='out'/></filter>";
    let filter = compile(&[top, a, b]);
    assert!(matches!(
        filter.decide(&udp(OWN, WAN, 1), Way::FromGuest),
        Decision::Undecided(_)
    ));
    assert!(out(&filter, &udp6(WAN6, 1)), "enters neither");
}

#[test]
fn variables_take_the_outermost_value_and_multiply() {
    let top = "<filter name='x'><filterref filter='s'><parameter name='TO' value='192.168.1.10'/></filterref><rule action='drop' direction='out' priority='900'/></filter>";
    let sub = "<filter name='s' chain='root'><rule action='accept' direction='out'><ip dstipaddr='$TO'/></rule></filter>";
    assert!(out(&compile(&[top, sub]), &udp(OWN, LAN, 1)));
    let outer = compile_with(
        &[top, sub],
        &[("TO", "203.0.113.10"), ("TO", "203.0.113.11")],
    )
    .unwrap();
    assert!(out(&outer, &udp(OWN, WAN, 1)) && !out(&outer, &udp(OWN, LAN, 1)));
    assert_eq!(outer.chains().rules, 3);
}

#[rstest]
#[case::parallel("$A", "$B", 2)]
#[case::product("$A", "$B[@1]", 4)]
#[case::with_itself("$A[@1]", "$A[@2]", 4)]
#[case::element("$A[1]", "$B", 2)]
#[case::same_twice("$A", "$A", 2)]
fn iterators(#[case] from: &str, #[case] to: &str, #[case] rules: usize) {
    let filter = root(&format!(
        "<rule action='drop' direction='out'><ip srcipaddr='{from}' dstipaddr='{to}'/></rule>"
    ));
    let lists = [
        ("A", "1.0.0.1"),
        ("A", "1.0.0.2"),
        ("B", "2.0.0.1"),
        ("B", "2.0.0.2"),
    ];
    assert_eq!(
        compile_with(&[&filter], &lists).unwrap().chains().rules,
        rules
    );
}

#[test]
fn what_libvirt_refuses_is_refused() {
    let rule = |element: &str| format!("<rule action='drop' direction='out'>{element}</rule>");
    let refusals = [
        ("unset", rule("<ip dstipaddr='$NONE'/>")),
        ("lengths", rule("<ip srcipaddr='$A' dstipaddr='$B'/>")),
        ("element", rule("<ip srcipaddr='$A[2]'/>")),
        ("value", rule("<ip srcipaddr='$W'/>")),
        ("ports", rule("<ip dstportstart='80'/>")),
        ("port ends", rule("<ip dstportend='80'/>")),
        (
            "b14",
            rule("<ip match='no' protocol='udp' dstportstart='53'/>"),
        ),
        (
            "b20",
            rule("<mac dstmacaddr='01:00:00:00:00:00' dstmacmask='$M'/>"),
        ),
        ("missing", "<filterref filter='y'/>".to_owned()),
        ("circle", "<filterref filter='x'/>".to_owned()),
        (
            "product",
            rule("<ip srcipaddr='$L[@1]' dstipaddr='$L[@2]'/>"),
        ),
    ];
    let long: Vec<String> = (0..200).map(|host| format!("10.0.0.{host}")).collect();
    let mut lists = vec![
        ("A", "1.0.0.1"),
        ("A", "1.0.0.2"),
        ("B", "2.0.0.1"),
        ("W", "word"),
        ("M", "01:00:00:00:00:00"),
    ];
    lists.extend(long.iter().map(|host| ("L", host.as_str())));
    let messages = refusals.map(|(name, text)| {
        let error = compile_with(&[&root(&text)], &lists).expect_err(name);
        format!("{name}: {error}")
    });
    insta::assert_snapshot!(messages.join("\n"));
}

#[test]
fn arp_targets_inherit_the_senders_mask() {
    let filter = root(
        "<rule action='drop' direction='out'><arp arpsrcipaddr='192.168.1.0' arpsrcipmask='24' arpdstipaddr='203.0.113.0'/></rule>",
    );
    let request = |to| arp::request((GUEST, OWN), to, &[]);
    let filter = compile(&[&filter]);
    assert!(
        !out(&filter, &request(WAN)),
        "203.0.113.0/24 by inheritance"
    );
    assert!(out(&filter, &request(LAN)));
}

#[rstest]
#[case::to_the_lan(udp(OWN, LAN, 53), true)]
#[case::to_the_wan(udp(OWN, WAN, 53), false)]
#[case::tagged(Link::new(GUEST, ROUTER).stacked(&[VlanTag::q(5)], ethertype::IPV4, &Ip4::new(OWN, WAN).udp(1, 2, b"")), true)]
#[case::ipv6(udp6(WAN6, 53), true)]
fn layer_3_sees_untagged_ip_of_its_version(#[case] frame: Vec<u8>, #[case] accepted: bool) {
    let filter = root(
        "<rule action='accept' direction='out' priority='1'><udp dstipaddr='192.168.1.0' dstipmask='24'/></rule>\
         <rule action='drop' direction='inout' priority='2'><all/></rule>",
    );
    let filter = compile(&[&filter]);
    assert_eq!(out(&filter, &frame), accepted);
    assert!(
        out(&filter.without_bridge_nf(), &frame),
        "without the sysctl they do nothing"
    );
}

#[test]
fn layer_3_replies_are_no_first_packets() {
    let filter = root(
        "<rule action='accept' direction='in' priority='1'><tcp dstportstart='22'/></rule>\
         <rule action='drop' direction='inout' priority='2'><all/></rule>",
    );
    let filter = compile(&[&filter]);
    let tcp = |from: (Ipv4Addr, u16), to: (Ipv4Addr, u16), flags| {
        Link::new(GUEST, ROUTER).frame(
            ethertype::IPV4,
            &Ip4::new(from.0, to.0).tcp(from.1, to.1, flags, b""),
        )
    };
    assert!(passes(
        &filter,
        &tcp((LAN, 4000), (OWN, 22), 2),
        Way::ToGuest
    ));
    assert!(
        !out(&filter, &tcp((OWN, 22), (LAN, 4000), 2)),
        "a SYN from port 22 is no reply"
    );
    let answer = filter.decide(&tcp((OWN, 22), (LAN, 4000), 0x12), Way::FromGuest);
    assert!(matches!(answer, Decision::Undecided(_)), "{answer:?}");
}

#[rstest]
#[case::b1("<udp match='no' dstportstart='53'/>", 53, false)]
#[case::b1_other_port("<udp match='no' dstportstart='53'/>", 54, true)]
#[case::b3("<udp ipset='x' ipsetflags='dst'/>", 54, false)]
#[case::b3_without_flags("<all ipset='x'/>", 54, false)]
fn known_bugs_are_reproduced(#[case] element: &str, #[case] port: u16, #[case] accepted: bool) {
    let filter = root(&format!(
        "<rule action='drop' direction='out'>{element}</rule>"
    ));
    assert_eq!(out(&compile(&[&filter]), &udp(OWN, WAN, port)), accepted);
}

#[test]
fn an_icmp_type_in_both_directions_makes_no_rule() {
    let filter = compile(&[&root(
        "<rule action='drop' direction='inout'><icmp type='8'/></rule>",
    )]);
    assert!(filter.chains().v4.from_guest.is_empty() && filter.chains().v4.to_guest.is_empty());
}

#[rstest]
#[case::bpdu("<stp type='0'/>")]
#[case::set("<all ipset='x' ipsetflags='dst'/>")]
#[case::counted("<tcp connlimit-above='2'/>")]
fn what_is_not_modelled_is_said(#[case] element: &str) {
    let filter = compile(&[&root(&format!(
        "<rule action='drop' direction='out'>{element}</rule>"
    ))]);
    let bpdu = Link::new(GUEST, [1, 0x80, 0xc2, 0, 0, 0]).frame(3, &[0x42, 0x42, 3]);
    let tcp =
        Link::new(GUEST, ROUTER).frame(ethertype::IPV4, &Ip4::new(OWN, WAN).tcp(1, 2, 2, b""));
    let undecided = [bpdu, tcp]
        .iter()
        .any(|frame| matches!(filter.decide(frame, Way::FromGuest), Decision::Undecided(_)));
    assert!(undecided);
    assert!(out(&filter, &udp6(WAN6, 1)), "other frames are decided");
}

#[test]
fn broken_headers_are_dropped_only_by_br_netfilter() {
    let mut frame = udp(OWN, LAN, 53);
    frame[14] = 0x41;
    let filter = compile(&[ARTICLE]);
    assert!(!out(&filter, &frame));
    assert!(out(&filter.without_bridge_nf(), &frame));
}

fn generated() -> Compiled {
    let policy = Policy::example();
    Compiled::new(&[generate(&policy)], &policy.name, GUEST, &[]).unwrap()
}

/// Frames of all kinds that the evaluator takes apart.
fn some_frames() -> Vec<Vec<u8>> {
    let link = Link::new(GUEST, ROUTER);
    vec![
        udp(OWN, LAN, 53),
        link.frame(
            ethertype::IPV4,
            &Ip4::new(OWN, LAN).fragment(2, true).udp(1, 2, b"x"),
        ),
        link.frame(
            ethertype::IPV6,
            &Ip6::new(OWN6, WAN6)
                .ext(crate::frame::Ext::router_alert())
                .echo(b"x"),
        ),
        arp::request((GUEST, OWN), LAN, &[]),
        arp::qemu_announce(GUEST, &[]),
        link.stacked(
            &[VlanTag::q(1), VlanTag::q(2)],
            ethertype::IPV4,
            &Ip4::new(OWN, WAN).echo(b""),
        ),
        link.frame(ethertype::IPV4, &Ip4::new(OWN, LAN).tcp(1, 2, 2, b"")),
    ]
}

#[test]
fn frames_cut_at_every_byte_are_judged() {
    let layered = compile(&[&root(
        "<rule action='accept' direction='out'><tcp flags='SYN/ALL'/></rule><rule action='drop' direction='inout' priority='900'><all/></rule>",
    )]);
    for filter in [generated(), compile(&[ARTICLE]), layered] {
        for frame in some_frames() {
            for end in 0..=frame.len() {
                for way in [Way::FromGuest, Way::ToGuest] {
                    let outcome = filter.evaluate(&frame[..end], way);
                    assert_eq!(outcome.decision, filter.decide(&frame[..end], way));
                }
            }
        }
    }
}

proptest! {
    #[test]
    fn random_bytes_never_panic(bytes in proptest::collection::vec(any::<u8>(), 0..120), kind in prop::sample::select(vec![0x0800_u16, 0x86dd, 0x0806, 0x8035, 0x8100])) {
        let filter = generated();
        let mut frame = bytes;
        if let Some(place) = frame.get_mut(12..14) {
            place.copy_from_slice(&kind.to_be_bytes());
        }
        for way in [Way::FromGuest, Way::ToGuest] {
            let _ = filter.evaluate(&frame, way);
        }
    }

    #[test]
    fn the_generated_filter_lets_no_unicast_outside_the_lan_pass(source: u32, destination: u32, port: u16, mac: [u8; 6], upper: u8) {
        let policy = Policy::example();
        let to = Ipv4Addr::from_bits(destination);
        prop_assume!(!policy.may_send_to(to));
        let filter = generated();
        for from in [Ipv4Addr::from_bits(source), OWN] {
            let ip = Ip4::new(from, to);
            for packet in [ip.udp(68, port, b"x"), ip.tcp(1, port, 2, b"x"), ip.echo(b"x"), ip.packet(upper, b"12345678")] {
                for src in [GUEST, mac] {
                    let frame = Link::new(src, mac).frame(ethertype::IPV4, &packet);
                    prop_assert!(!out(&filter, &frame), "{from} > {to}");
                }
            }
        }
    }

    #[test]
    fn a_rule_behind_an_unconditional_one_changes_nothing(priority in 501..=1000_i16, to: u32, action in prop::sample::select(vec!["accept", "drop", "return", "continue", "reject"])) {
        let first = "<rule action='drop' direction='out'><ip dstipaddr='10.0.0.0' dstipmask='8'/></rule><rule action='accept' direction='inout' priority='500'/>";
        let more = format!("{first}<rule action='{action}' direction='out' priority='{priority}'/>");
        let frame = udp(OWN, Ipv4Addr::from_bits(to), 1);
        prop_assert_eq!(out(&compile(&[&root(first)]), &frame), out(&compile(&[&root(&more)]), &frame));
    }

    #[test]
    fn document_order_counts_only_among_equal_priorities(order in Just(vec![10_i16, 20, 30, 40]).prop_shuffle(), last in 0..=255_u8) {
        let rule = |priority: &i16| {
            let action = if priority % 20 == 0 { "accept" } else { "drop" };
            let mask = 20 + priority / 5;
            format!("<rule action='{action}' direction='out' priority='{priority}'><ip dstipaddr='192.168.1.10' dstipmask='{mask}'/></rule>")
        };
        let shuffled: String = order.iter().map(rule).collect();
        let sorted: String = [10, 20, 30, 40].iter().map(rule).collect();
        let frame = udp(OWN, Ipv4Addr::new(192, 168, 1, last), 1);
        prop_assert_eq!(out(&compile(&[&root(&shuffled)]), &frame), out(&compile(&[&root(&sorted)]), &frame));
    }
}
