//! XML as a tree of elements, each with its bytes in the text.

use super::error::{DomainError, Fault};
use crate::place::position;
use quick_xml::Reader;
use quick_xml::events::{BytesRef, BytesStart, Event};
use std::ops::Range;

/// Largest text read; a definition with a thousand disks has some 600 kB.
const MAX_BYTES: usize = 16 << 20;

/// Deepest nesting; libvirt's XML library gives up there too.
const MAX_DEPTH: usize = 256;

/// The byte order mark, which stands before the XML and is none of it.
const BYTE_ORDER_MARK: &str = "\u{feff}";

/// One element.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Element {
    /// Name, with its namespace's prefix.
    pub name: String,
    /// Attributes in document order, their values without entities.
    pub attributes: Vec<(String, String)>,
    /// The whole element in the text, from `<` to behind the last `>`.
    pub span: Range<usize>,
    /// What stands between its tags; none where there is one tag, `<x/>`.
    pub content: Option<Range<usize>>,
    /// Its own text, without that of its children.
    pub text: String,
    /// Elements in it, in document order.
    pub children: Vec<Element>,
}

impl Element {
    /// Reads a text with one element.
    ///
    /// # Errors
    /// A text that is no well-formed XML, is too large or too deep, or has a document type.
    pub fn parse(text: &str) -> Result<Self, DomainError> {
        if text.len() > MAX_BYTES {
            return Err(DomainError::TooLarge {
                bytes: text.len(),
                most: MAX_BYTES,
            });
        }
        let start = text
            .strip_prefix(BYTE_ORDER_MARK)
            .map_or(0, |rest| text.len() - rest.len());
        let mut reader = Reader::from_str(&text[start..]);
        reader.config_mut().check_end_names = true;
        let tree = Tree {
            text,
            start,
            reader,
            open: Vec::new(),
            root: None,
        };
        tree.read()
    }

    /// The value of an attribute.
    pub fn attribute(&self, name: &str) -> Option<&str> {
        let mut found = self.attributes.iter().filter(|(key, _)| key == name);
        found.next().map(|(_, value)| value.as_str())
    }

    /// The children of a name.
    pub fn all<'a>(&'a self, name: &str) -> impl Iterator<Item = &'a Element> {
        self.children.iter().filter(move |child| child.name == name)
    }

    /// The first child of a name.
    pub fn child(&self, name: &str) -> Option<&Element> {
        self.all(name).next()
    }

    /// The attribute of the first child of a name.
    pub fn child_attribute(&self, name: &str, attribute: &str) -> Option<String> {
        let value = self.child(name)?.attribute(attribute)?;
        Some(value.to_owned())
    }

    /// The text of the first child of a name, without white space around it.
    pub fn child_text(&self, name: &str) -> Option<String> {
        let text = self.child(name)?.text.trim();
        (!text.is_empty()).then(|| text.to_owned())
    }
}

/// A tree that is being read.
struct Tree<'a> {
    text: &'a str,
    /// Where the reader's first byte is in the text.
    start: usize,
    reader: Reader<&'a [u8]>,
    /// The elements around the cursor, from the root inwards.
    open: Vec<Element>,
    root: Option<Element>,
}

impl Tree<'_> {
    fn read(mut self) -> Result<Element, DomainError> {
        loop {
            let from = self.at();
            let event = match self.reader.read_event() {
                Ok(event) => event,
                Err(source) => {
                    let at = self.start + offset(self.reader.error_position());
                    return Err(self.error(at, Fault::Syntax(source)));
                }
            };
            match event {
                Event::Start(start) => self.open(&start, from)?,
                Event::Empty(start) => {
                    self.open(&start, from)?;
                    self.close(None);
                }
                Event::End(_) => self.close(Some(from)),
                Event::Text(text) => self.characters(&text.into_inner(), from)?,
                Event::CData(text) => self.characters(&text.into_inner(), from)?,
                Event::GeneralRef(entity) => self.entity(&entity, from)?,
                Event::DocType(_) => return Err(self.error(from, Fault::DocType)),
                Event::Comment(_) | Event::Decl(_) | Event::PI(_) => {}
                Event::Eof => break,
            }
        }
        let end = self.text.len();
        match self.root.take() {
            _ if !self.open.is_empty() => Err(self.error(end, Fault::Truncated)),
            None => Err(self.error(end, Fault::NoElement)),
            Some(root) => Ok(root),
        }
    }

    /// Where the next event begins.
    fn at(&self) -> usize {
        self.start + offset(self.reader.buffer_position())
    }

    fn error(&self, at: usize, source: Fault) -> DomainError {
        let (line, column) = position(self.text, at.min(self.text.len()));
        DomainError::Xml {
            line,
            column,
            source: Box::new(source),
        }
    }

    fn open(&mut self, start: &BytesStart<'_>, from: usize) -> Result<(), DomainError> {
        if self.open.len() >= MAX_DEPTH {
            return Err(self.error(from, Fault::TooDeep(MAX_DEPTH)));
        }
        if self.open.is_empty() && self.root.is_some() {
            return Err(self.error(from, Fault::SecondRoot));
        }
        let mut attributes = Vec::new();
        for attribute in start.attributes() {
            let attribute =
                attribute.map_err(|source| self.error(from, Fault::Attribute(source)))?;
            let value = attribute
                .normalized_value(quick_xml::XmlVersion::Implicit1_0)
                .map_err(|source| self.error(from, Fault::Syntax(source)))?;
            attributes.push((attribute.key.as_ref().to_owned(), value.into_owned()));
        }
        let behind = self.at();
        self.open.push(Element {
            name: start.name().as_ref().to_owned(),
            attributes,
            span: from..behind,
            content: None,
            text: String::new(),
            children: Vec::new(),
        });
        Ok(())
    }

    /// Closes the innermost element, whose closing tag begins there if it has one.
    fn close(&mut self, tag: Option<usize>) {
        // The reader has refused a closing tag without an opening one.
        let Some(mut element) = self.open.pop() else {
            return;
        };
        element.content = tag.map(|tag| element.span.end..tag);
        element.span.end = self.at();
        match self.open.last_mut() {
            Some(parent) => parent.children.push(element),
            None => self.root = Some(element),
        }
    }

    fn characters(&mut self, text: &str, from: usize) -> Result<(), DomainError> {
        match self.open.last_mut() {
            Some(element) => element.text.push_str(text),
            None if text.trim().is_empty() => {}
            None => return Err(self.error(from, Fault::TextOutside)),
        }
        Ok(())
    }

    fn entity(&mut self, entity: &BytesRef<'_>, from: usize) -> Result<(), DomainError> {
        let character = entity
            .resolve_char_ref()
            .map_err(|source| self.error(from, Fault::Syntax(source)))?;
        let name = entity.borrow().into_inner();
        let named = quick_xml::escape::resolve_predefined_entity(&name);
        match (character, named) {
            (Some(character), _) => self.characters(character.encode_utf8(&mut [0; 4]), from),
            (None, Some(text)) => self.characters(text, from),
            (None, None) => Err(self.error(from, Fault::Entity(name.into_owned()))),
        }
    }
}

fn offset(position: u64) -> usize {
    usize::try_from(position).unwrap_or(usize::MAX)
}
