//! Puts a filterref into an interface, or takes it out, and leaves every other byte as it was.

use super::element::Element;
use super::interface::Interface;
use super::print;
use crate::nwfilter::FilterRef;
use std::ops::Range;

/// The text with another filterref in one interface, or with none: replaced, added or removed;
/// everything else stays byte for byte. A filterref that is put in and taken out again leaves
/// the text as it was.
///
/// # Panics
/// Where the interface was not parsed from this text.
///
/// # Examples
///
/// ```
/// use lanfence::domain::{Domain, set_filterref};
/// use lanfence::nwfilter::FilterRef;
///
/// let xml = "<domain><name>web</name><devices>\
///            <interface type='bridge'><source bridge='br0'/></interface></devices></domain>";
/// let filterref = FilterRef { filter: "lan-only".into(), parameters: vec![] };
/// let guest = Domain::parse(xml)?;
/// let fenced = set_filterref(xml, &guest.interfaces[0], Some(&filterref));
/// assert!(fenced.contains("<source bridge='br0'/><filterref filter='lan-only'/></interface>"));
/// let interface = &Domain::parse(&fenced)?.interfaces[0];
/// assert_eq!(set_filterref(&fenced, interface, None), xml);
/// # Ok::<(), lanfence::domain::DomainError>(())
/// ```
pub fn set_filterref(xml: &str, interface: &Interface, filterref: Option<&FilterRef>) -> String {
    let Range { start, end } = interface.span;
    let element = interface_with(xml, interface, filterref);
    [&xml[..start], &element, &xml[end..]].concat()
}

/// The interface's element alone, with another filterref or with none: what
/// `virDomainUpdateDeviceFlags` takes.
///
/// # Panics
/// Where the interface was not parsed from this text.
pub fn interface_with(xml: &str, interface: &Interface, filterref: Option<&FilterRef>) -> String {
    let text = &xml[interface.span.clone()];
    let element = Element::parse(text).expect("the interface was parsed from this text");
    let mut edits = Edits::default();
    let mut present = element.all("filterref");
    match filterref {
        Some(filterref) => {
            match present.next() {
                Some(first) => {
                    let indent = white_space_before(text, first.span.start);
                    edits.replace(
                        first.span.clone(),
                        print::filterref(filterref, last_line(indent)),
                    );
                }
                None => insert(
                    &mut edits,
                    text,
                    &element,
                    before_line(xml, interface),
                    filterref,
                ),
            }
            // An interface has one filter: what stands behind it would count for nothing, or instead.
            for further in present {
                edits.replace(with_indent(text, further), String::new());
            }
        }
        None if is_all_there_is(text, &element) => {
            edits.replace(
                element.span.start + tag(text, &element).len() - 1..text.len(),
                "/>".to_owned(),
            );
        }
        None => {
            for found in present {
                edits.replace(with_indent(text, found), String::new());
            }
        }
    }
    edits.apply(text)
}

/// Replacements in a text, in its order.
#[derive(Default)]
struct Edits(Vec<(Range<usize>, String)>);

impl Edits {
    fn replace(&mut self, bytes: Range<usize>, with: String) {
        self.0.push((bytes, with));
    }

    fn apply(&self, text: &str) -> String {
        let mut out = String::with_capacity(text.len());
        let mut at = 0;
        for (bytes, with) in &self.0 {
            out.push_str(&text[at..bytes.start]);
            out.push_str(with);
            at = bytes.end;
        }
        out.push_str(&text[at..]);
        out
    }
}

/// Adds a filterref to an interface that has none, so that [`interface_with`] can tell
/// afterwards how the text was:
/// - behind the last child, with the white space that this child has before it;
/// - where there is no child, right behind the opening tag, without white space;
/// - in an element of one tag, with white space behind the opening tag.
fn insert(edits: &mut Edits, text: &str, element: &Element, line: &str, filterref: &FilterRef) {
    let Some(content) = &element.content else {
        let outer = if line.contains('\n') { line } else { "" };
        let (inner, outer) = match outer {
            "" => (" ".to_owned(), ""),
            outer => (print::deeper(outer), outer),
        };
        let end = format!(
            ">{inner}{}{outer}</interface>",
            print::filterref(filterref, &inner)
        );
        edits.replace(text.len() - "/>".len()..text.len(), end);
        return;
    };
    let (at, indent) = match element.children.last() {
        Some(last) => {
            let indent = last_line(white_space_before(text, last.span.start));
            (last.span.end, indent)
        }
        None => (content.start, ""),
    };
    edits.replace(
        at..at,
        format!("{indent}{}", print::filterref(filterref, indent)),
    );
}

/// Whether an element was of one tag before a filterref was put into it.
fn is_all_there_is(text: &str, element: &Element) -> bool {
    let (Some(content), [only]) = (&element.content, element.children.as_slice()) else {
        return false;
    };
    let before = &text[content.start..only.span.start];
    let behind = &text[only.span.end..content.end];
    only.name == "filterref"
        && !before.is_empty()
        && is_white_space(before)
        && is_white_space(behind)
}

/// The opening tag.
fn tag<'a>(text: &'a str, element: &Element) -> &'a str {
    let end = element
        .content
        .as_ref()
        .map_or(text.len(), |content| content.start);
    &text[..end]
}

/// An element's bytes with the white space before it.
fn with_indent(text: &str, element: &Element) -> Range<usize> {
    let white = white_space_before(text, element.span.start).len();
    element.span.start - white..element.span.end
}

/// White space as XML has it.
fn is_white_space(text: &str) -> bool {
    text.chars().all(|c| " \t\r\n".contains(c))
}

/// The white space that ends at a place.
fn white_space_before(text: &str, end: usize) -> &str {
    let before = &text[..end];
    &before[before.trim_end_matches([' ', '\t', '\r', '\n']).len()..]
}

/// The last line's beginning of some white space, with the line's end before it.
fn last_line(white: &str) -> &str {
    let Some(newline) = white.rfind('\n') else {
        return white;
    };
    let start = if white[..newline].ends_with('\r') {
        newline - 1
    } else {
        newline
    };
    &white[start..]
}

/// What the interface's line begins with.
fn before_line<'a>(xml: &'a str, interface: &Interface) -> &'a str {
    last_line(white_space_before(xml, interface.span.start))
}

#[cfg(test)]
mod tests;
