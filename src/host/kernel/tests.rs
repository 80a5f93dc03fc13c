//! Rules of interfaces, as the tools of Debian print them.

use super::interface::{Difference, Layer};
use super::nf_tables::{FlowTable, NfTables};
use super::{InterfaceRules, RuleTexts, Ruleset};
use crate::frame::Mac;
use rstest::rstest;

const MAC: Mac = [0x52, 0x54, 0, 0, 0, 1];

/// Two guests with the same filter, as `ebtables-save` prints them.
fn ebtables() -> String {
    let one = |device: &str, mac: &str| {
        format!(
            "-A libvirt-I-{device} -s ! {mac} -j DROP\n\
             -A libvirt-I-{device} -p IPv4 -j I-{device}-ipv4\n\
             -A libvirt-I-{device} -j DROP\n\
             -A I-{device}-ipv4 --ip-dst 192.168.1.0/24 -j ACCEPT\n\
             -A libvirt-O-{device} -j DROP\n"
        )
    };
    format!(
        "*nat\n:PREROUTING ACCEPT\n:POSTROUTING ACCEPT\n\
         -A PREROUTING -i vnet0 -j libvirt-I-vnet0\n-A PREROUTING -i vnet1 -j libvirt-I-vnet1\n\
         -A POSTROUTING -o vnet0 -j libvirt-O-vnet0\n-A POSTROUTING -o vnet1 -j libvirt-O-vnet1\n{}{}",
        one("vnet0", "52:54:0:0:0:1"),
        one("vnet1", "52:54:00:00:00:02"),
    )
}

fn ruleset(ebtables: &str) -> Ruleset {
    Ruleset::of(&RuleTexts {
        ebtables: ebtables.to_owned(),
        ..RuleTexts::default()
    })
}

fn first(ebtables: &str) -> InterfaceRules {
    ruleset(ebtables).interface("vnet0", Some(MAC))
}

#[test]
fn interfaces_with_one_filter_have_the_same_rules() {
    let ruleset = ruleset(&ebtables());
    let one = ruleset.interface("vnet0", Some(MAC));
    let other = ruleset.interface("vnet1", Some([0x52, 0x54, 0, 0, 0, 2]));
    assert_eq!(one, other);
    assert_eq!((one.hooks.len(), one.chains.len()), (2, 5));
    assert_eq!(one.difference(&other), None);
    assert!(one.has(Layer::Ebtables) && !one.needs_br_netfilter());
}

#[rstest]
#[case::flushed("*nat\n:PREROUTING ACCEPT\n".to_owned(), "Nothing")]
#[case::jump_gone(
    ebtables().replace("-A PREROUTING -i vnet0 -j libvirt-I-vnet0\n", ""),
    "Unhooked(\"PREROUTING"
)]
#[case::jump_twice(
    ebtables().replace("-A POSTROUTING -o vnet1", "-A POSTROUTING -o vnet0 -j libvirt-O-vnet0\n-A POSTROUTING -o vnet1"),
    "Hooked(\"POSTROUTING"
)]
#[case::rule_gone(
    ebtables().replace("-A libvirt-I-vnet0 -j DROP\n", ""),
    "Missing(\"libvirt-I-DEVICE -j DROP"
)]
#[case::rule_of_a_sub_chain_gone(
    ebtables().replace("-A I-vnet0-ipv4 --ip-dst 192.168.1.0/24 -j ACCEPT\n", ""),
    "Missing(\"I-DEVICE-ipv4"
)]
#[case::rule_too_many(
    ebtables() + "-A I-vnet0-ipv4 -j ACCEPT\n",
    "Foreign(\"I-DEVICE-ipv4 -j ACCEPT"
)]
#[case::another_order(
    ebtables().replace(
        "-A libvirt-I-vnet0 -s ! 52:54:0:0:0:1 -j DROP\n-A libvirt-I-vnet0 -p IPv4 -j I-vnet0-ipv4\n",
        "-A libvirt-I-vnet0 -p IPv4 -j I-vnet0-ipv4\n-A libvirt-I-vnet0 -s ! 52:54:0:0:0:1 -j DROP\n",
    ),
    "Order"
)]
#[case::another_mac(
    ebtables().replace("52:54:0:0:0:1", "52:54:00:00:00:09"),
    "Missing"
)]
fn every_difference_is_seen(#[case] now: String, #[case] words: &str) {
    let wanted = first(&ebtables());
    let found = first(&now).difference(&wanted).expect("they differ");
    assert!(format!("{found:?}").starts_with(words), "{found:?}");
}

