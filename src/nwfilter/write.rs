//! The canonical writer: byte for byte what libvirt 11.3.0 prints of a filter
//! that was defined (`virsh nwfilter-dumpxml`).

use super::model::{Element, Entry, Filter, FilterRef, Rule};
use super::vocabulary::{self, default_chain_priority};
use quick_xml::escape::escape;
use std::fmt::Write as _;

/// The filter as XML, the same text for the same filter every time. Without a
/// UUID there is no line for it, where libvirt makes one up.
pub fn write(filter: &Filter) -> String {
    let filter = canonical(filter);
    let mut out = String::new();
    let mut head = format!(
        "<filter name='{}' chain='{}'",
        escape(&filter.name),
        escape(&filter.chain)
    );
    if let Some(priority) = filter.priority {
        let _ = write!(head, " priority='{priority}'");
    }
    let _ = writeln!(out, "{head}>");
    if let Some(uuid) = &filter.uuid {
        let _ = writeln!(out, "  <uuid>{uuid}</uuid>");
    }
    for entry in &filter.entries {
        match entry {
            Entry::Rule(rule) => write_rule(&mut out, rule),
            Entry::Reference(reference) => write_reference(&mut out, reference),
        }
    }
    out.push_str("</filter>\n");
    out
}

/// The filter as libvirt keeps it: values in one form, attributes in one
/// order, defaults filled in, signs as libvirt copies them, attributes that it
/// drops left out.
pub fn canonical(filter: &Filter) -> Filter {
    let priority = match filter.priority {
        None if filter.in_root() => None,
        priority => Some(priority.unwrap_or_else(|| default_chain_priority(&filter.chain))),
    };
    Filter {
        // A priority of 0 is not printed, so that reading it back gives the default.
        priority: priority.filter(|priority| *priority != 0),
        entries: filter.entries.iter().map(canonical_entry).collect(),
        ..filter.clone()
    }
}

fn canonical_entry(entry: &Entry) -> Entry {
    match entry {
        Entry::Rule(rule) => Entry::Rule(canonical_rule(rule)),
        Entry::Reference(reference) => {
            let mut reference = reference.clone();
            // By name only: the order of a list's values counts.
            reference.parameters.sort_by(|a, b| a.0.cmp(&b.0));
            Entry::Reference(reference)
        }
    }
}

/// A rule as libvirt keeps it: what is positive in one element, what is
/// negated in a second.
pub fn canonical_rule(rule: &Rule) -> Rule {
    let mut out = rule.clone();
    out.priority = Some(rule.effective_priority());
    let Some(first) = rule.elements.first() else {
        return out;
    };
    let known = vocabulary::attributes(first.protocol);
    // Of an attribute that stands there twice the last counts.
    let find = |name: &str| {
        let all = rule.elements.iter().rev();
        let mut found = all.filter_map(|element| {
            let mut attributes = element.attributes.iter().rev();
            let (_, value) = attributes.find(|(found, _)| found == name)?;
            Some((element.positive, value))
        });
        found.next()
    };
    let mut sides = [Vec::new(), Vec::new()];
    let src = "src".to_owned();
    let mixed_up = vocabulary::mixes_up_ipsets(first.protocol);
    let bare = find("ipset").is_some() && find("ipsetflags").is_none();
    for attribute in &known {
        let found = match attribute.name {
            "ipsetflags" if mixed_up && bare => Some((true, &src)),
            "ipset" | "ipsetflags" if mixed_up && !bare => None,
            name => find(name),
        };
        let Some((own, value)) = found else {
            continue;
        };
        let positive = attribute.sign_of.map_or(own, |source| {
            find(source).is_none_or(|(positive, _)| positive)
        });
        let value = attribute.kind.printed(value);
        sides[usize::from(!positive)].push((attribute.name.to_owned(), value));
    }
    let [positive, negative] = sides;
    let element = |attributes, positive| Element {
        protocol: first.protocol,
        positive,
        attributes,
    };
    out.elements.clear();
    if !positive.is_empty() || negative.is_empty() {
        out.elements.push(element(positive, true));
    }
    if !negative.is_empty() {
        out.elements.push(element(negative, false));
    }
    out
}

fn write_rule(out: &mut String, rule: &Rule) {
    let mut head = format!(
        "  <rule action='{}' direction='{}'",
        rule.action, rule.direction
    );
    if let Some(priority) = rule.priority {
        let _ = write!(head, " priority='{priority}'");
    }
    if !rule.statematch {
        head.push_str(" statematch='false'");
    }
    if rule.elements.is_empty() {
        let _ = writeln!(out, "{head}/>");
        return;
    }
    let _ = writeln!(out, "{head}>");
    for element in &rule.elements {
        let _ = writeln!(out, "    {}", self::element(element));
    }
    out.push_str("  </rule>\n");
}

/// A protocol element as it stands in the model, without indentation.
pub fn element(element: &Element) -> String {
    let mut out = format!("<{}", element.protocol);
    if !element.positive {
        out.push_str(" match='no'");
    }
    for (name, value) in &element.attributes {
        let _ = write!(out, " {name}='{}'", escape(value));
    }
    out.push_str("/>");
    out
}

fn write_reference(out: &mut String, reference: &FilterRef) {
    let name = escape(&reference.filter);
    if reference.parameters.is_empty() {
        let _ = writeln!(out, "  <filterref filter='{name}'/>");
        return;
    }
    let _ = writeln!(out, "  <filterref filter='{name}'>");
    for (name, value) in &reference.parameters {
        let _ = writeln!(
            out,
            "    <parameter name='{}' value='{}'/>",
            escape(name),
            escape(value)
        );
    }
    out.push_str("  </filterref>\n");
}

#[cfg(test)]
mod tests;
