//! `lanfence __worker`: enters namespaces of its own and runs cells there.

use super::inside::runtime;
use crate::cli::failure::Failure;
use crate::guest::Accel;
use crate::lab::{EnterOptions, enter};
use crate::pool;
use crate::report::model::{CellError, ErrorKind, Step};
use crate::verdict::Exit;
use crate::verify::job::Job;
use crate::verify::{Message, Reporter, run_worker};
use clap::Args;
use std::os::fd::AsRawFd as _;
use std::process::ExitCode;

/// Options of the hidden verb.
#[derive(Debug, Args)]
pub struct Options {
    /// Process id of the `verify` that started this.
    parent: u32,
}

/// Reads the job from the first line of standard input, enters the lab's
/// namespaces and runs the cells that the further lines name. Events go to
/// standard output, one JSON document a line.
pub fn run(options: &Options) -> Result<ExitCode, Failure> {
    let job = pool::task(&mut std::io::stdin().lock()).map_err(Failure::usage)?;
    let mut job: Job = job.ok_or_else(|| Failure::usage("there is no job"))?;
    // Held open across the change of mounts, so that a directory below a path
    // that the lab covers (/run, /var/log) can still be written to.
    let out = job
        .out
        .as_ref()
        .map(std::fs::File::open)
        .transpose()
        .map_err(Failure::usage)?;
    if let Some(dir) = &out {
        job.out = Some(format!("/proc/self/fd/{}", dir.as_raw_fd()).into());
    }
    let images: Vec<_> = job.foreign.iter().map(|one| one.image.clone()).collect();
    let emulators = job.emulators();
    let entered = enter(EnterOptions {
        images: &images,
        kvm: job.accel == Accel::Kvm,
        libvirt_cache: job.libvirt_cache.as_deref(),
        emulators: &emulators,
        shortcuts: job.shortcuts,
        parent: options.parent,
    });
    if let Err(error) = entered {
        let kind = if error.is_host() {
            ErrorKind::Host
        } else {
            ErrorKind::Internal
        };
        let error = CellError {
            step: Step::Namespaces,
            message: error.to_string(),
            kind,
        };
        Reporter::of(&job).report(&Message::NoLab(error), &|message| pool::report(message));
        return Ok(Exit::Pass.into());
    }
    runtime(2)?.block_on(run_worker(
        &job,
        &|message| pool::report(message),
        std::io::stdin().lock(),
    ));
    // The kernel ends every other process of the namespace with this one.
    Ok(Exit::Pass.into())
}
