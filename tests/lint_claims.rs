//! Every lint against the real libvirt and kernel: a filter that triggers it
//! and what the kernel really does with it, and one that does not, with the difference.
//!
//! The table is the list of tests, and a test holds it against the catalogue of
//! lints, so that a lint without a claim, or a reason for none, is a failure.
//! All claims of a process are put to one lab.

#[path = "lint_claims/claim.rs"]
mod claim;
#[path = "lint_claims/frames.rs"]
mod frames;
#[path = "lint_claims/idle.rs"]
mod idle;
#[path = "lint_claims/in_vain.rs"]
mod in_vain;
#[path = "common/kernel.rs"]
mod kernel;
#[path = "lint_claims/release.rs"]
mod release;
#[path = "lint_claims/table.rs"]
mod table;
#[path = "lint_claims/trees.rs"]
mod trees;

use claim::Claim;
use kernel::{Answer, Case, Device, ask};
use lanfence::nwfilter::evaluate::Backend;
use lanfence::nwfilter::lint::catalogue::LINTS;
use libtest_mimic::{Arguments, Failed, Trial};
use std::collections::BTreeSet;
use std::process::ExitCode;
use std::sync::{Arc, OnceLock};

/// A test that is no claim of the table.
type Test = fn() -> Result<(), Failed>;

fn main() -> ExitCode {
    let arguments = Arguments::from_args();
    let mut trials = of_backend(&arguments, Backend::Ebtables);
    trials.extend(of_backend(&arguments, Backend::Nftables));
    let apart: [(&str, Test); 6] = [
        ("the_table_has_every_lint", the_table_has_every_lint),
        ("equal-chain-priority::random_order", random_order),
        ("no-uuid::the_next_version", next_version),
        ("a_device_that_is_not_there", absent_device),
        ("a_filter_of_both_families_after_one_of_ipv4", both_families),
        (
            "a_layer_3_rule_with_lists_of_different_lengths",
            unequal_lists,
        ),
    ];
    trials.extend(apart.map(|(name, test)| Trial::test(name, test)));
    libtest_mimic::run(&arguments, trials).exit_code()
}

/// The claims that are asked for, as tests of a back end; ignored where libvirt does not have it.
fn of_backend(arguments: &Arguments, backend: Backend) -> Vec<Trial> {
    let name = |claim: &Claim| match backend {
        Backend::Ebtables => claim.name(),
        Backend::Nftables => format!("nftables::{}", claim.name()),
    };
    let wanted = |name: &str| match &arguments.filter {
        None => true,
        Some(filter) if arguments.exact => name == filter,
        Some(filter) => name.contains(filter.as_str()),
    };
    let claims: Vec<Claim> = table::claims()
        .into_iter()
        .filter(|claim| claim.is_about(backend) && wanted(&name(claim)))
        .collect();
    let shared = Arc::new(Shared {
        backend,
        cases: claims.iter().flat_map(Claim::cases).collect(),
        answers: OnceLock::new(),
    });
    let trial = |(at, claim): (usize, Claim)| {
        let shared = Arc::clone(&shared);
        Trial::test(name(&claim), move || {
            let answers = shared.answers()?;
            Ok(claim.judge(backend, &answers[2 * at..2 * at + 2])?)
        })
        .with_ignored_flag(!release::has(backend))
    };
    claims.into_iter().enumerate().map(trial).collect()
}

/// The claims of this process for a back end, and what one lab said to them.
struct Shared {
    backend: Backend,
    cases: Vec<Case>,
    answers: OnceLock<Result<Vec<Answer>, String>>,
}

impl Shared {
    fn answers(&self) -> Result<&[Answer], Failed> {
        let answers = self.answers.get_or_init(|| {
            // No claim hangs on those before it (docs/libvirt-bugs.md#B34).
            let mut answers = ask(
                self.backend,
                &[&[of_both_families()], &self.cases[..]].concat(),
            )?;
            answers.remove(0);
            Ok(answers)
        });
        answers.as_deref().map_err(Failed::from)
    }
}

