use super::*;
use crate::frame::{Mac, summary};
use crate::verify::guests::firmware::fetches::tests::request;
use rstest::rstest;
use std::net::{Ipv4Addr, Ipv6Addr};

const GUEST: Mac = [2, 0, 0, 0, 0, 1];
const ROUTER: Mac = [2, 0, 0, 0, 0, 2];
const HERE: Ipv4Addr = Ipv4Addr::new(192, 168, 1, 77);
const PEER: Ipv4Addr = Ipv4Addr::new(192, 168, 1, 10);

fn tcp(to: Ipv4Addr, flags: u8, data: &[u8]) -> Vec<u8> {
    let packet = Ip4::new(HERE, to).tcp(21550, 80, flags, data);
    Link::new(GUEST, ROUTER).frame(ethertype::IPV4, &packet)
}

fn syn_ack(from: Ipv4Addr) -> Vec<u8> {
    let packet = Ip4::new(from, HERE).tcp(80, 21550, flag::SYN | flag::ACK, b"");
    Link::new(ROUTER, GUEST).frame(ethertype::IPV4, &packet)
}

fn wan_file() -> Vec<u8> {
    let payload = b"\0\x01/0a-wan-1\0octet\0tsize\x000\0";
    let packet = Ip4::new(HERE, WAN4).udp(25300, 69, payload);
    Link::new(GUEST, ROUTER).frame(ethertype::IPV4, &packet)
}

/// Whether the last of these frames, which the guest sends so long after the first, is
/// answered.
#[rstest]
#[case::a_file_on_the_wan(wan_file(), 0, true)]
#[case::a_file_on_the_lan_at_first(request("0a-lan-1"), 400, false)]
#[case::a_file_on_the_lan_at_last(request("0a-lan-1"), 1300, true)]
#[case::the_end_of_a_round(request("0a-end-1"), 9000, false)]
#[case::a_connection_to_the_wan_at_first(tcp(WAN4, flag::SYN, b""), 0, false)]
#[case::a_connection_to_the_wan_repeated(tcp(WAN4, flag::SYN, b""), 400, true)]
#[case::a_connection_to_the_lan_repeated(tcp(PEER, flag::SYN, b""), 400, false)]
#[case::a_connection_to_the_lan_at_last(tcp(PEER, flag::SYN, b""), 1300, true)]
#[case::data_of_somebody_elses(tcp(WAN4, flag::ACK, b"GET"), 9000, false)]
#[case::nothing(Vec::new(), 9000, false)]
fn who_is_answered_and_when(#[case] frame: Vec<u8>, #[case] ms: u64, #[case] answered: bool) {
    let (mut talks, begin) = (Talks::default(), Instant::now());
    if ms > 0 {
        let at_once = talks.answer(&frame, false, begin, Slowness::NONE);
        assert_eq!(at_once, None);
    }
    let now = begin + Duration::from_millis(ms);
    let answer = talks.answer(&frame, false, now, Slowness::NONE);
    assert_eq!(answer.is_some(), answered, "{answer:?}");
    if let Some(answer) = answer {
        let text = summary(&answer);
        assert!(!text.contains("bad"), "{text}");
        let (view, asked) = (View::parse(&answer), View::parse(&frame));
        assert_eq!(view.expect("a frame").dst, asked.expect("a frame").src);
    }
}

#[test]
fn a_connection_that_was_accepted_here_is_ended() {
    let (mut talks, begin) = (Talks::default(), Instant::now());
    let later = begin + Duration::from_millis(400);
    let syn = tcp(WAN4, flag::SYN, b"");
    assert_eq!(talks.answer(&syn, false, begin, Slowness::NONE), None);
    let accepted = talks
        .answer(&syn, false, later, Slowness::NONE)
        .expect("accepted");
    // It comes by on its way to the guest.
    assert_eq!(talks.answer(&accepted, true, later, Slowness::NONE), None);
    let page = talks.answer(
        &tcp(WAN4, flag::ACK, b"GET /"),
        false,
        later,
        Slowness::NONE,
    );
    let page = page.expect("a page");
    let upper = View::parse(&page)
        .and_then(|view| view.upper())
        .expect("a segment");
    assert_eq!(upper.tcp_flags(), Some(flag::ACK | flag::FIN));
    assert!(upper.payload.ends_with(b"nobody answers"));
    let fin = tcp(WAN4, flag::ACK | flag::FIN, b"");
    let end = talks.answer(&fin, false, later, Slowness::NONE);
    let upper = View::parse(end.as_deref().expect("an end")).and_then(|view| view.upper());
    let numbers = &upper.expect("a segment").payload[4..12];
    // Behind the page and its end, and behind the guest's end.
    let ours = OURS + u32::try_from(PAGE.len()).expect("short") + 2;
    let theirs = 0x6c61_6e66_u32 + 1;
    assert_eq!(numbers, [ours.to_be_bytes(), theirs.to_be_bytes()].concat());
}

