use super::*;
use crate::check::Expectations;
use crate::layout::Layout;
use crate::nwfilter::evaluate::Backend;
use crate::nwfilter::mutate::mutants;
use crate::nwfilter::{ShippedFilters, Strictness, document, write};
use crate::verdict::Conclusion;
use rstest::rstest;

const ARTICLE: &str = include_str!("../../examples/no-out-traffic.xml");

/// A filter from a file, and what it takes to fix it.
struct Bench {
    policy: Policy,
    layout: Layout,
    expectations: Expectations,
    backend: Backend,
}

impl Bench {
    fn of(policy: &str, backend: Backend) -> Self {
        let policy = Policy::parse(policy, "test").unwrap();
        let layout = Layout::of(&policy).unwrap();
        Self {
            expectations: Expectations::of(&policy, &layout, &[], backend),
            policy,
            layout,
            backend,
        }
    }

    fn example() -> Self {
        Self::of(Policy::EXAMPLE, Backend::default())
    }

    fn binding(&self) -> Binding<'_> {
        Binding {
            layout: &self.layout,
            expectations: &self.expectations,
            parameters: &[],
            backend: self.backend,
        }
    }

    /// The fix of the last of these filters, which is proven, and of which nothing can be left out.
    fn fixed(&self, texts: &[&str]) -> Fix {
        let tree = tree(texts);
        let fix = fix(&tree, &self.policy, self.binding()).unwrap();
        let mut fixed = tree.clone();
        let at = fixed
            .filters
            .iter()
            .position(|filter| filter.name == tree.top);
        let at = at.unwrap();
        fixed.filters[at] = document(&fix.after, "fixed").unwrap().filter;
        let (mac, address) = (self.layout.guest.mac, self.layout.guest.v4);
        let bound = fixed.bind(mac, address, &[], self.backend).unwrap();
        let judgement = self.expectations.judge(&bound.filter);
        assert_eq!(judgement.conclusion(), Conclusion::Pass, "{}", fix.after);
        let proof = Proof::of(&tree, at, self.binding());
        for edit in 0..fix.edits.len() {
            let mut fewer = fix.edits.clone();
            let left_out = fewer.remove(edit);
            assert!(!proof.holds(&fewer), "it goes without {left_out:?}");
        }
        fix
    }
}

/// The texts as files of a tree; the last is bound.
fn tree(texts: &[&str]) -> FilterTree {
    let folder = tempfile::tempdir().unwrap();
    let mut paths = Vec::new();
    for (number, text) in texts.iter().enumerate() {
        let path = folder.path().join(format!("{number}.xml"));
        std::fs::write(&path, text).unwrap();
        paths.push(path);
    }
    let top = document(texts.last().unwrap(), "test").unwrap().filter.name;
    let shipped = ShippedFilters::default();
    FilterTree::load(&paths, Some(&top), Strictness::Strict, &shipped).unwrap()
}

#[test]
fn the_articles_filter() {
    let bench = Bench::example();
    let fix = bench.fixed(&[ARTICLE]);
    assert!(!fix.rewritten);
    assert_eq!(fix.after, bench.fixed(&[ARTICLE]).after, "always the same");
    insta::assert_snapshot!(fix.after);
}

#[test]
fn a_filter_that_keeps_the_policy_needs_nothing() {
    let bench = Bench::example();
    let text = write(&generate(&bench.policy));
    let fix = bench.fixed(&[&text]);
    assert_eq!((fix.edits, fix.after), (Vec::new(), text));
}

/// A slip in the generated filter is mended by an edit, where that is to be had.
#[test]
fn a_slip_is_mended_by_one_edit() {
    let bench = Bench::example();
    let generated = FilterTree::generated(generate(&bench.policy));
    let (mut all, mut one, mut untouched) = (0, 0, 0);
    for mutant in mutants(&generated).iter().step_by(13) {
        let changed = mutant.apply(&generated);
        if mutant.refusal(&generated).is_some() {
            continue;
        }
        let text = write(&changed.filters[0]);
        let compiled = bench.layout.guest.mac;
        if changed.compile(compiled, &[], bench.backend).is_err() {
            continue;
        }
        let fix = bench.fixed(&[&text]);
        assert!(!fix.rewritten, "{mutant}");
        assert!(fix.edits.len() <= 3, "{mutant}: {:?}", fix.edits);
        all += 1;
        one += usize::from(fix.edits.len() == 1);
        untouched += usize::from(fix.edits.is_empty());
    }
    assert!(all > 25, "{all}");
    assert!((one + untouched) * 100 >= all * 90, "{one} of {all}");
    assert!(one * 100 >= all * 80, "{one} of {all}");
}

