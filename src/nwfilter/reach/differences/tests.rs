use super::*;
use crate::nwfilter::evaluate::Backend;
use crate::nwfilter::{Filter, generate, read};
use crate::policy::Policy;
use proptest::prelude::*;
use std::fmt::Write as _;

const GUEST: [u8; 6] = [0x52, 0x54, 0, 0, 1, 1];

fn compile(filters: &[Filter], backend: Backend) -> Compiled {
    Compiled::with_backend(filters, &filters[0].name, GUEST, &[], backend).unwrap()
}

fn filter(rules: &str) -> Compiled {
    let filter = read(&format!("<filter name='x'>{rules}</filter>"), "test").unwrap();
    compile(&[filter], Backend::Ebtables)
}

fn print(found: &Comparison) -> String {
    let mut out = format!("inexact: {:?}\n", found.inexact);
    for difference in &found.differences {
        let _ = writeln!(
            out,
            "{:?} {}: {}\n  {}\n  {:?} {:?}",
            difference.way,
            difference.frame_kind,
            difference.dimension.list(&difference.values).join(" "),
            crate::frame::summary(&difference.frame),
            difference.outcomes[0].decision,
            difference.outcomes[1].decision,
        );
    }
    out
}

#[test]
fn of_the_generated_and_the_articles_filter() {
    let generated = compile(&[generate(&Policy::example())], Backend::Ebtables);
    let text = include_str!("../../../../examples/no-out-traffic.xml");
    let articles = compile(&[read(text, "test").unwrap()], Backend::Ebtables);
    insta::assert_snapshot!(print(&differences(&articles, &generated, &[])));
    let same = differences(&generated, &generated.clone(), &[]);
    assert!(same.differences.is_empty() && same.inexact.is_none());
}

#[test]
fn of_the_generated_filter_under_both_back_ends() {
    let filters = [generate(&Policy::example())];
    let [a, b] = [Backend::Ebtables, Backend::Nftables].map(|backend| compile(&filters, backend));
    insta::assert_snapshot!(print(&differences(&a, &b, &[])));
}

#[test]
fn what_says_the_same_in_other_words_is_the_same() {
    let halves = "<rule action='drop' direction='out'><ip dstipaddr='10.0.0.0' dstipmask='25'/></rule>\
        <rule action='drop' direction='out'><ip dstipaddr='10.0.0.128' dstipmask='25'/></rule>";
    let whole =
        "<rule action='drop' direction='out'><ip dstipaddr='10.0.0.0' dstipmask='24'/></rule>";
    let found = differences(&filter(halves), &filter(whole), &[]);
    assert!(
        found.differences.is_empty() && found.inexact.is_none(),
        "{}",
        print(&found)
    );
    // One address more is found.
    let more =
        whole.to_owned() + "<rule action='drop' direction='out'><ip dstipaddr='10.0.1.0'/></rule>";
    let found = differences(&filter(halves), &filter(&more), &[]);
    let addresses: Vec<_> = found
        .differences
        .iter()
        .map(|found| found.dimension.list(&found.values))
        .collect();
    assert!(
        addresses.iter().all(|list| list == &["10.0.1.0/32"]),
        "{}",
        print(&found)
    );
    assert_eq!(addresses.len(), 4, "tcp, udp, icmp and others");
}

#[test]
fn what_is_not_modelled_is_not_called_the_same() {
    let set = "<rule action='drop' direction='out'><all ipset='s' ipsetflags='dst'/></rule>";
    assert!(
        differences(&filter(set), &filter(""), &[])
            .inexact
            .is_some()
    );
}

/// Rules over few values, so that filters agree often.
fn rules() -> impl Strategy<Value = String> {
    let rule = (
        prop::sample::select(vec!["accept", "drop", "return", "continue"]),
        prop::sample::select(vec!["out", "in", "inout"]),
        0..3_u8,
        prop::sample::select(vec![
            "<ip dstipaddr='10.0.0.1'/>",
            "<ip match='no' dstipaddr='10.0.0.1'/>",
            "<ip protocol='udp' dstportstart='53'/>",
            "<ip dscp='3'/>",
            "<ipv6 protocol='tcp'/>",
            "<arp arpsrcipaddr='10.0.0.1' gratuitous='true'/>",
            "<arp match='no' opcode='1'/>",
            "<mac protocolid='0x8100'/>",
            "<vlan vlanid='5'/>",
            "<udp dstipaddr='10.0.0.1'/>",
            "",
        ]),
    );
    let rule = rule.prop_map(|(action, direction, priority, element)| {
        format!(
            "<rule action='{action}' direction='{direction}' priority='{priority}'>{element}</rule>"
        )
    });
    proptest::collection::vec(rule, 0..5).prop_map(|rules| rules.concat())
}

fn bindable(rules: &str) -> Option<Compiled> {
    let filter = read(&format!("<filter name='x'>{rules}</filter>"), "test").unwrap();
    Compiled::new(&[filter], "x", GUEST, &[]).ok()
}

proptest! {
    /// Frames that are tried at random differ only where the comparison says so.
    #[test]
    fn nothing_is_missed(a in rules(), b in rules(), seed in any::<prop::sample::Index>()) {
        let (Some(a), Some(b)) = (bindable(&a), bindable(&b)) else { return Ok(()) };
        let found = differences(&a, &b, &[]);
        prop_assert_eq!(&found.inexact, &None);
        for way in [Way::FromGuest, Way::ToGuest] {
            for kind in frame_kinds() {
                let parts = partition(&a, way, &kind.region, &mut 0, BUDGET);
                let part = &parts[seed.index(parts.len())];
                let Some(region) = kind.real(&part.region) else { continue };
                let usual = [(Field::Dst, 0x0a00_0001), (Field::DstPort, 53), (Field::VlanId, 5)];
                let frame = witness(&region, &usual).expect(kind.name);
                let decisions = [&a, &b].map(|filter| filter.decide(&frame, way));
                let said = found.differences.iter().any(|found| found.way == way && found.frame_kind == kind.name);
                prop_assert!(decisions[0] == decisions[1] || said, "{}", crate::frame::summary(&frame));
            }
        }
    }
}
