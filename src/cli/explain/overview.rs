//! A filter in words: its rules in the order in which the kernel tries them,
//! and what passes, exactly.

mod address;
mod passing;

pub use address::Unset;

use crate::cli::levels::{self, WIDTH};
use crate::nwfilter::Action;
use crate::nwfilter::FilterTree;
use crate::nwfilter::evaluate::field::Field;
use crate::nwfilter::evaluate::{
    Backend, Compiled, CompiledRule, ConnectionState, Layer2Chains, Match, RootStep, SubChain, Way,
};
use crate::nwfilter::examples::{Source, Variable};
use crate::nwfilter::intervals::IntervalSet;
use crate::nwfilter::lint::Finding;
use crate::nwfilter::reach::describe::{label, values};
use crate::nwfilter::reach::summaries;
use crate::nwfilter::vocabulary::variables as known;
use crate::report::text::{plural, wrap};
use std::fmt::Write as _;

/// The whole text.
pub fn overview(
    tree: &FilterTree,
    filter: &Compiled,
    variables: &[Variable],
    address: Option<&Unset>,
    findings: &[Finding],
) -> String {
    let mut out = heading(tree, filter);
    for variable in variables {
        let first = format!("  {:<12} ", format!("${}", variable.name));
        paragraph(&mut out, &first, &value(variable, address), 15);
    }
    if let Some(rules) = address.and_then(Unset::meanwhile) {
        out.push_str("\nUntil libvirt knows the guest's address, frames that pass\n");
        for way in Way::ALL {
            let _ = writeln!(out, "  {way}");
            out.push_str(&passing::text(&summaries(rules, way)));
        }
    }
    for (way, title) in [
        (Way::FromGuest, "Frames from the guest"),
        (Way::ToGuest, "Frames to the guest"),
    ] {
        let _ = writeln!(out, "\n{title}");
        rules(&mut out, filter, way);
        let _ = writeln!(out, "\n  Frames that pass");
        out.push_str(&passing::text(&summaries(filter, way)));
    }
    if !findings.is_empty() {
        let _ = writeln!(out, "\nLint ({})", plural(findings.len(), "finding"));
        out.push_str(&levels::text(tree, findings));
    }
    out
}

fn heading(tree: &FilterTree, filter: &Compiled) -> String {
    let others = tree.filters.len() - 1;
    let others = match others {
        0 => String::new(),
        _ => format!(" with {} that it refers to", plural(others, "filter")),
    };
    let backend = filter.backend();
    format!(
        "filter  {}{others}, {}\nbackend {backend}, {}\n",
        tree.top,
        plural(tree.rule_count(), "rule"),
        backend.source()
    )
}

fn value(variable: &Variable, address: Option<&Unset>) -> String {
    let values = variable.values.join(" ");
    let address = address.filter(|_| variable.name == known::IP);
    match (variable.source, address) {
        (Source::Interface, _) => format!("{values}: libvirt sets it to the interface's MAC"),
        (Source::Given, _) => format!("{values}: the interface sets it"),
        (Source::Reference, _) => "set by a reference in the filters".to_owned(),
        (Source::Example, Some(address)) => format!("{values}: {}", address.words()),
        (Source::Example, None) => {
            format!(
                "{values}: an example; the interface must set it, else libvirt refuses the filter"
            )
        }
    }
}

/// The rules in order.
fn rules(out: &mut String, filter: &Compiled, way: Way) {
    let layer = filter.layer2(way);
    match &layer.root {
        None => out.push_str("  no layer-2 rule applies to this direction\n"),
        Some(root) => layer2(out, layer, root),
    }
    let titles = match filter.backend() {
        Backend::Ebtables => ["iptables (IPv4)", "ip6tables (IPv6)"]
            .map(|title| format!("{title}, if br_netfilter passes the packet on")),
        // One table of the bridge for both.
        Backend::Nftables => {
            ["IPv4", "IPv6"].map(|family| format!("the table libvirt_nwfilter_inet ({family})"))
        }
    };
    for (kind, title) in [0x0800, 0x86dd].into_iter().zip(titles) {
        let rules = filter.layer3(way, kind);
        if rules.is_empty() {
            continue;
        }
        let _ = writeln!(out, "  then {title}");
        for each in rules {
            rule(out, "    ", each, kind == 0x86dd);
        }
        out.push_str("    end: accept\n");
    }
}

