use super::*;
use crate::check::Expectations;
use crate::layout::Layout;
use crate::nwfilter::evaluate::{Backend, Compiled};
use crate::nwfilter::mutate::{Mutant, mutants};
use crate::nwfilter::{Action, Entry, generate, read};
use crate::policy::Policy;
use rstest::rstest;
use std::collections::{BTreeMap, BTreeSet};

/// The policy with all that does not hang on a filter.
struct Bench {
    layout: Layout,
    expectations: Expectations,
}

impl Bench {
    fn new() -> Self {
        let policy = Policy::example();
        let layout = Layout::of(&policy).unwrap();
        let expectations = Expectations::of(&policy, &layout, &[], Backend::default());
        Self {
            layout,
            expectations,
        }
    }

    fn compiled(&self, tree: &FilterTree) -> Option<Compiled> {
        let (mac, address) = (self.layout.guest.mac, self.layout.guest.v4);
        let bound = tree.bind(mac, address, &[], Backend::default());
        Some(bound.ok()?.filter)
    }

    fn causes(&self, tree: &FilterTree) -> Option<(Compiled, Judgement, Vec<Cause>)> {
        let filter = self.compiled(tree)?;
        let judgement = self.expectations.judge(&filter);
        let subject = Subject {
            tree,
            filter: &filter,
            rulings: self.expectations.rulings(),
        };
        let causes = causes_of(&subject, &judgement);
        Some((filter, judgement, causes))
    }
}

fn tree_of(text: &str) -> FilterTree {
    FilterTree::generated(read(text, "test").unwrap())
}

fn article() -> FilterTree {
    tree_of(include_str!("../../examples/no-out-traffic.xml"))
}

fn texts(causes: &[Cause]) -> String {
    let line = |cause: &Cause| {
        let rule = cause.rule.as_ref().map(|rule| rule.rule);
        let (probes, statements) = (cause.probes.len(), cause.statements.len());
        format!(
            "{:?} {rule:?} {}: {probes} probes, {statements} statements\n",
            cause.failure, cause.text
        )
    };
    causes.iter().map(line).collect()
}

#[test]
fn the_articles_filter() {
    let (_, judgement, causes) = Bench::new().causes(&article()).unwrap();
    assert!(judgement.counts().leaked > 200, "{:?}", judgement.counts());
    assert!(causes.len() <= 15);
    insta::assert_snapshot!(texts(&causes));
}

/// A rule of a tree with another action.
fn with_action(tree: &FilterTree, rule: &CausingRule, action: Action) -> FilterTree {
    let mut tree = tree.clone();
    let mut filters = tree.filters.iter_mut();
    let filter = filters.find(|filter| filter.name == rule.filter).unwrap();
    let rules = filter.entries.iter_mut().filter_map(|entry| match entry {
        Entry::Rule(rule) => Some(rule),
        Entry::Reference(_) => None,
    });
    rules.into_iter().nth(rule.rule - 1).unwrap().action = action;
    tree
}

/// What must be true of the causes of any filter.
fn holds(bench: &Bench, tree: &FilterTree, what: &str) -> usize {
    let Some((filter, judgement, causes)) = bench.causes(tree) else {
        return 0;
    };
    let mut found: BTreeMap<(bool, &str), usize> = BTreeMap::new();
    for cause in &causes {
        assert!(cause.explained, "{what}: {}", cause.text);
        assert!(!cause.probes.is_empty() || !cause.statements.is_empty());
        for id in &cause.probes {
            *found
                .entry((cause.failure == Failure::Leak, id))
                .or_default() += 1;
        }
    }
    let wrong: BTreeMap<(bool, &str), usize> = judgement
        .probes
        .iter()
        .filter_map(|judged| match judged.verdict {
            Verdict::Fail(failure) => {
                Some(((failure == Failure::Leak, judged.probe.id.as_str()), 1))
            }
            _ => None,
        })
        .collect();
    assert_eq!(found, wrong, "{what}: each failed probe has one cause");
    let told: BTreeSet<&String> = causes.iter().flat_map(|cause| &cause.statements).collect();
    let broken = judgement.statements.iter();
    let broken = broken.filter(|held| !held.wrong.is_empty()).count();
    assert_eq!(
        told.len(),
        broken,
        "{what}: each broken statement has a cause"
    );
    // Were the rule that is named the opposite, what it decided would be otherwise.
    for cause in causes.iter().filter(|cause| cause.rule.is_some()) {
        let opposite = match cause.failure {
            Failure::Leak => Action::Drop,
            Failure::Blocked => Action::Accept,
        };
        let changed = with_action(tree, cause.rule.as_ref().unwrap(), opposite);
        let Some(changed) = bench.compiled(&changed) else {
            continue;
        };
        for judged in &judgement.probes {
            if cause.probes.contains(&judged.probe.id) {
                let before = filter.evaluate(&judged.frame, judged.way);
                let after = changed.evaluate(&judged.frame, judged.way);
                assert_ne!(before.trace, after.trace, "{what}: {}", judged.probe.id);
                if cause.failure == Failure::Leak {
                    assert_ne!(after.decision, Decision::Accept, "{what}: {}", cause.text);
                }
            }
        }
    }
    causes.len()
}

