//! The words of libvirt's filter language: elements, attributes and the forms
//! of their values, chains, priorities and variables.
//!
//! | words | file | source |
//! |---|---|---|
//! | protocol elements | `protocol.rs` | formatnwfilter.html "Supported protocols"; libvirt 11.3.0 |
//! | attributes and whose sign they take | `attributes.rs` | what `virsh nwfilter-dumpxml` prints after a definition |
//! | forms of values | `value.rs`, `parse.rs` | each form defined with libvirt 11.3.0 (measured: docs/measurements.md#M6) |
//! | names of `EtherTypes`, protocols, ARP operations, flags, states | `names.rs` | formatnwfilter.html; `virNWFilterRuleDef` tables of `nwfilter_conf.c` |
//! | actions and directions | `keywords.rs` | formatnwfilter.html "Filtering rules" |
//! | chains, guards and priorities | `chains.rs` | formatnwfilter.html "Filtering chains"; `nwfilter_conf.c` |
//! | variables and parameters | `variables.rs` | formatnwfilter.html "Usage of variables in filters" |
//!
//! libvirt silently ignores any other name, and the rule then matches more
//! than it says.

mod attributes;
mod chains;
mod keywords;
pub mod names;
pub mod parse;
mod protocol;
mod value;
pub mod variables;

pub use attributes::{Attribute, attributes, mixes_up_ipsets};
pub use chains::{
    CHAIN_PREFIXES, ChainGuard, ChainPrefix, DEFAULT_PRIORITY, ROOT, SPANNING_TREE,
    default_chain_priority,
};
pub use keywords::{Action, RuleDirection};
pub use protocol::{IpVersion, Protocol};
pub use value::{Reading, ValueKind};
