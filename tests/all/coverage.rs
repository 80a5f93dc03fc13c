//! Which rules a run tests: the kernel's counters and the evaluator agree.

use crate::common::{example, verify_tap};
use lanfence::check::coverage;
use lanfence::check::probes::judge_all;
use lanfence::layout::Layout;
use lanfence::nwfilter::evaluate::Compiled;
use lanfence::nwfilter::{Filter, generate, read};
use lanfence::policy::Policy;
use rstest::rstest;

fn articles() -> Filter {
    let text = std::fs::read_to_string(example("no-out-traffic.xml")).expect("the example");
    read(&text, "example").expect("a filter")
}

#[rstest]
#[case::the_generated(generate(&Policy::example()), &[])]
#[case::the_articles(articles(), &["--filter", "no-out-traffic.xml"])]
fn the_kernel_counts_frames_at_each_rule_that_a_probe_matches(
    #[case] filter: Filter,
    #[case] arguments: &[&str],
) {
    let own: Vec<String> = arguments
        .iter()
        .map(|it| match *it {
            "--filter" => (*it).to_owned(),
            file => example(file),
        })
        .collect();
    let own: Vec<&str> = own
        .iter()
        .map(String::as_str)
        .chain(["--coverage"])
        .collect();
    let done = verify_tap(&own);
    let rules = &done.run().cells[0].rules;
    assert_eq!(rules.len(), filter.rule_count(), "{}", done.printed());
    let policy = Policy::example();
    let layout = Layout::of(&policy).expect("a LAN with room");
    let name = filter.name.clone();
    let compiled = Compiled::new(&[filter], &name, layout.guest.mac, &[]).expect("a filter");
    for covered in coverage(&compiled, &judge_all(&compiled, &policy, &layout)) {
        let hits = rules.iter().find(|hits| hits.rule == covered.rule.rule);
        let frames = hits.map_or(0, |hits| hits.frames);
        if !covered.probes.is_empty() {
            assert!(frames > 0, "{}: {:?}", covered.rule, covered.probes);
        }
    }
    assert!(
        done.stdout.contains("how many frames each matched"),
        "{}",
        done.printed()
    );
}
