//! Keeps guests fenced: it hears of every change that can take a fence away, closes the tap
//! first, then mends, and opens the tap again when the rules are proven.

mod expression;
mod judged;
mod links;
mod look;
mod machine;
mod rule_events;
mod tables;

pub use judged::{Judged, Nic, Standing};
pub use links::{Counters, LinkEvent, Links};
pub use look::{Look, Ways, look};
pub use machine::{Action, Fall, Level, Machine, Millis, Note, Orders, Seen};
pub use rule_events::{Changes, Culprit, RuleEvents};
pub use tables::{Part, Place, Tables};
