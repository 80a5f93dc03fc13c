//! What is printed of a fix.

use crate::fix::Fix;
use crate::nwfilter::evaluate::Backend;
use crate::nwfilter::{FilterTree, Parameter};
use crate::report::model::Identity;
use serde::Serialize;

/// A fix that `check` has proven, with what it was made of.
pub struct Report {
    /// Where the policy came from.
    pub policy: String,
    /// What tells the policy and the filter as it was apart from others.
    pub identity: Identity,
    /// The guest's interface, where a guest is named.
    pub guest: Option<String>,
    /// What the filter is bound with.
    pub parameters: Vec<Parameter>,
    /// The back end that was evaluated.
    pub backend: Backend,
    /// The filters as they were.
    pub tree: FilterTree,
    /// The edits.
    pub fix: Fix,
    /// Rules in words that were left as before and never act now.
    pub idle: Vec<String>,
    /// What no nwfilter can close.
    pub gaps: Vec<Gap>,
}

/// A probe that gets through because no nwfilter can stop it.
#[derive(Debug, Serialize)]
pub struct Gap {
    /// The probe's stable name.
    pub id: String,
    /// In words.
    pub summary: String,
    /// What helps.
    pub remedy: &'static str,
}
