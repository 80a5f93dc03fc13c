//! Edits of a filter's text that leave every other byte as it is.

use super::edit::{Anchor, Edit, Piece, pieces};
use super::tag;
use crate::nwfilter::vocabulary::ROOT;
use crate::nwfilter::{Element, Entry, Filter, Rule, Source, canonical, document, element, write};
use std::fmt::Write as _;
use std::ops::Range;

/// The text of the edited filter, and whether it had to be written anew: the edited text must read
/// as the filter that is meant.
pub fn edited(source: &Source, filter: &Filter, edits: &[Edit], meant: &Filter) -> (String, bool) {
    if edits.is_empty() {
        return (source.text.clone(), false);
    }
    let text = in_place(source, filter, edits);
    let read = text.and_then(|text| {
        let read = document(&text, &source.path).ok()?;
        (canonical(&read.filter) == canonical(meant)).then_some(text)
    });
    match read {
        Some(text) => (text, false),
        None => (write(meant), true),
    }
}

/// How the file is laid out.
struct Style {
    /// What ends a line.
    newline: &'static str,
    /// What a rule is indented by.
    rule: String,
    /// What is added for each level.
    level: String,
}

impl Style {
    fn of(source: &Source) -> Self {
        let text = &source.text;
        let newline = if text.contains("\r\n") { "\r\n" } else { "\n" };
        let first = source.layout.entries.first();
        let rule = first.map_or("  ", |span| indentation(text, span.start));
        let level = if rule.contains('\t') { "\t" } else { "  " };
        Self {
            newline,
            rule: rule.to_owned(),
            level: level.to_owned(),
        }
    }

    /// A new rule, without the indentation of its first line.
    fn written(&self, rule: &Rule) -> String {
        let mut out = format!(
            "<rule action='{}' direction='{}'",
            rule.action, rule.direction
        );
        if let Some(priority) = rule.priority {
            let _ = write!(out, " priority='{priority}'");
        }
        if !rule.statematch {
            out.push_str(" statematch='false'");
        }
        if rule.elements.is_empty() {
            out.push_str("/>");
            return out;
        }
        out.push('>');
        for one in &rule.elements {
            let _ = write!(
                out,
                "{}{}{}{}",
                self.newline,
                self.rule,
                self.level,
                element(one)
            );
        }
        let _ = write!(out, "{}{}</rule>", self.newline, self.rule);
        out
    }
}

/// The white space before a place, from the start of its line; nothing where other text is there.
fn indentation(text: &str, at: usize) -> &str {
    let start = text[..at].rfind('\n').map_or(0, |line| line + 1);
    let before = &text[start..at];
    if before.trim().is_empty() { before } else { "" }
}

fn in_place(source: &Source, filter: &Filter, edits: &[Edit]) -> Option<String> {
    let (text, layout) = (source.text.as_str(), &source.layout);
    let (spans, style) = (&layout.entries, Style::of(source));
    if spans.len() != filter.entries.len() {
        return None;
    }
    let mut head = text.get(layout.head.clone())?.to_owned();
    if edits.contains(&Edit::ToRoot) {
        head = tag::with(&head, "chain", Some(ROOT))?;
        head = tag::with(&head, "priority", None)?;
    }
    let mut out = text.get(..layout.head.start)?.to_owned();
    out.push_str(&head);
    // Up to where the old text is taken over.
    let mut at = layout.head.end;
    for piece in pieces(filter, edits) {
        match piece {
            Piece::Kept(entry) => copy(&mut out, text, &mut at, spans.get(entry)?.end)?,
            Piece::Gone(entry) => {
                let line = whole_lines(text, spans.get(entry)?);
                copy(&mut out, text, &mut at, line.start)?;
                at = line.end;
            }
            Piece::Changed(entry, rule) => {
                let span = spans.get(entry)?.clone();
                copy(&mut out, text, &mut at, span.start)?;
                let Entry::Rule(own) = filter.entries.get(entry)? else {
                    return None;
                };
                let old = text.get(span.clone())?;
                let new = changed(old, own, rule).unwrap_or_else(|| style.written(rule));
                out.push_str(&new);
                at = span.end;
            }
            Piece::New(Anchor::Before(entry), rule) => {
                let span = spans.get(entry)?;
                let line = whole_lines(text, span).start;
                let (new, newline, indent) = (style.written(rule), style.newline, &style.rule);
                if line < span.start {
                    copy(&mut out, text, &mut at, line)?;
                    let _ = write!(out, "{newline}{indent}{new}");
                } else {
                    copy(&mut out, text, &mut at, span.start)?;
                    let _ = write!(out, "{new}{newline}{indent}");
                }
            }
            Piece::New(Anchor::After(_) | Anchor::Alone, rule) => {
                let _ = write!(
                    out,
                    "{}{}{}",
                    style.newline,
                    style.rule,
                    style.written(rule)
                );
            }
        }
    }
    copy(&mut out, text, &mut at, text.len())?;
    Some(out)
}

