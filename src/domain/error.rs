//! Why a definition cannot be read.

use quick_xml::events::attributes::AttrError;
use thiserror::Error;

/// A definition of libvirt that cannot be read.
#[derive(Debug, Clone, Error)]
pub enum DomainError {
    /// The text is too large to be a definition.
    #[error(
        "the definition has {bytes} bytes, and lanfence reads at most {most}\n  cure: give what \
         `virsh dumpxml` prints"
    )]
    TooLarge {
        /// How large it is.
        bytes: usize,
        /// How large it may be.
        most: usize,
    },
    /// The text is no XML, or XML that no definition needs.
    #[error(
        "line {line}, column {column}: {source}\n  cure: give what `virsh dumpxml` prints, unchanged"
    )]
    Xml {
        /// From 1.
        line: usize,
        /// From 1, in characters.
        column: usize,
        /// What is wrong there.
        source: Box<Fault>,
    },
    /// The text is another element.
    #[error("the definition is a <{found}>, and <{wanted}> is wanted\n  cure: {cure}")]
    Root {
        /// What it is.
        found: String,
        /// What it has to be.
        wanted: &'static str,
        /// The command that prints one.
        cure: &'static str,
    },
    /// An element that must be there is not.
    #[error("<{element}> has no <{missing}>\n  cure: give what libvirt prints, unchanged")]
    Missing {
        /// In which element.
        element: &'static str,
        /// What is missing.
        missing: &'static str,
    },
    /// An address of a network that is none.
    #[error("<ip> has `{value}` for its {what}\n  cure: mend it with `virsh net-edit`")]
    Address {
        /// Which attribute.
        what: &'static str,
        /// Its value.
        value: String,
    },
}

/// What is wrong with a text that should be XML.
#[derive(Debug, Clone, Error)]
pub enum Fault {
    /// It is not well-formed.
    #[error("this is no well-formed XML: {0}")]
    Syntax(#[source] quick_xml::Error),
    /// An attribute is not.
    #[error("this is no well-formed XML: {0}")]
    Attribute(#[source] AttrError),
    /// A document type can define entities, which can be used for attacks.
    #[error("a document type declaration is refused: a definition needs none")]
    DocType,
    /// An entity that XML itself does not have.
    #[error("the entity &{0}; is not known")]
    Entity(String),
    /// The text ends within an element.
    #[error("the text ends in the middle of the definition")]
    Truncated,
    /// There is nothing but white space and comments.
    #[error("there is no element in the text")]
    NoElement,
    /// A second element beside the first.
    #[error("a second element follows the definition")]
    SecondRoot,
    /// Text before or behind the element.
    #[error("text stands outside the definition")]
    TextOutside,
    /// Too many elements within each other.
    #[error("more than {0} elements are nested")]
    TooDeep(usize),
}