#[test]
fn who_is_answered_by_the_server_is_left_alone() {
    let (mut talks, begin) = (Talks::default(), Instant::now());
    let syn = tcp(WAN4, flag::SYN, b"");
    assert_eq!(talks.answer(&syn, false, begin, Slowness::NONE), None);
    assert_eq!(
        talks.answer(&syn_ack(WAN4), true, begin, Slowness::NONE),
        None
    );
    let later = begin + Duration::from_secs(9);
    assert_eq!(talks.answer(&syn, false, later, Slowness::NONE), None);
}

const LOCAL: Ipv6Addr = Ipv6Addr::new(0x2001, 0xdb8, 1, 0, 0, 0, 0, 7);

fn echo4(to: Ipv4Addr) -> Vec<u8> {
    let packet = Ip4::new(HERE, to).icmp(8, 0, [0, 7, 0, 1], b"data");
    Link::new(GUEST, ROUTER).frame(ethertype::IPV4, &packet)
}

fn echo6() -> Vec<u8> {
    let packet = Ip6::new(LOCAL, WAN6).icmp(128, 0, &[0, 7, 0, 1, 9]);
    Link::new(GUEST, ROUTER).frame(ethertype::IPV6, &packet)
}

#[rstest]
#[case::of_the_wan(echo4(WAN4), 400, true)]
#[case::of_the_wan_over_ipv6(echo6(), 400, true)]
#[case::of_the_wan_at_first(echo6(), 50, false)]
#[case::of_the_lan(echo4(PEER), 2000, false)]
#[case::a_syn_that_is_not_repeated(tcp(WAN4, flag::SYN, b""), 400, true)]
fn what_is_asked_once_is_answered_when_the_time_is_over(
    #[case] frame: Vec<u8>,
    #[case] later_ms: u64,
    #[case] answered: bool,
) {
    let (mut talks, begin) = (Talks::default(), Instant::now());
    assert_eq!(talks.answer(&frame, false, begin, Slowness::NONE), None);
    let later = begin + Duration::from_millis(later_ms);
    let answers = talks.due(later, Slowness::NONE);
    assert_eq!(answers.len(), usize::from(answered));
    assert!(talks.due(later, Slowness::NONE).is_empty(), "only once");
}

#[test]
fn a_file_that_its_server_gives_is_not_refused_when_the_time_is_over() {
    let (mut talks, begin) = (Talks::default(), Instant::now());
    let none = Slowness::NONE;
    let asks = request("0a-lan-1");
    assert_eq!(talks.answer(&asks, false, begin, none), None);
    let (guest, server) = (Ipv4Addr::new(10, 0, 0, 7), Ipv4Addr::new(10, 0, 0, 1));
    let gives = |payload: &[u8]| {
        let packet = Ip4::new(server, guest).udp(69, 2070, payload);
        Link::new(ROUTER, GUEST).frame(ethertype::IPV4, &packet)
    };
    let later = begin + Duration::from_millis(1300);
    assert_eq!(talks.answer(&gives(TFTP_ERROR), true, begin, none), None);
    let refused = talks.due(later, none);
    assert_eq!(refused.len(), 1, "one's own refusal is no answer");
    let mut talks = Talks::default();
    assert_eq!(talks.answer(&asks, false, begin, none), None);
    assert_eq!(
        talks.answer(&gives(b"\0\x03\0\x010a-lan-1"), true, begin, none),
        None
    );
    assert!(talks.due(later, none).is_empty());
}

#[test]
fn an_echo_is_answered_with_its_own_numbers_and_data() {
    let said = Said::read(&echo6()).expect("an echo");
    let answer = said.echo(&echo6()).expect("an answer");
    let upper = View::parse(&answer).and_then(|view| view.upper());
    let upper = upper.expect("ICMPv6");
    assert_eq!(upper.payload[0], 129);
    assert_eq!(upper.payload[4..], [0, 7, 0, 1, 9]);
    assert_eq!((upper.src, upper.dst), (WAN6.into(), LOCAL.into()));
    assert_eq!(upper.sum_ok(), Some(true));
}

#[test]
fn an_echo_that_a_host_answers_is_left_alone_until_the_next_of_its_number() {
    let (mut talks, begin) = (Talks::default(), Instant::now());
    let none = Slowness::NONE;
    assert_eq!(talks.answer(&echo4(WAN4), false, begin, none), None);
    let packet = Ip4::new(WAN4, HERE).icmp(0, 0, [0, 7, 0, 1], b"data");
    let reply = Link::new(ROUTER, GUEST).frame(ethertype::IPV4, &packet);
    assert_eq!(talks.answer(&reply, true, begin, none), None);
    let later = begin + Duration::from_secs(1);
    assert!(talks.due(later, none).is_empty());
    let next = begin + Duration::from_secs(9);
    assert_eq!(talks.answer(&echo4(WAN4), false, next, none), None);
    assert_eq!(talks.due(next + Duration::from_secs(1), none).len(), 1);
}

proptest::proptest! {
    #[test]
    fn no_frame_makes_it_panic(
        bytes in proptest::collection::vec(proptest::prelude::any::<u8>(), 0..200),
        outgoing in proptest::prelude::any::<bool>(),
    ) {
        let _ = Talks::default().answer(&bytes, outgoing, Instant::now(), Slowness::NONE);
    }
}
