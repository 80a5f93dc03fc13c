//! `cargo xtask hosts`: whole hosts, thrown away after each run. A host has its own kernel,
//! systemd, libvirt, QEMU and KVM; lanfence runs in it as its users run it.

mod accelerator;
mod baseline;
mod bench;
mod booted;
mod channel;
mod compare;
mod disk;
mod first_boot;
mod host;
mod interrupt;
mod list;
mod machine;
mod manifest;
mod qemu;
mod run_directory;
mod scenarios;
mod shares;
mod shell;
mod table;
mod test;
mod tools;
mod words;

use crate::cache::Cache;
use crate::failure::{CommandFailed, Unfit};
use crate::image;
use crate::options::Options;
use crate::setup;
use anyhow::{Context as _, Result, bail};
use baseline::Wanted;
use host::{Handed, Host, Job, Output};
use machine::Ended;
use manifest::Manifest;
use run_directory::RunDirectory;
use scenarios::Scenario;
use std::env;
use std::ffi::OsString;
use std::io;
use std::path::{Path, PathBuf};
use words::{LANFENCE, Words, usage};

/// Names a directory with lanfence in it, which is then not built.
const PROGRAMS: &str = "LANFENCE_PROGRAMS";

/// The host whose disk is made before the tests, which boot it.
const TESTED: &str = "debian-13";

/// What a host needs besides its disk.
struct Ready {
    cache: Cache,
    handed: Handed,
}

/// `cargo xtask hosts`.
///
/// # Errors
///
/// Wrong arguments, what the verb fails for, and [`CommandFailed`] with the exit code of a
/// command in a host.
pub fn task(options: Options, arguments: Vec<OsString>) -> Result<()> {
    let mut words = Words::from(arguments);
    interrupt::note_signals()?;
    match words.next("a verb")?.as_str() {
        "list" => {
            words.end()?;
            let manifests = manifest::all(&manifest::directory())?;
            print!("{}", list::table(&Cache::named()?, &manifests)?);
            Ok(())
        }
        "build" => build(options, words),
        "run" => run(options, words),
        "shell" => shell(options, words),
        "test" => test(options, words),
        "compare" => compare(options, words),
        "bench" => bench(options, words),
        other => bail!(usage(&format!("hosts has no verb `{other}`"))),
    }
}

/// Makes the host that the tests boot. Where it cannot be had, that is said, and the tests that
/// need it say so too.
///
/// # Errors
///
/// Whatever is no lack of this machine.
pub fn prepare_for_tests(options: Options) -> Result<()> {
    interrupt::note_signals()?;
    let manifest = manifest::read(&manifest::directory(), TESTED)?;
    match booted::ensure(options, &Cache::open()?, &manifest, false) {
        Err(error) if error.is::<Unfit>() => {
            eprintln!("no host for the tests: {error:#}");
            Ok(())
        }
        other => other.map(drop),
    }
}

fn build(options: Options, mut words: Words) -> Result<()> {
    let fresh = words.flag("--fresh");
    let manifest = named(&mut words)?;
    words.end()?;
    let cache = setup::ensure(options, false)?.cache;
    let booted = booted::ensure(options, &cache, &manifest, fresh)?;
    println!("{}", booted.directory.display());
    Ok(())
}

fn run(options: Options, mut words: Words) -> Result<()> {
    let manifest = named(&mut words)?;
    let user = words.value("--user")?;
    let program = words.value("--program")?;
    let command = words.command("a command of lanfence, such as `-- verify`")?;
    let ready = ready(options)?;
    let booted = booted::ensure(options, &ready.cache, &manifest, false)?;
    let mut host = Host::restore(&ready.cache, &booted, &ready.handed, &current()?)?;
    let job = Job {
        words: with_program(program.as_deref().unwrap_or(LANFENCE), command),
        user,
        before: "",
    };
    let mut output = Output {
        out: &mut io::stdout(),
        err: &mut io::stderr(),
    };
    match host.run(&job, &mut output)? {
        Ended::Code(0) => Ok(()),
        Ended::Code(code) => Err(CommandFailed(code))?,
        // As a shell says it.
        Ended::Signal(signal) => Err(CommandFailed(128 + signal))?,
    }
}

fn shell(options: Options, mut words: Words) -> Result<()> {
    let manifest = named(&mut words)?;
    words.end()?;
    let ready = ready(options)?;
    let booted = booted::ensure(options, &ready.cache, &manifest, false)?;
    let host = Host::restore(&ready.cache, &booted, &ready.handed, &current()?)?;
    shell::attach(host)
}

