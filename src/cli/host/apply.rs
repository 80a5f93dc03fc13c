//! `lanfence apply`: fences guests.

use super::bridging::recipe;
use super::change::{ChangeOptions, Guests, execute, record, refuse, remember, show, warn};
use crate::cli::failure::Failure;
use crate::cli::output::say;
use crate::host::Inventory;
use crate::host::audit::{Scope, audit};
use crate::host::change::apply::{self, Wish};
use crate::host::change::{Plan, Prover, Step};
use crate::host::reference::{Prepared, Wanted};
use crate::nwfilter::{generate, write};
use crate::policy::Policy;
use crate::verdict::Exit;
use clap::Args;
use std::fmt::Write as _;
use std::process::ExitCode;

/// Options of `apply`.
#[derive(Debug, Args)]
pub struct Options {
    #[command(flatten)]
    change: ChangeOptions,
    /// Change the running guest only
    #[arg(long, help_heading = "Host")]
    live: bool,
    /// Change the persistent definition only
    #[arg(long, help_heading = "Host")]
    config: bool,
    /// Put the filter in the place of another one
    ///
    /// A running guest is closed for the moment in which libvirt exchanges the rules.
    #[arg(long, help_heading = "Host")]
    replace: bool,
}

/// Plans, shows, does.
pub fn run(options: &Options) -> Result<ExitCode, Failure> {
    let host = options.change.host(Guests::Named)?;
    let (policy, scope, inventory) = (&host.policy, &host.scope, &host.inventory);
    if scope.subjects(inventory).is_empty() {
        return Err(Failure::usage(
            "no interface of a guest is meant\n  cure: `lanfence audit` shows the interfaces, with their bridges and networks",
        ));
    }
    let wish = Wish {
        live: options.live,
        config: options.config,
        replace: options.replace,
    };
    let mut plan = apply::plan(inventory, policy, scope, wish);
    refuse(&plan, &recipe(inventory, policy, scope))?;
    let mut prover = host.prover();
    lost(inventory, policy, scope, &mut plan, &mut prover);
    if options.change.dry_run {
        show(&plan)?;
        return Ok(Exit::Pass.into());
    }
    prover.ask_ahead(ahead(inventory, policy, &plan));
    // Before anything is changed, as the record of what is replaced is.
    let is_new = remember(inventory, &host, true)?;
    let done = execute(&host.libvirt, &plan, &mut prover, &mut record()?);
    if let (Err(_), true, Ok(before)) = (&done, is_new, &inventory.fences) {
        // What is kept in mind too much is told by the next audit; the failure itself matters more.
        let _ = before.write();
    }
    done?;
    warn(&plan)?;
    let mut told = String::new();
    for target in &plan.proven {
        let name = &policy.name;
        let _ = writeln!(told, "{target}: fenced: the kernel has the rules of {name}");
    }
    if plan.steps.is_empty() {
        told += "nothing was changed: all of it was there already\n";
    }
    say(&told)?;
    Ok(Exit::Pass.into())
}

/// Adds what was applied before and is no longer in the kernel.
fn lost(
    inventory: &Inventory,
    policy: &Policy,
    scope: &Scope,
    plan: &mut Plan,
    prover: &mut Prover,
) {
    let changed = |step: &&Step| matches!(step, Step::Live(_));
    if plan.proven.len() > plan.steps.iter().filter(changed).count() {
        let found = audit(inventory, policy, scope, prover.references());
        apply::rebind(plan, &found);
    }
}

/// The rules that running guests will need, to be asked for while libvirt works.
fn ahead(inventory: &Inventory, policy: &Policy, plan: &Plan) -> Vec<Wanted> {
    let mut filters = inventory.filters.clone();
    filters.insert(policy.name.clone(), write(&generate(policy)));
    let prepared = Prepared::of(&filters, &policy.name, &[]).ok();
    let targets = plan.proven.iter();
    let wanted = targets.filter_map(|target| Some(prepared.as_ref()?.wanted(target.mac)));
    wanted.collect()
}
