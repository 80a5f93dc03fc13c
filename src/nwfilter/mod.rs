//! libvirt's filter language: model, strict reader, canonical writer, generator, evaluator and lint.

mod compare;
pub mod evaluate;
pub mod examples;
mod generate;
pub mod intervals;
#[cfg(test)]
#[path = "../testdata/language.rs"]
mod language;
pub mod learning;
pub mod lint;
mod load;
mod model;
pub mod mutate;
mod parameter;
pub mod reach;
mod read;
mod referring;
mod shipped;
mod shorten;
pub mod statements;
mod trace;
mod tree;
pub mod vocabulary;
mod write;

pub use compare::difference;
pub use generate::generate;
pub use load::Strictness;
pub use model::{Element, Entry, Filter, FilterRef, Rule, RuleId};
pub use parameter::{Parameter, ParameterSource};
pub use read::{Document, Ignored, Position, ReadError, TextLayout, as_libvirt, document, read};
pub use shipped::{SHIPPED_HINT, ShippedFilters};
pub use trace::trace;
pub use tree::{FilterTree, Source, TreeError};
pub use vocabulary::{Action, Protocol, RuleDirection};
pub use write::{canonical, canonical_rule, element, write};