fn test(options: Options, mut words: Words) -> Result<()> {
    let mut all = words.flag("--all");
    let mut scenarios: Vec<&'static Scenario> = Vec::new();
    let mut wanted = Wanted::default();
    loop {
        if let Some(title) = words.value("--scenario")? {
            scenarios.push(scenario(&title)?);
        } else if words.first_is("--all") {
            all = true;
        } else if !wanted.take(&mut words)? {
            break;
        }
    }
    wanted.fit()?;
    if scenarios.is_empty() {
        scenarios.extend(scenarios::ALL);
    }
    let manifests = manifests(all, &words.rest()?)?;
    let ready = ready(options)?;
    let programs = &ready.handed.programs;
    let names: Vec<&str> = manifests.iter().map(|it| it.name.as_str()).collect();
    let scratch = RunDirectory::new(&ready.cache)?;
    wanted.check(programs, &names, scratch.path())?;
    if scenarios.iter().any(|scenario| scenario.is_pure()) {
        image::build_pure(options.offline)?;
    }
    let work = image::workspace();
    let mut records = Vec::new();
    for manifest in &manifests {
        let record = match booted::ensure(options, &ready.cache, manifest, false) {
            Ok(booted) => test::in_host(&ready.cache, &booted, &ready.handed, &work, &scenarios)?,
            // Named by --all, it may be one that cannot be had here; named itself, it may not.
            Err(error) if all && error.is::<Unfit>() => {
                test::skipped(manifest, &format!("{error:#}"))
            }
            Err(error) => return Err(error),
        };
        records.push(record);
    }
    if wanted.finish(programs, &records, scratch.path())? {
        return Ok(());
    }
    print!("{}", test::table(&records, &scenarios));
    if records.iter().any(test::HostRecord::failed) {
        bail!(CommandFailed(1));
    }
    Ok(())
}

/// The scenario of a title.
fn scenario(title: &str) -> Result<&'static Scenario> {
    let known = || {
        let titles = scenarios::ALL.iter().map(|scenario| scenario.title);
        let titles: Vec<&str> = titles.collect();
        usage(&format!(
            "there is no scenario `{title}`; there are: {}",
            titles.join(", ")
        ))
    };
    Ok(Scenario::titled(title).ok_or_else(known)?)
}

/// The hosts that are named, or all.
fn manifests(all: bool, hosts: &[String]) -> Result<Vec<Manifest>> {
    let directory = manifest::directory();
    match (all, hosts.is_empty()) {
        (true, true) => manifest::all(&directory),
        (false, false) => {
            let read = hosts.iter().map(|name| manifest::read(&directory, name));
            read.collect()
        }
        _ => bail!(usage("test wants names of hosts, or --all")),
    }
}

fn compare(options: Options, mut words: Words) -> Result<()> {
    if words.has_before_command(&["--baseline", "--strict"]) {
        bail!(usage(compare::NO_BASELINE));
    }
    let manifests = [named(&mut words)?, named(&mut words)?];
    let command = words.command("a command of lanfence, such as `-- verify`")?;
    let ready = ready(options)?;
    let work = current()?;
    let mut runs = Vec::new();
    for manifest in &manifests {
        let booted = booted::ensure(options, &ready.cache, manifest, false)?;
        let mut host = Host::restore(&ready.cache, &booted, &ready.handed, &work)?;
        runs.push(compare::run(
            &manifest.name,
            &mut host,
            with_program(LANFENCE, command.clone()),
        )?);
    }
    let (text, same) = compare::differences(&runs[0], &runs[1]);
    print!("{text}");
    if same { Ok(()) } else { Err(CommandFailed(1))? }
}

fn bench(options: Options, mut words: Words) -> Result<()> {
    let rounds = words.value("--rounds")?;
    let rounds = rounds.as_deref().unwrap_or("5").parse().ok();
    let rounds = rounds.filter(|rounds| *rounds > 0);
    let rounds = rounds.ok_or_else(|| usage("--rounds wants a number above 0"))?;
    let manifest = named(&mut words)?;
    words.end()?;
    let ready = ready(options)?;
    let booted = booted::ensure(options, &ready.cache, &manifest, false)?;
    let work = current()?;
    let table = bench::table(&ready.cache, &booted, &ready.handed, &work, rounds)?;
    print!("{table}");
    Ok(())
}

fn named(words: &mut Words) -> Result<Manifest> {
    manifest::read(&manifest::directory(), &words.next("the name of a host")?)
}

fn with_program(program: &str, command: Vec<OsString>) -> Vec<OsString> {
    std::iter::once(program.into()).chain(command).collect()
}

fn current() -> Result<PathBuf> {
    env::current_dir().context("the current directory is gone")
}

/// Set-up, guest image and programs.
fn ready(options: Options) -> Result<Ready> {
    let ready = setup::ensure(options, false)?;
    let guest = image::ensure(options, &ready)?;
    let programs = if let Some(named) = env::var_os(PROGRAMS) {
        PathBuf::from(named)
    } else {
        let program = image::build_lanfence(options.offline)?;
        let directory = program.parent().map(Path::to_owned);
        directory.context("a program is in a directory")?
    };
    Ok(Ready {
        cache: ready.cache,
        handed: Handed {
            programs,
            guest,
            filters: ready.filters,
        },
    })
}
