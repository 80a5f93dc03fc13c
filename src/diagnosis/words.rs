//! Causes in the filter's own terms.

use super::aspect::{Aspect, list};
use super::cause::{Cause, CausePlace, CausingRule};
use super::decider::{Decider, FrameClass, chain_words};
use super::key::{Fault, Group, Key};
use crate::nwfilter::vocabulary::{Action, parse};
use crate::nwfilter::{FilterTree, Rule, RuleId};
use crate::verdict::Failure;
use ipnet::IpNet;
use std::net::IpAddr;

/// Most sentences of the policy that one cause quotes.
const QUOTED: usize = 3;

/// The cause of a group.
pub fn cause(tree: &FilterTree, failure: Failure, key: &Key, group: Group) -> Cause {
    let (explained, text, id, place) = match key {
        Key::Unexplained(why) => (false, format!("not explained: {why}"), None, None),
        Key::Decided(Decider::Rule(id), fault) => {
            let place = tree
                .rule_place(id)
                .map(|(file, (line, column))| CausePlace {
                    file: file.to_owned(),
                    line,
                    column,
                });
            let text = of_rule(tree, failure, (id, fault), &group);
            (true, text, Some(id), place)
        }
        Key::Decided(decider, _) => {
            let chain = match decider {
                Decider::ChainEnd { chain, .. } => chain.as_deref(),
                Decider::Unseen { chains, .. } => chains.first().map(String::as_str),
                _ => None,
            };
            (true, without_rule(decider), None, filter_place(tree, chain))
        }
    };
    Cause {
        failure,
        explained,
        text,
        rule: id.map(|id| CausingRule {
            filter: id.filter.clone(),
            rule: id.rule,
            text: tree.rule_text(id),
        }),
        place,
        probes: group.probes,
        statements: group.statements,
    }
}

/// The start of the first filter of a chain; of that which is bound where there is none.
fn filter_place(tree: &FilterTree, chain: Option<&str>) -> Option<CausePlace> {
    let mut filters = tree.filters.iter();
    let of_chain = filters.find(|filter| Some(filter.chain.as_str()) == chain);
    let name = of_chain.map_or(tree.top.as_str(), |filter| filter.name.as_str());
    let source = tree.source(name)?;
    let (line, column) = source.layout.start;
    Some(CausePlace {
        file: source.path.clone(),
        line,
        column,
    })
}

fn direction(inbound: bool) -> &'static str {
    if inbound {
        "to the guest"
    } else {
        "from the guest"
    }
}

/// What there is to say where no rule decides.
fn without_rule(decider: &Decider) -> String {
    match decider {
        Decider::Unfiltered { inbound } => {
            let way = if *inbound { "in" } else { "out" };
            format!(
                "frames {} are not filtered at all: no rule has direction='{way}' or 'inout'",
                direction(*inbound)
            )
        }
        Decider::Unseen {
            class,
            inbound,
            chains,
        } => {
            let why = match chains.as_slice() {
                [] => "no rule looks at such frames".to_owned(),
                [one] => format!("chain='{one}' {}", sees(one)),
                several => {
                    let names: Vec<String> =
                        several.iter().map(|name| format!("'{name}'")).collect();
                    format!("the chains {} see other frames only", names.join(", "))
                }
            };
            format!("{} not filtered at all: {why}", whole(*class, *inbound))
        }
        Decider::ChainEnd {
            chain,
            class,
            inbound,
        } => format!(
            "no rule of {} matches {} {}, and it accepts what no rule matches",
            chain_words(chain.as_deref()),
            match class {
                FrameClass::Other => "these frames of other EtherTypes",
                FrameClass::V4 => "this IPv4",
                FrameClass::V6 => "this IPv6",
                FrameClass::Arp => "this ARP",
            },
            direction(*inbound)
        ),
        Decider::Rule(_) | Decider::Kernel => {
            "no rule decides: the bridge or br_netfilter discards such frames by itself".to_owned()
        }
    }
}

/// All frames of a class, with the verb.
fn whole(class: FrameClass, inbound: bool) -> String {
    let way = direction(inbound);
    match class {
        FrameClass::V4 => format!("IPv4 {way} is"),
        FrameClass::V6 => format!("IPv6 {way} is"),
        FrameClass::Arp => format!("ARP {way} is"),
        FrameClass::Other => format!("frames {way} that are neither IPv4, IPv6 nor ARP are"),
    }
}

