use super::LINTS;
use crate::nwfilter::evaluate::Compiled;
use crate::nwfilter::lint::{Finding, lint};
use crate::nwfilter::{Filter, read};
use rstest::rstest;

/// A root filter of rules: action, direction, priority and element of each.
fn of_rules_in_order(rules: &[(&str, &str, i16, &str)]) -> String {
    let rule = |(action, direction, priority, element): &(&str, &str, i16, &str)| {
        format!(
            "<rule action='{action}' direction='{direction}' priority='{priority}'>{element}</rule>"
        )
    };
    let rules: String = rules.iter().map(rule).collect();
    format!("<filter name='x'>{rules}</filter>")
}

/// What is found about rules in each other's way.
fn findings(texts: &[&str]) -> Vec<Finding> {
    let filters: Vec<Filter> = texts
        .iter()
        .map(|text| read(text, "test").unwrap())
        .collect();
    let top = filters[0].name.clone();
    let compiled = Compiled::new(&filters, &top, [2; 6], &[]).unwrap();
    let findings = lint(&filters, &top, &compiled).into_iter();
    let findings = findings.filter(|finding| LINTS.contains(&finding.lint));
    findings.collect()
}

/// Rules that never act, with the rule that is in the way.
fn idle(texts: &[&str]) -> Vec<(&'static str, usize, String)> {
    let findings = findings(texts).into_iter();
    let mut out: Vec<_> = findings
        .map(|finding| (finding.lint, finding.rule.unwrap().rule, finding.message))
        .collect();
    out.sort_by_key(|(_, rule, _)| *rule);
    out
}

const ALL: &str = "";

