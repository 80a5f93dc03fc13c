//! Edits of a protocol element: its attributes, its sign, its name.

use super::edit::Operator;
use super::values::{self, mask_of, range_end};
use crate::nwfilter::model::Element;
use crate::nwfilter::vocabulary::{Attribute, Protocol, ValueKind, attributes};

/// An edited element with what was done to it.
type Edited = (Operator, String, Element);

/// Every edit of an element.
pub fn edits(element: &Element) -> Vec<Edited> {
    let known = attributes(element.protocol);
    let mut out = Vec::new();
    for (name, value) in &element.attributes {
        let Some(attribute) = known.iter().find(|known| known.name == name) else {
            continue;
        };
        if attribute.kind == ValueKind::Comment {
            continue;
        }
        out.push(deleted(element, name));
        out.extend(masks(element, &known, name));
        if value.starts_with('$') {
            // Whatever it stands for is not the filter's to say.
            continue;
        }
        out.extend(other_values(element, attribute, value));
        out.extend(ranges(element, &known, name, value));
    }
    out.extend(negated(element));
    out.extend(sibling(element));
    out
}

fn value<'a>(element: &'a Element, name: &str) -> Option<&'a str> {
    let mut attributes = element.attributes.iter();
    let (_, value) = attributes.find(|(found, _)| found == name)?;
    Some(value)
}

fn with(element: &Element, name: &str, value: String) -> Element {
    let mut out = element.clone();
    match out.attributes.iter_mut().find(|(found, _)| found == name) {
        Some((_, old)) => *old = value,
        None => out.attributes.push((name.to_owned(), value)),
    }
    out
}

/// Without an attribute, and without what says nothing once it is gone.
fn deleted(element: &Element, name: &str) -> Edited {
    let companions = [mask_of(name), range_end(name)];
    let gone = |found: &str| found == name || companions.contains(&Some(found));
    let mut out = element.clone();
    out.attributes.retain(|(found, _)| !gone(found));
    (Operator::Attribute, format!("delete {name}"), out)
}

/// The mask of an address by one bit shorter and longer.
fn masks(element: &Element, known: &[Attribute], name: &str) -> Vec<Edited> {
    let Some(mask) = mask_of(name) else {
        return Vec::new();
    };
    let Some(attribute) = known.iter().find(|known| known.name == mask) else {
        return Vec::new();
    };
    let given = value(element, mask);
    if given.is_some_and(|given| given.starts_with('$')) {
        return Vec::new();
    }
    values::masks(attribute.kind, given)
        .into_iter()
        .map(|text| {
            let words = format!("{mask}='{text}' instead of {}", or_none(given));
            (Operator::Mask, words, with(element, mask, text))
        })
        .collect()
}

fn or_none(value: Option<&str>) -> String {
    value.map_or_else(|| "none".to_owned(), |value| format!("'{value}'"))
}

fn other_values(element: &Element, attribute: &Attribute, old: &str) -> Vec<Edited> {
    let name = attribute.name;
    let mask = mask_of(name).and_then(|mask| value(element, mask));
    values::others(attribute.kind, old, mask)
        .into_iter()
        .map(|text| {
            let words = format!("{name}='{text}' instead of '{old}'");
            (Operator::Value, words, with(element, name, text))
        })
        .collect()
}

/// A single value with its neighbour above, and with that below.
fn ranges(element: &Element, known: &[Attribute], name: &str, old: &str) -> Vec<Edited> {
    let Some(end) = range_end(name) else {
        return Vec::new();
    };
    let (Some(attribute), None) = (
        known.iter().find(|known| known.name == end),
        value(element, end),
    ) else {
        return Vec::new();
    };
    let mut out = Vec::new();
    let neighbours = values::others(attribute.kind, old, None);
    for text in neighbours {
        let above = values::is_above(attribute.kind, &text, old);
        let (first, last) = if above {
            (old, text.as_str())
        } else {
            (text.as_str(), old)
        };
        let words = format!("{name}='{first}' {end}='{last}' instead of '{old}' alone");
        let edited = with(element, name, first.to_owned());
        out.push((Operator::Range, words, with(&edited, end, last.to_owned())));
    }
    out
}

fn negated(element: &Element) -> Option<Edited> {
    let says = |(name, _): &(String, String)| name != "comment";
    if !element.attributes.iter().any(says) {
        return None;
    }
    let words = if element.positive {
        "with match='no'"
    } else {
        "without match='no'"
    };
    let element = Element {
        positive: !element.positive,
        ..element.clone()
    };
    Some((Operator::Negation, words.to_owned(), element))
}

/// Under the name of the element that is most like it, where that has all its attributes.
fn sibling(element: &Element) -> Option<Edited> {
    let protocol = match element.protocol {
        Protocol::Arp => Protocol::Rarp,
        Protocol::Rarp => Protocol::Arp,
        Protocol::Tcp => Protocol::Udp,
        Protocol::Udp => Protocol::Tcp,
        Protocol::TcpIpv6 => Protocol::UdpIpv6,
        Protocol::UdpIpv6 => Protocol::TcpIpv6,
        Protocol::Esp => Protocol::Ah,
        Protocol::Ah => Protocol::Esp,
        _ => return None,
    };
    let known = attributes(protocol);
    let has = |(name, _): &(String, String)| known.iter().any(|known| known.name == name);
    if !element.attributes.iter().all(has) {
        return None;
    }
    let words = format!("<{protocol}> instead of <{}>", element.protocol);
    let element = Element {
        protocol,
        ..element.clone()
    };
    Some((Operator::Element, words, element))
}
