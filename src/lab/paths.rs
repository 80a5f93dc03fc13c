//! Where the lab keeps its files, as seen from inside its mount namespace.

use std::path::PathBuf;

/// The directory of the lab's sockets, logs and leases.
pub const STATE: &str = "/run/lanfence";

/// Where the lab shows the user's disk image with this number.
pub fn image_path(number: usize) -> PathBuf {
    format!("{STATE}/image-{number}").into()
}

/// The file that a daemon's output goes to.
pub fn log_path(name: &str) -> String {
    format!("{STATE}/{name}.log")
}
