//! A whole run, from a request to what the report shows.

use super::accel::{Decided, decide_accel};
use super::cache::Cache;
use super::explain::probe_facts;
use super::job::{Attach, Job};
use super::plan::{Plan, Times, longest_first};
use super::pool::{Workers, run_cells};
use crate::frame::to_hex;
use crate::guest::Accel;
use crate::lab::covered;
use crate::policy::Policy;
use crate::report::live::Event;
use crate::report::model::{Cell, FilterInfo, Identity, Run, SCHEMA_VERSION};
use sha2::{Digest as _, Sha256};
use std::path::PathBuf;
use std::time::Instant;

/// What the user wants verified.
#[derive(Debug)]
pub struct Request {
    /// All but its cells and its accelerator, which come from the plan and the choice.
    pub job: Job,
    /// The cells.
    pub plan: Plan,
    /// What the report says of the filter.
    pub filter: FilterInfo,
    /// Which accelerator.
    pub accel: AccelChoice,
    /// How the cells are shared out.
    pub workers: Workers,
    /// Where the times of the cells are kept, and whether KVM works.
    pub cache: Cache,
    /// Since when the user has been waiting.
    pub started: Instant,
}

/// Which accelerator the user wants.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AccelChoice {
    /// KVM where a guest has booted under it, else TCG.
    Auto,
    /// KVM, or no run.
    Kvm,
    /// Emulation.
    Tcg,
}

/// Why there is no run.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    /// KVM was wanted and does not work.
    #[error(
        "KVM was asked for and does not work here: {reason}\n  cure: make KVM work (is nested virtualisation on? may you open /dev/kvm?), or use --accel tcg"
    )]
    NoKvm {
        /// Why not.
        reason: String,
    },
    /// The lab cannot see what it needs.
    #[error(
        "{what}, {path}, lies below {by}, which the lab covers with an empty directory of its own\n  cure: {cure}",
        path = .path.display()
    )]
    Covered {
        /// What lies there.
        what: &'static str,
        /// Where.
        path: PathBuf,
        /// The directory that is covered.
        by: &'static str,
        /// What to do.
        cure: &'static str,
    },
    /// This program cannot start itself again.
    #[error("start a worker: {0}")]
    Workers(#[source] std::io::Error),
}

/// Runs the cells of a request. `tell` hears of every event as it comes, and of none now
/// and then, so that a display can show that time passes. Never fails because of a cell:
/// what went wrong in one is in the run.
///
/// # Errors
/// [`RunError`] when no cell can be run at all.
pub fn run(request: Request, tell: &mut dyn FnMut(Option<&Event>)) -> Result<Run, RunError> {
    seen_in_the_lab(&request.job)?;
    let mut plan = request.plan;
    let mut job = request.job;
    if job.inject.is_some() {
        // Whichever pass it breaks, each cell has it.
        plan.attach_all(Attach::Both);
    }
    job.cells = plan.cells;
    let mut times = Times::load(&request.cache);
    longest_first(&mut job.cells, &times);
    let reason;
    (job.accel, reason) = accelerate(request.accel, &job, &request.cache, tell)?;
    let names = job.cells.iter().map(|cell| cell.name.clone()).collect();
    tell(Some(&Event::Started { cells: names }));
    let gathered = run_cells(&job, request.workers, tell).map_err(RunError::Workers)?;
    times.add(&gathered.cells);
    times.save(&request.cache);
    let mut cells = gathered.cells;
    let place = |cell: &Cell| plan.matrix.iter().position(|name| *name == cell.name);
    cells.sort_by_key(place);
    let mut host = gathered.host.unwrap_or_default();
    host.accel_reason = reason;
    if host.accel.is_empty() {
        // No worker got as far as to report it.
        host.accel = job.accel.name().into();
    }
    let inputs = Some(inputs(&job));
    let probes = probe_facts(&job);
    let identity = identity(&job);
    Ok(Run {
        schema_version: SCHEMA_VERSION,
        version: env!("CARGO_PKG_VERSION").into(),
        policy: job.policy_origin,
        filter: request.filter,
        host,
        cells,
        causes: Vec::new(),
        skipped: plan.skipped,
        probes,
        matrix: plan.matrix,
        inputs,
        identity,
        wall_ms: u64::try_from(request.started.elapsed().as_millis()).unwrap_or(u64::MAX),
        started: None,
    })
}

/// What tells the policy and the filter of a job apart from others; none where the policy is
/// none, which every worker then says.
pub fn identity(job: &Job) -> Option<Identity> {
    let policy = Policy::parse(&job.policy, &job.policy_origin).ok()?;
    let filters = job.filters.iter();
    let filters = filters.map(|filter| (filter.name.as_str(), filter.xml.as_str()));
    Some(Identity::of(&policy, &job.policy, filters))
}

/// What a job verifies, as a number that tells it from another with the same names.
pub(super) fn inputs(job: &Job) -> String {
    let all = (
        &job.policy,
        &job.filters,
        &job.parameters,
        job.mac,
        job.backend,
    );
    let text = serde_json::to_vec(&all).expect("the job has only string keys");
    to_hex(&Sha256::digest(text))
}

/// Checks that nothing that the workers read or write is covered in their labs.
fn seen_in_the_lab(job: &Job) -> Result<(), RunError> {
    let cache = "set LANFENCE_CACHE to a directory elsewhere, such as ~/.cache/lanfence";
    let guest = "copy it elsewhere and set LANFENCE_GUEST to that, or set LANFENCE_CACHE and run `cargo xtask image`";
    let places = [
        ("the cache", &job.libvirt_cache, cache),
        ("the cache", &job.snapshots, cache),
        ("the guest image", &job.guest, guest),
        ("the directory of --out", &job.out, "name one elsewhere"),
    ];
    for (what, path, cure) in places {
        let Some(path) = path else { continue };
        if let Some(by) = covered(path) {
            let path = path.clone();
            return Err(RunError::Covered {
                what,
                path,
                by,
                cure,
            });
        }
    }
    Ok(())
}

/// Which accelerator, and why; reports it at once when it is not what the machine seems to
/// offer.
fn accelerate(
    choice: AccelChoice,
    job: &Job,
    cache: &Cache,
    tell: &mut dyn FnMut(Option<&Event>),
) -> Result<(Accel, String), RunError> {
    if !job.has_machine() {
        return Ok((Accel::Tcg, "there is no guest".into()));
    }
    if choice == AccelChoice::Tcg {
        return Ok((Accel::Tcg, "asked for".into()));
    }
    let Decided {
        accel,
        reason,
        fell_back,
    } = decide_accel(job, cache, choice == AccelChoice::Kvm);
    if choice == AccelChoice::Kvm && accel != Accel::Kvm {
        return Err(RunError::NoKvm { reason });
    }
    if fell_back {
        let text = format!("falling back to emulation (TCG): {reason}");
        tell(Some(&Event::Note { cell: None, text }));
    }
    Ok((accel, reason))
}
