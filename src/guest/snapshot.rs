//! Saved guests on disk: what each was made of, and which of them are kept.
//!
//! A state is only good for exactly what it was made of. So its file is named
//! by all of that: another kernel, initramfs, QEMU, libvirt, domain or CPU finds
//! no state of its own and makes one.

use crate::lab::{EMULATOR, LabError, Slowness};
use nix::fcntl::{Flock, FlockArg};
use std::fs::File;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant, SystemTime};

/// Namespace of the hashes that name the files.
const NAMES: uuid::Uuid = uuid::uuid!("0c5f7a35-3f5e-5d0b-8d2e-4f6f4f7f9a10");

/// How a file with a state ends.
const STATE: &str = "state";

/// How a file ends that libvirt still writes.
const UNFINISHED: &str = "new";

/// Bytes of snapshots that are kept, those used last: 70 MB for each accelerator and Linux
/// image that is in use, as much again for USB NICs, and for all models of iPXE together, and 45 MB
/// for each model of EDK2.
const KEEP: u64 = 1536 << 20;

/// Longest wait for another worker that makes the same state: a boot under
/// emulation on a busy machine and a write to disk.
const MADE: Duration = Duration::from_secs(60);

/// How often the lock is tried; a lock that blocks could not be given up.
const LOOK: Duration = Duration::from_millis(20);

/// Everything that makes a saved state.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SnapshotKey {
    /// Name of the domain, of which there is one maker at a time.
    pub name: String,
    /// The domain: machine, CPU, memory, accelerator, command line, devices.
    pub domain: String,
    /// What it is booted from: kernel and initramfs.
    pub files: Vec<PathBuf>,
    /// QEMU's and libvirt's version and whatever else tells two guests apart.
    pub others: Vec<String>,
}

impl SnapshotKey {
    /// The key on this host.
    pub fn here(
        (name, domain): (String, String),
        files: &[&Path],
        qemu: &str,
        libvirt: &str,
    ) -> Self {
        Self {
            name,
            domain,
            files: files.iter().map(|file| file.to_path_buf()).collect(),
            others: vec![
                format!("qemu {qemu}"),
                format!("libvirt {libvirt}"),
                format!("emulator {}", emulator()),
                format!("kernel {}", read("/proc/sys/kernel/osrelease")),
                cpu(&read("/proc/cpuinfo")),
            ],
        }
    }

    /// The name that no other key has. Kernel and initramfs are told by
    /// place, size, inode and time of change, as make does: to read 80 MB for a
    /// hash would cost more than the state saves.
    fn file_name(&self) -> String {
        let files: Vec<String> = self.files.iter().map(|path| identity(path)).collect();
        let parts = [&[self.domain.clone()][..], &files, &self.others].concat();
        let hash = uuid::Uuid::new_v5(&NAMES, parts.join("\n").as_bytes());
        format!("{}.{STATE}", hash.simple())
    }
}

/// Place, size, inode and time of change.
fn identity(path: &Path) -> String {
    let facts = std::fs::metadata(path).map(|data| {
        let (seconds, ns) = (data.mtime(), data.mtime_nsec());
        format!("{} {} {seconds}.{ns:09}", data.len(), data.ino())
    });
    format!("{} {}", path.display(), facts.unwrap_or_default())
}

/// The emulator's file: a package's update changes it, though rarely its version.
fn emulator() -> String {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let file = std::env::split_paths(&path)
        .map(|dir| dir.join(EMULATOR))
        .find(|file| file.exists());
    file.map_or_else(String::new, |file| identity(&file))
}

/// Model and features: the guest has measured this CPU's clock when it booted.
fn cpu(cpuinfo: &str) -> String {
    let first = |key: &str| {
        let line = cpuinfo.lines().find(|line| line.starts_with(key));
        line.unwrap_or_default().to_owned()
    };
    format!("{} {}", first("model name"), first("flags"))
}

fn read(path: &str) -> String {
    std::fs::read_to_string(path).unwrap_or_default()
}

/// The directory of snapshots.
#[derive(Debug, Clone)]
pub struct Snapshots {
    dir: PathBuf,
    slowness: Slowness,
}

/// What comes of wanting to make a state.
#[derive(Debug)]
pub enum Snapshot {
    /// Somebody else has made it.
    Ready(PathBuf),
    /// There is none, and whoever holds this is the one to make it.
    Missing(SnapshotBuilder),
}

/// The right to make a state; nobody else makes one meanwhile.
#[derive(Debug)]
pub struct SnapshotBuilder {
    /// Where to write it.
    pub file: PathBuf,
    target: PathBuf,
    _lock: Flock<File>,
}

impl Snapshots {
    /// Uses the directory, which is made when there is none, on a machine of this slowness.
    ///
    /// # Errors
    /// When it cannot be made.
    pub fn open(dir: &Path, slowness: Slowness) -> Result<Self, LabError> {
        std::fs::create_dir_all(dir).map_err(|error| failed(dir, error))?;
        Ok(Self {
            dir: dir.to_path_buf(),
            slowness,
        })
    }

