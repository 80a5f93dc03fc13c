//! What is printed of judged mutants.

use crate::mutate::Mutants;
use crate::nwfilter::FilterTree;
use crate::nwfilter::evaluate::Backend;

/// A finished run with what it was made of.
pub struct Report {
    /// Where the policy came from.
    pub policy: String,
    /// The back end that was evaluated.
    pub backend: Backend,
    /// The filters.
    pub tree: FilterTree,
    /// The mutants.
    pub mutants: Mutants,
}