/// What enters a chain.
fn sees(chain: &str) -> String {
    let prefixes = [
        ("ipv4", "IPv4"),
        ("ipv6", "IPv6"),
        ("arp", "ARP"),
        ("rarp", "RARP"),
        ("vlan", "802.1Q"),
        ("stp", "the spanning tree"),
    ];
    let mut prefixes = prefixes.iter();
    let found = prefixes.find(|(prefix, _)| chain.starts_with(prefix));
    let what = found.map_or("other frames", |(_, what)| *what);
    format!("sees {what} only")
}

fn rule_of<'t>(tree: &'t FilterTree, id: &RuleId) -> Option<&'t Rule> {
    let filter = tree.filters.iter().find(|filter| filter.name == id.filter);
    filter?.rules().nth(id.rule.checked_sub(1)?)
}

fn of_rule(
    tree: &FilterTree,
    failure: Failure,
    (id, fault): (&RuleId, &Fault),
    group: &Group,
) -> String {
    let rule = rule_of(tree, id);
    let action = rule.map_or(Action::Accept, |rule| rule.action);
    let lets = match (failure, action) {
        (Failure::Blocked, _) => "stops",
        (_, Action::Return) => "ends the chain for",
        _ => "lets pass",
    };
    let everything = rule.is_some_and(|rule| {
        let mut elements = rule.elements.iter();
        elements.all(|element| element.attributes.iter().all(|(name, _)| name == "comment"))
    });
    match fault {
        Fault::TooWide(aspect) => rule
            .and_then(|rule| mask_words(rule, *aspect))
            .unwrap_or_else(|| {
                format!(
                    "this rule takes in more than the policy allows by its {}",
                    aspect.words()
                )
            }),
        Fault::Untested if everything => format!(
            "this rule {lets} all that it is for, whatever {} is",
            list(&group.aspects, "or")
        ),
        Fault::Untested => {
            let word = if group.aspects.len() > 2 { "or" } else { "nor" };
            let list = list(&group.aspects, word);
            match (group.aspects.len(), word) {
                (2, _) => format!("this rule tests neither {list}"),
                _ => format!("this rule does not test {list}"),
            }
        }
        Fault::NothingBefore => format!(
            "no rule before this one lets pass what the policy requires: {}",
            quoted(&group.sentences)
        ),
        Fault::Itself if failure == Failure::Blocked => format!(
            "this rule {lets} what the policy requires: {}",
            quoted(&group.sentences)
        ),
        Fault::Itself => format!(
            "this rule {lets} what the policy forbids: {}",
            quoted(&group.sentences)
        ),
    }
}

fn quoted(sentences: &[String]) -> String {
    if sentences.is_empty() {
        return "frames whose headers are cut off or broken".to_owned();
    }
    let shown = sentences[..sentences.len().min(QUOTED)].join(" ");
    match sentences.len().saturating_sub(QUOTED) {
        0 => shown,
        more => format!("{shown} And {more} more."),
    }
}

/// `this mask makes 255.255.255.0/24 of one address`, or that the network is too large.
fn mask_words(rule: &Rule, aspect: Aspect) -> Option<String> {
    let (address_name, mask_name) = aspect.masked_attribute()?;
    let value = |name: &str| {
        let mut attributes = rule.elements.iter().flat_map(|element| &element.attributes);
        let (_, value) = attributes.find(|(found, _)| found == name)?;
        Some(value.as_str())
    };
    let (address, mask) = (value(address_name)?, value(mask_name)?);
    let address: IpAddr = address.parse().ok()?;
    let length = parse::prefix_length(mask, address.is_ipv6())?;
    let net = IpNet::new(address, u8::try_from(length).ok()?).ok()?;
    let negated = rule.elements.iter().any(|element| {
        !element.positive
            && element
                .attributes
                .iter()
                .any(|(name, _)| name == address_name)
    });
    if negated {
        return Some(format!(
            "this rule takes in every {} outside {}, of which the policy does not allow all",
            aspect.words(),
            net.trunc()
        ));
    }
    if net.trunc() != net && net.prefix_len() != net.max_prefix_len() {
        // What ends in a zero was meant as a network.
        let one = match address {
            IpAddr::V4(v4) => v4.octets()[3] != 0,
            IpAddr::V6(v6) => v6.segments()[7] != 0,
        };
        let one = if one { "one address, " } else { "" };
        return Some(format!("this mask makes {} of {one}{address}", net.trunc()));
    }
    Some(format!(
        "the {} may be any of {net}, of which the policy does not allow all",
        aspect.words()
    ))
}