/// libvirt makes chains with other names, links them, and renames them afterwards.
#[test]
fn chains_that_are_just_made_count_by_their_later_names() {
    let made = ebtables()
        .replace("libvirt-I-vnet0", "libvirt-J-vnet0")
        .replace(" I-vnet0", " J-vnet0");
    let now = first(&made);
    assert!(now.rebuilding);
    assert_eq!(now.difference(&first(&ebtables())), None);
}

#[rstest]
#[case::before_the_jump("PREROUTING -i vnet0", "-A PREROUTING -i vnet0 -j ACCEPT\n", 1)]
#[case::before_the_other_jump("POSTROUTING -o vnet0", "-A POSTROUTING -j ACCEPT\n", 1)]
#[case::behind_the_jump("PREROUTING -i vnet1", "-A PREROUTING -i vnet0 -j ACCEPT\n", 0)]
#[case::of_another_device("PREROUTING -i vnet0", "-A PREROUTING -i eth0 -j ACCEPT\n", 0)]
fn what_stands_before_the_jump_may_let_frames_past(
    #[case] before: &str,
    #[case] rule: &str,
    #[case] count: usize,
) {
    let jump = format!("-A {before}");
    let text = ebtables().replace(&jump, &format!("{rule}{jump}"));
    assert_ne!(text, ebtables());
    let ruleset = ruleset(&text);
    let rules = ruleset.interface("vnet0", Some(MAC));
    let found = ruleset.bypasses("vnet0", Some("br0"), &rules);
    assert_eq!(found.len(), count, "{found:?}");
}

/// With the nftables back end nothing of others belongs before libvirt's lookup.
#[rstest]
#[case::accepted("iifname \"vnet0\" accept", 1)]
#[case::of_all("ip saddr 10.0.0.1 accept", 1)]
#[case::a_jump("jump mine", 1)]
#[case::of_another("iifname \"vnet1\" accept", 0)]
#[case::of_others_by_number("iif != \"vnet1\" accept", 1)]
#[case::a_drop("iifname \"vnet0\" drop", 0)]
#[case::nothing("", 0)]
fn ways_past_the_nftables_back_end(#[case] rule: &str, #[case] count: usize) {
    let (ruleset, rules) = nftables(rule, "");
    let found = ruleset.bypasses("vnet0", Some("br0"), &rules);
    assert_eq!(found.len(), count, "{found:?}");
}

/// Of the nftables back end, with a rule before the lookup and a dormant table.
fn nftables(rule: &str, dormant: &str) -> (Ruleset, InterfaceRules) {
    let nftables = format!(
        "table bridge libvirt_nwfilter_ethernet {{\n\tmap vmap-iif {{\n\t\telements = {{ \"vnet0\" : jump vnet0-out }}\n\t}}\n\
         \tchain prerouting {{\n\t\ttype filter hook prerouting priority filter; policy accept;\n\t\t{rule}\n\t\tiif vmap @vmap-iif\n\t}}\n\
         \tchain vnet0-out {{\n\t\tcounter packets 0 bytes 0 drop\n\t}}\n}}\n"
    )
    .replace("\t\t\n", "");
    let texts = RuleTexts {
        nftables,
        ..RuleTexts::default()
    };
    of_texts(texts, dormant)
}

fn of_texts(texts: RuleTexts, dormant: &str) -> (Ruleset, InterfaceRules) {
    let tables = NfTables {
        dormant: vec![dormant.to_owned()],
        ..NfTables::default()
    };
    let ruleset = Ruleset::of(&RuleTexts { tables, ..texts });
    let rules = ruleset.interface("vnet0", Some(MAC));
    (ruleset, rules)
}

