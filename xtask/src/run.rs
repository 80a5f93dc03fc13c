//! The tasks that set up, build the image and then hand over to another
//! command, whose exit code is theirs.

use crate::browser;
use crate::cache::Cache;
use crate::hosts;
use crate::image;
use crate::options::Options;
use crate::setup;
use crate::tool;
use crate::wishes;
use anyhow::{Context as _, Result};
use std::ffi::OsString;
use std::io::Write as _;
use std::os::unix::process::CommandExt as _;
use std::process::Command;

/// Tells lanfence and its tests where the guest image is.
const GUEST: &str = "LANFENCE_GUEST";

/// Tells them where libvirt's own filters are.
const FILTERS: &str = "LANFENCE_SHIPPED_FILTERS";

/// `cargo xtask verify`.
///
/// # Errors
///
/// As for [`setup::ensure`] and [`image::ensure`], and if cargo cannot be started.
pub fn verify(options: Options, arguments: Vec<OsString>) -> Result<()> {
    lanfence(options, "verify", arguments)
}

/// `cargo xtask matrix`.
///
/// # Errors
///
/// As for [`verify`].
pub fn matrix(options: Options, arguments: Vec<OsString>) -> Result<()> {
    lanfence(options, "matrix", arguments)
}

/// `cargo xtask doctor`: looks for what set-up installs; where all of it is there, has
/// `lanfence doctor` try the rest. Changes nothing.
///
/// # Errors
///
/// If something is missing, or cargo cannot be started.
pub fn doctor(options: Options, arguments: Vec<OsString>) -> Result<()> {
    let inventory = setup::inventory()?;
    // With arguments, standard output may be a document that a program reads.
    if arguments.is_empty() {
        print!("{}", inventory.text);
        std::io::stdout().flush()?;
    } else if inventory.complete.is_err() {
        eprint!("{}", inventory.text);
    }
    inventory.complete?;
    let mut command = image::cargo(options.offline);
    if let Some(guest) = image::newest(&Cache::named()?) {
        command.env(GUEST, guest);
    }
    command.args([
        "run",
        "--quiet",
        "--package",
        "lanfence",
        "--bin",
        "lanfence",
    ]);
    command.args(["--", "doctor"]).args(arguments);
    hand_over(&mut command)
}

fn lanfence(options: Options, verb: &str, arguments: Vec<OsString>) -> Result<()> {
    for need in wishes::of(&arguments) {
        setup::wish(options, need);
    }
    let mut command = prepared(options)?;
    // Not --quiet: the first build takes a minute or two, and silence looks like a hang.
    command.args(["run", "--package", "lanfence", "--bin", "lanfence"]);
    command.args(["--", verb]).args(arguments);
    hand_over(&mut command)
}

/// `cargo xtask test`.
///
/// # Errors
///
/// As for [`verify`].
pub fn test(options: Options, arguments: Vec<OsString>) -> Result<()> {
    let mut command = prepared(options)?;
    if arguments.is_empty() {
        browser::prepare_for_tests(options);
        hosts::prepare_for_tests(options)?;
        for need in wishes::all() {
            setup::wish(options, need);
        }
    }
    command.args(["test", "--workspace"]).args(arguments);
    hand_over(&mut command)
}

/// `cargo xtask bench`.
///
/// # Errors
///
/// As for [`verify`].
pub fn bench(options: Options, arguments: Vec<OsString>) -> Result<()> {
    let mut command = prepared(options)?;
    command.args(["run", "--release", "--package", "lanfence"]);
    command
        .args(["--bin", "lanfence", "--", "bench"])
        .args(arguments);
    hand_over(&mut command)
}

/// Cargo for this workspace, after set-up and with the image's place in its
/// environment. It runs where the user stands, so that paths mean what they say.
fn prepared(options: Options) -> Result<Command> {
    let ready = setup::ensure(options, false)?;
    let guest = image::ensure(options, &ready)?;
    let mut command = image::cargo(options.offline);
    command.env(GUEST, guest).env(FILTERS, &ready.filters);
    Ok(command)
}

/// Becomes the command: signals and exit code need no forwarding. `cargo run`
/// becomes the program in turn.
fn hand_over(command: &mut Command) -> Result<()> {
    let line = tool::shell_line(command);
    Err(command.exec()).with_context(|| format!("cannot run `{line}`"))
}
