//! A strict reader: what libvirt would ignore without a word is an error here.

use super::model::{Action, Direction, Element, Entry, Filter, FilterRef, Rule};
use super::vocabulary;
use crate::nearest::nearest;
use quick_xml::Reader;
use quick_xml::events::{BytesStart, Event};
use thiserror::Error;

/// Largest file read. The largest filter that still binds in a minute is some 400 kB.
const MAX_BYTES: usize = 4 << 20;

/// Deepest nesting of the language: filter, rule or filterref, protocol or parameter.
const MAX_DEPTH: usize = 3;

/// Most attributes of one element that are looked at; the language has 24 at most.
const MAX_ATTRIBUTES: usize = 64;

/// A filter that cannot be read.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("{origin}:{line}:{column}: {what}")]
pub struct ReadError {
    origin: String,
    line: usize,
    column: usize,
    what: String,
}

impl ReadError {
    /// Line, from 1.
    pub fn line(&self) -> usize {
        self.line
    }
}

/// Reads one filter.
///
/// # Errors
/// The first thing that is wrong, with line and column: malformed or truncated
/// XML, a document type or entity declaration, an unknown element, attribute or
/// value (with the nearest known one), a missing or repeated part.
pub fn read(text: &str, origin: &str) -> Result<Filter, ReadError> {
    let mut parser = Parser {
        text,
        origin,
        reader: Reader::from_str(text),
        at: 0,
        depth: 0,
        filter: None,
        open: Vec::new(),
    };
    parser.reader.config_mut().check_end_names = true;
    parser.run()
}

/// What is open around the cursor.
enum Open {
    Filter,
    Uuid(String),
    Rule(Rule),
    Reference(FilterRef),
    /// An element without content of its own.
    Leaf,
}

struct Parser<'a> {
    text: &'a str,
    origin: &'a str,
    reader: Reader<&'a [u8]>,
    /// Byte offset of the current event.
    at: usize,
    depth: usize,
    filter: Option<Filter>,
    open: Vec<Open>,
}

type Attributes = Vec<(String, String)>;

