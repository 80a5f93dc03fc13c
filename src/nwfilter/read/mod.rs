//! The reader: strict, so that what libvirt would silently ignore is an
//! error, or as lenient as libvirt 11.3.0, so that the difference can be shown.

mod parts;
mod position;
#[cfg(test)]
mod tests;

use super::model::{Filter, FilterRef, Rule};
use super::shorten::shorten;
use super::vocabulary::{self, Protocol, Reading};
use crate::nearest::nearest;
use position::Cursor;
pub use position::Position;
use quick_xml::Reader;
use quick_xml::events::attributes::AttrError;
use quick_xml::events::{BytesStart, Event};
use std::ops::Range;
use thiserror::Error;

/// Largest file read. The largest filter that still binds in a minute is some 400 kB.
const MAX_BYTES: usize = 4 << 20;

/// Deepest nesting of the language: filter, rule or filterref, protocol or parameter.
const MAX_DEPTH: usize = 3;

/// Deepest nesting that is looked through for what libvirt ignores; its XML
/// library gives up there too.
const MAX_IGNORED_DEPTH: usize = 256;

/// Most attributes of one element that are looked at; the language has 25 at most.
const MAX_ATTRIBUTES: usize = 64;

/// Most things that libvirt ignores which are listed for one file.
const MAX_IGNORED: usize = 1000;

/// A filter that cannot be read.
#[derive(Debug, Clone, Error)]
#[error("{origin}:{}:{}: {source}", place.0, place.1)]
pub struct ReadError {
    origin: String,
    place: Position,
    source: Box<Fault>,
}

/// What is wrong with a filter.
#[derive(Debug, Clone, Error)]
enum Fault {
    /// It is no well-formed XML.
    #[error("this is no well-formed XML: {0}")]
    Syntax(#[source] quick_xml::Error),
    /// Nor are the attributes of an element.
    #[error("in <{element}>: {source}")]
    Attribute { element: String, source: AttrError },
    /// Nor is the value of one.
    #[error("the value of {name} in <{element}>: {source}")]
    Value {
        name: String,
        element: String,
        source: quick_xml::Error,
    },
    /// It is XML, and no filter.
    #[error("{0}")]
    Refused(String),
}

impl ReadError {
    /// Line, from 1.
    pub fn line(&self) -> usize {
        self.place.0
    }
}

/// Something that libvirt silently reads as something else, or not at all.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ignored {
    /// Where it stands.
    pub position: Position,
    /// What it is, and what libvirt makes of it.
    pub what: String,
}

/// A filter with the places of its parts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Document {
    /// The filter.
    pub filter: Filter,
    /// Where each rule starts, in document order.
    pub rules: Vec<Position>,
    /// Where each reference starts, in document order.
    pub references: Vec<Position>,
    /// What libvirt ignores; empty where the file was read strictly.
    pub ignored: Vec<Ignored>,
    /// Where its text is.
    pub layout: TextLayout,
}

/// Where the parts of a filter are in its text, for who edits that.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct TextLayout {
    /// Line and column of the filter's start tag.
    pub start: Position,
    /// Bytes of the filter's start tag.
    pub head: Range<usize>,
    /// Bytes of each entry, from `<` of its start tag to `>` of its end tag, in document order.
    pub entries: Vec<Range<usize>>,
    /// Where the end tag of the filter starts; none where the filter is one empty tag.
    pub end: Option<usize>,
}

/// Reads one filter. `origin` names the file in messages.
///
/// # Errors
/// The first thing that is wrong, with line and column: malformed or truncated
/// XML, a document type or entity declaration, an unknown element, attribute or
/// value (with the nearest known one), a missing or repeated part.
///
/// # Examples
///
/// ```
/// use lanfence::nwfilter::read;
///
/// let text = "<filter name='x'><rule action='drop' direction='out'><ip dstipadr='10.0.0.1'/></rule></filter>";
/// let error = read(text, "x.xml").unwrap_err();
/// assert!(error.to_string().contains("did you mean dstipaddr?"));
/// ```
pub fn read(text: &str, origin: &str) -> Result<Filter, ReadError> {
    document(text, origin).map(|document| document.filter)
}

/// Reads one filter with the places of its parts.
///
/// # Errors
/// As [`read`].
pub fn document(text: &str, origin: &str) -> Result<Document, ReadError> {
    Parser::new(text, origin, false).run()
}

/// Reads one filter as libvirt does, with a list of what it ignores or takes
/// for something else.
///
/// # Errors
/// What libvirt refuses, and document types, which it does not.
pub fn as_libvirt(text: &str, origin: &str) -> Result<Document, ReadError> {
    Parser::new(text, origin, true).run()
}

/// What is open around the cursor.
enum Open {
    Filter,
    Uuid(String),
    Rule(Rule),
    Reference(FilterRef),
    /// An element without content of its own.
    Leaf,
    /// An element that libvirt does not look into.
    Ignored,
}