#[rstest]
#[case::nothing_at_all("<filter name='x'/>")]
#[case::no_rule("<filter name='x'>\n</filter>\n")]
#[case::all_dropped(
    "<filter name='x' chain='root'>\n  <rule action='drop' direction='inout'/>\n</filter>\n"
)]
#[case::all_accepted(
    "<filter name='x'><rule action='accept' direction='inout' priority='-1000'/></filter>"
)]
#[case::layer_3(
    "<filter name='x'>\n\t<rule action='drop' direction='out' priority='1000'>\n\t\t<all/>\n\t</rule>\n</filter>\n"
)]
#[case::one_chain(
    "<filter name='x' chain='arp' priority='-500'>\r\n  <rule action='drop' direction='out'>\r\n    <arp/>\r\n  </rule>\r\n</filter>\r\n"
)]
fn whatever_it_begins_with(#[case] text: &str) {
    Bench::example().fixed(&[text]);
}

#[rstest]
#[case::several_prefixes(
    "[lan]\nprefixes = [\"10.1.0.0/16\", \"fe80::/10\", \"fd00:1::/64\"]\ngateway = \"10.1.0.1\"\n[allow]\nhosts = [\"203.0.113.5/32\"]\n",
    Backend::Ebtables
)]
#[case::no_dhcp(
    "[lan]\nprefixes = [\"192.168.1.0/24\"]\n[dhcp]\nclient = false\n[broadcast]\nlimited = false\n[multicast]\ngroups = []\n",
    Backend::Ebtables
)]
#[case::nftables(Policy::EXAMPLE, Backend::Nftables)]
fn whatever_the_policy_is(#[case] policy: &str, #[case] backend: Backend) {
    Bench::of(policy, backend).fixed(&[ARTICLE]);
}

/// What refers to another filter keeps the reference where that does no harm.
#[test]
fn a_reference_stays_where_it_does_no_harm() {
    let bench = Bench::example();
    let generated = write(&generate(&bench.policy));
    let top = "<filter name='top'>\n  <filterref filter='lan-only'/>\n  <rule action='accept' direction='out' priority='-900'>\n    <ip dstipaddr='203.0.113.7'/>\n  </rule>\n</filter>\n";
    let fix = bench.fixed(&[&generated, top]);
    assert_eq!(fix.edits.len(), 1, "{:?}", fix.edits);
    assert!(
        fix.after.contains("<filterref filter='lan-only'/>"),
        "{}",
        fix.after
    );
}

/// Bytes of what is not changed stand as they did.
#[test]
fn layout_and_comments_stay() {
    let bench = Bench::example();
    let generated = write(&generate(&bench.policy));
    let text = generated
        .replace("  <rule", "    <!-- mine -->\n    <rule")
        .replace(
            "dstipaddr='255.255.255.255' dstipmask='32' protocol='udp' comment",
            "dstipaddr=\"255.255.255.255\"   dstipmask = '24'  protocol='udp' comment",
        );
    assert_ne!(text, generated);
    let fix = bench.fixed(&[&text]);
    let mended = text.replace("dstipmask = '24'  protocol", "dstipmask = '32'  protocol");
    assert_eq!(fix.after, mended);
}

#[test]
fn a_policy_that_cannot_be_proven_is_refused() {
    let bench = Bench::example();
    let tree = FilterTree::generated(generate(&bench.policy));
    let error = fix(&tree, &bench.policy, bench.binding()).unwrap_err();
    assert!(matches!(error, FixError::NoFile(_)), "{error}");
}
