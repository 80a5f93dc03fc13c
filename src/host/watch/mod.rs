//! Keeps guests fenced: it hears of every change that can take a fence away, closes the tap
//! first, then mends, and opens the tap again when the rules are proven.

mod domain_events;
mod expression;
mod hands;
mod journal;
mod judged;
mod links;
mod look;
mod machine;
mod mender;
mod rule_events;
mod run;
mod service;
mod tables;

pub use domain_events::{DomainEvent, DomainEvents};
pub use journal::{Journal, LogFormat};
pub use judged::{Judged, Nic, Standing};
pub use links::{Counters, LinkEvent, Links};
pub use look::{Look, Ways, look};
pub use machine::{Action, Fall, Level, Machine, Millis, Note, Orders, Seen};
pub use rule_events::{Changes, Culprit, RuleEvents};
pub use run::{Options, WatchError, run};
pub use tables::{Part, Place, Tables};
