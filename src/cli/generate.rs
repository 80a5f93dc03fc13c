//! `lanfence generate`: the filter as text.

use super::{Exit, Failure, say};
use crate::nwfilter::{generate, write};
use crate::policy::Policy;
use clap::Args;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

/// Name of the policy file that is looked for where none is given.
pub const POLICY: &str = "lanfence.toml";

/// Options of `generate`.
#[derive(Debug, Args)]
pub struct Options {
    /// Policy file; without it, lanfence.toml here, else the shipped example.
    #[arg(long, value_name = "FILE")]
    policy: Option<PathBuf>,
    /// Write `NAME.xml` into this directory instead of printing it.
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
}

/// Prints the filter, or writes it.
pub fn run(options: &Options) -> Result<ExitCode, Failure> {
    let source = policy(options.policy.as_deref())?;
    let filter = generate(&source.policy);
    let text = write(&filter);
    match &options.out {
        None => say(&text).map_err(Failure::usage)?,
        Some(dir) => {
            let path = dir.join(format!("{}.xml", filter.name));
            std::fs::create_dir_all(dir)
                .and_then(|()| std::fs::write(&path, text))
                .map_err(|error| Failure::usage(format!("{}: {error}", path.display())))?;
            say(&format!("{}\n", path.display())).map_err(Failure::usage)?;
        }
    }
    Ok(Exit::Pass.into())
}

/// A policy with what it was read from.
pub struct Source {
    /// The checked policy.
    pub policy: Policy,
    #[cfg_attr(not(feature = "lab"), expect(dead_code, reason = "verify reads it"))]
    /// Its text, read once: the file may be a pipe.
    pub text: String,
    #[cfg_attr(not(feature = "lab"), expect(dead_code, reason = "verify reads it"))]
    /// Where the text came from, for messages.
    pub origin: String,
}

/// The policy: the file given, else lanfence.toml in this directory, else the
/// example that is built in.
pub fn policy(given: Option<&Path>) -> Result<Source, Failure> {
    let here = Path::new(POLICY);
    let (text, origin) = match given.or_else(|| here.exists().then_some(here)) {
        Some(path) => (
            Policy::text(path).map_err(Failure::usage)?,
            path.display().to_string(),
        ),
        None => (Policy::EXAMPLE.to_owned(), "the shipped example".to_owned()),
    };
    let policy = Policy::parse(&text, &origin).map_err(Failure::usage)?;
    Ok(Source {
        policy,
        text,
        origin,
    })
}
