//! `lanfence remove`: takes away what `apply` put there.

use super::change::{ChangeOptions, Guests, Host, execute, record, refuse, show, warn};
use super::connection::failure;
use crate::cli::failure::Failure;
use crate::cli::output::say;
use crate::host::audit::fences_without;
use crate::host::change::{Step, record_file, remove};
use crate::verdict::Exit;
use clap::Args;
use std::process::ExitCode;

/// Options of `remove`.
#[derive(Debug, Args)]
pub struct Options {
    #[command(flatten)]
    change: ChangeOptions,
}

/// Plans, shows, does.
pub fn run(options: &Options) -> Result<ExitCode, Failure> {
    let host = options.change.host(Guests::Named)?;
    let mut record = record()?;
    let plan = remove::plan(&host.inventory, &host.policy, &host.scope, &record);
    refuse(&plan, "")?;
    if options.change.dry_run {
        show(&plan)?;
        return Ok(Exit::Pass.into());
    }
    execute(&host.libvirt, &plan, &mut host.prover(), &mut record)?;
    forget(&plan.steps, record)?;
    let is_forgotten = forget_fences(&host)?;
    warn(&plan)?;
    let takes_away = |step: &Step| matches!(step, Step::Config(_) | Step::Live(_));
    if is_forgotten && !plan.steps.iter().any(takes_away) {
        say("that lanfence has fenced it is forgotten: no definition had the filter any more\n")?;
    } else if plan.steps.is_empty() {
        say("nothing was changed: there was nothing of lanfence's\n")?;
    }
    Ok(Exit::Pass.into())
}

/// No interface that is meant is one to be fenced any more, nor one that a guest which is named had
/// once. Tells whether one was.
fn forget_fences(host: &Host) -> Result<bool, Failure> {
    let left = fences_without(&host.inventory, &host.policy, &host.scope);
    match left.map_err(|why| Failure::new(Exit::Host, why))? {
        Some(fences) => fences.write().map_err(failure).map(|()| true),
        None => Ok(false),
    }
}

/// What is taken away is no longer remembered.
fn forget(steps: &[Step], mut record: crate::host::change::Record) -> Result<(), Failure> {
    let before = record.clone();
    for step in steps {
        if let Step::Config(change) | Step::Live(change) = step {
            record.forget(&change.target.uuid, change.target.mac);
        }
    }
    if record == before {
        return Ok(());
    }
    record.write(&record_file()).map_err(failure)
}
