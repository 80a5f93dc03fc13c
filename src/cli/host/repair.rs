//! `lanfence repair`: mends what an audit finds.

use super::change::{DryRunOption, execute, record, refuse, show, warn};
use super::connection::{ConnectOption, ScopeOptions, failure};
use crate::cli::failure::Failure;
use crate::cli::options::PolicyOption;
use crate::cli::output::say;
use crate::host::audit::audit;
use crate::host::change::{Lock, Prover, repair};
use crate::host::reference::References;
use crate::host::report::text;
use crate::host::{Access, Inventory};
use crate::verdict::Exit;
use clap::Args;
use std::process::ExitCode;

/// Options of `repair`.
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

/// Audits, plans, shows, does, audits again.
pub fn run(options: &Options) -> Result<ExitCode, Failure> {
    let policy = options.policy.read()?.policy;
    let scope = options.scope.scope();
    let _lock = (!options.dry_run.dry_run)
        .then(Lock::take)
        .transpose()
        .map_err(failure)?;
    let libvirt = options.connect.open(Access::Write)?;
    let inventory = Inventory::take(&libvirt).map_err(failure)?;
    scope.check(&inventory).map_err(failure)?;
    let mut prover = Prover::new(policy.clone(), References::of(&inventory));
    let mut found = audit(&inventory, &policy, &scope, prover.references());
    if scope.is_everything() {
        repair::known_only(&mut found, &policy);
    }
    let plan = repair::plan(&inventory, &policy, &scope, &found);
    refuse(&plan, "")?;
    if options.dry_run.dry_run {
        show(&plan)?;
        return Ok(Exit::Pass.into());
    }
    execute(&libvirt, &plan, &mut prover, &mut record()?)?;
    warn(&plan)?;
    if plan.steps.is_empty() {
        say("nothing was changed\n")?;
    }
    let after = Inventory::take(&libvirt).map_err(failure)?;
    let mut after = audit(&after, &policy, &scope, prover.references());
    if scope.is_everything() {
        repair::known_only(&mut after, &policy);
    }
    say(&text::text(&after))?;
    Ok(after.conclusion().exit().into())
}