#[test]
fn every_failure_of_the_articles_mutants_has_one_cause() {
    let bench = Bench::new();
    let tree = article();
    let most = mutants(&tree)
        .iter()
        .map(|mutant| holds(&bench, &mutant.apply(&tree), &mutant.to_string()))
        .max();
    assert!(most.unwrap() <= 20, "{most:?}");
}

#[test]
fn every_failure_of_the_generated_filters_mutants_has_one_cause() {
    let bench = Bench::new();
    let tree = FilterTree::generated(generate(&Policy::example()));
    assert_eq!(holds(&bench, &tree, "the generated filter"), 0);
    let all = mutants(&tree);
    let sample: Vec<&Mutant> = all.iter().step_by(9).collect();
    assert!(sample.len() > 40, "{}", sample.len());
    let mut few = 0;
    for mutant in &sample {
        let found = holds(&bench, &mutant.apply(&tree), &mutant.to_string());
        few += usize::from(found <= 3);
    }
    // One slip has few causes; all of a direction may hang on one rule, which has several.
    assert!(few * 10 >= sample.len() * 8, "{few} of {}", sample.len());
}

/// A rule that decides, and what is said of it.
#[rstest]
#[case::a_mask(
    "<ip dstipaddr='192.168.1.0' dstipmask='16'/>",
    "this mask makes 192.168.0.0/16 of 192.168.1.0"
)]
#[case::a_wide_net(
    "<ip dstipaddr='192.168.0.0' dstipmask='16'/>",
    "the destination address may be any of 192.168.0.0/16, of which the policy does not allow all"
)]
#[case::no_test("<ip protocol='udp'/>", "this rule does not test")]
#[case::everything("", "this rule lets pass all that it is for")]
fn of_one_rule(#[case] element: &str, #[case] part: &str) {
    let tree = tree_of(&format!(
        "<filter name='x'><rule action='accept' direction='out'>{element}</rule>\
         <rule action='drop' direction='out'/></filter>"
    ));
    let (_, _, causes) = Bench::new().causes(&tree).unwrap();
    let mut leaks = causes
        .iter()
        .filter(|cause| cause.failure == Failure::Leak && cause.rule.is_some());
    assert!(
        leaks.any(|cause| cause.text.contains(part)),
        "{}",
        texts(&causes)
    );
}

#[rstest]
#[case::the_way_back(
    "<rule action='drop' direction='out'/>",
    "frames to the guest are not filtered at all"
)]
#[case::the_root_chain(
    "<rule action='drop' direction='inout'><ip protocol='tcp'/></rule>",
    "no rule of the root chain matches this IPv4 from the guest"
)]
#[case::another_family(
    "<rule action='drop' direction='inout'><ip/></rule>",
    "IPv6 from the guest is not filtered at all: no rule looks at such frames"
)]
fn where_no_rule_decides(#[case] rules: &str, #[case] part: &str) {
    let tree = tree_of(&format!("<filter name='x'>{rules}</filter>"));
    let (_, _, causes) = Bench::new().causes(&tree).unwrap();
    let found = causes.iter().find(|cause| cause.text.contains(part));
    let found = found.unwrap_or_else(|| panic!("{}", texts(&causes)));
    assert_eq!(found.rule, None);
}

/// What was seen, and what the evaluator says, are not the same.
#[rstest]
#[case::a_leak_that_is_stopped("wan-ipv4/udp-53", Failure::Leak, "expects that the filter stops")]
#[case::a_block_that_passes("wan-ipv6/udp-53", Failure::Blocked, "lets these frames pass")]
#[case::a_probe_of_others("none/such", Failure::Leak, "does not know")]
fn what_the_evaluator_does_not_say_is_not_explained(
    #[case] id: &str,
    #[case] failure: Failure,
    #[case] part: &str,
) {
    let (bench, tree) = (Bench::new(), article());
    let (filter, judgement, _) = bench.causes(&tree).unwrap();
    let subject = Subject {
        tree: &tree,
        filter: &filter,
        rulings: bench.expectations.rulings(),
    };
    let mut probes = judgement.probes.iter();
    let evaluated = probes.find(|judged| judged.probe.id == id);
    let observed = Observed {
        id,
        failure,
        evaluated,
    };
    let found = causes(&subject, [observed]);
    let [cause] = found.as_slice() else {
        panic!("{}", texts(&found));
    };
    assert!(!cause.explained && cause.rule.is_none());
    assert!(cause.text.starts_with("not explained: ") && cause.text.contains(part));
    assert_eq!(cause.probes, [id]);
}

#[test]
fn joined_causes_keep_each_probe_once() {
    let (_, _, causes) = Bench::new().causes(&article()).unwrap();
    let (mut joined, mut other) = (causes.clone(), causes.clone());
    other[0].probes.push("other/probe".to_owned());
    other[1].text.push_str(" otherwise");
    join(&mut joined, other.clone());
    assert_eq!(joined.len(), causes.len() + 1);
    let first = joined
        .iter()
        .find(|cause| cause.is_same(&causes[0]))
        .unwrap();
    assert_eq!(first.probes, other[0].probes);
}
