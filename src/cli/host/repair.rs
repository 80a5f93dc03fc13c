//! `lanfence repair`: mends what an audit finds.

use super::change::{ChangeOptions, Guests, Host, execute, record, refuse, remember, show, warn};
use super::connection::failure;
use crate::cli::failure::Failure;
use crate::cli::output::say;
use crate::host::Inventory;
use crate::host::audit::{Audit, audit};
use crate::host::change::{Plan, Prover, repair};
use crate::host::report::text;
use crate::verdict::Exit;
use clap::Args;
use std::fmt::Write as _;
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
    let plans = repair::plans(&host.inventory, &host.policy, &host.scope, &found);
    let (refused, plans): (Vec<Plan>, Vec<Plan>) = plans
        .into_iter()
        .partition(|plan| !plan.refusals.is_empty());
    let more = if plans.is_empty() {
        ""
    } else {
        " of this guest"
    };
    let mut failures: Vec<Failure> = refused
        .iter()
        .filter_map(|plan| refuse(plan, more).err())
        .collect();
    if options.change.dry_run {
        if !plans.is_empty() || failures.is_empty() {
            show(&together(plans))?;
        }
        return one(failures).map_or_else(|| Ok(Exit::Pass.into()), Err);
    }
    let is_idle = refused.is_empty() && plans.iter().all(|plan| plan.steps.is_empty());
    for plan in &plans {
        let done = execute(&host.libvirt, plan, &mut prover, &mut record()?);
        failures.extend(done.err());
        warn(plan)?;
    }
    if let Some(failure) = one(failures) {
        return Err(failure);
    }
    if is_idle {
        say("nothing was changed\n")?;
    }
    let after = Inventory::take(&host.libvirt).map_err(failure)?;
    remember(&after, &host, false)?;
    let after = look(&host, &after, &mut prover);
    say(&text::text(&after))?;
    Ok(after.conclusion().exit().into())
}

/// One plan with the steps of all.
fn together(plans: Vec<Plan>) -> Plan {
    let mut all = Plan::default();
    for plan in plans {
        for step in plan.steps {
            all.push(step);
        }
        all.warnings.extend(plan.warnings);
    }
    all
}

/// One failure that tells of all, with the exit code of the first.
fn one(failures: Vec<Failure>) -> Option<Failure> {
    let mut failures = failures.into_iter();
    let first = failures.next()?;
    let (exit, mut text) = (first.exit, first.to_string());
    for failure in failures {
        let _ = write!(text, "\n{failure}");
    }
    Some(Failure::new(exit, text))
}

/// Audits what is meant: without a name only what has the policy's filter somewhere.
fn look(host: &Host, inventory: &Inventory, prover: &mut Prover) -> Audit {
    let mut found = audit(inventory, &host.policy, &host.scope, prover.references());
    if host.scope.is_everything() {
        repair::known_only(&mut found, &host.policy);
    }
    found
}