/// The tools show the rules of a table that the kernel does not apply as they do others.
#[rstest]
#[case::ebtables(ebtables(), "", "bridge nat", true)]
#[case::a_table_of_others(ebtables(), "", "bridge filter", false)]
#[case::no_rules_at_layer_3(ebtables(), "", "ip filter", false)]
#[case::iptables(ebtables(), IPTABLES, "ip filter", true)]
#[case::another_family(ebtables(), IPTABLES, "ip6 filter", false)]
fn rules_in_a_dormant_table_are_none(
    #[case] ebtables: String,
    #[case] iptables: &str,
    #[case] dormant: &str,
    #[case] found: bool,
) {
    let texts = RuleTexts {
        ebtables,
        iptables: iptables.to_owned(),
        ..RuleTexts::default()
    };
    let (ruleset, rules) = of_texts(texts, dormant);
    let cures = ruleset.bypasses("vnet0", Some("br0"), &rules);
    let cures: Vec<_> = cures.into_iter().map(|bypass| bypass.cure).collect();
    let wanted = format!("nft add table {dormant}");
    assert_eq!(cures, Vec::from_iter(found.then_some(wanted)));
}

#[test]
fn a_dormant_table_of_the_nftables_back_end_holds_no_rules() {
    let table = "bridge libvirt_nwfilter_ethernet";
    let (ruleset, rules) = nftables("", table);
    let found = ruleset.bypasses("vnet0", Some("br0"), &rules);
    assert_eq!(found.len(), 1, "{found:?}");
    assert_eq!(found[0].place, table);
}

#[test]
fn flow_tables_and_programs_of_tcx_are_those_of_their_device() {
    let flow_tables = vec![FlowTable {
        table: "inet filter".into(),
        name: "fast".into(),
        device: "vnet0".into(),
    }];
    let mut texts = RuleTexts {
        ebtables: ebtables(),
        tables: NfTables {
            flow_tables,
            ..NfTables::default()
        },
        ..RuleTexts::default()
    };
    texts.early.tcx = vec!["vnet1".into()];
    let ruleset = Ruleset::of(&texts);
    let places = |device| {
        let rules = ruleset.interface(device, None);
        let found = ruleset.bypasses(device, Some("br0"), &rules);
        assert!(found.iter().all(|bypass| bypass.is_early), "{found:?}");
        found.into_iter().map(|it| it.place).collect::<Vec<_>>()
    };
    assert_eq!(places("vnet0"), ["flowtable inet filter fast"]);
    assert_eq!(places("vnet1"), ["net show dev vnet1"]);
}

/// It may let through what the filter stops unless the rules that differ only stop more.
#[rstest]
#[case::a_drop_gone("-A libvirt-I-vnet0 -j DROP\n", "", true)]
#[case::an_accept_gone("-A I-vnet0-ipv4 --ip-dst 192.168.1.0/24 -j ACCEPT\n", "", false)]
#[case::a_jump_gone("-A libvirt-I-vnet0 -p IPv4 -j I-vnet0-ipv4\n", "", true)]
#[case::an_accept_more(
    "-A libvirt-I-vnet0 -j DROP\n",
    "-A libvirt-I-vnet0 -j ACCEPT\n-A libvirt-I-vnet0 -j DROP\n",
    true
)]
#[case::a_drop_more(
    "-A libvirt-I-vnet0 -p IPv4",
    "-A libvirt-I-vnet0 -p ARP -j DROP\n-A libvirt-I-vnet0 -p IPv4",
    false
)]
#[case::both(
    "-A I-vnet0-ipv4 --ip-dst 192.168.1.0/24 -j ACCEPT\n-A libvirt-O-vnet0 -j DROP\n",
    "",
    true
)]
fn a_difference_may_open_it(#[case] from: &str, #[case] to: &str, #[case] opens: bool) {
    let wanted = first(&ebtables());
    let text = ebtables().replacen(from, to, 1);
    assert_ne!(text, ebtables());
    let found = first(&text).difference(&wanted).expect("they differ");
    assert_eq!(found.may_open(), opens, "{found:?}");
}

