//! `lanfence __host`: a program in namespaces that look like a small host, for the tests of the
//! verbs for hosts.

use super::inside::runtime;
use crate::cli::failure::Failure;
use crate::cli::options::backend;
use crate::lab::{EnterOptions, Shortcuts, enter, small_host};
use crate::nwfilter::evaluate::Backend;
use clap::Args;
use std::path::PathBuf;
use std::process::{Command, ExitCode};

/// Options of the hidden verb.
#[derive(Debug, Args)]
pub struct Options {
    /// Process id of the program that started this.
    parent: u32,
    /// Where libvirt keeps what QEMU can do.
    #[arg(long)]
    libvirt_cache: Option<PathBuf>,
    /// Back end of libvirt that translates the filters.
    #[arg(long, default_value_t, value_parser = backend)]
    backend: Backend,
    /// The program and its arguments.
    #[arg(last = true, required = true)]
    program: Vec<String>,
}

/// Enters namespaces with a bridge and a libvirtd, runs the program there, and ends as it did.
pub fn run(options: &Options) -> Result<ExitCode, Failure> {
    enter(EnterOptions {
        images: &[],
        kvm: false,
        libvirt_cache: options.libvirt_cache.as_deref(),
        emulators: &[],
        shortcuts: Shortcuts::all(),
        parent: options.parent,
    })
    .map_err(Failure::host)?;
    let (program, arguments) = options
        .program
        .split_first()
        .ok_or_else(|| Failure::usage("there is no program"))?;
    runtime(2)?.block_on(async {
        let _libvirt = small_host(options.backend).await.map_err(Failure::host)?;
        let status = Command::new(program).args(arguments).status();
        let code = status.map_err(Failure::host)?.code();
        let code = code.and_then(|code| u8::try_from(code).ok()).unwrap_or(70);
        Ok(ExitCode::from(code))
    })
}
