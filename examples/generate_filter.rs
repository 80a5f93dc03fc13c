//! Generates the filter of a policy and prints it as libvirt reads it.
//!
//! ```sh
//! cargo run --no-default-features --example generate_filter -- lanfence.toml
//! ```

use lanfence::nwfilter::{generate, write};
use lanfence::policy::{Policy, PolicyError};
use std::path::Path;

/// The filter's XML.
///
/// # Errors
/// A file that cannot be read or is no policy.
pub fn filter_of(policy: &Path) -> Result<String, PolicyError> {
    let policy = Policy::read(policy)?;
    Ok(write(&generate(&policy)))
}

fn main() -> Result<(), PolicyError> {
    let file = std::env::args().nth(1);
    let xml = filter_of(Path::new(file.as_deref().unwrap_or("lanfence.toml")))?;
    print!("{xml}");
    Ok(())
}
