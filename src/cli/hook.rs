//! `lanfence hook`: what libvirt asks before a guest starts.

use super::failure::Failure;
use super::output::say;
use crate::hook::{Step, admit, rewrite};
use crate::policy::Policy;
use crate::verdict::Exit;
use clap::Args;
use std::ffi::OsString;
use std::io::Read as _;
use std::path::PathBuf;
use std::process::ExitCode;

/// The policy of the host.
const POLICY: &str = "/etc/lanfence/lanfence.toml";

/// Largest definition read.
const MAX_BYTES: u64 = 64 << 20;

/// Options of `hook`.
#[derive(Debug, Args)]
pub struct Options {
    /// Policy file
    #[arg(long, value_name = "FILE", default_value = POLICY)]
    policy: PathBuf,
    /// What libvirt calls the hook with: guest, operation, sub-operation and more
    #[arg(
        value_name = "GUEST OPERATION",
        trailing_var_arg = true,
        allow_hyphen_values = true
    )]
    arguments: Vec<OsString>,
}

/// The definition cannot be read.
#[derive(Debug, thiserror::Error)]
enum InputError {
    #[error("the guest's definition on standard input: {0}")]
    Unreadable(#[source] std::io::Error),
    #[error("the guest's definition on standard input has more than {MAX_BYTES} bytes")]
    TooLarge,
    #[error("the guest's definition on standard input is no UTF-8")]
    NotUtf8,
}

/// Answers libvirt. Whatever is wrong where a guest starts keeps it from starting; where it
/// runs already, nothing is wrong, because libvirt would end it.
pub fn run(options: &Options) -> Result<ExitCode, Failure> {
    let mut words = options.arguments.iter().map(|word| word.to_string_lossy());
    let guest = words.next().unwrap_or_default();
    let operation = words.next().unwrap_or_default();
    let step = Step::of(&operation);
    if step == Step::Nothing {
        return Ok(Exit::Pass.into());
    }
    let policy = Policy::read(&options.policy).map_err(refused)?;
    let xml = definition().map_err(refused)?;
    if step == Step::Admit {
        admit(&guest, &xml, &policy).map_err(refused)?;
    } else {
        say(&rewrite(&guest, &xml, &policy).map_err(refused)?)?;
    }
    Ok(Exit::Pass.into())
}

/// Any failure ends with 1: to libvirt every code but 0 is the same, and a user sees one.
fn refused(error: impl std::error::Error + Send + Sync + 'static) -> Failure {
    Failure::new(Exit::Fail, error)
}

/// What libvirt writes to the hook.
fn definition() -> Result<String, InputError> {
    let mut bytes = Vec::new();
    let input = std::io::stdin().lock();
    input
        .take(MAX_BYTES + 1)
        .read_to_end(&mut bytes)
        .map_err(InputError::Unreadable)?;
    if bytes.len() as u64 > MAX_BYTES {
        return Err(InputError::TooLarge);
    }
    String::from_utf8(bytes).map_err(|_| InputError::NotUtf8)
}
