//! Whole explanations, as they are printed.

use super::*;
use crate::cli::options::load;
use crate::nwfilter::Strictness;
use crate::nwfilter::evaluate::Backend;
use crate::nwfilter::examples;
use crate::nwfilter::lint;
use crate::policy::Policy;
use rstest::rstest;
use std::path::PathBuf;

const MAC: [u8; 6] = [0x52, 0x54, 0, 0x12, 0x34, 0x56];

fn explained(tree: &FilterTree, backend: Backend) -> String {
    let variables = examples::variables(&tree.filters, "52:54:00:12:34:56", &[]);
    let examples: Vec<(String, String)> = variables
        .iter()
        .filter(|variable| variable.source == Source::Example)
        .map(|variable| (variable.name.clone(), variable.values.join("")))
        .collect();
    let filter = tree.compile(MAC, &examples, backend).unwrap();
    let findings = lint::lint(&tree.filters, &tree.top, &filter);
    overview(tree, &filter, &variables, &findings)
}

#[rstest]
#[case::the_articles_filter("no-out-traffic", "examples/no-out-traffic.xml")]
#[case::every_kind_of_step("every-step", "src/testdata/every-step.xml")]
#[case::no_rule("empty", "src/testdata/empty.xml")]
fn of_filters(#[case] name: &str, #[case] path: &str) {
    // Relative, so that the text is the same wherever the project is.
    let path = PathBuf::from(path);
    let tree = load(&[path], None, Strictness::Strict).unwrap();
    insta::assert_snapshot!(name, explained(&tree, Backend::Ebtables));
}

#[test]
fn of_the_generated_filter() {
    let tree = FilterTree::generated(crate::nwfilter::generate(&Policy::example()));
    insta::assert_snapshot!(explained(&tree, Backend::Ebtables));
}

#[test]
fn another_back_end_is_named() {
    let tree = FilterTree::generated(crate::nwfilter::generate(&Policy::example()));
    let text = explained(&tree, Backend::Nftables);
    assert!(
        text.contains("backend nftables, measured with libvirt 12.9.0"),
        "{text}"
    );
}