fn copy(out: &mut String, text: &str, at: &mut usize, end: usize) -> Option<()> {
    out.push_str(text.get(*at..end)?);
    *at = end;
    Some(())
}

/// An entry with its line, where it has lines of its own: from the end of the line before to its
/// own end.
fn whole_lines(text: &str, span: &Range<usize>) -> Range<usize> {
    let rest = &text[span.end..];
    let line = rest.split('\n').next().unwrap_or_default();
    let before = text[..span.start].rfind('\n');
    match before {
        Some(before) if line.trim().is_empty() && text[before..span.start].trim().is_empty() => {
            let start = if text[..before].ends_with('\r') {
                before - 1
            } else {
                before
            };
            start..span.end
        }
        _ => span.clone(),
    }
}

/// The text of a rule with only those attributes changed that differ; none where it is simpler to
/// write the rule anew.
fn changed(old: &str, own: &Rule, rule: &Rule) -> Option<String> {
    if own.elements.len() != rule.elements.len() {
        return None;
    }
    let mut tags = tag::start_tags(old).into_iter();
    let head = tags.next()?;
    let mut new_head = old.get(head.clone())?.to_owned();
    if own.action != rule.action {
        new_head = tag::with(&new_head, "action", Some(&rule.action.to_string()))?;
    }
    if own.direction != rule.direction {
        new_head = tag::with(&new_head, "direction", Some(&rule.direction.to_string()))?;
    }
    if own.priority != rule.priority {
        let priority = rule.priority.map(|priority| priority.to_string());
        new_head = tag::with(&new_head, "priority", priority.as_deref())?;
    }
    if own.statematch != rule.statematch {
        let word = (!rule.statematch).then_some("false");
        new_head = tag::with(&new_head, "statematch", word)?;
    }
    let mut out = new_head;
    let mut at = head.end;
    let tags: Vec<Range<usize>> = tags.collect();
    if tags.len() != own.elements.len() {
        return None;
    }
    for (span, (was, now)) in tags
        .into_iter()
        .zip(own.elements.iter().zip(&rule.elements))
    {
        out.push_str(old.get(at..span.start)?);
        out.push_str(&changed_element(old.get(span.clone())?, was, now)?);
        at = span.end;
    }
    out.push_str(old.get(at..)?);
    Some(out)
}

fn changed_element(old: &str, was: &Element, now: &Element) -> Option<String> {
    if was.protocol != now.protocol {
        return None;
    }
    let mut out = old.to_owned();
    if was.positive != now.positive {
        out = tag::with(&out, "match", (!now.positive).then_some("no"))?;
    }
    let find = |element: &Element, name: &str| {
        let mut attributes = element.attributes.iter();
        let found = attributes.find(|(known, _)| known == name);
        found.map(|(_, value)| value.clone())
    };
    for (name, _) in &was.attributes {
        if find(now, name).is_none() {
            out = tag::with(&out, name, None)?;
        }
    }
    for (name, value) in &now.attributes {
        if find(was, name).as_ref() != Some(value) {
            out = tag::with(&out, name, Some(value))?;
        }
    }
    Some(out)
}
