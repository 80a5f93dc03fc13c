//! How slow the machine is before anything of the lab stands.

use super::error::LabError;
use super::netns::ip_batch;
use super::slowness::Slowness;
use std::time::Instant;

/// Programs that are started.
const PROGRAMS: u32 = 3;

/// Starts a few programs, which do nothing, to see how long that takes.
///
/// # Errors
/// When `ip` cannot be started.
pub fn first_look() -> Result<Slowness, LabError> {
    let started = Instant::now();
    for _ in 0..PROGRAMS {
        ip_batch(&[], "")?;
    }
    Ok(Slowness::after_starts(started.elapsed() / PROGRAMS))
}
