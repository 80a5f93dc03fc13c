//! What is printed of a check.

use crate::check::Checked;
use crate::nwfilter::FilterTree;
use crate::nwfilter::evaluate::Backend;

/// A finished check with what it was made of.
pub struct Report {
    /// Where the policy came from.
    pub policy: String,
    /// The back end that was evaluated.
    pub backend: Backend,
    /// The filters.
    pub tree: FilterTree,
    /// What was found out.
    pub checked: Checked,
}
