//! Booted hosts: each boots once, is set up as its manifest says, and is saved; every run goes on
//! from there.
//!
//! `hosts/booted/NAME/KEY/{disk.qcow2,state,facts.json}` in the cache, and beside them `kept`, which
//! outlives runs: lanfence's own cache inside the host, with its saved guests.

use super::accelerator;
use super::disk::{self, Disk};
use super::first_boot;
use super::machine::{Ended, Machine};
use super::manifest::Manifest;
use super::qemu::{Accelerator, Spec};
use super::run_directory::RunDirectory;
use super::shares::Shares;
use crate::cache::{Cache, hex_sum, make_directory};
use crate::failure::Unfit;
use crate::options::Options;
use crate::tool;
use anyhow::{Context as _, Result, bail};
use serde::{Deserialize, Serialize};
use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

/// Raised when the same manifest has to give another saved host.
const FORMAT: u32 = 1;
/// A host boots within so many times what its kernel needs for its first line.
const BOOT: u32 = 150;
/// The shortest time that a host is given to boot.
const LEAST_BOOT: Duration = Duration::from_secs(120);
/// The longest time that a kernel is given for its first line.
const FIRST_LINE: Duration = Duration::from_secs(180);

/// The disk of a host in the directory of its run.
const OVERLAY: &str = "disk.qcow2";

/// A saved host.
#[derive(Debug, Clone)]
pub struct Booted {
    /// The directory in the cache.
    pub directory: PathBuf,
    /// Its manifest.
    pub manifest: Manifest,
    /// Its disk.
    pub disk: Disk,
    /// How its CPU is had.
    pub accelerator: Accelerator,
}

/// What is known of a saved host.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Facts {
    /// How long it took to boot, in milliseconds: how slow this machine is.
    pub boot_ms: u64,
    /// Length of the saved state in bytes: one that was cut short is not used.
    pub state_bytes: u64,
}

impl Booted {
    /// The host of this manifest, if it was saved before.
    ///
    /// # Errors
    ///
    /// If QEMU's version cannot be had.
    pub fn present(cache: &Cache, manifest: &Manifest) -> Result<Option<Booted>> {
        let Some(disk) = Disk::present(cache, manifest) else {
            return Ok(None);
        };
        let booted = Booted::named(cache, manifest, disk)?;
        Ok(booted.is_whole().then_some(booted))
    }

    fn is_whole(&self) -> bool {
        let length = fs::metadata(self.state()).map(|meta| meta.len());
        let facts = self.facts();
        matches!((length, facts), (Ok(length), Ok(facts)) if length == facts.state_bytes)
    }

    fn named(cache: &Cache, manifest: &Manifest, disk: Disk) -> Result<Booted> {
        let accelerator = accelerator::choose();
        let qemu = tool::output(Command::new("qemu-system-x86_64").arg("--version"))?;
        let recipe = format!(
            "{FORMAT} {} {} {} {} {} {:?} {}",
            disk.identity(),
            accelerator.word(),
            String::from_utf8_lossy(&qemu),
            accelerator.cores(manifest.cores),
            manifest.memory_mib,
            manifest.kernel_arguments,
            first_boot::script(manifest),
        );
        let key = &hex_sum(recipe.as_bytes())[..16];
        Ok(Booted {
            directory: cache.path(&format!("hosts/booted/{}/{key}", manifest.name)),
            manifest: manifest.clone(),
            disk,
            accelerator,
        })
    }

    /// The name of its directory: other packages, settings or QEMU give another.
    pub fn key(&self) -> Option<String> {
        let name = self.directory.file_name()?;
        Some(name.to_string_lossy().into_owned())
    }

    /// The saved machine.
    pub fn state(&self) -> PathBuf {
        self.directory.join("state")
    }

    /// The disk that belongs to the state: an overlay over the host's disk.
    pub fn overlay(&self) -> PathBuf {
        self.directory.join("disk.qcow2")
    }

    /// What outlives runs.
    pub fn kept(&self) -> PathBuf {
        self.directory.join("kept")
    }

    /// What is known of it.
    ///
    /// # Errors
    ///
    /// If the file is not there or is not ours.
    pub fn facts(&self) -> Result<Facts> {
        let path = self.directory.join("facts.json");
        let text = fs::read(&path).with_context(|| format!("cannot read {}", path.display()))?;
        serde_json::from_slice(&text).with_context(|| {
            format!(
                "{} is not what was written there; remove its directory",
                path.display()
            )
        })
    }

