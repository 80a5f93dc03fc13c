//! The canonical writer: laid out as libvirt's dumpxml lays filters out.

use super::model::{Element, Entry, Filter, FilterRef, Rule};
use quick_xml::escape::escape;
use std::fmt::Write as _;

/// The filter as XML, the same text for the same filter every time.
pub fn write(filter: &Filter) -> String {
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
        write_element(out, element);
    }
    out.push_str("  </rule>\n");
}

fn write_element(out: &mut String, element: &Element) {
    let _ = writeln!(out, "    {}", self::element(element));
}

/// A protocol element as XML, without indentation.
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