struct Parser<'a> {
    text: &'a str,
    origin: &'a str,
    reader: Reader<&'a [u8]>,
    /// Byte offset of the current event.
    at: usize,
    cursor: Cursor,
    lenient: bool,
    filter: Option<Filter>,
    open: Vec<Open>,
    rules: Vec<Position>,
    references: Vec<Position>,
    ignored: Vec<Ignored>,
    /// Where the elements start that are open.
    starts: Vec<usize>,
    layout: TextLayout,
}

/// Attributes of one element, in document order.
type Attributes = Vec<(String, String)>;

impl<'a> Parser<'a> {
    fn new(text: &'a str, origin: &'a str, lenient: bool) -> Self {
        let mut parser = Self {
            text,
            origin,
            reader: Reader::from_str(text),
            at: 0,
            cursor: Cursor::default(),
            lenient,
            filter: None,
            open: Vec::new(),
            rules: Vec::new(),
            references: Vec::new(),
            ignored: Vec::new(),
            starts: Vec::new(),
            layout: TextLayout::default(),
        };
        parser.reader.config_mut().check_end_names = true;
        parser
    }

    fn run(mut self) -> Result<Document, ReadError> {
        if self.text.len() > MAX_BYTES {
            return Err(self.error(format!(
                "the file has {} bytes; at most {MAX_BYTES} are read",
                self.text.len()
            )));
        }
        while self.event()? {}
        if !self.open.is_empty() {
            return Err(self.error("the file ends in the middle of the filter"));
        }
        let Some(filter) = self.filter.take() else {
            return Err(self.error("there is no <filter> in the file"));
        };
        Ok(Document {
            filter,
            rules: self.rules,
            references: self.references,
            ignored: self.ignored,
            layout: self.layout,
        })
    }

    /// Takes one event; whether there are more.
    fn event(&mut self) -> Result<bool, ReadError> {
        self.at = offset(self.reader.buffer_position());
        let event = match self.reader.read_event() {
            Ok(event) => event,
            Err(error) => {
                self.at = offset(self.reader.error_position());
                return Err(self.fault(Fault::Syntax(error)));
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
                return Err(self
                    .error("an entity stands where only elements may; entities are not expanded"));
            }
            Event::DocType(_) => {
                return Err(self.error("a document type declaration is refused: filters need none, and entities in it can be used for attacks"));
            }
            Event::Comment(_) | Event::Decl(_) | Event::PI(_) => {}
            Event::Eof => return Ok(false),
        }
        Ok(true)
    }

    fn place(&mut self) -> Position {
        self.cursor.place(self.text, self.at)
    }

    fn error(&mut self, what: impl Into<String>) -> ReadError {
        self.fault(Fault::Refused(what.into()))
    }

    fn fault(&mut self, source: Fault) -> ReadError {
        ReadError {
            origin: self.origin.to_owned(),
            place: self.place(),
            source: Box::new(source),
        }
    }

    /// Something that libvirt ignores or takes for something else: an error to
    /// the strict reader, a remark of the lenient one.
    fn ignore(&mut self, what: impl Into<String>) -> Result<(), ReadError> {
        if !self.lenient {
            return Err(self.error(what));
        }
        if self.ignored.len() >= MAX_IGNORED {
            return Err(self.error(format!(
                "this is the {MAX_IGNORED}th thing that libvirt ignores; a file with so many is no filter"
            )));
        }
        let position = self.place();
        self.ignored.push(Ignored {
            position,
            what: what.into(),
        });
        Ok(())
    }

    fn start(&mut self, start: &BytesStart<'_>) -> Result<(), ReadError> {
        let name = start.name().as_ref().to_owned();
        let deepest = if self.lenient {
            MAX_IGNORED_DEPTH
        } else {
            MAX_DEPTH
        };
        if self.open.len() >= deepest {
            return Err(self.error(format!(
                "<{}> is nested too deeply; a filter has {MAX_DEPTH} levels",
                shorten(&name)
            )));
        }
        let attributes = self.attributes(start, &name)?;
        let name = self.local(&name)?;
        let opened = match (self.open.last(), name.as_str()) {
            (None, "filter") => self.filter(attributes)?,
            (None, other) => {
                return Err(self.error(format!(
                    "<{}> is no filter; the file must hold one <filter>",
                    shorten(other)
                )));
            }
            (Some(Open::Filter), "uuid") => Open::Uuid(String::new()),
            (Some(Open::Filter), "rule") => Open::Rule(self.rule(attributes)?),
            (Some(Open::Filter), "filterref") => Open::Reference(self.reference(attributes)?),
            (Some(Open::Filter), other) => {
                let known = ["uuid", "rule", "filterref"];
                self.unknown("element", other, "<filter>", &known)?
            }
            (Some(Open::Reference(_)), "parameter") => self.parameter(attributes)?,
            (Some(Open::Reference(_)), other) => {
                self.unknown("element", other, "<filterref>", &["parameter"])?
            }
            (Some(Open::Rule(_)), protocol) => self.element(protocol, attributes)?,
            (Some(Open::Uuid(_) | Open::Leaf), other) => {
                let what = format!("<{}> cannot stand in there", shorten(other));
                self.ignore(what)?;
                Open::Ignored
            }
            (Some(Open::Ignored), _) => Open::Ignored,
        };
        if matches!(opened, Open::Filter) {
            self.layout.start = self.place();
            self.layout.head = self.at..offset(self.reader.buffer_position());
        }
        self.open.push(opened);
        self.starts.push(self.at);
        Ok(())
    }