#[rstest]
#[case::behind_an_earlier_rule(
    &[("accept", "out", -650, "<mac protocolid='ipv4'/>"),
      ("drop", "out", 500, "<ip dstipaddr='100.64.0.0' dstipmask='10'/>"),
      ("drop", "inout", 1000, ALL)],
    &[("never-acts", 2, "rule 1 of x accepts")]
)]
#[case::in_the_right_order(
    &[("drop", "out", -700, "<ip dstipaddr='100.64.0.0' dstipmask='10'/>"),
      ("accept", "out", -650, "<mac protocolid='ipv4'/>"),
      ("drop", "inout", 1000, ALL)],
    &[]
)]
#[case::behind_two_that_cover_it(
    &[("accept", "out", 1, "<ip dstipaddr='10.0.0.0' dstipmask='25'/>"),
      ("drop", "out", 2, "<ip dstipaddr='10.0.0.128' dstipmask='25'/>"),
      ("drop", "out", 3, "<ip dstipaddr='10.0.0.0' dstipmask='24'/>"),
      ("drop", "inout", 1000, ALL)],
    &[("never-acts", 3, "rule 1 of x accepts and rule 2 of x drops")]
)]
#[case::behind_one_that_does_the_same(
    &[("drop", "out", 1, "<ip dstipaddr='10.0.0.0' dstipmask='24'/>"),
      ("drop", "out", 2, "<ip dstipaddr='10.0.0.0' dstipmask='25'/>")],
    &[("redundant-rule", 2, "rule 1 of x drops")]
)]
#[case::a_hole_is_left(
    &[("drop", "out", 1, "<ip dstipaddr='10.0.0.0' dstipmask='25'/>"),
      ("drop", "out", 2, "<ip dstipaddr='10.0.0.0' dstipmask='24'/>")],
    &[]
)]
#[case::a_catch_all(
    &[("drop", "inout", 1, ALL),
      ("accept", "out", 2, "<ip protocol='tcp'/>"),
      ("accept", "in", 3, "<arp/>")],
    &[("never-acts", 2, "rule 1 of x drops"), ("never-acts", 3, "rule 1 of x drops")]
)]
#[case::one_direction_only(
    &[("drop", "out", 1, ALL), ("accept", "inout", 2, "<ip protocol='tcp'/>"), ("drop", "in", 3, ALL)],
    &[("never-acts-one-way", 2, "on frames from the guest: rule 1 of x drops")]
)]
#[case::outwards_behind_an_accept(
    &[("accept", "out", 100, "<ip/>"),
      ("drop", "inout", 500, "<ip dstipaddr='10.44.0.0' dstipmask='24'/>"),
      ("accept", "in", 600, "<ip/>"),
      ("drop", "inout", 1000, ALL)],
    &[("never-acts-one-way", 2, "on frames from the guest: rule 1 of x accepts")]
)]
#[case::inwards_behind_an_accept(
    &[("accept", "in", 100, "<mac/>"),
      ("reject", "inout", 500, "<ip/>")],
    &[("never-acts-one-way", 2, "on frames to the guest: rule 1 of x accepts")]
)]
#[case::in_one_direction_at_layer_3(
    &[("accept", "out", 100, "<all/>"), ("accept", "in", 110, "<all/>"),
      ("drop", "inout", 500, "<ip/>"), ("accept", "inout", 600, "<tcp/>")],
    &[("layer-2-drops-first", 1, "rule 3 of x drops"),
      ("layer-2-drops-first", 2, "rule 3 of x drops"),
      ("layer-2-drops-first", 4, "rule 3 of x drops")]
)]
#[case::one_way_it_is_the_same(
    &[("drop", "out", 1, "<ip/>"), ("drop", "inout", 2, "<ip protocol='tcp'/>")],
    &[]
)]
#[case::the_rest_is_for_both(
    &[("accept", "in", 1, ALL), ("accept", "out", 2, "<arp/>"), ("drop", "inout", 1000, ALL)],
    &[]
)]
#[case::dhcp_at_layer_3_behind_a_drop_at_layer_2(
    &[("accept", "out", 100, "<udp srcportstart='68' dstportstart='67'/>"),
      ("drop", "out", 200, "<ip/>")],
    &[("layer-2-drops-first", 1, "no DHCP lease: at layer 2, rule 2 of x drops")]
)]
#[case::a_net_at_layer_2(
    &[("accept", "out", 100, "<udp dstipaddr='10.0.0.0' dstipmask='24'/>"),
      ("accept", "out", 101, "<udp dstipaddr='10.0.1.0' dstipmask='24'/>"),
      ("drop", "out", 200, "<ip dstipaddr='10.0.0.0' dstipmask='24'/>")],
    &[("layer-2-drops-first", 1, "rule 3 of x drops")]
)]
#[case::a_catch_all_behind_stateful_rules(
    &[("accept", "out", 100, "<tcp dstportstart='22'/>"),
      ("accept", "in", 100, "<tcp dstportstart='22'/>"),
      ("accept", "in", 100, "<icmp/>"),
      ("drop", "inout", 1000, ALL)],
    &[("layer-2-drops-first", 1, "rule 4 of x drops"),
      ("layer-2-drops-first", 2, "rule 4 of x drops"),
      ("layer-2-drops-first", 3, "rule 4 of x drops")]
)]
#[case::a_catch_all_at_layer_3(
    &[("accept", "out", 100, "<tcp dstportstart='22'/>"), ("drop", "inout", 1000, "<all/>")],
    &[]
)]
#[case::accepted_at_layer_2_dropped_at_layer_3(
    &[("accept", "out", 100, "<ip protocol='tcp'/>"), ("drop", "out", 200, "<all/>")],
    &[("layer-3-drops-after", 1, "at rule 2 of x")]
)]
#[case::answers_pass_at_layer_3(
    &[("accept", "in", 100, "<ip protocol='tcp'/>"),
      ("accept", "out", 150, "<tcp/>"), ("drop", "inout", 200, "<all/>")],
    &[]
)]
#[case::of_what_the_host_itself_sends(
    &[("accept", "in", 100, "<ip srcipaddr='192.168.122.1'/>"), ("drop", "in", 200, "<all/>")],
    &[]
)]
#[case::of_what_the_guest_sends_to_the_host(
    &[("accept", "out", 100, "<ip dstipaddr='192.168.122.1'/>"), ("drop", "out", 200, "<all/>")],
    &[("layer-3-drops-after", 1, "at rule 2 of x")]
)]
#[case::behind_an_accept_of_connections(
    &[("accept", "out", 100, "<tcp/>"), ("drop", "out", 200, "<tcp dstportstart='25'/>")],
    &[("drops-no-connection", 2, "rule 1 of x accepts the first packet")]
)]
#[case::inwards_behind_an_accept_of_connections(
    &[("accept", "in", 100, "<all/>"), ("reject", "in", 200, "<udp/>")],
    &[("drops-no-connection", 2, "rule 1 of x accepts the first packet")]
)]
#[case::behind_an_accept_of_some_connections(
    &[("accept", "out", 100, "<tcp dstportstart='80'/>"), ("drop", "out", 200, "<tcp/>")],
    &[]
)]
#[case::the_rest_behind_an_accept_of_connections(
    &[("accept", "out", 100, "<all/>"), ("drop", "inout", 1000, "<all/>")],
    &[]
)]
#[case::twice_the_same_connections(
    &[("accept", "out", 100, "<tcp/>"), ("accept", "out", 200, "<tcp dstportstart='80'/>")],
    &[("redundant-rule", 2, "rule 1 of x accepts")]
)]
#[case::dhcp_behind_a_drop_of_broadcasts(
    &[("accept", "out", 100, "<udp srcportstart='68' dstportstart='67'/>"),
      ("drop", "out", 200, "<ip dstmacaddr='ff:ff:ff:ff:ff:ff' dstipaddr='255.255.255.255'/>"),
      ("drop", "out", 201, "<ip dstipaddr='255.255.255.255'/>")],
    &[("no-lease", 1, "accepts its first question, and rule 2 of x drops and rule 3 of x drops it")]
)]
#[case::dhcp_behind_a_drop_of_what_has_no_address(
    &[("drop", "out", 50, "<ip srcipaddr='0.0.0.0'/>"),
      ("accept", "out", 100, "<udp srcportstart='68' dstportstart='67'/>")],
    &[("no-lease", 2, "rule 1 of x drops it")]
)]
#[case::dhcp_that_layer_3_drops(
    &[("accept", "out", 100, "<ip protocol='udp' srcportstart='68' dstportstart='67'/>"),
      ("drop", "out", 200, "<udp dstipaddr='255.255.255.255'/>")],
    &[("no-lease", 1, "rule 2 of x drops it")]
)]
#[case::dhcp_whose_answers_layer_2_drops(
    &[("accept", "out", 100, "<udp srcportstart='68' dstportstart='67'/>"),
      ("drop", "in", 200, "<ip protocol='udp'/>")],
    &[("no-lease", 1, "no DHCP lease: this rule lets it ask, and rule 2 of x drops every answer")]
)]
#[case::dhcp_whose_answers_layer_3_drops(
    &[("accept", "out", 100, "<udp srcportstart='68' dstportstart='67'/>"),
      ("drop", "in", 200, "<all/>")],
    &[("no-lease", 1, "but of a server on the host itself: this rule lets it ask, and rule 2 of x drops every answer")]
)]
#[case::dhcpv6_whose_answers_layer_2_drops(
    &[("accept", "out", 100, "<ipv6 protocol='udp' dstportstart='547'/>"),
      ("drop", "in", 200, "<ipv6/>")],
    &[("no-lease", 1, "no DHCPv6 lease: this rule lets it ask, and rule 2 of x drops every answer")]
)]
#[case::dhcp_with_its_answers(
    &[("accept", "out", 100, "<udp srcportstart='68' dstportstart='67'/>"),
      ("accept", "in", 100, "<udp srcportstart='67' dstportstart='68'/>"),
      ("drop", "inout", 200, "<all/>")],
    &[]
)]
#[case::dhcp_whose_answers_go_to_one_mac(
    &[("accept", "out", 100, "<ip protocol='udp' srcportstart='68' dstportstart='67'/>"),
      ("accept", "in", 100, "<ip dstmacaddr='02:02:02:02:02:02'/>"),
      ("drop", "in", 200, "<ip/>")],
    &[]
)]
#[case::renewal_alone(
    &[("accept", "out", 100, "<udp dstipaddr='192.168.1.1' dstportstart='67'/>"),
      ("drop", "in", 200, "<all/>")],
    &[]
)]
fn of_rules_that_never_act(
    #[case] rules: &[(&str, &str, i16, &str)],
    #[case] expected: &[(&str, usize, &str)],
) {
    let found = idle(&[&of_rules_in_order(rules)]);
    let short: Vec<_> = found.iter().map(|(lint, rule, _)| (*lint, *rule)).collect();
    let wanted: Vec<_> = expected
        .iter()
        .map(|(lint, rule, _)| (*lint, *rule))
        .collect();
    assert_eq!(short, wanted, "{found:#?}");
    for ((.., message), (.., part)) in found.iter().zip(expected) {
        assert!(message.contains(part), "{message}");
    }
}

