//! libvirt's filter language: model, strict reader, canonical writer, generator, evaluator and lint.

mod compare;
pub mod evaluate;
mod generate;
#[cfg(test)]
#[path = "../../tests/common/language.rs"]
mod language;
pub mod lint;
mod model;
mod read;
mod set;
pub mod sets;
mod shorten;
pub mod value;
pub mod vocabulary;
mod write;

pub use compare::difference;
pub use generate::generate;
pub use model::{Action, Direction, Element, Entry, Filter, FilterRef, Rule};
pub use read::{Document, Ignored, Place, ReadError, as_libvirt, document, read};
pub use set::{FilterSet, SetError};
pub use write::{canonical, element, write};
