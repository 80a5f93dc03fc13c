//! `lanfence __reference`: which rules this libvirt makes of filters.

use crate::cli::failure::Failure;
use crate::cli::lab::inside;
use crate::cli::options::backend;
use crate::host::reference::{Wanted, answer};
use crate::nwfilter::evaluate::Backend;
use clap::Args;
use std::process::ExitCode;

/// Options of the hidden verb.
#[derive(Debug, Args)]
pub struct Options {
    /// Process id of the program that started this.
    parent: u32,
    /// Back end of libvirt that translates the filters.
    #[arg(long, default_value_t, value_parser = backend)]
    backend: Backend,
}

/// Reads a JSON list of what is to be bound from standard input, and prints the list of rules.
pub fn run(options: &Options) -> Result<ExitCode, Failure> {
    inside::answer(options.parent, async |asked: &Vec<Wanted>| {
        answer(asked, options.backend).await.map_err(Failure::host)
    })
}