#[test]
fn frames_that_are_routed_come_to_no_filter() {
    let text = ebtables() + "*broute\n:BROUTING ACCEPT\n-A BROUTING -p IPv4 -i vnet0 -j DROP\n";
    let ruleset = ruleset(&text);
    let rules = ruleset.interface("vnet0", Some(MAC));
    let found = ruleset.bypasses("vnet0", Some("br0"), &rules);
    assert_eq!(found.len(), 1, "{found:?}");
    assert_eq!(
        found[0].cure,
        "ebtables -t broute -D BROUTING -p IPv4 -i vnet0 -j DROP"
    );
}

const IPTABLES: &str = "*filter\n:INPUT ACCEPT [0:0]\n:FORWARD ACCEPT [0:0]\n-A INPUT -j libvirt-host-in\n\
    -A FORWARD -j libvirt-in\n-A FORWARD -j libvirt-out\n-A FORWARD -j libvirt-in-post\n\
    -A FI-vnet0 -p tcp -j RETURN\n-A FI-vnet0 -j DROP\n-A FO-vnet0 -j DROP\n-A HI-vnet0 -j DROP\n\
    -A libvirt-host-in -m physdev --physdev-in vnet0 -g HI-vnet0\n\
    -A libvirt-in -m physdev --physdev-in vnet0 -g FI-vnet0\n\
    -A libvirt-in-post -m physdev --physdev-in vnet0 -j ACCEPT\n\
    -A libvirt-out -m physdev --physdev-out vnet0 --physdev-is-bridged -g FO-vnet0\n";

fn layer3(iptables: &str) -> (Ruleset, InterfaceRules) {
    let ruleset = Ruleset::of(&RuleTexts {
        iptables: iptables.to_owned(),
        ..RuleTexts::default()
    });
    let rules = ruleset.interface("vnet0", Some(MAC));
    (ruleset, rules)
}

#[test]
fn layer_3_counts_with_what_leads_to_it() {
    let (ruleset, rules) = layer3(IPTABLES);
    assert!(rules.needs_br_netfilter());
    assert_eq!((rules.hooks.len(), rules.chains.len()), (8, 4));
    assert!(ruleset.bypasses("vnet0", Some("br0"), &rules).is_empty());
    let (_, unhooked) = layer3(&IPTABLES.replace("-A FORWARD -j libvirt-in\n", ""));
    assert!(matches!(
        unhooked.difference(&rules),
        Some(Difference::Unhooked(_))
    ));
}

/// What comes to a guest meets its filter in the second of libvirt's chains.
#[rstest]
#[case::of_all("-j ACCEPT", 1)]
#[case::of_this("-m physdev --physdev-out vnet0 -j ACCEPT", 1)]
#[case::of_another("-m physdev --physdev-out vnet1 -j ACCEPT", 0)]
#[case::of_all_but_this("-m physdev ! --physdev-out vnet0 -j ACCEPT", 0)]
fn an_accept_between_libvirts_chains_is_a_way_to_the_guest(
    #[case] rule: &str,
    #[case] count: usize,
) {
    let out = "-A FORWARD -j libvirt-out\n";
    let text = IPTABLES.replace(out, &format!("-A FORWARD {rule}\n{out}"));
    let (ruleset, rules) = layer3(&text);
    assert_eq!(ruleset.bypasses("vnet0", Some("br0"), &rules).len(), count);
}

#[rstest]
#[case::of_all("-A FORWARD -j ACCEPT\n", 1)]
#[case::of_another_bridge("-A FORWARD -i virbr9 -j ACCEPT\n", 0)]
#[case::of_its_bridge("-A FORWARD -i br0 -o br0 -j ACCEPT\n", 1)]
fn an_accept_before_libvirts_chains_is_a_way_past(#[case] rule: &str, #[case] count: usize) {
    let text = IPTABLES.replacen("-A FORWARD", &format!("{rule}-A FORWARD"), 1);
    let (ruleset, rules) = layer3(&text);
    assert_eq!(ruleset.bypasses("vnet0", Some("br0"), &rules).len(), count);
}