impl Parser<'_> {
    fn run(mut self) -> Result<Filter, ReadError> {
        if self.text.len() > MAX_BYTES {
            return Err(self.error(format!(
                "the file has {} bytes; at most {MAX_BYTES} are read",
                self.text.len()
            )));
        }
        loop {
            self.at = offset(self.reader.buffer_position());
            let event = match self.reader.read_event() {
                Ok(event) => event,
                Err(error) => {
                    self.at = offset(self.reader.error_position());
                    return Err(self.error(format!("this is no well-formed XML: {error}")));
                }
            };
            match event {
                Event::Start(start) => self.start(&start)?,
                Event::Empty(start) => {
                    self.start(&start)?;
                    self.end()?;
                }
                Event::End(_) => self.end()?,
                Event::Text(text) => self.characters(&text.into_inner())?,
                Event::CData(data) => self.characters(&data.into_inner())?,
                Event::GeneralRef(_) => {
                    return Err(self.error(
                        "an entity stands where only elements may; entities are not expanded",
                    ));
                }
                Event::DocType(_) => {
                    return Err(self.error("a document type declaration is refused: filters need none, and entities in it can be used for attacks"));
                }
                Event::Comment(_) | Event::Decl(_) | Event::PI(_) => {}
                Event::Eof => break,
            }
        }
        if !self.open.is_empty() {
            return Err(self.error("the file ends in the middle of the filter"));
        }
        self.filter
            .take()
            .ok_or_else(|| self.error("there is no <filter> in the file"))
    }

    fn error(&self, what: impl Into<String>) -> ReadError {
        let before = &self.text.as_bytes()[..self.at.min(self.text.len())];
        let line = String::from_utf8_lossy(before).matches('\n').count() + 1;
        let start = before
            .iter()
            .rposition(|byte| *byte == b'\n')
            .map_or(0, |at| at + 1);
        let column = String::from_utf8_lossy(&before[start..]).chars().count() + 1;
        ReadError {
            origin: self.origin.to_owned(),
            line,
            column,
            what: what.into(),
        }
    }

    fn start(&mut self, start: &BytesStart<'_>) -> Result<(), ReadError> {
        let name = start.name().as_ref().to_owned();
        self.depth += 1;
        if self.depth > MAX_DEPTH {
            return Err(self.error(format!(
                "<{name}> is nested too deeply; a filter has {MAX_DEPTH} levels"
            )));
        }
        let attributes = self.attributes(start, &name)?;
        let opened = match (self.open.last_mut(), name.as_str()) {
            (None, "filter") => self.filter(&attributes)?,
            (None, other) => {
                return Err(self.error(format!(
                    "<{other}> is no filter; the file must hold one <filter>"
                )));
            }
            (Some(Open::Filter), "uuid") => Open::Uuid(String::new()),
            (Some(Open::Filter), "rule") => Open::Rule(self.rule(&attributes)?),
            (Some(Open::Filter), "filterref") => Open::Reference(self.reference(&attributes)?),
            (Some(Open::Filter), other) => {
                return Err(self.unknown(
                    "element",
                    other,
                    "<filter>",
                    &["uuid", "rule", "filterref"],
                ));
            }
            (Some(Open::Reference(_)), "parameter") => self.parameter(&attributes)?,
            (Some(Open::Reference(_)), other) => {
                return Err(self.unknown("element", other, "<filterref>", &["parameter"]));
            }
            (Some(Open::Rule(_)), protocol) => self.element(protocol, attributes)?,
            (Some(Open::Uuid(_) | Open::Leaf), other) => {
                return Err(self.error(format!("<{other}> cannot stand in there")));
            }
        };
        self.open.push(opened);
        Ok(())
    }

    fn end(&mut self) -> Result<(), ReadError> {
        self.depth = self.depth.saturating_sub(1);
        match self.open.pop() {
            Some(Open::Uuid(text)) => {
                let uuid = uuid::Uuid::parse_str(text.trim())
                    .map_err(|_| self.error(format!("`{}` is no UUID", text.trim())))?;
                let filter = self.filter.as_mut().expect("a uuid is inside a filter");
                if filter.uuid.replace(uuid.to_string()).is_some() {
                    return Err(self.error("a second <uuid>"));
                }
            }
            Some(Open::Rule(rule)) => self.entry(Entry::Rule(rule)),
            Some(Open::Reference(reference)) => self.entry(Entry::Reference(reference)),
            Some(Open::Filter | Open::Leaf) | None => {}
        }
        Ok(())
    }

    fn entry(&mut self, entry: Entry) {
        self.filter
            .as_mut()
            .expect("entries are inside a filter")
            .entries
            .push(entry);
    }

    fn characters(&mut self, text: &str) -> Result<(), ReadError> {
        if let Some(Open::Uuid(uuid)) = self.open.last_mut() {
            uuid.push_str(text);
            return Ok(());
        }
        if text.trim().is_empty() {
            return Ok(());
        }
        Err(self.error(format!(
            "the text `{}` cannot stand here",
            shorten(text.trim())
        )))
    }

    fn attributes(&self, start: &BytesStart<'_>, element: &str) -> Result<Attributes, ReadError> {
        let mut attributes: Attributes = Vec::new();
        for attribute in start.attributes() {
            let attribute =
                attribute.map_err(|error| self.error(format!("in <{element}>: {error}")))?;
            let name = attribute.key.as_ref().to_owned();
            let value = attribute
                .normalized_value(quick_xml::XmlVersion::Implicit1_0)
                .map_err(|error| {
                    self.error(format!("the value of {name} in <{element}>: {error}"))
                })?
                .into_owned();
            attributes.push((name, value));
            if attributes.len() > MAX_ATTRIBUTES {
                return Err(self.error(format!(
                    "<{element}> has more than {MAX_ATTRIBUTES} attributes"
                )));
            }
        }
        Ok(attributes)
    }

    fn unknown(&self, kind: &str, name: &str, parent: &str, known: &[&str]) -> ReadError {
        let hint = match nearest(name, known.iter().copied()) {
            Some(near) => format!("did you mean {near}?"),
            None => format!("it knows {}", known.join(", ")),
        };
        self.error(format!(
            "unknown {kind} {} in {parent}: libvirt ignores it without a word; {hint}",
            shorten(name)
        ))
    }

    fn only(
        &self,
        attributes: &Attributes,
        element: &str,
        known: &[&str],
    ) -> Result<(), ReadError> {
        match attributes
            .iter()
            .find(|(name, _)| !known.contains(&name.as_str()))
        {
            Some((name, _)) => Err(self.unknown("attribute", name, element, known)),
            None => Ok(()),
        }
    }

    fn required<'v>(
        &self,
        attributes: &'v Attributes,
        element: &str,
        name: &str,
    ) -> Result<&'v str, ReadError> {
        find(attributes, name)
            .ok_or_else(|| self.error(format!("{element} lacks the attribute {name}")))
    }

    fn priority(&self, attributes: &Attributes) -> Result<Option<i16>, ReadError> {
        let Some(text) = find(attributes, "priority") else {
            return Ok(None);
        };
        match text.parse() {
            Ok(priority @ -1000..=1000) => Ok(Some(priority)),
            _ => Err(self.error(format!(
                "priority {} is none: use -1000 to 1000 (libvirt would silently take 500)",
                shorten(text)
            ))),
        }
    }

    fn filter(&mut self, attributes: &Attributes) -> Result<Open, ReadError> {
        if self.filter.is_some() {
            return Err(
                self.error("a second <filter> in one file; write each into a file of its own")
            );
        }
        self.only(attributes, "<filter>", &["name", "chain", "priority"])?;
        let name = self.required(attributes, "<filter>", "name")?.to_owned();
        if name.is_empty() || name.contains('/') || name.starts_with('.') {
            return Err(self.error(format!(
                "`{}` cannot be the name of a filter: libvirt makes a file of it",
                shorten(&name)
            )));
        }
        let chain = find(attributes, "chain").unwrap_or("root").to_owned();
        self.chain(&chain)?;
        let priority = self.priority(attributes)?;
        self.filter = Some(Filter {
            name,
            chain,
            priority,
            uuid: None,
            entries: Vec::new(),
        });
        Ok(Open::Filter)
    }

    fn chain(&self, chain: &str) -> Result<(), ReadError> {
        let prefixes = ["mac", "stp", "vlan", "arp", "rarp", "ipv4", "ipv6"];
        let good = chain.len() <= 12
            && chain
                .chars()
                .all(|c| c.is_ascii_alphanumeric() || "_.:-".contains(c));
        if chain == "root" || (good && prefixes.iter().any(|prefix| chain.starts_with(prefix))) {
            return Ok(());
        }
        Err(self.error(format!(
            "chain `{}` is none: use root, or a name of at most 12 characters that begins with {}",
            shorten(chain),
            prefixes.join(", ")
        )))
    }

    fn rule(&self, attributes: &Attributes) -> Result<Rule, ReadError> {
        self.only(
            attributes,
            "<rule>",
            &["action", "direction", "priority", "statematch"],
        )?;
        let action = self.required(attributes, "<rule>", "action")?;
        let direction = self.required(attributes, "<rule>", "direction")?;
        let one_of = |what: &str, value: &str, words: &[&str]| {
            self.error(format!(
                "{what} `{}` is none of {}",
                shorten(value),
                words.join(", ")
            ))
        };
        let statematch = find(attributes, "statematch");
        Ok(Rule {
            action: Action::from_word(action)
                .ok_or_else(|| one_of("action", action, Action::WORDS))?,
            direction: Direction::from_word(direction)
                .ok_or_else(|| one_of("direction", direction, Direction::WORDS))?,
            priority: self.priority(attributes)?,
            statematch: !matches!(statematch, Some("false" | "0")),
            elements: Vec::new(),
        })
    }

    fn element(&mut self, protocol: &str, mut attributes: Attributes) -> Result<Open, ReadError> {
        let Some(known) = vocabulary::attributes(protocol) else {
            return Err(self.unknown("element", protocol, "<rule>", &vocabulary::PROTOCOLS));
        };
        let positive = match find(&attributes, "match") {
            None | Some("yes") => true,
            Some("no") => false,
            Some(other) => {
                return Err(self.error(format!("match `{}` is neither yes nor no", shorten(other))));
            }
        };
        attributes.retain(|(name, _)| name != "match");
        self.only(&attributes, &format!("<{protocol}>"), &known)?;
        let Some(Open::Rule(rule)) = self.open.last_mut() else {
            unreachable!("the caller has matched a rule")
        };
        if let Some(first) = rule
            .elements
            .first()
            .filter(|first| first.protocol != protocol)
        {
            let what = format!(
                "<{protocol}> after <{}> in one rule: libvirt ignores it without a word",
                first.protocol
            );
            return Err(self.error(what));
        }
        rule.elements.push(Element {
            protocol: protocol.to_owned(),
            positive,
            attributes,
        });
        Ok(Open::Leaf)
    }

    fn reference(&self, attributes: &Attributes) -> Result<FilterRef, ReadError> {
        self.only(attributes, "<filterref>", &["filter"])?;
        let filter = self
            .required(attributes, "<filterref>", "filter")?
            .to_owned();
        Ok(FilterRef {
            filter,
            parameters: Vec::new(),
        })
    }

    fn parameter(&mut self, attributes: &Attributes) -> Result<Open, ReadError> {
        self.only(attributes, "<parameter>", &["name", "value"])?;
        let name = self.required(attributes, "<parameter>", "name")?.to_owned();
        let value = self
            .required(attributes, "<parameter>", "value")?
            .to_owned();
        let word = |text: &str, more: &str| {
            !text.is_empty()
                && text
                    .chars()
                    .all(|c| c.is_ascii_alphanumeric() || c == '_' || more.contains(c))
        };
        if !word(&name, "") || !word(&value, ".:") {
            let what = format!(
                "parameter {}={} has a character that libvirt does not take: it skips the parameter without a word; \
                 names have letters, digits and _, values . and : besides",
                shorten(&name),
                shorten(&value)
            );
            return Err(self.error(what));
        }
        let Some(Open::Reference(reference)) = self.open.last_mut() else {
            unreachable!("the caller has matched a reference")
        };
        reference.parameters.push((name, value));
        Ok(Open::Leaf)
    }
}

fn find<'v>(attributes: &'v Attributes, name: &str) -> Option<&'v str> {
    attributes
        .iter()
        .find(|(found, _)| found == name)
        .map(|(_, value)| value.as_str())
}

fn offset(position: u64) -> usize {
    usize::try_from(position).unwrap_or(usize::MAX)
}

/// A value from the file, short enough for a message.
fn shorten(text: &str) -> String {
    let mut short: String = text.chars().take(40).filter(|c| !c.is_control()).collect();
    if text.chars().count() > 40 {
        short.push('…');
    }
    short
}

#[cfg(test)]
mod tests;
