//! `lanfence watch`: keeps the host's guests fenced.

use super::connection::ConnectOption;
use crate::cli::failure::Failure;
use crate::cli::options::PolicyOption;
use crate::host::watch::{self, LogFormat, WatchError};
use crate::verdict::Exit;
use clap::{Args, ValueEnum};
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

/// Options of `watch`.
#[derive(Debug, Args)]
pub struct Options {
    #[command(flatten)]
    connect: ConnectOption,
    #[command(flatten)]
    policy: PolicyOption,
    /// Seconds between audits when nothing happens, at least 10
    #[arg(long, value_name = "SECONDS", default_value_t = 300, value_parser = clap::value_parser!(u32).range(10..))]
    interval: u32,
    /// Tell what happens and change nothing: no gate, no repair
    #[arg(long)]
    alert_only: bool,
    /// Write metrics for Prometheus' textfile collector after each audit
    #[arg(long, value_name = "FILE")]
    metrics: Option<PathBuf>,
    /// Format of the lines on standard error
    #[arg(long, value_enum, default_value_t)]
    log_format: Format,
}

/// A format of the log.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, ValueEnum)]
enum Format {
    /// For people and the journal
    #[default]
    Text,
    /// One JSON object a line
    Json,
}

/// Watches until it is ended.
pub fn run(options: &Options) -> Result<ExitCode, Failure> {
    options.connect.must_be_here()?;
    let source = options.policy.read()?;
    let reread = || {
        let source = options.policy.read();
        source
            .map(|source| source.policy)
            .map_err(|error| error.to_string())
    };
    let watched = watch::run(
        watch::Options {
            uri: options.connect.connect.clone(),
            policy: source.policy,
            interval: Duration::from_secs(options.interval.into()),
            alert_only: options.alert_only,
            metrics: options.metrics.clone(),
            format: match options.log_format {
                Format::Text => LogFormat::Text,
                Format::Json => LogFormat::Json,
            },
        },
        &reread,
    );
    match watched {
        Ok(()) => Ok(Exit::Pass.into()),
        Err(error @ WatchError::Mender) => Err(Failure::new(Exit::Internal, error)),
        Err(error) => Err(Failure::host(error)),
    }
}
