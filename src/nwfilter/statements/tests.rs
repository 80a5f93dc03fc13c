use super::*;
use crate::frame::{Mac, summary};
use crate::nwfilter::evaluate::{Backend, Compiled, Way};
use crate::nwfilter::{generate, read};
use crate::policy::Policy;
use rstest::rstest;
use std::fmt::Write as _;

const GUEST: Mac = [0x52, 0x54, 0, 0, 0, 1];

fn rulings(policy: &Policy) -> Rulings {
    Rulings::of(&Places::of(policy, GUEST, &[]), &[])
}

fn print(held: &[Held]) -> String {
    let mut out = String::new();
    for held in held.iter().filter(|held| !held.is_proven()) {
        let _ = writeln!(out, "{}", held.statement.id());
        for wrong in &held.wrong {
            let _ = writeln!(out, "  {}: {}", wrong.kind, summary(&wrong.frame));
        }
        if let Some(why) = &held.inexact {
            let _ = writeln!(out, "  not exact: {why}");
        }
    }
    out
}

#[rstest]
#[case::the_example(Policy::EXAMPLE)]
#[case::two_lans(
    "[lan]\nprefixes = [\"10.1.0.0/16\", \"10.2.0.0/16\", \"fe80::/10\", \"fd00:1::/64\"]\n[dhcp]\nservers = [\"10.9.0.1\"]\n[allow]\nhosts = [\"203.0.113.5/32\", \"2001:db8::5/128\"]\n"
)]
#[case::link_local("[lan]\nprefixes = [\"192.168.1.0/24\"]\nlink-local = true\n")]
#[case::little(
    "[lan]\nprefixes = [\"10.1.0.0/16\"]\n[dhcp]\nclient = false\n[broadcast]\nlimited = false\n[multicast]\ngroups = []\n"
)]
#[case::a_few_groups(
    "[lan]\nprefixes = [\"10.1.0.0/16\"]\n[multicast]\ngroups = [\"239.255.0.0/16\", \"ff05::/16\"]\n"
)]
#[case::narrow_groups(
    "[lan]\nprefixes = [\"192.168.1.0/24\", \"fe80::/10\"]\ngateway = \"192.168.1.254\"\n[broadcast]\nlimited = false\n[multicast]\ngroups = [\"239.255.0.0/16\", \"ff02::/16\", \"ff05::/16\"]\n"
)]
#[case::ipv6_only("[lan]\nprefixes = [\"fd00:1::/64\"]\n")]
#[case::a_29_a_31_and_a_64(
    "[lan]\nprefixes = [\"192.168.1.8/29\", \"10.0.0.2/31\", \"fd00:1::/64\"]\n"
)]
#[case::no_gateway("[lan]\nprefixes = [\"192.168.1.0/24\", \"fe80::/10\"]\n")]
fn the_generated_filter_keeps_every_statement(
    #[case] text: &str,
    #[values(Backend::Ebtables, Backend::Nftables)] backend: Backend,
) {
    let policy = Policy::parse(text, "test").unwrap();
    let filters = [generate(&policy)];
    let filter = Compiled::with_backend(&filters, &policy.name, GUEST, &[], backend).unwrap();
    let held = rulings(&policy).hold(&filter);
    assert!(held.len() > 20, "{}", held.len());
    assert_eq!(print(&held), "");
}

#[test]
fn the_articles_filter_breaks_statements() {
    let text = include_str!("../../../examples/no-out-traffic.xml");
    let filter = read(text, "article").unwrap();
    let compiled = Compiled::new(std::slice::from_ref(&filter), &filter.name, GUEST, &[]).unwrap();
    insta::assert_snapshot!(print(&rulings(&Policy::example()).hold(&compiled)));
}