/// Filters below `x`: the chain of each, its priority, and its rules as in a root filter.
type Sub<'a> = (&'a str, i16, &'a [(&'a str, &'a str, i16, &'a str)]);

#[rstest]
#[case::behind_a_drop(
    &[("drop", "out", -900, "<ip/>")],
    &[("ipv4", -700, &[("accept", "out", 500, "<ip protocol='tcp'/>")][..])],
    &[("chain-never-entered", "s0", 1, "rule 1 of x drops all of them before it, so that its rule never acts there (rule 1 of s0)")]
)]
#[case::behind_an_accept(
    &[("accept", "out", -900, "<mac protocolid='ipv4'/>")],
    &[("ipv4", -700, &[("accept", "out", 100, "<ip dstipaddr='10.44.0.0' dstipmask='24'/>"), ("drop", "out", 200, ALL)][..])],
    &[("chain-never-entered", "s0", 2, "no frame from the guest enters the chain ipv4: rule 1 of x accepts all of them before it, so that its drop never acts there (rule 2 of s0)")]
)]
#[case::outwards_behind_an_accept(
    &[("accept", "out", -900, "<ip/>")],
    &[("ipv4", -700, &[("accept", "out", 100, "<ip dstipaddr='10.44.0.0' dstipmask='24'/>"), ("drop", "inout", 200, "<ip/>"), ("drop", "out", 300, ALL)][..])],
    &[("chain-never-entered", "s0", 2, "from the guest enters the chain ipv4: rule 1 of x accepts all of them before it, so that its drops never act there (rule 2 of s0, rule 3 of s0)")]
)]
#[case::behind_the_same(
    &[("drop", "out", -900, "<ip/>")],
    &[("ipv4", -700, &[("drop", "out", 500, "<ip protocol='tcp'/>")][..])],
    &[("redundant-rule", "s0", 1, "rule 1 of x drops")]
)]
#[case::behind_a_chain_whose_end_accepts(
    &[],
    &[("ipv4-a", -710, &[("drop", "out", 500, "<ip protocol='udp'/>")][..]), ("ipv4", -700, &[("drop", "out", 500, "<ip protocol='tcp'/>")][..])],
    &[("chain-never-entered", "s1", 1, "rule 1 of s0 drops and the end of a chain accepts all of them before it")]
)]
#[case::behind_a_return(
    &[("drop", "out", 1000, ALL)],
    &[("ipv4", -700, &[("return", "out", 100, "<ip/>"), ("accept", "out", 200, "<ip protocol='tcp'/>")][..])],
    &[("never-acts", "s0", 2, "this rule never acts: rule 1 of s0 returns all")]
)]
#[case::behind_a_return_to_an_accept(
    &[("accept", "out", 900, "<ip/>"), ("drop", "inout", 1000, ALL)],
    &[("ipv4", -700, &[("return", "out", 100, "<ip dstipaddr='10.0.0.0' dstipmask='8'/>"), ("drop", "out", 200, "<ip dstipaddr='10.44.0.0' dstipmask='24'/>"), ("return", "out", 300, ALL)][..])],
    &[("never-acts", "s0", 2, "this rule never acts: rule 1 of s0 returns all")]
)]
#[case::behind_a_return_to_the_same(
    &[("drop", "out", 1000, ALL)],
    &[("ipv4", -700, &[("return", "out", 100, "<ip/>"), ("drop", "out", 200, "<ip protocol='tcp'/>")][..])],
    &[("redundant-rule", "s0", 2, "rule 1 of s0 returns all that it matches before it, and what they come to then is the same")]
)]
#[case::behind_a_return_of_another_chain(
    &[("accept", "out", -690, "<ip/>"), ("drop", "out", -680, "<ip protocol='tcp'/>"), ("drop", "inout", 1000, ALL)],
    &[("ipv4", -700, &[("return", "out", 100, "<ip/>")][..])],
    &[("never-acts", "x", 2, "rule 1 of x accepts")]
)]
fn of_rules_in_chains_that_never_act(
    #[case] root: &[(&str, &str, i16, &str)],
    #[case] subs: &[Sub<'_>],
    #[case] expected: &[(&str, &str, usize, &str)],
) {
    let references: Vec<String> = (0..subs.len())
        .map(|at| format!("<filterref filter='s{at}'/>"))
        .collect();
    let references = references.concat();
    let top = of_rules_in_order(root).replace("</filter>", &format!("{references}</filter>"));
    let subs = subs
        .iter()
        .enumerate()
        .map(|(at, (chain, priority, rules))| {
            let head = format!("<filter name='s{at}' chain='{chain}' priority='{priority}'>");
            of_rules_in_order(rules).replace("<filter name='x'>", &head)
        });
    let texts: Vec<String> = std::iter::once(top).chain(subs).collect();
    let texts: Vec<&str> = texts.iter().map(String::as_str).collect();
    let found = findings(&texts);
    assert_eq!(found.len(), expected.len(), "{found:#?}");
    for (finding, (lint, filter, rule, part)) in found.iter().zip(expected) {
        let origin = finding.rule.as_ref().unwrap();
        assert_eq!(
            (finding.lint, origin.filter.as_str(), origin.rule),
            (*lint, *filter, *rule)
        );
        assert!(finding.message.contains(part), "{}", finding.message);
    }
}
