//! libvirt's filter language: model, strict reader, canonical writer, generator, evaluator and lint.

mod compare;
pub mod evaluate;
mod generate;
pub mod lint;
mod model;
mod places;
mod read;
mod set;
pub mod sets;
mod vocabulary;
mod write;

pub use compare::difference;
pub use generate::generate;
pub use model::{Action, Direction, Element, Entry, Filter, FilterRef, Rule};
pub use places::{Place, rule_places};
pub use read::{ReadError, read};
pub use set::{FilterSet, SetError};
pub use write::{element, write};
