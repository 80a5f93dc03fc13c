//! `lanfence remove`: takes away what `apply` put there.

use super::change::{ChangeOptions, Guests, execute, record, refuse, show, warn};
use super::connection::failure;
use crate::cli::failure::Failure;
use crate::cli::output::say;
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
    warn(&plan)?;
    if plan.steps.is_empty() {
        say("nothing was changed: there was nothing of lanfence's\n")?;
    }
    Ok(Exit::Pass.into())
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
