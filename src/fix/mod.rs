//! The smallest change of a filter's rules that makes `check` prove the policy.
//!
//! The rules of the filter are aligned with those that the policy generates. That gives edits
//! which together prove the policy; each that is not needed is left out, and what stays is brought
//! as near to the old rules as the proof allows. Where more than one edit is left, every single
//! slip of the hand is tried too. Every step asks the same questions as `check`, so that what
//! comes out is proven: the probes of the catalogue, and the policy over all frames.
//!
//! Nothing is random: the same filter and policy always give the same edits.

mod align;
mod edit;
mod proof;
mod search;
mod tag;
mod text;

pub use edit::Edit;
pub use proof::Binding;

use crate::nwfilter::{Entry, Filter, FilterTree, generate};
use crate::policy::Policy;
use proof::Proof;

/// Why there is no fix.
#[derive(Debug, thiserror::Error)]
pub enum FixError {
    /// The filter to bind is not from a file.
    #[error("the filter {0} comes from no file that could be edited; give its file")]
    NoFile(String),
    /// The policy is not to be proven.
    #[error(
        "not even the filter that this policy generates is proven when it takes the place of {0}; see what is missing with `lanfence check`, without a filter, and with the same parameters and back end"
    )]
    NotProvable(String),
}

/// A filter that keeps the policy, and how it differs from what was given.
#[derive(Debug, Clone)]
pub struct Fix {
    /// What was done, in the order of the filter's entries; empty where nothing was to be done.
    pub edits: Vec<Edit>,
    /// The filter.
    pub filter: Filter,
    /// The text of its file before.
    pub before: String,
    /// Its text now: every byte of what was not changed stands as it did.
    pub after: String,
    /// Rules of the filter that stand as they did.
    pub kept: usize,
    /// Whether the text had to be written anew, without the user's layout and comments.
    pub rewritten: bool,
    /// How many filters were tried.
    pub tried: usize,
}

impl Fix {
    /// Whether no rule of the filter is left as it was.
    pub fn replaces_all(&self) -> bool {
        self.kept == 0 && !self.edits.is_empty()
    }
}

/// Finds the edits of the filter that is bound, of which the other filters of the tree are not
/// touched.
///
/// # Errors
/// A filter that has no file, and a policy whose own generated filter is not proven.
pub fn fix(tree: &FilterTree, policy: &Policy, binding: Binding<'_>) -> Result<Fix, FixError> {
    let name = &tree.top;
    let source = tree.source(name);
    let at = tree.filters.iter().position(|filter| filter.name == *name);
    let (Some(source), Some(at)) = (source, at) else {
        return Err(FixError::NoFile(name.clone()));
    };
    let proof = Proof::of(tree, at, binding);
    let edits = if proof.holds(&[]) {
        Vec::new()
    } else {
        let found = search::edits(&proof, tree, &generate(policy));
        found.ok_or_else(|| FixError::NotProvable(name.clone()))?
    };
    let filter = edit::applied(proof.filter(), &edits);
    let (after, rewritten) = text::edited(source, proof.filter(), &edits, &filter);
    let touched = |at: usize| {
        let mut edits = edits.iter();
        edits.any(|edit| match edit {
            Edit::Remove(place) | Edit::Replace(place, _) => *place == at,
            Edit::ToRoot | Edit::Insert(..) => false,
        })
    };
    let entries = proof.filter().entries.iter().enumerate();
    let kept = entries.filter(|(at, entry)| matches!(entry, Entry::Rule(_)) && !touched(*at));
    Ok(Fix {
        kept: kept.count(),
        before: source.text.clone(),
        tried: proof.asked(),
        edits,
        filter,
        after,
        rewritten,
    })
}

#[cfg(test)]
mod tests;
