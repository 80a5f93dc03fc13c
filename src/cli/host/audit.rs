//! `lanfence audit`: what is in force on the host's guests.

use super::connection::{ConnectOption, ScopeOptions, failure};
use crate::cli::failure::Failure;
use crate::cli::options::PolicyOption;
use crate::cli::output::{note, say};
use crate::host::audit::{Audit, audit};
use crate::host::reference::References;
use crate::host::report::{json, junit, metrics, sarif, text};
use crate::host::{Access, HostError, Inventory, Libvirt};
use clap::{Args, ValueEnum};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::{SystemTime, UNIX_EPOCH};

/// Options of `audit`.
#[derive(Debug, Args)]
pub struct Options {
    #[command(flatten)]
    scope: ScopeOptions,
    #[command(flatten)]
    connect: ConnectOption,
    #[command(flatten)]
    policy: PolicyOption,
    #[command(flatten)]
    output: OutputOptions,
}

/// Where the result goes.
#[derive(Debug, Args)]
#[command(next_help_heading = "Output")]
pub struct OutputOptions {
    /// Format of standard output
    #[arg(long, value_enum, default_value_t)]
    format: Format,
    /// Write the result as JSON (docs/audit.schema.json)
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
    /// Write the result as JUnit XML, a case for each interface
    #[arg(long, value_name = "FILE")]
    junit: Option<PathBuf>,
    /// Write the result as SARIF 2.1.0
    #[arg(long, value_name = "FILE")]
    sarif: Option<PathBuf>,
    /// Write the result as metrics for Prometheus' textfile collector
    #[arg(long, value_name = "FILE")]
    metrics: Option<PathBuf>,
}

/// A format of standard output.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, ValueEnum)]
pub enum Format {
    /// For people
    #[default]
    Text,
    /// For programs
    Json,
    /// JUnit XML
    Junit,
    /// SARIF 2.1.0
    Sarif,
}

/// Audits and prints.
pub fn run(options: &Options) -> Result<ExitCode, Failure> {
    let source = options.policy.read()?;
    let scope = options.scope.scope();
    let libvirt = looking(&options.connect)?;
    let mut inventory = Inventory::take(&libvirt).map_err(failure)?;
    scope.check(&inventory).map_err(failure)?;
    let mut references = References::new(inventory.backend);
    let found = settled(&mut inventory, |inventory| {
        audit(inventory, &source.policy, &scope, &mut references)
    });
    if found.interfaces.is_empty() {
        note("no interface of a guest is meant");
    }
    let now = SystemTime::now().duration_since(UNIX_EPOCH);
    options
        .output
        .write(&found, now.unwrap_or_default().as_secs())?;
    Ok(found.conclusion().exit().into())
}

/// A connection that may look, and change nothing. The one that may change serves where this
/// one is not let in.
pub fn looking(connect: &ConnectOption) -> Result<Libvirt, Failure> {
    let (given, read) = (connect.connect.as_deref(), Access::Read);
    match Libvirt::open(given, read) {
        Ok(libvirt) => Ok(libvirt),
        Err(error @ HostError::Session { .. }) => Err(failure(error)),
        Err(_) => connect.open(Access::Write),
    }
}

/// Looks again for a while where libvirt is just making rules.
fn settled(inventory: &mut Inventory, mut look: impl FnMut(&Inventory) -> Audit) -> Audit {
    let mut found = look(inventory);
    for _ in 0..crate::host::audit::LOOKS {
        if !found.is_rebuilding() {
            break;
        }
        std::thread::sleep(crate::host::audit::LOOK);
        inventory.look_again();
        found = look(inventory);
    }
    found
}

impl OutputOptions {
    /// Prints the result and writes the files; `now` in seconds since 1970.
    fn write(&self, audit: &Audit, now: u64) -> Result<(), Failure> {
        let junit_of = || junit::junit(audit).map_err(Failure::host);
        say(&match self.format {
            Format::Text => text::text(audit),
            Format::Json => json::json(audit),
            Format::Junit => junit_of()?,
            Format::Sarif => sarif::sarif(audit),
        })?;
        file(self.json.as_deref(), || Ok(json::json(audit)))?;
        file(self.junit.as_deref(), junit_of)?;
        file(self.sarif.as_deref(), || Ok(sarif::sarif(audit)))?;
        if let Some(path) = &self.metrics {
            metrics::write(path, audit, now).map_err(|error| Failure::file(path, error))?;
        }
        Ok(())
    }
}

fn file(
    path: Option<&Path>,
    text: impl FnOnce() -> Result<String, Failure>,
) -> Result<(), Failure> {
    let Some(path) = path else {
        return Ok(());
    };
    std::fs::write(path, text()?).map_err(|error| Failure::file(path, error))
}
