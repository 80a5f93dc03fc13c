//! `lanfence doctor`: what this host can do for the lab, found out by doing it.

use super::guest_image::GuestImageOption;
use super::paths;
use crate::cli::failure::Failure;
use crate::cli::options::PolicyOption;
use crate::cli::output::say;
use crate::doctor::outside::{Surroundings, try_all, work};
use crate::doctor::{github, is_fit, text};
use crate::lab::apparmor_profile;
use crate::verdict::Exit;
use crate::verify::Cache;
use clap::{Args, ValueEnum};
use std::path::PathBuf;
use std::process::ExitCode;

/// `--accel`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Accel {
    /// Guests may run under emulation
    Auto,
    /// Guests must run under KVM
    Kvm,
}

/// Options of `doctor`.
#[derive(Debug, Args)]
pub struct Options {
    #[command(flatten)]
    policy: PolicyOption,
    /// Whether KVM is needed
    #[arg(long, value_enum, default_value_t = Accel::Auto)]
    accel: Accel,
    /// Write the trials as JSON; without FILE to standard output, in place of the text
    #[arg(long, value_name = "FILE", num_args = 0..=1, default_missing_value = "-")]
    json: Option<PathBuf>,
    /// Print a profile with which AppArmor lets this program use user namespaces, and try nothing
    #[arg(long)]
    apparmor_profile: bool,
    #[command(flatten)]
    guest: GuestImageOption,
}

/// Options of the hidden verb.
#[derive(Debug, Args)]
pub struct WorkerOptions {
    /// Process id of the program that started this.
    parent: u32,
}

/// Tries everything and prints what happened.
pub fn run(options: &Options) -> Result<ExitCode, Failure> {
    if options.apparmor_profile {
        let program = std::env::current_exe().map_err(Failure::host)?;
        say(&apparmor_profile(&program))?;
        return Ok(Exit::Pass.into());
    }
    let source = options.policy.read()?;
    let file = options
        .json
        .as_deref()
        .filter(|file| file.as_os_str() != "-");
    if let Some(file) = file {
        paths::writable(file)?;
    }
    let cache = Cache::open().map_err(Failure::host)?;
    let guest = options.guest.dir().map(std::path::absolute).transpose();
    let guest = guest.map_err(Failure::usage)?;
    let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    let around = Surroundings {
        policy: (&source.text, &source.origin),
        guest: guest.as_deref(),
        cache: &cache,
        workers: u64::try_from(cores).unwrap_or(u64::MAX),
    };
    let as_text = options.json.is_none() || file.is_some();
    let mut trials = Vec::new();
    let mut unsaid = Ok(());
    try_all(&around, &mut |trial| {
        if as_text && unsaid.is_ok() {
            unsaid = say(&text::lines(&trial));
        }
        trials.push(trial);
    });
    unsaid?;
    let needs_kvm = options.accel == Accel::Kvm;
    if let Some(file) = file {
        let json = text::json(&trials, needs_kvm);
        std::fs::write(file, json).map_err(|error| Failure::file(file, error))?;
    }
    if as_text {
        say(&format!("\n{}\n", text::verdict(&trials, needs_kvm)))?;
    } else {
        say(&text::json(&trials, needs_kvm))?;
    }
    if as_text
        && std::env::var_os("GITHUB_ACTIONS").is_some()
        && let Some(step) = github::step(&trials, needs_kvm)
    {
        say(&format!(
            "\nThis step before the others cures the runner:\n\n{step}"
        ))?;
    }
    let fit = is_fit(&trials, needs_kvm);
    Ok(if fit { Exit::Pass } else { Exit::Host }.into())
}

/// Tries what needs namespaces; started by `doctor`.
pub fn work_inside(options: &WorkerOptions) -> Result<ExitCode, Failure> {
    work(options.parent).map_err(Failure::host)?;
    Ok(Exit::Pass.into())
}
