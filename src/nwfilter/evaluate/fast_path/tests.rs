//! The code against the definition.

use crate::frame::{Ip4, Ip6, Link, Mac, VlanTag, arp, ethertype};
use crate::nwfilter::evaluate::{Backend, Compiled, Decision, Way, traverse};
use crate::nwfilter::{Entry, Filter, Rule, generate, language};
use crate::policy::Policy;
use proptest::prelude::*;
use std::net::{Ipv4Addr, Ipv6Addr};

const GUEST: Mac = [0x52, 0x54, 0, 0x12, 0x34, 0x56];
const OTHER: Mac = [1, 2, 0x0a, 0x0b, 0x0c, 0x0d];
const FROM: Ipv4Addr = Ipv4Addr::new(1, 2, 3, 4);
const TO: Ipv4Addr = Ipv4Addr::new(224, 0, 0, 0);
const FROM6: Ipv6Addr = Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 0, 1);
const TO6: Ipv6Addr = Ipv6Addr::new(0xff02, 0, 0, 0, 0, 1, 0xff00, 0);

fn filter(name: &str, chain: &str, priority: i16, entries: Vec<Entry>) -> Filter {
    Filter {
        name: name.into(),
        chain: chain.into(),
        priority: Some(priority),
        uuid: None,
        entries,
    }
}

fn compiled(filters: &[Filter], backend: Backend) -> Option<Compiled> {
    let parameters = ["V", "A_1"].map(|name| (name.to_owned(), "7".to_owned()));
    Compiled::with_backend(filters, "x", GUEST, &parameters, backend).ok()
}

/// Rules that can be bound, of the whole language.
fn rules() -> impl Strategy<Value = Vec<Entry>> {
    let bindable = |rule: &Rule| {
        let alone = filter("x", "root", 0, vec![Entry::Rule(rule.clone())]);
        [Backend::Ebtables, Backend::Nftables]
            .iter()
            .all(|backend| compiled(std::slice::from_ref(&alone), *backend).is_some())
    };
    proptest::collection::vec(language::rule(), 0..12).prop_map(move |rules| {
        let kept = rules.into_iter().filter(|rule| bindable(rule));
        kept.map(Entry::Rule).collect()
    })
}

/// A whole frame with some octets changed or its end cut off.
fn frame() -> impl Strategy<Value = Vec<u8>> {
    let link = Link::new(GUEST, OTHER);
    let (v4, v6) = (Ip4::new(FROM, TO), Ip6::new(FROM6, TO6));
    let whole = vec![
        link.frame(ethertype::IPV4, &v4.udp(7, 7, b"x")),
        link.frame(ethertype::IPV4, &v4.tcp(7, 63, 2, b"")),
        link.frame(ethertype::IPV4, &v4.echo(b"")),
        link.frame(ethertype::IPV6, &v6.udp(7, 7, b"x")),
        link.frame(ethertype::IPV6, &v6.echo(b"")),
        arp::request((GUEST, FROM), TO, &[]),
        arp::qemu_announce(GUEST, &[]),
        link.stacked(&[VlanTag::q(7)], ethertype::ARP, &[0; 40]),
        link.frame(0x88a8, &[0; 46]),
        Link::new(GUEST, [1, 0x80, 0xc2, 0, 0, 0]).frame(0x27, &[0; 46]),
    ];
    let changes = proptest::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..3);
    let cut = prop::option::weighted(0.1, any::<prop::sample::Index>());
    (prop::sample::select(whole), changes, cut).prop_map(|(mut frame, changes, cut)| {
        for (at, value) in changes {
            let at = at.index(frame.len());
            frame[at] = value;
        }
        if let Some(cut) = cut {
            frame.truncate(cut.index(frame.len()));
        }
        frame
    })
}

proptest! {
    #[test]
    fn as_the_definition_says(
        (root, sub) in (rules(), rules()),
        chain in prop::sample::select(vec!["ipv4", "ipv6", "arp", "rarp", "vlan", "mac", "stp"]),
        priority in -1000..=1000_i16,
        nftables in any::<bool>(),
        bridge_nf in any::<bool>(),
        frames in proptest::collection::vec(frame(), 1..20),
    ) {
        let reference = crate::nwfilter::FilterRef { filter: "s".into(), parameters: Vec::new() };
        let root = [vec![Entry::Reference(reference)], root].concat();
        let filters = [filter("x", "root", 0, root), filter("s", chain, priority, sub)];
        let backend = if nftables { Backend::Nftables } else { Backend::Ebtables };
        let Some(filter) = compiled(&filters, backend) else { return Ok(()) };
        let filter = if bridge_nf { filter } else { filter.without_bridge_nf() };
        for frame in frames {
            for way in [Way::FromGuest, Way::ToGuest] {
                let slow = traverse::decide_slowly(&filter, &frame, way);
                prop_assert_eq!(filter.decide(&frame, way), slow, "{:02x?}", frame);
            }
        }
    }
}

#[test]
fn the_generated_filter_needs_no_definition() {
    let filter = generate(&Policy::example());
    let name = filter.name.clone();
    let filter = Compiled::new(&[filter], &name, GUEST, &[]).unwrap();
    let link = Link::new(GUEST, OTHER);
    let v4 = Ip4::new(
        Ipv4Addr::new(192, 168, 1, 77),
        Ipv4Addr::new(192, 168, 1, 10),
    );
    let frames = [
        (link.frame(ethertype::IPV4, &v4.udp(7, 7, b"x")), true),
        (
            link.frame(ethertype::IPV6, &Ip6::new(FROM6, FROM6).echo(b"")),
            true,
        ),
        (
            link.frame(ethertype::IPV4, &Ip4::new(FROM, TO).echo(b"")),
            false,
        ),
        (link.frame(0x88a8, &[0; 46]), false),
    ];
    for (frame, passes) in frames {
        let quick = traverse::quickly(&filter, &frame, Way::FromGuest);
        assert_eq!(quick, Some(passes), "{}", crate::frame::summary(&frame));
        let expected = if passes {
            Decision::Accept
        } else {
            Decision::Drop
        };
        assert_eq!(filter.decide(&frame, Way::FromGuest), expected);
    }
}

#[test]
fn a_later_fragment_passes_no_test_of_a_port_negated_or_not() {
    let text = "<filter name='x'><rule action='drop' direction='out'>\
        <ip protocol='udp'/><ip match='no' dstportstart='53'/></rule></filter>";
    let filter = crate::nwfilter::read(text, "test").unwrap();
    let filter = Compiled::new(&[filter], "x", GUEST, &[])
        .unwrap()
        .without_bridge_nf();
    let mut frame =
        Link::new(GUEST, OTHER).frame(ethertype::IPV4, &Ip4::new(FROM, TO).udp(7, 7, b"x"));
    assert_eq!(
        traverse::quickly(&filter, &frame, Way::FromGuest),
        Some(false)
    );
    // The offset of the fragment, in units of eight octets.
    frame[21] = 1;
    assert_eq!(
        traverse::quickly(&filter, &frame, Way::FromGuest),
        Some(true)
    );
    assert_eq!(
        traverse::decide_slowly(&filter, &frame, Way::FromGuest),
        Decision::Accept
    );
}
