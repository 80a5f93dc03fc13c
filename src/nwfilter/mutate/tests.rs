use super::*;
use crate::nwfilter::evaluate::Backend;
use crate::nwfilter::generate;
use crate::policy::Policy;
use rstest::rstest;
use std::collections::BTreeSet;

fn tree(rules: &str) -> FilterTree {
    let text = format!("<filter name='x'>{rules}</filter>");
    FilterTree::generated(read(&text, "test").unwrap())
}

fn edits(rules: &str) -> Vec<String> {
    mutants(&tree(rules))
        .iter()
        .map(|each| each.edit.clone())
        .collect()
}

#[test]
fn of_a_rule_with_addresses_and_ports() {
    let rule = "<rule action='accept' direction='out' priority='100'><ip dstipaddr='10.0.0.0' dstipmask='8' protocol='udp' dstportstart='53'/></rule>";
    insta::assert_snapshot!(edits(rule).join("\n"));
}

#[test]
fn of_two_rules() {
    let rules = "<rule action='drop' direction='in' priority='1'><arp opcode='Request' arpsrcmacaddr='$MAC'/></rule>
                 <rule action='return' direction='inout' priority='9'/>";
    insta::assert_snapshot!(edits(rules).join("\n"));
}

#[test]
fn of_a_rule_of_layer_3() {
    let rule = "<rule action='accept' direction='out'><tcp state='NEW,ESTABLISHED' srcipfrom='10.0.0.1' srcipto='10.0.0.9'/></rule>";
    insta::assert_snapshot!(edits(rule).join("\n"));
}

#[test]
fn each_is_another_filter_than_the_original_and_than_all_others() {
    let tree = FilterTree::generated(generate(&Policy::example()));
    let mut seen = BTreeSet::from([write(&tree.filters[0])]);
    for mutant in mutants(&tree) {
        let text = write(&mutant.apply(&tree).filters[0]);
        assert!(seen.insert(text), "{mutant}");
    }
    assert!(seen.len() > 600, "{}", seen.len());
}

#[rstest]
#[case::port_without_a_protocol("<ip protocol='udp' dstportstart='53'/>", "delete protocol", true)]
#[case::port("<ip protocol='udp' dstportstart='53'/>", "delete dstportstart", false)]
fn what_libvirt_refuses_is_known(#[case] element: &str, #[case] edit: &str, #[case] refused: bool) {
    let tree = tree(&format!(
        "<rule action='drop' direction='out'>{element}</rule>"
    ));
    let mutants = mutants(&tree);
    let mutant = mutants.iter().find(|mutant| mutant.edit == edit).unwrap();
    let compiled = mutant.apply(&tree).compile([2; 6], &[], Backend::Ebtables);
    assert_eq!(
        mutant.refusal(&tree).is_some() || compiled.is_err(),
        refused
    );
}
