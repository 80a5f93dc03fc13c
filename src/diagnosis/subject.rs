//! What is looked at.

use crate::nwfilter::FilterTree;
use crate::nwfilter::evaluate::Compiled;
use crate::nwfilter::statements::Rulings;

/// A filter whose frames are to be explained.
#[derive(Debug, Clone, Copy)]
pub struct Subject<'a> {
    /// Its rules and their places.
    pub tree: &'a FilterTree,
    /// What libvirt makes of them.
    pub filter: &'a Compiled,
    /// The policy over all frames.
    pub rulings: &'a Rulings,
}
