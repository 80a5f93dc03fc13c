//! The user's host: what is in force on its guests, and the verbs that change it.
//!
//! Only what was asked is changed, and no guest is ever less protected by it than before.

pub mod audit;
pub mod change;
mod error;
mod fences;
pub mod gate;
pub mod init;
mod inventory;
mod kernel;
mod libvirt;
mod links;
pub mod netlink;
pub mod prove;
pub mod reference;
pub mod report;
mod rule_cache;
mod state_directory;
mod tools;
pub mod watch;

pub use error::HostError;
pub use fences::Fences;
pub use inventory::{Defined, Guest, Inventory};
pub use kernel::{InterfaceRules, RuleTexts, Ruleset};
pub use libvirt::{Access, Libvirt, must_be_here};
pub use links::{free_bridge, main_nic};
