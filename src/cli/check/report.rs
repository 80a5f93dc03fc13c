//! What is printed of a check.

use crate::check::Checked;
use crate::diagnosis::Cause;
use crate::nwfilter::evaluate::Backend;
use crate::nwfilter::{FilterTree, Parameter};
use crate::report::model::Identity;

/// A finished check with what it was made of.
pub struct Report {
    /// Where the policy came from.
    pub policy: String,
    /// What tells policy and filter apart from others.
    pub identity: Identity,
    /// Whether the bridge hands frames to iptables.
    pub bridge_nf: bool,
    /// Names of the lints that are denied and have findings.
    pub denied: Vec<String>,
    /// The guest's interface, where a guest is named.
    pub guest: Option<String>,
    /// What the filter is bound with.
    pub parameters: Vec<Parameter>,
    /// Probes that say nothing of a filter for one guest, where it is one.
    pub left_out: Vec<String>,
    /// The back end that was evaluated.
    pub backend: Backend,
    /// The filters.
    pub tree: FilterTree,
    /// Why leaks and blocks are there.
    pub causes: Vec<Cause>,
    /// Whether the text lists the probes of each cause.
    pub verbose: bool,
    /// What was found out.
    pub checked: Checked,
}
