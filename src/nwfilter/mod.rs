//! libvirt's filter language: model, strict reader, canonical writer and the generator.

mod compare;
mod generate;
mod model;
mod read;
mod residual;
mod set;
mod vocabulary;
mod write;

pub use compare::difference;
pub use generate::generate;
pub use model::{Action, Direction, Element, Entry, Filter, FilterRef, Rule};
pub use read::{ReadError, read};
pub use residual::{RESIDUALS, Residual};
pub use set::{FilterSet, SetError};
pub use write::write;