    /// A name without its namespace's prefix, which libvirt does not look at.
    fn local(&mut self, name: &str) -> Result<String, ReadError> {
        let Some((_, local)) = name.split_once(':') else {
            return Ok(name.to_owned());
        };
        let what = format!(
            "<{}> has a namespace's prefix, which libvirt does not look at: it reads <{}>",
            shorten(name),
            shorten(local)
        );
        self.ignore(what)?;
        Ok(local.to_owned())
    }

    fn characters(&mut self, text: &str) -> Result<(), ReadError> {
        match self.open.last_mut() {
            Some(Open::Uuid(uuid)) => {
                uuid.push_str(text);
                return Ok(());
            }
            Some(Open::Ignored) => return Ok(()),
            // What stands outside the filter is no XML to libvirt either.
            None if !text.trim().is_empty() => {
                let what = format!("the text `{}` cannot stand here", shorten(text.trim()));
                return Err(self.error(what));
            }
            _ => {}
        }
        if text.trim().is_empty() {
            return Ok(());
        }
        self.ignore(format!(
            "the text `{}` cannot stand here",
            shorten(text.trim())
        ))
    }

    fn attributes(
        &mut self,
        start: &BytesStart<'_>,
        element: &str,
    ) -> Result<Attributes, ReadError> {
        let mut attributes: Attributes = Vec::new();
        for attribute in start.attributes() {
            let attribute = attribute.map_err(|source| {
                let element = shorten(element);
                self.fault(Fault::Attribute { element, source })
            })?;
            let name = attribute.key.as_ref().to_owned();
            let value = attribute
                .normalized_value(quick_xml::XmlVersion::Implicit1_0)
                .map_err(|source| {
                    self.fault(Fault::Value {
                        name: shorten(&name),
                        element: shorten(element),
                        source,
                    })
                })?
                .into_owned();
            attributes.push((name, value));
            if attributes.len() > MAX_ATTRIBUTES {
                return Err(self.error(format!(
                    "<{}> has more than {MAX_ATTRIBUTES} attributes",
                    shorten(element)
                )));
            }
        }
        Ok(attributes)
    }

    /// Something whose name libvirt does not know, which it skips.
    fn unknown(
        &mut self,
        kind: &str,
        name: &str,
        parent: &str,
        known: &[&str],
    ) -> Result<Open, ReadError> {
        let hint = match nearest(&shorten(name), known.iter().copied()) {
            Some(near) => format!("did you mean {near}?"),
            None => format!("it knows {}", known.join(", ")),
        };
        self.ignore(format!(
            "unknown {kind} {} in {parent}: libvirt silently ignores it; {hint}",
            shorten(name)
        ))?;
        Ok(Open::Ignored)
    }

    /// Takes out the attributes that libvirt does not know.
    fn only(
        &mut self,
        attributes: &mut Attributes,
        element: &str,
        known: &[&str],
    ) -> Result<(), ReadError> {
        let (good, bad): (Attributes, Attributes) = std::mem::take(attributes)
            .into_iter()
            .partition(|(name, _)| known.contains(&name.as_str()));
        for (name, _) in bad {
            self.unknown("attribute", &name, element, known)?;
        }
        *attributes = good;
        Ok(())
    }

    /// A protocol's attributes with values that libvirt can read.
    fn values(&mut self, protocol: Protocol, attributes: &mut Attributes) -> Result<(), ReadError> {
        let known = vocabulary::attributes(protocol);
        for (name, value) in attributes {
            let Some(attribute) = known.iter().find(|known| known.name == name) else {
                continue;
            };
            match attribute.kind.reading(value) {
                Reading::Plain(_) => {}
                Reading::Odd(meant) => {
                    self.ignore(format!(
                        "the {name} `{}` of <{protocol}>: libvirt reads it as `{}`",
                        shorten(value),
                        shorten(&meant)
                    ))?;
                    *value = meant;
                }
                Reading::Refused(wanted) => {
                    return Err(self.error(format!(
                        "`{}` cannot be the {name} of <{protocol}>: write {wanted}",
                        shorten(value)
                    )));
                }
            }
        }
        Ok(())
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