/// Edits of the generated filter that went unnoticed while only destinations were looked at.
#[rstest]
#[case::duplicate_address_detection_deleted(
    "<rule action='accept' direction='in' priority='N'>\n    <ipv6 dstmacaddr='33:33:00:00:00:00' dstmacmask='ff:ff:00:00:00:00' srcipaddr='::' srcipmask='128' dstipaddr='ff02::' dstipmask='16' comment='duplicate address detection'/>\n  </rule>",
    "",
    "in/duplicate-address"
)]
#[case::the_neighbouring_network_as_source(
    "srcipaddr='192.168.1.0' srcipmask='24' dstipaddr='192.168.1.0' dstipmask='24' protocol='udp'",
    "srcipaddr='192.168.0.0' srcipmask='23' dstipaddr='192.168.1.0' dstipmask='24' protocol='udp'",
    "out/foreign-source4"
)]
#[case::dhcp_to_any_port(
    "srcportstart='68' dstportstart='67' comment='DHCP'",
    "srcportstart='68' comment='DHCP'",
    "out/unspecified-source4"
)]
#[case::inbound_from_the_neighbouring_network(
    "<ip srcipaddr='192.168.1.0' srcipmask='24' comment='LAN'/>",
    "<ip srcipaddr='192.168.0.0' srcipmask='23' comment='LAN'/>",
    "in/foreign-source4"
)]
#[case::rarp_with_an_address(
    "arpdstipaddr='0.0.0.0' arpdstipmask='32' comment='QEMU announces the guest'",
    "comment='QEMU announces the guest'",
    "out/other-rarp"
)]
#[case::an_icmpv6_type(
    "<ipv6 protocol='icmpv6' type='134' comment='rogue router advertisement'/>",
    "<ipv6 protocol='icmpv6' type='135' comment='rogue router advertisement'/>",
    "out/rogue-router"
)]
fn an_edit_breaks_the_statement(#[case] old: &str, #[case] new: &str, #[case] statement: &str) {
    let policy = Policy::example();
    let text = crate::nwfilter::write(&generate(&policy));
    let numbered = standing(&text, old);
    let text = text.replacen(&numbered, new, 1);
    let filter = read(&text, "edited").unwrap();
    let compiled = Compiled::new(&[filter], &policy.name, GUEST, &[]).unwrap();
    let held = rulings(&policy).hold(&compiled);
    let broken = held.iter().filter(|held| !held.wrong.is_empty());
    let ids: Vec<&str> = broken.map(|held| held.statement.id()).collect();
    assert!(ids.contains(&statement), "{ids:?}");
}

/// The text with `priority='N'` as it stands in the filter.
fn standing(text: &str, old: &str) -> String {
    let mut found = (0..=1000).map(|at| old.replace("priority='N'", &format!("priority='{at}'")));
    let found = found.find(|old| text.contains(old.as_str()));
    found.expect("the filter has it")
}

#[test]
fn what_differs_where_nothing_is_ruled_is_named() {
    let policy = Policy::example();
    let compile =
        |text: &str| Compiled::new(&[read(text, "x").unwrap()], &policy.name, GUEST, &[]).unwrap();
    let text = crate::nwfilter::write(&generate(&policy));
    let old = "<arp hwtype='1' protocoltype='0x800' comment='ARP'/>";
    assert!(text.contains(old));
    let narrow = text.replace(
        old,
        "<arp hwtype='1' protocoltype='0x800' opcode='Request' comment='ARP'/></rule><rule action='accept' direction='in' priority='124'><arp hwtype='1' protocoltype='0x800' opcode='Reply'/>",
    );
    let rulings = rulings(&policy);
    let (a, b) = (compile(&text), compile(&narrow));
    assert_eq!(print(&rulings.hold(&b)), "");
    let found = rulings.open_differences(&a, &b);
    assert!(
        found
            .iter()
            .any(|found| found.statement == Statement::ArpOperationIn)
    );
    for found in found {
        assert_eq!(found.statement.ruling(), Ruling::Open);
        assert_eq!(
            rulings.statement(&found.frame, Way::ToGuest),
            Some(found.statement)
        );
        assert!(
            found
                .statement
                .sentence()
                .starts_with("The policy does not rule this: ")
        );
    }
}
