//! A restored host in which a command runs as a user of it would run it: where the user stands,
//! with the user's files, and with its output, exit code and files coming back.

use super::booted::{Booted, overlay_over};
use super::machine::{Ended, Machine};
use super::run_directory::RunDirectory;
use super::shares::{MOUNTS, Shares};
use crate::cache::{Cache, make_directory};
use crate::tool::quoted_for_shell;
use anyhow::{Context as _, Result, bail};
use std::ffi::{OsStr, OsString};
use std::fs::{self, File};
use std::io::{self, Read as _, Write};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// Where a command in the host may leave files for this machine.
pub const OUT: &str = "/srv/lanfence/run/out";

/// A restored host answers within so many times its boot.
const RESTORED: u32 = 4;
/// The shortest time that it is given.
const LEAST_RESTORED: Duration = Duration::from_secs(60);

/// What this machine hands to a host besides the user's directory.
#[derive(Debug, Clone)]
pub struct Handed {
    /// The directory of lanfence and xtask.
    pub programs: PathBuf,
    /// The guest image.
    pub guest: PathBuf,
    /// libvirt's own filters.
    pub filters: PathBuf,
}

/// A host that was restored for one run.
#[derive(Debug)]
pub struct Host {
    // In this order: QEMU ends before its directory goes.
    machine: Machine,
    run: RunDirectory,
    shares: Shares,
}

/// Where what a command writes goes.
pub struct Output<'a> {
    /// For its standard output.
    pub out: &'a mut dyn io::Write,
    /// For its standard error.
    pub err: &'a mut dyn io::Write,
}

/// A command for a host.
#[derive(Debug, Clone)]
pub struct Job {
    /// The program and its arguments.
    pub words: Vec<OsString>,
    /// Who runs it; none for root.
    pub user: Option<String>,
    /// A shell's words that come first, such as `ulimit -c 0`.
    pub before: &'static str,
}

impl Host {
    /// Restores the saved host and mounts what it is handed.
    ///
    /// # Errors
    ///
    /// If QEMU cannot restore it, or it does not answer or mount.
    pub fn restore(cache: &Cache, booted: &Booted, handed: &Handed, work: &Path) -> Result<Host> {
        let run = RunDirectory::new(cache)?;
        let out = run.path().join("out");
        make_directory(&out)?;
        // Every user of the host may.
        fs::set_permissions(&out, fs::Permissions::from_mode(0o1777))?;
        let shares = Shares {
            run: run.path().to_owned(),
            kept: booted.kept(),
            programs: handed.programs.clone(),
            guest: handed.guest.clone(),
            filters: handed.filters.clone(),
            work: work.to_owned(),
        };
        let disk = run.path().join("disk.qcow2");
        overlay_over(&booted.overlay(), "qcow2", &disk)?;
        let state = booted.state();
        let facts = booted.facts()?;
        let mut machine = booted
            .start(&disk, &shares, Some(&state), run.path())
            .with_context(|| {
                format!(
                    "cannot restore the host; `cargo xtask hosts build {} --fresh` makes it anew",
                    booted.manifest.name
                )
            })?;
        let patience = Duration::from_millis(facts.boot_ms) * RESTORED;
        machine.wait_for_agent(LEAST_RESTORED.max(patience))?;
        machine.set_clock()?;
        let script = shares.mount_script();
        let ended = machine.run("/bin/sh", &["-c", &script], &mut || Ok(()))?;
        if ended != Ended::Code(0) {
            bail!(
                "the host cannot mount what it is handed ({ended}){}",
                machine.quoted()
            );
        }
        Ok(Host {
            machine,
            run,
            shares,
        })
    }

    /// Runs a command to its end.
    ///
    /// # Errors
    ///
    /// If the host ends or hangs, or the output cannot be written.
    pub fn run(&mut self, job: &Job, output: &mut Output<'_>) -> Result<Ended> {
        let command = self.run.path().join("command.sh");
        fs::write(&command, self.script(job))
            .with_context(|| format!("cannot write {}", command.display()))?;
        let mut tails = [
            Tail::new(&self.run.path().join("stdout"))?,
            Tail::new(&self.run.path().join("stderr"))?,
        ];
        let script = format!("{MOUNTS}/run/command.sh");
        self.machine.run("/bin/sh", &[&script], &mut || {
            tails[0].copy(output.out)?;
            tails[1].copy(output.err)
        })
    }

    /// A socket of the host's QEMU, by a path that is short enough for an address.
    pub fn socket(&self, name: &str) -> PathBuf {
        self.machine.socket(name)
    }

    /// Runs a shell on the host's virtual terminal to its end.
    ///
    /// # Errors
    ///
    /// If the host ends or hangs.
    pub fn run_shell(&mut self) -> Result<()> {
        let script = format!(
            "cd {}; export PATH={MOUNTS}/programs:$PATH TERM=linux HOME=/root \
             LANFENCE_GUEST={MOUNTS}/guest LANFENCE_SHIPPED_FILTERS={MOUNTS}/filters \
             LANFENCE_CACHE={MOUNTS}/kept/root; mkdir -p $LANFENCE_CACHE; \
             exec setsid --ctty --wait bash -i </dev/hvc0 >/dev/hvc0 2>&1",
            quoted_for_shell(self.shares.work_in_host().as_os_str())
        );
        self.machine
            .run("/bin/bash", &["-c", &script], &mut || Ok(()))?;
        Ok(())
    }

    /// A file that a command left in [`OUT`]; none if there is none.
    pub fn file(&self, name: &str) -> Option<Vec<u8>> {
        fs::read(self.run.path().join("out").join(name)).ok()
    }

    fn script(&self, job: &Job) -> String {
        let work = quoted_for_shell(self.shares.work_in_host().as_os_str());
        let words: Vec<String> = job.words.iter().map(|it| quoted_for_shell(it)).collect();
        let user = job.user.as_deref().unwrap_or("root");
        let become_user = match &job.user {
            None => String::new(),
            Some(user) => format!("runuser -u {} -- ", quoted_for_shell(OsStr::new(user))),
        };
        format!(
            "exec </dev/null >{MOUNTS}/run/stdout 2>{MOUNTS}/run/stderr\n\
             export PATH={MOUNTS}/programs:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin\n\
             export LANG=C.UTF-8 HOME=$(getent passwd {user} | cut -d: -f6)\n\
             export LANFENCE_GUEST={MOUNTS}/guest LANFENCE_SHIPPED_FILTERS={MOUNTS}/filters\n\
             export LANFENCE_CACHE={MOUNTS}/kept/{user}\n\
             install -d -o {user} \"$LANFENCE_CACHE\"\n\
             cd {work} || exit 126\n\
             {}\nexec {become_user}{}\n",
            job.before,
            words.join(" ")
        )
    }
}

/// A file that grows, read from where one left off.
#[derive(Debug)]
struct Tail {
    file: File,
}

impl Tail {
    /// Makes the file, empty.
    fn new(path: &Path) -> Result<Tail> {
        let made = File::create(path).and_then(|_| File::open(path));
        let file = made.with_context(|| format!("cannot write {}", path.display()))?;
        Ok(Tail { file })
    }

    fn copy(&mut self, into: &mut dyn Write) -> Result<()> {
        let mut bytes = Vec::new();
        self.file.read_to_end(&mut bytes)?;
        if !bytes.is_empty() {
            into.write_all(&bytes)?;
            into.flush()?;
        }
        Ok(())
    }
}
