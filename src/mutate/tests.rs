use super::*;
use crate::nwfilter::{generate, read};
use rstest::rstest;

fn judged(tree: &FilterTree, policy: &Policy) -> Mutants {
    let layout = Layout::of(policy).unwrap();
    let binding = Binding {
        parameters: &[],
        own: &[],
        backend: Backend::default(),
    };
    mutate(tree, policy, &layout, binding).unwrap()
}

/// A mutant that survived, with an example.
fn survivor(judged: &Judged) -> Option<String> {
    let Class::Survived(seen) = &judged.class else {
        return None;
    };
    let example = crate::frame::summary(&seen.frame);
    Some(format!("{}: {example} {}", judged.mutant, seen.way))
}

/// No slip in the generated filter goes unnoticed, whatever the policy.
#[rstest]
#[case::the_shipped_one(Policy::EXAMPLE)]
#[case::link_local("[lan]\nprefixes = [\"192.168.1.0/24\"]\nlink-local = true\n")]
#[case::several_prefixes(
    "[lan]\nprefixes = [\"10.1.0.0/16\", \"10.2.0.0/16\", \"fe80::/10\", \"fd00:1::/64\"]\ngateway = \"10.1.0.1\"\n"
)]
#[case::a_29_a_31_and_a_64(
    "[lan]\nprefixes = [\"192.168.1.8/29\", \"10.0.0.2/31\", \"fd00:1::/64\"]\n"
)]
#[case::ipv6_only("[lan]\nprefixes = [\"fd00:1::/64\"]\n")]
#[case::no_gateway("[lan]\nprefixes = [\"192.168.1.0/24\", \"fe80::/10\"]\n")]
#[case::no_dhcp_no_broadcast_no_groups(
    "[lan]\nprefixes = [\"10.1.0.0/16\"]\n[dhcp]\nclient = false\n[broadcast]\nlimited = false\n[multicast]\ngroups = []\n"
)]
#[case::hosts_and_servers_elsewhere(
    "[lan]\nprefixes = [\"10.1.0.0/16\", \"fe80::/10\", \"fd00:1::/64\"]\n[dhcp]\nservers = [\"10.9.0.1\"]\n[allow]\nhosts = [\"203.0.113.5/32\", \"2001:db8::5/128\"]\n"
)]
#[case::narrow_groups(
    "[lan]\nprefixes = [\"192.168.1.0/24\", \"fe80::/10\"]\ngateway = \"192.168.1.254\"\n[broadcast]\nlimited = false\n[multicast]\ngroups = [\"239.255.0.0/16\", \"ff02::/16\", \"ff05::/16\"]\n"
)]
fn no_mutant_of_the_generated_filter_survives(#[case] text: &str) {
    let policy = Policy::parse(text, "test").unwrap();
    let tree = FilterTree::generated(generate(&policy));
    let mutants = judged(&tree, &policy);
    let survivors: Vec<String> = mutants.all.iter().filter_map(survivor).collect();
    assert_eq!(survivors, [""; 0]);
    let figures = mutants.figures();
    assert_eq!(figures.unproven, 0);
    assert!(figures.score().of > 180, "{figures:?}");
    // At most 3 in 100 change what the policy leaves open.
    assert!(
        figures.indifferent * 100 <= figures.all() * 3,
        "{figures:?}"
    );
    // The probes alone, which real guests send, notice all but those that only wrong frames show.
    let unseen = figures.statements;
    assert!(unseen <= 2, "{unseen} by statements only");
}

/// Its check is red already, and two slips make it neither better nor worse.
#[test]
fn of_the_articles_filter() {
    let text = include_str!("../../examples/no-out-traffic.xml");
    let tree = FilterTree::generated(read(text, "article").unwrap());
    let mutants = judged(&tree, &Policy::example());
    let expected = Figures {
        probes: 29,
        both: 22,
        equivalent: 20,
        survived: 2,
        ..Figures::default()
    };
    assert_eq!(mutants.figures(), expected);
    let survivors: Vec<String> = mutants.all.iter().filter_map(survivor).collect();
    assert!(
        survivors[0].starts_with("rule 3 of no-out-traffic: dstipmask='23'"),
        "{survivors:?}"
    );
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
