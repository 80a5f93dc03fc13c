//! `--guest-image`.

use crate::cli::failure::Failure;
use crate::verify::plan::PlanError;
use clap::Args;
use std::path::{Path, PathBuf};

/// Where the guest image is.
#[derive(Debug, Args)]
#[command(next_help_heading = "Lab")]
pub struct GuestImageOption {
    /// Directory of the guest image that `cargo xtask image` builds
    #[arg(
        long = "guest-image",
        value_name = "DIR",
        env = "LANFENCE_GUEST",
        hide_env_values = true
    )]
    dir: Option<PathBuf>,
}

impl GuestImageOption {
    /// The directory, where one is named.
    pub fn dir(&self) -> Option<&Path> {
        self.dir.as_deref()
    }

    /// The directory.
    ///
    /// # Errors
    /// When none is named.
    pub fn required(&self) -> Result<&Path, Failure> {
        self.dir().ok_or_else(|| PlanError::NoGuestImage.into())
    }
}
