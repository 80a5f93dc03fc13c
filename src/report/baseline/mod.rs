//! What is accepted of the verdicts on a filter, and what a run changed about it.
//!
//! [`Observed`] is what a run, a check or a mutation found, [`Baseline`] is the file that people
//! accept such findings in, and [`compare`](fn@compare) tells what differs between one of them
//! and what is observed now. What did not run is never as before.

mod accept;
mod bless;
mod compare;
mod date;
mod error;
mod facts;
mod file;
mod found;
mod hosts;
mod known;
mod observed;
mod reach;
mod source;
mod standing;
#[cfg(test)]
mod tests;
mod verb;
mod within;
mod write;

pub use accept::{Accept, AcceptError};
pub use bless::{Blessed, bless};
pub use compare::{Change, Comparison, Kind, Weight, compare};
pub use date::Date;
pub use error::BaselineError;
pub use facts::{Fact, Facts, Subject, Suspect};
pub use file::{Baseline, Entry};
pub use known::Known;
pub use observed::{CELL, LEAK_CHECK, Observed, Probe};
pub use source::{CHECK_SCHEMA, MUTATE_SCHEMA, SourceError, read};
pub use standing::Standing;
pub use verb::Verb;
