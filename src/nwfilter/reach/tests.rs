use super::*;
use crate::nwfilter::evaluate::field::Field;
use crate::nwfilter::evaluate::{Compiled, Decision, Way};
use crate::nwfilter::intervals::IntervalSet;
use crate::nwfilter::{generate, read};
use crate::policy::Policy;
use proptest::prelude::*;
use std::fmt::Write as _;

const GUEST: [u8; 6] = [0x52, 0x54, 0, 0, 1, 1];
const USUAL: [(Field, u128); 2] = [(Field::SrcMac, 0x5254_0000_0101), (Field::SrcPort, 40_000)];

fn compile(text: &str) -> Compiled {
    let filter = read(text, "test").unwrap();
    let name = filter.name.clone();
    Compiled::new(&[filter], &name, GUEST, &[]).unwrap()
}

fn print(classes: &[TrafficClass]) -> String {
    let mut out = String::new();
    for class in classes {
        let _ = writeln!(out, "{}", class.name);
        for (word, set) in [
            ("accepted", &class.accepted),
            ("leaked", &class.leaked),
            ("blocked", &class.blocked),
        ] {
            let _ = writeln!(out, "  {word}: {}", class.list(set).join(" "));
        }
        let example = class.example.as_deref().map(crate::frame::summary);
        let _ = writeln!(out, "  example: {}", example.unwrap_or_default());
        assert_eq!(class.inexact, None);
    }
    out
}

#[test]
fn the_generated_filter_proves_the_policy() {
    let policy = Policy::example();
    let filter = Compiled::new(&[generate(&policy)], &policy.name, GUEST, &[]).unwrap();
    let found = classes(&filter, &policy, &USUAL);
    assert!(
        found.iter().all(TrafficClass::is_proven),
        "{}",
        print(&found)
    );
    insta::assert_snapshot!(print(&found));
}

#[test]
fn the_articles_filter_leaks() {
    let filter = compile(include_str!("../../../examples/no-out-traffic.xml"));
    let found = classes(&filter, &Policy::example(), &USUAL);
    insta::assert_snapshot!(print(&found));
}

#[test]
fn every_generated_filter_proves_its_policy() {
    let policies = [
        "[lan]\nprefixes = [\"10.1.0.0/16\", \"10.2.0.0/16\", \"fe80::/10\", \"fd00:1::/64\"]\n[dhcp]\nservers = [\"10.9.0.1\"]\n[allow]\nhosts = [\"203.0.113.5/32\", \"2001:db8::5/128\"]\n",
        "[lan]\nprefixes = [\"192.168.1.0/24\"]\nlink-local = true\n",
        "[lan]\nprefixes = [\"10.1.0.0/16\"]\n[dhcp]\nclient = false\n[broadcast]\nlimited = false\n[multicast]\ngroups = []\n",
    ];
    for text in policies {
        let policy = Policy::parse(text, "test").unwrap();
        let filter = Compiled::new(&[generate(&policy)], &policy.name, GUEST, &[]).unwrap();
        let found = classes(&filter, &policy, &USUAL);
        assert!(
            found.iter().all(TrafficClass::is_proven),
            "{}",
            print(&found)
        );
    }
}

#[test]
fn a_thousand_drops_are_walked_through() {
    let rule = |at: u32| {
        let host = std::net::Ipv4Addr::from_bits(0x0a00_0000 + 2 * at);
        format!("<rule action='drop' direction='out'><ip dstipaddr='{host}'/></rule>")
    };
    let rules: String = (0..1000).map(rule).collect();
    let filter = compile(&format!("<filter name='x'>{rules}</filter>"));
    let found = classes(&filter, &Policy::example(), &USUAL);
    assert_eq!(found[0].inexact, None);
    assert_eq!(found[0].accepted.intervals().len(), 1001);
}

/// A rule over a small universe: four destinations, four sources, four ports.
fn rule() -> impl Strategy<Value = String> {
    let action = prop::sample::select(vec!["accept", "drop", "return", "continue"]);
    let direction = prop::sample::select(vec!["out", "inout", "in"]);
    let side = || prop::option::of((0..4_u8, 30..=32_u8));
    (action, direction, side(), side(), prop::option::of(0..4_u16), any::<bool>(), 1..9_i16).prop_map(
        |(action, direction, src, dst, port, positive, priority)| {
            let mut attributes = String::new();
            for (name, side) in [("src", src), ("dst", dst)] {
                if let Some((host, length)) = side {
                    let _ = write!(attributes, " {name}ipaddr='10.0.0.{host}' {name}ipmask='{length}'");
                }
            }
            let port = port.map(|port| format!("<ip protocol='udp' dstportstart='{port}'/>"));
            let sign = if positive { "" } else { " match='no'" };
            format!(
                "<rule action='{action}' direction='{direction}' priority='{priority}'><ip{sign}{attributes}/>{}</rule>",
                port.unwrap_or_default()
            )
        },
    )
}

fn filter() -> impl Strategy<Value = Vec<String>> {
    let rules = || proptest::collection::vec(rule(), 0..6).prop_map(|rules| rules.concat());
    (rules(), rules(), -1..9_i16).prop_map(|(root, sub, priority)| {
        vec![
            format!("<filter name='x'>{root}<filterref filter='s'/></filter>"),
            format!("<filter name='s' chain='ipv4' priority='{priority}'>{sub}</filter>"),
        ]
    })
}

proptest! {
    #[test]
    fn exact_against_brute_force_on_a_small_universe(texts in filter()) {
        let filters: Vec<_> = texts.iter().map(|text| read(text, "test").unwrap()).collect();
        let compiled = Compiled::new(&filters, "x", GUEST, &[]).unwrap();
        let base = u128::from(0x0a00_0000_u32);
        let hosts = IntervalSet::range(base, base + 3);
        let region = Region::everything()
            .with(Field::EtherType, IntervalSet::one(0x0800))
            .with(Field::Header, IntervalSet::one(1))
            .with(Field::Src, hosts.clone())
            .with(Field::Dst, hosts.clone())
            .with(Field::Protocol, IntervalSet::one(17))
            .with(Field::SrcPort, IntervalSet::one(9))
            .with(Field::DstPort, IntervalSet::range(0, 3))
            .with(Field::SrcMac, IntervalSet::one(2))
            .with(Field::DstMac, IntervalSet::one(4))
            .with(Field::Tos, IntervalSet::one(0));
        let found = accepted_values(&compiled, Way::FromGuest, &region, Field::Dst, &hosts);
        prop_assert_eq!(found.inexact, None);
        let mut expected = Vec::new();
        for dst in 0..4 {
            for (src, port) in (0..4).flat_map(|src| (0..4).map(move |port| (src, port))) {
                let one = region
                    .with(Field::Src, IntervalSet::one(base + src))
                    .with(Field::Dst, IntervalSet::one(base + dst))
                    .with(Field::DstPort, IntervalSet::one(port));
                let frame = witness(&one, &[]).unwrap();
                if compiled.decide(&frame, Way::FromGuest) == Decision::Accept {
                    expected.push((base + dst, base + dst));
                }
            }
        }
        prop_assert_eq!(found.accepted, IntervalSet::of(expected));
        for region in found.witnesses {
            let frame = witness(&region, &[]).unwrap();
            prop_assert_eq!(compiled.decide(&frame, Way::FromGuest), Decision::Accept);
        }
    }
}