    /// Boots the disk as it was made, until the host's agent answers.
    ///
    /// # Errors
    ///
    /// If the host ends, or shows nothing or does not answer within deadlines that follow from how
    /// slow this machine is.
    pub fn cold(&self, run: &RunDirectory) -> Result<Machine> {
        let overlay = run.path().join(OVERLAY);
        overlay_over(&self.disk.file(), "raw", &overlay)?;
        let mut machine = self.start(&overlay, &Shares::none(run.path()), None, run.path())?;
        let first_line = machine.wait_for_console(FIRST_LINE)?;
        machine.wait_for_agent(LEAST_BOOT.max(first_line * BOOT))?;
        Ok(machine)
    }

    /// What to start a host with: its own disk, these shares, this disk and this state.
    pub fn start(
        &self,
        disk: &Path,
        shares: &Shares,
        saved: Option<&Path>,
        directory: &Path,
    ) -> Result<Machine> {
        let (kernel, initrd) = (self.disk.kernel(), self.disk.initrd());
        let spec = Spec {
            kernel: (&kernel, &initrd),
            kernel_arguments: &self.manifest.kernel_arguments,
            disk,
            size: (
                self.accelerator.cores(self.manifest.cores),
                self.manifest.memory_mib,
            ),
            accelerator: self.accelerator,
            shares: &shares.all(),
            saved,
        };
        Machine::start(&spec, directory)
    }
}

/// The saved host; whatever is missing is made now, and everything if `fresh`.
///
/// # Errors
///
/// As for [`disk::ensure`], and if the host does not boot or cannot be set up.
pub fn ensure(options: Options, cache: &Cache, manifest: &Manifest, fresh: bool) -> Result<Booted> {
    if !fresh && let Some(booted) = Booted::present(cache, manifest)? {
        return Ok(booted);
    }
    if options.offline && (fresh || Disk::present(cache, manifest).is_none()) {
        bail!(Unfit(format!(
            "the disk of {} has to be made, and --offline forbids downloading its packages",
            manifest.name
        )));
    }
    let disk = disk::ensure(cache, manifest, fresh)?;
    let booted = Booted::named(cache, manifest, disk)?;
    let parent = booted
        .directory
        .parent()
        .context("a directory of its own")?;
    make_directory(parent).map_err(|error| cache.explain(error, parent))?;
    let lock = cache.lock_named(&format!("hosts/booted/{}/lock", manifest.name))?;
    if booted.is_whole() && !fresh {
        return Ok(booted);
    }
    boot(cache, &booted).with_context(|| format!("cannot boot the host {}", manifest.name))?;
    remove_others(parent, &booted.directory);
    drop(lock);
    Ok(booted)
}

fn boot(cache: &Cache, booted: &Booted) -> Result<()> {
    let run = RunDirectory::new(cache)?;
    eprintln!(
        "booting {} for the first time, under {}",
        booted.manifest.name,
        booted.accelerator.word()
    );
    let start = Instant::now();
    let mut machine = booted.cold(&run)?;
    let boot_ms = u64::try_from(start.elapsed().as_millis())?;
    let script = first_boot::script(&booted.manifest);
    // The console is the one way out for messages before anything is mounted.
    let script = format!("exec >/dev/ttyS0 2>&1\n{script}");
    let ended = machine.run("/bin/sh", &["-c", &script], &mut || Ok(()))?;
    if ended != Ended::Code(0) {
        bail!("its first set-up ended with {ended}{}", machine.quoted());
    }
    let state = run.path().join("state");
    machine.save(&state)?;
    let state_bytes = fs::metadata(&state)?.len();
    let facts = serde_json::to_vec(&Facts {
        boot_ms,
        state_bytes,
    })?;
    make_directory(&booted.directory)?;
    make_directory(&booted.kept())?;
    // Every user of the host keeps something there.
    fs::set_permissions(booted.kept(), fs::Permissions::from_mode(0o1777))?;
    cache.replace(&booted.directory.join("facts.json"), &facts)?;
    // The state comes last: it says that all is there.
    fs::rename(run.path().join(OVERLAY), booted.overlay())?;
    fs::rename(&state, booted.state())?;
    eprintln!(
        "booted, set up and saved it in {:.0?} (agent after {boot_ms} ms)",
        start.elapsed()
    );
    Ok(())
}

/// An empty qcow2 file over another one.
///
/// # Errors
///
/// If `qemu-img` fails.
pub fn overlay_over(base: &Path, format: &str, overlay: &Path) -> Result<()> {
    tool::output(
        Command::new("qemu-img")
            .args(["create", "-q", "-f", "qcow2", "-F", format, "-b"])
            .arg(base)
            .arg(overlay),
    )?;
    Ok(())
}

/// Removes the host as it was saved under other circumstances.
fn remove_others(parent: &Path, newest: &Path) {
    for entry in fs::read_dir(parent).into_iter().flatten().flatten() {
        let path = entry.path();
        if path.is_dir() && path != newest {
            let _ = fs::remove_dir_all(path);
        }
    }
}
