use super::*;
use crate::nwfilter::{generate, read};

fn judged(tree: &FilterTree, policy: &Policy) -> Mutants {
    let layout = Layout::of(policy).unwrap();
    let binding = Binding {
        parameters: &[],
        backend: Backend::default(),
    };
    mutate(tree, policy, &layout, binding).unwrap()
}

#[test]
fn of_the_generated_filter() {
    let policy = Policy::example();
    let tree = FilterTree::generated(generate(&policy));
    let mutants = judged(&tree, &policy);
    let figures = mutants.figures();
    println!("{figures:?}");
    for each in &mutants.all {
        if let Class::Survived(difference) = &each.class {
            println!(
                "{}: {}",
                each.mutant,
                crate::frame::summary(&difference.frame)
            );
        }
    }
    assert!(figures.score().percent() > 80.0, "{figures:?}");
    assert_eq!(figures.unproven, 0);
}

/// Each class once, on a filter that is small enough to see why.
#[test]
fn a_mutant_is_in_one_class() {
    let text = "<filter name='x'>
        <rule action='drop' direction='out' priority='1'><ip dstipaddr='192.0.2.0' dstipmask='24' protocol='udp' dstportstart='7'/></rule>
        <rule action='accept' direction='out' priority='2'><ip srcipaddr='192.0.2.0' srcipmask='24'/></rule>
        <rule action='drop' direction='out' priority='3'><vlan/></rule>
    </filter>";
    let tree = FilterTree::generated(read(text, "test").unwrap());
    let mutants = judged(&tree, &Policy::example());
    let class = |name: &str| {
        let mut all = mutants.all.iter();
        let found = all.find(|each| each.mutant.to_string() == name);
        found.unwrap_or_else(|| panic!("{name}")).class.word()
    };
    assert_eq!(
        class("rule 1 of x: dstportstart='8' instead of '7'"),
        "survived"
    );
    assert_eq!(class("rule 1 of x: delete protocol"), "refused");
    assert_eq!(class("rule 2 of x: delete the rule"), "equivalent");
    assert_eq!(class("rule 3 of x: delete the rule"), "both");
    assert_eq!(mutants.exit(), crate::verdict::Exit::Fail);
}