    /// The snapshot of this key; none where none was made.
    pub fn ready(&self, key: &SnapshotKey) -> Option<PathBuf> {
        let file = self.dir.join(key.file_name());
        is_state(&file).then_some(file)
    }

    /// The right to make the snapshot of this key, or the state where somebody
    /// else has made it meanwhile, which is waited for.
    ///
    /// # Errors
    /// When the directory cannot be written to, or somebody else is not done in time.
    pub async fn make(&self, key: &SnapshotKey) -> Result<Snapshot, LabError> {
        let lock = self.lock(&key.name).await?;
        if let Some(file) = self.ready(key) {
            return Ok(Snapshot::Ready(file));
        }
        let target = self.dir.join(key.file_name());
        let file = target.with_extension(UNFINISHED);
        // Leftovers of workers that were killed: with the lock in hand, and by age.
        let old = SystemTime::now() - self.slowness.stretch(MADE);
        let left = |path: &PathBuf| *path == file || used(path) < old;
        for leftover in self.files(UNFINISHED).filter(left) {
            self.discard(&leftover);
        }
        Ok(Snapshot::Missing(SnapshotBuilder {
            file,
            target,
            _lock: lock,
        }))
    }

    /// The snapshot of this key, which `make` writes to the file that it is given
    /// where there is none.
    ///
    /// # Errors
    /// As [`Snapshots::make`], or what `make` says.
    pub async fn obtain<E: From<LabError>>(
        &self,
        key: &SnapshotKey,
        make: impl AsyncFnOnce(&Path) -> Result<(), E>,
    ) -> Result<PathBuf, E> {
        let making = match self.make(key).await? {
            Snapshot::Ready(file) => return Ok(file),
            Snapshot::Missing(making) => making,
        };
        if let Err(error) = make(&making.file).await {
            making.abandon();
            return Err(error);
        }
        Ok(making.done(self)?)
    }

    async fn lock(&self, name: &str) -> Result<Flock<File>, LabError> {
        let path = self.dir.join(format!("{name}.lock"));
        let open = File::options().create(true).append(true).open(&path);
        let mut file = open.map_err(|error| failed(&path, error))?;
        let longest = self.slowness.stretch(MADE);
        let end = Instant::now() + longest;
        loop {
            file = match Flock::lock(file, FlockArg::LockExclusiveNonblock) {
                Ok(lock) => return Ok(lock),
                Err((file, _)) => file,
            };
            if Instant::now() > end {
                return Err(LabError::Deadline {
                    what: "another worker's saved guest".into(),
                    deadline_ms: longest.as_millis(),
                    slowness: self.slowness,
                    detail: format!("; {} is still locked", path.display()),
                });
            }
            tokio::time::sleep(LOOK).await;
        }
    }

    /// Throws a state away that turned out to be no good.
    pub fn discard(&self, file: &Path) {
        // One that is gone already is what is wanted.
        let _ = std::fs::remove_file(file);
    }

    /// The directory's files with this ending.
    fn files(&self, ending: &'static str) -> impl Iterator<Item = PathBuf> {
        let entries = std::fs::read_dir(&self.dir).into_iter().flatten().flatten();
        entries
            .map(|entry| entry.path())
            .filter(move |path| path.extension().is_some_and(|end| end == ending))
    }

    /// Throws all but the snapshots used last away.
    fn prune(&self) {
        let snapshots = self.files(STATE);
        let mut snapshots: Vec<(SystemTime, PathBuf)> =
            snapshots.map(|path| (used(&path), path)).collect();
        snapshots.sort_unstable_by(|one, other| other.cmp(one));
        let mut kept = 0;
        for (_, path) in snapshots {
            kept += std::fs::metadata(&path).map_or(0, |data| data.len());
            if kept > KEEP {
                self.discard(&path);
            }
        }
    }
}

impl SnapshotBuilder {
    /// Puts the written state in its place, at once and whole.
    ///
    /// # Errors
    /// When the file cannot be renamed.
    pub fn done(self, snapshots: &Snapshots) -> Result<PathBuf, LabError> {
        std::fs::rename(&self.file, &self.target).map_err(|error| failed(&self.target, error))?;
        snapshots.prune();
        Ok(self.target)
    }

    /// Throws away what has been written of it.
    pub fn abandon(self) {
        let _ = std::fs::remove_file(&self.file);
    }
}

/// Whether the file is there; says that it is in use.
fn is_state(path: &Path) -> bool {
    let Ok(file) = File::options().append(true).open(path) else {
        return false;
    };
    // Where the time cannot be set the file is only thrown away a little earlier.
    let _ = file.set_modified(SystemTime::now());
    true
}

fn used(path: &Path) -> SystemTime {
    std::fs::metadata(path)
        .and_then(|data| data.modified())
        .unwrap_or(SystemTime::UNIX_EPOCH)
}

fn failed(path: &Path, source: std::io::Error) -> LabError {
    LabError::File {
        path: path.to_path_buf(),
        source,
    }
}

#[cfg(test)]
mod tests;
