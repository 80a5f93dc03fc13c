//! What is printed of judged mutants.

use crate::mutate::Mutants;
use crate::nwfilter::evaluate::Backend;
use crate::nwfilter::{FilterTree, Parameter};
use crate::report::model::Identity;

/// A finished run with what it was made of.
pub struct Report {
    /// What tells policy and filter apart from others.
    pub identity: Identity,
    /// What the filter is bound with.
    pub parameters: Vec<Parameter>,
    /// Where the policy came from.
    pub policy: String,
    /// The back end that was evaluated.
    pub backend: Backend,
    /// The filters.
    pub tree: FilterTree,
    /// The mutants.
    pub mutants: Mutants,
}
