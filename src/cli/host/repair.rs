//! `lanfence repair`: mends what an audit finds.

use super::change::{ChangeOptions, Guests, Host, execute, record, refuse, show, warn};
use super::connection::failure;
use crate::cli::failure::Failure;
use crate::cli::output::say;
use crate::host::Inventory;
use crate::host::audit::{Audit, audit};
use crate::host::change::{Prover, repair};
use crate::host::report::text;
use crate::verdict::Exit;
use clap::Args;
use std::process::ExitCode;

/// Options of `repair`.
#[derive(Debug, Args)]
pub struct Options {
    #[command(flatten)]
    change: ChangeOptions,
}

/// Audits, plans, shows, does, audits again.
pub fn run(options: &Options) -> Result<ExitCode, Failure> {
    let host = options.change.host(Guests::All)?;
    let mut prover = host.prover();
    let found = look(&host, &host.inventory, &mut prover);
    let plan = repair::plan(&host.inventory, &host.policy, &host.scope, &found);
    refuse(&plan, "")?;
    if options.change.dry_run {
        show(&plan)?;
        return Ok(Exit::Pass.into());
    }
    execute(&host.libvirt, &plan, &mut prover, &mut record()?)?;
    warn(&plan)?;
    if plan.steps.is_empty() {
        say("nothing was changed\n")?;
    }
    let after = Inventory::take(&host.libvirt).map_err(failure)?;
    let after = look(&host, &after, &mut prover);
    say(&text::text(&after))?;
    Ok(after.conclusion().exit().into())
}

/// Audits what is meant: without a name only what has the policy's filter somewhere.
fn look(host: &Host, inventory: &Inventory, prover: &mut Prover) -> Audit {
    let mut found = audit(inventory, &host.policy, &host.scope, prover.references());
    if host.scope.is_everything() {
        repair::known_only(&mut found, &host.policy);
    }
    found
}
