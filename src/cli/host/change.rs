//! What `apply`, `remove` and `repair` share: the plan is shown, then carried out.

use super::connection::failure;
use crate::cli::failure::Failure;
use crate::cli::output::say;
use crate::host::change::{ExecuteError, Executor, Plan, Prover, Record, Refusal, record_file};
use crate::host::{HostError, Libvirt};
use crate::verdict::Exit;
use clap::Args;
use std::fmt::Write as _;

/// `--dry-run`.
#[derive(Debug, Args)]
#[command(next_help_heading = "Host")]
pub struct DryRunOption {
    /// Print what would be changed, and change nothing
    #[arg(short = 'n', long)]
    pub dry_run: bool,
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
