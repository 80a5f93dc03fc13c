use crate::nwfilter::evaluate::Compiled;
use crate::nwfilter::lint::lint;
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

/// Rules that never act, with the rule that is in the way.
fn idle(texts: &[&str]) -> Vec<(&'static str, usize, String)> {
    let filters: Vec<Filter> = texts
        .iter()
        .map(|text| read(text, "test").unwrap())
        .collect();
    let top = filters[0].name.clone();
    let compiled = Compiled::new(&filters, &top, [2; 6], &[]).unwrap();
    let names = [
        "never-acts",
        "redundant-rule",
        "layer-2-drops-first",
        "layer-3-drops-after",
    ];
    let findings = lint(&filters, &top, &compiled).into_iter();
    let findings = findings.filter(|finding| names.contains(&finding.lint));
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
#[case::of_a_connection_that_is_no_new_one(
    &[("accept", "out", 100, "<tcp/>"), ("drop", "out", 200, "<tcp/>")],
    &[]
)]
#[case::twice_the_same_connections(
    &[("accept", "out", 100, "<tcp/>"), ("accept", "out", 200, "<tcp dstportstart='80'/>")],
    &[("redundant-rule", 2, "rule 1 of x accepts")]
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

#[test]
fn of_rules_in_chains_that_never_act() {
    let top = "<filter name='x'><rule action='drop' direction='out' priority='-900'><ip/></rule><filterref filter='s'/></filter>";
    let sub = "<filter name='s' chain='ipv4'><rule action='accept' direction='out'><ip protocol='tcp'/></rule></filter>";
    let found = idle(&[top, sub]);
    assert_eq!(found.len(), 1, "{found:?}");
    assert!(found[0].2.contains("rule 1 of x drops"), "{found:?}");
    // A chain before it, whose end accepts.
    let top = "<filter name='x'><filterref filter='a'/><filterref filter='s'/></filter>";
    let open = "<filter name='a' chain='ipv4-a' priority='-710'><rule action='drop' direction='out'><ip protocol='udp'/></rule></filter>";
    let found = idle(&[top, open, &sub.replace("'accept'", "'drop'")]);
    assert_eq!(found.len(), 1, "{found:?}");
    assert!(
        found[0].2.contains("the end of a chain accepts"),
        "{found:?}"
    );
}
