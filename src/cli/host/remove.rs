//! `lanfence remove`: takes away what `apply` put there.

use super::change::{DryRunOption, execute, record, refuse, show, warn};
use super::connection::{ConnectOption, ScopeOptions, failure};
use crate::cli::failure::Failure;
use crate::cli::options::PolicyOption;
use crate::cli::output::say;
use crate::host::change::{Lock, Prover, Step, record_file, remove};
use crate::host::reference::References;
use crate::host::{Access, Inventory};
use crate::verdict::Exit;
use clap::Args;
use std::process::ExitCode;

/// Options of `remove`.
#[derive(Debug, Args)]
pub struct Options {
    #[command(flatten)]
    scope: ScopeOptions,
    #[command(flatten)]
    connect: ConnectOption,
    #[command(flatten)]
    policy: PolicyOption,
    #[command(flatten)]
    dry_run: DryRunOption,
}

/// Plans, shows, does.
pub fn run(options: &Options) -> Result<ExitCode, Failure> {
    let policy = options.policy.read()?.policy;
    let scope = options.scope.scope();
    if scope.is_everything() {
        return Err(Failure::usage(
            "no guest is named\n  cure: name guests, or give --bridge or --network for all on one",
        ));
    }
    let _lock = (!options.dry_run.dry_run)
        .then(Lock::take)
        .transpose()
        .map_err(failure)?;
    let libvirt = options.connect.open(Access::Write)?;
    let inventory = Inventory::take(&libvirt).map_err(failure)?;
    scope.check(&inventory).map_err(failure)?;
    let mut record = record()?;
    let plan = remove::plan(&inventory, &policy, &scope, &record);
    refuse(&plan, "")?;
    if options.dry_run.dry_run {
        show(&plan)?;
        return Ok(Exit::Pass.into());
    }
    let mut prover = Prover::new(policy, References::of(&inventory));
    execute(&libvirt, &plan, &mut prover, &mut record)?;
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
