//! Whole explanations, as they are printed.

use super::*;
use crate::cli::options::load;
use crate::nwfilter::Strictness;
use crate::nwfilter::evaluate::Backend;
use crate::nwfilter::examples;
use crate::nwfilter::lint;
use crate::nwfilter::read;
use crate::policy::Policy;
use rstest::rstest;
use std::path::PathBuf;

const MAC: [u8; 6] = [0x52, 0x54, 0, 0x12, 0x34, 0x56];

fn explained(tree: &FilterTree, backend: Backend, given: &[(String, String)]) -> String {
    let variables = examples::variables(&tree.filters, "52:54:00:12:34:56", given);
    let examples: Vec<(String, String)> = variables
        .iter()
        .filter(|variable| variable.source == Source::Example)
        .map(|variable| (variable.name.clone(), variable.values.join("")))
        .collect();
    let filter = tree.compile(MAC, &examples, backend).unwrap();
    let findings = lint::lint(&tree.filters, &tree.top, &filter);
    let address = Unset::of(tree, MAC, given, backend, &variables);
    overview(tree, &filter, &variables, address.as_ref(), &findings)
}

#[rstest]
#[case::the_articles_filter("no-out-traffic", "examples/no-out-traffic.xml")]
#[case::every_kind_of_step("every-step", "src/testdata/every-step.xml")]
#[case::no_rule("empty", "src/testdata/empty.xml")]
fn of_filters(#[case] name: &str, #[case] path: &str) {
    // Relative, so that the text is the same wherever the project is.
    let path = PathBuf::from(path);
    let tree = load(&[path], None, Strictness::Strict).unwrap();
    insta::assert_snapshot!(name, explained(&tree, Backend::Ebtables, &[]));
}

#[test]
fn of_the_generated_filter() {
    let tree = FilterTree::generated(crate::nwfilter::generate(&Policy::example()));
    insta::assert_snapshot!(explained(&tree, Backend::Ebtables, &[]));
}

#[test]
fn another_back_end_is_named() {
    let tree = FilterTree::generated(crate::nwfilter::generate(&Policy::example()));
    let text = explained(&tree, Backend::Nftables, &[]);
    assert!(
        text.contains("backend nftables, measured with libvirt 12.9.0"),
        "{text}"
    );
}

/// What is said of an address that nothing gives is what libvirt does about it.
#[rstest]
#[case::by_default(&[], "takes the first address that the guest uses", Some("IPv4; ARP"))]
#[case::from_a_lease(&["dhcp"], "takes that of the guest's DHCP lease", Some("from port 68, to port 67"))]
#[case::never(&["None"], "with CTRL_IP_LEARNING=None it does not learn it", None)]
#[case::misspelt(&["foo"], "with CTRL_IP_LEARNING=foo it does not learn it", None)]
fn of_an_address_that_nothing_gives(
    #[case] learning: &[&str],
    #[case] part: &str,
    #[case] meanwhile: Option<&str>,
) {
    let text = "<filter name='x'><rule action='drop' direction='out'><ip match='no' srcipaddr='$IP'/></rule></filter>";
    let tree = FilterTree::generated(read(text, "test").unwrap());
    let given = learning.iter();
    let given: Vec<(String, String)> = given
        .map(|value| ("CTRL_IP_LEARNING".to_owned(), (*value).to_owned()))
        .collect();
    let text = explained(&tree, Backend::Ebtables, &given);
    let line = text.split_whitespace().collect::<Vec<_>>().join(" ");
    assert!(line.contains(part), "{text}");
    match meanwhile {
        Some(passes) => assert!(line.contains(passes), "{text}"),
        None => assert!(!line.contains("Until libvirt knows"), "{text}"),
    }
}

#[test]
fn of_an_address_beside_another_unset_variable() {
    let text = "<filter name='x'><rule action='drop' direction='out'><ip srcipaddr='$IP' dstipaddr='$N'/></rule></filter>";
    let tree = FilterTree::generated(read(text, "test").unwrap());
    let text = explained(&tree, Backend::Ebtables, &[]);
    let line = text.split_whitespace().collect::<Vec<_>>().join(" ");
    assert!(
        line.contains("it learns it only where nothing else is unset"),
        "{text}"
    );
    assert!(!line.contains("Until libvirt knows"), "{text}");
}

#[test]
fn of_layer_3_under_nftables() {
    let text = "<filter name='x'><rule action='drop' direction='out'><ip dscp='46'/></rule><rule action='drop' direction='out'><tcp/></rule></filter>";
    let tree = FilterTree::generated(read(text, "test").unwrap());
    let text = explained(&tree, Backend::Nftables, &[]);
    assert!(
        text.contains("then the table libvirt_nwfilter_inet (IPv4)"),
        "{text}"
    );
    for word in ["iptables", "ebtables", "br_netfilter", "bridge-nf"] {
        assert!(!text.contains(word), "{word}: {text}");
    }
}
