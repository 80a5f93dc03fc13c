//! The job that is measured.

use super::error::BenchError;
use crate::policy::Policy;
use crate::verify::job::{Attach, CellPlan, Job};
use crate::verify::{Cache, FilterUnderTest};
use std::path::Path;

/// The generated filter with pcnet and virtio, as `verify` runs them: only the first cell tries
/// both kinds of [`Attach`]. The policy comes with its text and its origin.
///
/// # Errors
/// When the cache cannot be used, or there is no current directory.
pub fn job(policy: &Policy, text: (&str, &str), guest: &Path) -> Result<Job, BenchError> {
    let filter = FilterUnderTest::generated(policy, text.1);
    let mut cells = ["pcnet", "virtio"].map(CellPlan::linux).to_vec();
    cells[1].attach = Attach::BeforeFirstFrame;
    Ok(Job {
        guest: Some(std::path::absolute(guest)?),
        cells,
        ..Job::new(text, &filter, &Cache::open()?)?
    })
}
