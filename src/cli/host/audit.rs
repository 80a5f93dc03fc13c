//! `lanfence audit`: what is in force on the host's guests.

use super::connection::{ConnectOption, ScopeOptions, failure};
use crate::cli::failure::Failure;
use crate::cli::options::PolicyOption;
use crate::cli::output::{note, say};
use crate::host::audit::{Audit, Reason, Scope, audit, bridge};
use crate::host::prove::{look, prove};
use crate::host::reference::References;
use crate::host::report::{json, junit, metrics, sarif, text};
use crate::host::{Access, HostError, Inventory, Libvirt};
use crate::nwfilter::FilterRef;
use crate::policy::Policy;
use clap::{Args, ValueEnum};
use std::collections::HashMap;
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
    /// Prove the filters in place as well
    ///
    /// For each filter in use lanfence makes two taps on the guests' own bridge, has the host's
    /// libvirt bind the filter to one of them, and sends a few frames to addresses that exist
    /// in documents only. It needs the right to change the host's network.
    #[arg(long, help_heading = "Host")]
    prove: bool,
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
    options.connect.must_be_here()?;
    let libvirt = if options.prove {
        options.connect.open(Access::Write)?
    } else {
        looking(&options.connect)?
    };
    let mut inventory = Inventory::take(&libvirt).map_err(failure)?;
    scope.check(&inventory).map_err(failure)?;
    let mut references = References::of(&inventory);
    let mut found = settled(&mut inventory, |inventory| {
        audit(inventory, &source.policy, &scope, &mut references)
    });
    if options.prove {
        prove_all(&libvirt, &source.policy, &scope, &inventory, &mut found);
    }
    if found.interfaces.is_empty() {
        note("no interface of a guest is meant");
    }
    let now = SystemTime::now().duration_since(UNIX_EPOCH);
    options
        .output
        .write(&found, now.unwrap_or_default().as_secs())?;
    Ok(found.conclusion().exit().into())
}

/// Proves every filter of a running guest, once for each bridge and set of parameters, and adds
/// what it came to, and what each guest's own rules counted meanwhile.
fn prove_all(
    libvirt: &Libvirt,
    policy: &Policy,
    scope: &Scope,
    inventory: &Inventory,
    found: &mut Audit,
) {
    let mut known: HashMap<(Option<String>, FilterRef), Vec<Reason>> = HashMap::new();
    let mut devices: Vec<String> = Vec::new();
    let subjects = scope.subjects(inventory);
    for live in subjects.iter().filter_map(|subject| subject.live) {
        devices.extend(live.filterref().and(live.target.clone()));
    }
    let before = look(&devices, inventory.backend, false);
    for subject in scope.subjects(inventory) {
        let Some((live, reference)) = subject
            .live
            .and_then(|live| Some((live, live.filterref()?)))
        else {
            continue;
        };
        let mut reports = found.interfaces.iter_mut();
        let own = reports.find(|report| {
            report.guest == subject.guest.name && report.mac == live.mac && report.running
        });
        let Some(report) = own else {
            continue;
        };
        let key = (bridge(live, inventory), reference.clone());
        let reasons = known
            .entry(key)
            .or_insert_with(|| match prove(libvirt, policy, live) {
                Ok(proof) => proof.reasons(),
                Err(error) => vec![Reason::Unproven(error.to_string())],
            });
        for reason in reasons.iter() {
            report.add(reason.clone());
        }
    }
    let after = look(&devices, inventory.backend, true);
    for report in &mut found.interfaces {
        let own = report.device.clone();
        if let Some(device) = own.filter(|own| devices.contains(own)) {
            report.add(after.since(&before, &device));
        }
    }
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
