//! What `apply`, `remove` and `repair` share: the plan is shown, then carried out.

use super::connection::{ConnectOption, ScopeOptions, failure};
use crate::cli::failure::Failure;
use crate::cli::options::PolicyOption;
use crate::cli::output::say;
use crate::host::audit::{Scope, fences_to_keep};
use crate::host::change::{
    ExecuteError, Executor, Lock, Plan, Prover, Record, Refusal, record_file,
};
use crate::host::reference::References;
use crate::host::{Access, HostError, Inventory, Libvirt};
use crate::policy::Policy;
use crate::verdict::Exit;
use clap::Args;
use std::fmt::Write as _;

/// What a verb that changes a host is told.
#[derive(Debug, Args)]
pub struct ChangeOptions {
    #[command(flatten)]
    scope: ScopeOptions,
    #[command(flatten)]
    connect: ConnectOption,
    #[command(flatten)]
    policy: PolicyOption,
    /// Print what would be changed, and change nothing
    #[arg(short = 'n', long, help_heading = "Host")]
    pub dry_run: bool,
}

/// Who must say which guests are meant.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Guests {
    /// The user.
    Named,
    /// Nobody: without a name all are.
    All,
}

/// A host that was looked at, to be changed.
pub struct Host {
    /// What is meant.
    pub policy: Policy,
    /// Which interfaces.
    pub scope: Scope,
    /// The connection, which may change.
    pub libvirt: Libvirt,
    /// What was there.
    pub inventory: Inventory,
    /// No other lanfence changes the host meanwhile; none where nothing will be changed.
    _lock: Option<Lock>,
}

impl ChangeOptions {
    /// Looks at the host.
    pub fn host(&self, guests: Guests) -> Result<Host, Failure> {
        let policy = self.policy.read()?.policy;
        let scope = self.scope.scope();
        if guests == Guests::Named && scope.is_everything() {
            return Err(Failure::usage(
                "no guest is named\n  cure: name guests, or give --bridge or --network for all on one",
            ));
        }
        self.connect.must_be_here()?;
        let lock = (!self.dry_run).then(Lock::take).transpose();
        let lock = lock.map_err(failure)?;
        let libvirt = self.connect.open(Access::Write)?;
        let inventory = Inventory::take(&libvirt).map_err(failure)?;
        scope.check(&inventory).map_err(failure)?;
        let broken = |why: &String| Failure::new(Exit::Host, why.clone());
        inventory.fences.as_ref().map_err(broken)?;
        Ok(Host {
            policy,
            scope,
            libvirt,
            inventory,
            _lock: lock,
        })
    }
}

impl Host {
    /// Knows when the policy's rules are in force there.
    pub fn prover(&self) -> Prover {
        Prover::new(self.policy.clone(), References::of(&self.inventory))
    }
}

/// Keeps in mind which of the interfaces that are meant are fenced; all of them where the user has just
/// asked for it (`anew`). Tells whether that is new.
pub fn remember(inventory: &Inventory, host: &Host, anew: bool) -> Result<bool, Failure> {
    let subjects = host.scope.subjects(inventory);
    let kept = fences_to_keep(inventory, &host.policy, &subjects, anew);
    match kept.map_err(|why| Failure::new(Exit::Host, why))? {
        Some(fences) => fences.write().map_err(failure).map(|()| true),
        None => Ok(false),
    }
}

/// The record of what was changed. Who may not read it has changed nothing that it could tell
/// of.
pub fn record() -> Result<Record, Failure> {
    match Record::read(&record_file()) {
        Err(HostError::File { source, .. })
            if source.kind() == std::io::ErrorKind::PermissionDenied =>
        {
            Ok(Record::default())
        }
        read => read.map_err(failure),
    }
}

/// Fails with everything that stands in the way.
pub fn refuse(plan: &Plan, more: &str) -> Result<(), Failure> {
    if plan.refusals.is_empty() {
        return Ok(());
    }
    let told: Vec<String> = plan.refusals.iter().map(told).collect();
    let text = format!("{}\nnothing was changed{more}", told.join("\n"));
    Err(Failure::usage(text))
}

fn told(refusal: &Refusal) -> String {
    format!("{}\n  cure: {}", refusal.what, refusal.cure)
}

/// Prints the steps of a plan without doing them.
pub fn show(plan: &Plan) -> Result<(), Failure> {
    let mut out = String::new();
    for step in &plan.steps {
        let _ = writeln!(out, "would change: {step}");
    }
    if plan.steps.is_empty() {
        out.push_str("nothing would be changed\n");
    }
    say(&out)?;
    warn(plan)
}

/// Prints what the user should know.
pub fn warn(plan: &Plan) -> Result<(), Failure> {
    let told = plan.warnings.iter().map(|warning| {
        let Refusal { what, cure } = warning;
        format!("warning: {what}\n  cure: {cure}\n")
    });
    say(&told.collect::<String>())
}

/// Carries a plan out and tells each step.
pub fn execute(
    libvirt: &Libvirt,
    plan: &Plan,
    prover: &mut Prover,
    record: &mut Record,
) -> Result<(), Failure> {
    let mut tell = |step: &str| {
        // A closed terminal is no reason to stop halfway.
        let _ = say(&format!("{step}\n"));
    };
    let done = Executor {
        libvirt,
        prover,
        record,
        tell: &mut tell,
    }
    .run(plan);
    done.map_err(|error| failed(libvirt, error))
}

/// A change that failed: the host's fault where libvirt or a tool is gone.
fn failed(libvirt: &Libvirt, error: ExecuteError) -> Failure {
    let exit = match error.source.as_ref() {
        HostError::Libvirt { .. } if libvirt.is_alive() => Exit::Fail,
        HostError::Refused { .. } | HostError::Reference { .. } | HostError::Deadline { .. } => {
            Exit::Fail
        }
        HostError::Domain { .. } => Exit::Internal,
        _ => Exit::Host,
    };
    Failure::new(exit, error)
}