/// A lint has claims, a test of its own, or a reason for neither, and only one of them.
fn the_table_has_every_lint() -> Result<(), Failed> {
    let claims = table::claims();
    let names: BTreeSet<String> = claims.iter().map(Claim::name).collect();
    if names.len() != claims.len() {
        return Err("two claims have one name".into());
    }
    let claimed: BTreeSet<&str> = claims.iter().map(|claim| claim.lint).collect();
    let without = table::WITHOUT.iter().map(|(lint, reason)| {
        assert!(!reason.is_empty(), "{lint}");
        *lint
    });
    let mut all: Vec<&str> = claimed
        .into_iter()
        .chain(table::APART)
        .chain(without)
        .collect();
    all.sort_unstable();
    let lints: Vec<&str> = LINTS.iter().map(|lint| lint.name).collect();
    if all != lints {
        return Err(format!("of the lints {lints:?} the table has {all:?}").into());
    }
    Ok(())
}

/// Names of chains, as many as leave one chance in half a million that three
/// daemons order them alike.
const TIED: [&str; 6] = ["a", "b", "c", "d", "e", "f"];

/// B17: the order of chains with one priority differs from one start of libvirtd
/// to the next; where each has its own, it is theirs.
fn random_order() -> Result<(), Failed> {
    let apart = entered(&ask(Backend::Ebtables, &[chains(|at| at)])?[0]);
    if apart != TIED {
        return Err(format!("not by priority: {apart:?}").into());
    }
    let mut orders = BTreeSet::new();
    for _ in 0..3 {
        orders.insert(entered(&ask(Backend::Ebtables, &[chains(|_| 1)])?[0]));
    }
    if orders.len() == 1 {
        return Err(format!("three daemons had one order: {orders:?}").into());
    }
    Ok(())
}

/// The chains in the order in which frames from the guest enter them.
fn entered(answer: &Answer) -> Vec<String> {
    let rules = answer.rules.iter();
    let jumps = rules.filter_map(|rule| rule.split_once(" -j I-tap0-ipv4-"));
    let order: Vec<String> = jumps.map(|(_, name)| name.trim().to_owned()).collect();
    assert_eq!(order.len(), TIED.len(), "{answer:#?}");
    order
}

/// Chains for IPv4 with these priorities, by position.
fn chains(priority: fn(usize) -> usize) -> Case {
    let mut filters: Vec<(String, String)> = TIED
        .iter()
        .enumerate()
        .map(|(at, name)| {
            let priority = priority(at);
            let text = format!(
                "<filter name='{name}' chain='ipv4-{name}' priority='{priority}'><rule action='return' direction='out'/></filter>"
            );
            ((*name).to_owned(), text)
        })
        .collect();
    let references = TIED.map(|name| format!("<filterref filter='{name}'/>"));
    let top = format!("<filter name='x'>{}</filter>", references.concat());
    filters.push(("x".to_owned(), top));
    case(filters)
}

fn case(filters: Vec<(String, String)>) -> Case {
    Case {
        filters,
        parameters: Vec::new(),
        bind: true,
        device: None,
        bridge_nf: true,
        frames: Vec::new(),
    }
}

/// A filter with rules of layer 3 for IPv4 and IPv6.
fn of_both_families() -> Case {
    let text = "<filter name='x'><rule action='drop' direction='out'><tcp/></rule>\
                <rule action='drop' direction='out'><tcp-ipv6/></rule></filter>";
    case(vec![("x".to_owned(), text.to_owned())])
}

