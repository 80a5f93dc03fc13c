//! `lanfence generate`: the filter as text.

use super::failure::Failure;
use super::options::PolicyOption;
use super::output::say;
use crate::nwfilter::{generate, write};
use crate::verdict::Exit;
use clap::Args;
use std::path::PathBuf;
use std::process::ExitCode;

/// Options of `generate`.
#[derive(Debug, Args)]
pub struct Options {
    #[command(flatten)]
    policy: PolicyOption,
    /// Write NAME.xml into this directory instead of printing the filter
    #[arg(long, value_name = "DIR", help_heading = "Output")]
    dir: Option<PathBuf>,
}

/// Prints the filter, or writes it.
pub fn run(options: &Options) -> Result<ExitCode, Failure> {
    let source = options.policy.read()?;
    let filter = generate(&source.policy);
    let text = write(&filter);
    match &options.dir {
        None => say(&text)?,
        Some(dir) => {
            let path = dir.join(format!("{}.xml", filter.name));
            std::fs::create_dir_all(dir)
                .and_then(|()| std::fs::write(&path, text))
                .map_err(|error| Failure::file(&path, error))?;
            say(&format!("{}\n", path.display()))?;
        }
    }
    Ok(Exit::Pass.into())
}