fn layer2(out: &mut String, layer: &Layer2Chains, root: &[RootStep]) {
    for step in root {
        match step {
            RootStep::Rule(each) => rule(out, "  ", each, is_v6(&each.matches)),
            RootStep::Jump(at) => chain(out, &layer.subs[*at], layer.end_accepts),
        }
    }
    if !root
        .iter()
        .any(|step| matches!(step, RootStep::Rule(rule) if decides(rule)))
    {
        out.push_str("  end: accept\n");
    }
}

fn chain(out: &mut String, sub: &SubChain, end_accepts: bool) {
    let who = match &sub.guard {
        None => "every frame".to_owned(),
        Some(test) => words(std::slice::from_ref(test), false),
    };
    let _ = writeln!(
        out,
        "  chain {} (priority {}): {who}",
        sub.name, sub.place.priority
    );
    let v6 = sub
        .guard
        .iter()
        .any(|test| is_v6(std::slice::from_ref(test)));
    for each in &sub.rules {
        // What the chain asks of every frame need not be said again.
        let mut each = each.clone();
        each.matches.retain(|test| Some(test) != sub.guard.as_ref());
        rule(out, "    ", &each, v6);
    }
    if !sub.rules.iter().any(decides) {
        let end = if end_accepts {
            "accept"
        } else {
            "continue in the root chain"
        };
        let _ = writeln!(out, "    end: {end}");
    }
}

/// Whether no frame gets past the rule.
fn decides(rule: &CompiledRule) -> bool {
    rule.matches.is_empty() && rule.undecided.is_none() && rule.action != Action::Continue
}

fn rule(out: &mut String, indent: &str, rule: &CompiledRule, v6: bool) {
    let mut text = words(&rule.matches, v6);
    match rule.state {
        ConnectionState::Any => {}
        ConnectionState::New => text.push_str(", if it may start a connection"),
        ConnectionState::Known => text.push_str(", if it belongs to a connection"),
    }
    if let Some(why) = &rule.undecided {
        let _ = write!(text, ", and what lanfence does not model: {why}");
    }
    let _ = write!(text, " ({})", rule.origin);
    let first = format!("{indent}{:<9}", rule.action.word());
    let column = first.len();
    paragraph(out, &first, &text, column);
}

fn is_v6(tests: &[Match]) -> bool {
    let ipv6 = IntervalSet::one(0x86dd);
    tests
        .iter()
        .any(|test| test.field == Field::EtherType && test.set == ipv6)
}

/// What a rule tests.
fn words(tests: &[Match], v6: bool) -> String {
    let v6 = v6 || is_v6(tests);
    let told = tests.iter().filter(|test| {
        // What they say goes without saying once the type of the frame is known.
        !matches!(
            test.field,
            Field::Header | Field::ArpMacs | Field::ArpAddresses
        )
    });
    let said: Vec<String> = told
        .map(|test| {
            let all = test.field.all();
            let text = values(test.field, v6, &test.set, &all);
            match test.field {
                Field::EtherType => text,
                _ => format!("{} {text}", label(test.field)),
            }
        })
        .collect();
    if said.is_empty() {
        "every frame".to_owned()
    } else {
        said.join(", ")
    }
}

fn paragraph(out: &mut String, first: &str, text: &str, indent: usize) {
    for line in wrap(first, text, WIDTH, indent) {
        out.push_str(&line);
        out.push('\n');
    }
}

#[cfg(test)]
mod tests;