/// The next version of a filter is refused where neither has a uuid, and taken where both have.
fn next_version() -> Result<(), Failed> {
    let text = |uuid: &str, action: &str| {
        let text =
            format!("<filter name='x'>{uuid}<rule action='{action}' direction='out'/></filter>");
        ("x".to_owned(), text)
    };
    let twice = |uuid: &str| case(vec![text(uuid, "drop"), text(uuid, "accept")]);
    let answers = ask(Backend::Ebtables, &[twice("")])?;
    let refused = answers[0].refused.as_deref().unwrap_or_default();
    if !refused.contains("already exists with uuid") {
        return Err(format!("the next version is not refused: {answers:#?}").into());
    }
    let uuid = "<uuid>6ecbbd5f-0d4f-4f0c-8a3c-0d6d3f5d1a77</uuid>";
    let answers = ask(Backend::Ebtables, &[twice(uuid)])?;
    let dumped = answers[0].dumped.last();
    if !dumped.is_some_and(|text| text.contains("accept")) {
        return Err(format!("the next version is not taken: {answers:#?}").into());
    }
    Ok(())
}

/// B16: libvirt says that it has bound a filter to a device that is not there.
/// No lint can know; `verify` reads the rules after every bind for this reason.
fn absent_device() -> Result<(), Failed> {
    let text = "<filter name='x'><rule action='drop' direction='out'/></filter>";
    let absent = Device {
        name: "absent0",
        exists: false,
    };
    let case = Case {
        device: Some(absent),
        ..case(vec![("x".to_owned(), text.to_owned())])
    };
    let answers = ask(Backend::Ebtables, &[case])?;
    assert!(answers[0].bound, "{answers:#?}");
    assert!(answers[0].rules.is_empty(), "{answers:#?}");
    Ok(())
}

/// B34: libvirt 12.9 makes no base chains of ip6tables where those of iptables are there already. No
/// lint can know what was bound before; the crosscheck has both made first.
fn both_families() -> Result<(), Failed> {
    let ipv4 = "<filter name='x'><rule action='drop' direction='out'><tcp/></rule></filter>";
    let ipv4 = case(vec![("x".to_owned(), ipv4.to_owned())]);
    let answers = ask(Backend::Ebtables, &[ipv4, of_both_families()])?;
    assert!(answers[0].bound, "{answers:#?}");
    let refused = answers[1].refused.as_deref().unwrap_or_default();
    let as_b34 = refused.contains("ip6tables") && refused.contains("libvirt-out");
    match release::of_libvirt() {
        Some(version) if version >= (12, 9) => assert!(as_b34, "{answers:#?}"),
        Some(version) if version <= (11, 3) => assert!(answers[1].bound, "{answers:#?}"),
        _ => assert!(as_b34 || answers[1].bound, "{answers:#?}"),
    }
    Ok(())
}

/// B35: libvirt 12.9 makes a filter with such a rule without the rule; before it refused the filter.
fn unequal_lists() -> Result<(), Failed> {
    let text = "<filter name='x'><rule action='drop' direction='out'><icmp/></rule>\
                <rule action='drop' direction='out'>\
                <tcp srcportstart='$A' dstportstart='$B'/></rule></filter>";
    let parameters = [("A", "1"), ("B", "2"), ("B", "3")];
    let unequal = Case {
        parameters: parameters
            .map(|(name, value)| (name.into(), value.into()))
            .into(),
        ..case(vec![("x".to_owned(), text.to_owned())])
    };
    let answer = &ask(Backend::Ebtables, &[unequal])?[0];
    let refused = answer.refused.as_deref().unwrap_or_default();
    let as_before = refused.contains("ardinality");
    let of_tcp = |rule: &String| rule.contains("-p tcp");
    let as_b35 = answer.bound && !answer.rules.is_empty() && !answer.rules.iter().any(of_tcp);
    match release::of_libvirt() {
        Some(version) if version >= (12, 9) => assert!(as_b35, "{answer:#?}"),
        Some(version) if version <= (11, 3) => assert!(as_before, "{answer:#?}"),
        _ => assert!(as_b35 || as_before, "{answer:#?}"),
    }
    Ok(())
}
