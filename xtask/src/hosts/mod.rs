//! `cargo xtask hosts`: whole hosts, thrown away after each run. A host has its own kernel,
//! systemd, libvirt, QEMU and KVM; lanfence runs in it as its users run it.

mod accelerator;
mod booted;
mod channel;
mod disk;
mod first_boot;
mod host;
mod interrupt;
mod list;
mod machine;
mod manifest;
mod qemu;
mod run_directory;
mod shares;

use crate::cache::Cache;
use crate::failure::{CommandFailed, Usage};
use crate::image;
use crate::options::Options;
use crate::setup;
use anyhow::{Context as _, Result, bail};
use booted::Booted;
use host::{Handed, Host, Job, Output};
use machine::Ended;
use manifest::Manifest;
use std::ffi::OsString;
use std::io;

/// `cargo xtask hosts`.
///
/// # Errors
///
/// Wrong arguments, what the verb fails for, and [`CommandFailed`] with the exit code of a
/// command in a host.
pub fn task(options: Options, mut arguments: Vec<OsString>) -> Result<()> {
    if arguments.is_empty() {
        bail!(usage("hosts wants a verb"));
    }
    interrupt::note_signals()?;
    let verb = arguments.remove(0);
    match verb.to_str() {
        Some("list") => {
            print!(
                "{}",
                list::table(&Cache::named()?, &manifest::all(&manifest::directory())?)?
            );
            Ok(())
        }
        Some("build") => build(options, arguments),
        Some("run") => run(options, arguments),
        _ => Err(usage(&format!("hosts has no verb `{}`", verb.display())))?,
    }
}

fn usage(what: &str) -> Usage {
    Usage(format!(
        "{what}; its verbs are list, build, run, shell, test and compare \
         (`cargo xtask help hosts`)"
    ))
}

/// Takes the name of a host from the front of the arguments.
fn named(arguments: &mut Vec<OsString>) -> Result<Manifest> {
    if arguments.is_empty() {
        bail!(usage("this verb wants the name of a host"));
    }
    let name = arguments.remove(0);
    let name = name.to_str().context("names of hosts are plain text")?;
    manifest::read(&manifest::directory(), name)
}

fn build(options: Options, mut arguments: Vec<OsString>) -> Result<()> {
    let fresh = take_flag(&mut arguments, "--fresh");
    let manifest = named(&mut arguments)?;
    nothing_left(&arguments)?;
    let cache = setup::ensure(options, false)?.cache;
    let booted = booted::ensure(options, &cache, &manifest, fresh)?;
    println!("{}", booted.directory.display());
    Ok(())
}

fn run(options: Options, mut arguments: Vec<OsString>) -> Result<()> {
    let manifest = named(&mut arguments)?;
    let user = take_value(&mut arguments, "--user")?;
    if arguments.first().is_some_and(|it| it == "--") {
        arguments.remove(0);
    }
    if arguments.is_empty() {
        bail!(usage(
            "run wants a command of lanfence, such as `-- verify`",
        ));
    }
    let (cache, booted, handed) = prepared(options, &manifest)?;
    let work = std::env::current_dir().context("the current directory is gone")?;
    let mut host = Host::restore(&cache, &booted, &handed, &work)?;
    let mut words = vec![OsString::from("lanfence")];
    words.extend(arguments);
    let job = Job {
        words,
        user: user.map(|it| it.to_string_lossy().into_owned()),
        before: "",
    };
    let mut output = Output {
        out: &mut io::stdout(),
        err: &mut io::stderr(),
    };
    finish(host.run(&job, &mut output)?)
}

/// Everything that a run needs, made now where it is missing.
fn prepared(options: Options, manifest: &Manifest) -> Result<(Cache, Booted, Handed)> {
    let ready = setup::ensure(options, false)?;
    let guest = image::ensure(options, &ready)?;
    let program = image::build_lanfence(options.offline)?;
    let programs = program.parent().context("a program is in a directory")?;
    let booted = booted::ensure(options, &ready.cache, manifest, false)?;
    let handed = Handed {
        programs: programs.to_owned(),
        guest,
        filters: ready.filters,
    };
    Ok((ready.cache, booted, handed))
}

/// The end of a command becomes ours.
fn finish(ended: Ended) -> Result<()> {
    match ended {
        Ended::Code(0) => Ok(()),
        Ended::Code(code) => Err(CommandFailed(code))?,
        // As a shell says it.
        Ended::Signal(signal) => Err(CommandFailed(128 + signal))?,
    }
}

fn take_flag(arguments: &mut Vec<OsString>, flag: &str) -> bool {
    let before = arguments.len();
    arguments.retain(|it| it != flag);
    arguments.len() < before
}

/// Takes `--name VALUE` from the front of the arguments.
fn take_value(arguments: &mut Vec<OsString>, name: &str) -> Result<Option<OsString>> {
    if arguments.first().is_none_or(|it| it != name) {
        return Ok(None);
    }
    if arguments.len() < 2 {
        bail!(usage(&format!("{name} wants a value")));
    }
    arguments.remove(0);
    Ok(Some(arguments.remove(0)))
}

fn nothing_left(arguments: &[OsString]) -> Result<()> {
    match arguments.first() {
        None => Ok(()),
        Some(extra) => Err(usage(&format!(
            "`{}` is one word too many",
            extra.display()
        )))?,
    }
}
