//! The directory that keeps packages, unpacked kernels and guest images.
//!
//! Nothing in it is ever changed in place: a new thing is made in a scratch
//! directory beside its final name and then renamed, under one lock, so that a
//! reader sees all of it or nothing and two builders do not race.

use anyhow::{Context as _, Result, bail};
use nix::fcntl::{Flock, FlockArg};
use sha2::{Digest as _, Sha256};
use std::collections::BTreeMap;
use std::env;
use std::fmt::Write as _;
use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// How long another builder may hold the lock: a kernel download on a slow line.
const LOCK_DEADLINE: Duration = Duration::from_secs(20 * 60);
/// Sums to remember before starting anew; every new agent adds one.
const REMEMBERED_SUMS: usize = 256;
/// Between two tries to get the lock.
const LOCK_INTERVAL: Duration = Duration::from_millis(100);

/// The cache directory.
#[derive(Debug, Clone)]
pub struct Cache {
    root: PathBuf,
}

/// Held while something is added to the cache.
#[derive(Debug)]
pub struct Lock {
    _file: Flock<File>,
}

/// A directory that is removed unless it is [`kept`](Scratch::keep).
#[derive(Debug)]
pub struct Scratch {
    path: PathBuf,
}

impl Cache {
    /// The user's cache: `LANFENCE_CACHE`, else `lanfence` below
    /// `XDG_CACHE_HOME` or `~/.cache`. It may not exist yet.
    ///
    /// # Errors
    ///
    /// If none of these variables is set.
    pub fn named() -> Result<Cache> {
        let named = |name: &str| env::var_os(name).filter(|value| !value.is_empty());
        let root = named("LANFENCE_CACHE")
            .map(PathBuf::from)
            .or_else(|| {
                named("XDG_CACHE_HOME")
                    .map(PathBuf::from)
                    .filter(|path| path.is_absolute())
                    .map(|path| path.join("lanfence"))
            })
            .or_else(|| named("HOME").map(|home| PathBuf::from(home).join(".cache/lanfence")))
            .context("no cache directory: set LANFENCE_CACHE, XDG_CACHE_HOME or HOME")?;
        Ok(Cache { root })
    }

    /// The user's cache, made if it is absent.
    ///
    /// # Errors
    ///
    /// As for [`Cache::named`] and [`Cache::at`].
    pub fn open() -> Result<Cache> {
        Cache::at(&Cache::named()?.root)
    }

    /// A cache in the given directory, which is made if it is absent.
    ///
    /// # Errors
    ///
    /// If the directory cannot be made or resolved.
    pub fn at(root: &Path) -> Result<Cache> {
        let cure = || {
            format!(
                "cannot use {} as the cache: set LANFENCE_CACHE to a directory you may write",
                root.display()
            )
        };
        make_directory(root).with_context(cure)?;
        let root = root.canonicalize().with_context(cure)?;
        Ok(Cache { root })
    }

    /// A path in the cache.
    pub fn path(&self, relative: &str) -> PathBuf {
        self.root.join(relative)
    }

    /// Waits until nobody else adds to the cache.
    ///
    /// # Errors
    ///
    /// If the lock file cannot be opened or locked, or another process holds it for longer than
    /// [`LOCK_DEADLINE`].
    pub fn lock(&self) -> Result<Lock> {
        self.lock_named("lock")
    }

    /// Waits until nobody else holds this file of the cache.
    ///
    /// # Errors
    ///
    /// As for [`Cache::lock`].
    pub fn lock_named(&self, relative: &str) -> Result<Lock> {
        let path = self.path(relative);
        let mut file = OpenOptions::new()
            .create(true)
            .append(true)
            .open(&path)
            .with_context(|| format!("cannot open {}", path.display()))?;
        let start = Instant::now();
        let mut said = false;
        loop {
            match Flock::lock(file, FlockArg::LockExclusiveNonblock) {
                Ok(lock) => return Ok(Lock { _file: lock }),
                Err((back, nix::errno::Errno::EWOULDBLOCK)) => file = back,
                Err((_, error)) => {
                    return Err(error).with_context(|| format!("cannot lock {}", path.display()));
                }
            }
            if start.elapsed() > LOCK_DEADLINE {
                bail!(
                    "another process has held {} for {} minutes: end it (`fuser {0}` names it)",
                    path.display(),
                    LOCK_DEADLINE.as_secs() / 60
                );
            }
            if !said {
                eprintln!(
                    "waiting for another cargo xtask to finish ({})",
                    path.display()
                );
                said = true;
            }
            std::thread::sleep(LOCK_INTERVAL);
        }
    }

    /// A new scratch directory inside the cache, hence on the same file system
    /// as everything else in it. What a killed builder left is removed as far
    /// as it goes: an orphan of his, tar for one, may still be writing there,
    /// which is also why no two builders use the same name.
    ///
    /// # Errors
    ///
    /// If the directory cannot be made; a full disk is named as the cause.
    pub fn scratch(&self, _held: &Lock) -> Result<Scratch> {
        let all = self.path("scratch");
        let _ = fs::remove_dir_all(&all);
        let path = all.join(std::process::id().to_string());
        make_directory(&path).map_err(|error| self.explain(error, &path))?;
        Ok(Scratch { path })
    }

    /// Says what to do about a full disk; other errors get the path only.
    pub fn explain(&self, error: io::Error, path: &Path) -> anyhow::Error {
        self.explain_full(
            anyhow::Error::new(error).context(format!("cannot write {}", path.display())),
        )
    }

    /// Adds the cure to an error that a full disk caused.
    pub fn explain_full(&self, error: anyhow::Error) -> anyhow::Error {
        let full = error.chain().any(|cause| {
            cause.downcast_ref::<io::Error>().is_some_and(|error| {
                matches!(
                    error.kind(),
                    io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded
                )
            })
        });
        if full {
            error.context(format!(
                "the disk that holds {} is full: free 500 MB there or set LANFENCE_CACHE to a \
                 directory on another disk",
                self.root.display()
            ))
        } else {
            error
        }
    }

    /// SHA-256 of a file in hex. Sums are remembered by inode, size and change
    /// time: hashing some megabytes without optimisation would cost more than
    /// everything else in a run that has nothing to do.
    ///
    /// # Errors
    ///
    /// If the file cannot be read.
    pub fn hash(&self, file: &Path) -> Result<String> {
        let meta = fs::metadata(file).with_context(|| format!("cannot read {}", file.display()))?;
        let identity = format!(
            "{}:{}:{}:{}.{:09}",
            meta.dev(),
            meta.ino(),
            meta.len(),
            meta.ctime(),
            meta.ctime_nsec()
        );
        let memory = self.path("hashes");
        let text = fs::read_to_string(&memory).unwrap_or_default();
        let mut known: BTreeMap<&str, &str> = text
            .lines()
            .filter_map(|line| line.split_once(' '))
            .collect();
        if let Some(sum) = known.get(identity.as_str()) {
            return Ok((*sum).to_owned());
        }
        let bytes = fs::read(file).with_context(|| format!("cannot read {}", file.display()))?;
        let sum = hex_sum(&bytes);
        if known.len() >= REMEMBERED_SUMS {
            known.clear();
        }
        known.insert(&identity, &sum);
        let mut lines = String::new();
        for (identity, sum) in &known {
            let _ = writeln!(lines, "{identity} {sum}");
        }
        // Losing a remembered sum to another process costs time only.
        let _ = self.replace(&memory, lines.as_bytes());
        Ok(sum)
    }

    /// Writes a file so that readers see the old or the new content.
    ///
    /// # Errors
    ///
    /// If the file cannot be written or renamed.
    pub fn replace(&self, path: &Path, content: &[u8]) -> Result<()> {
        let mut name = path.as_os_str().to_owned();
        name.push(format!(".{}.new", std::process::id()));
        let fresh = PathBuf::from(name);
        fs::write(&fresh, content)
            .and_then(|()| fs::rename(&fresh, path))
            .map_err(|error| {
                let _ = fs::remove_file(&fresh);
                self.explain(error, path)
            })
    }
}

impl Scratch {
    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Renames it (or a directory inside it) to its final name. A directory of
    /// that name from before is replaced.
    ///
    /// # Errors
    ///
    /// If the old directory cannot be removed or the new one not renamed.
    pub fn keep(&self, inside: &str, target: &Path) -> Result<()> {
        let from = self.path.join(inside);
        if let Some(parent) = target.parent() {
            make_directory(parent).with_context(|| format!("cannot make {}", parent.display()))?;
        }
        if target.exists() {
            fs::remove_dir_all(target)
                .with_context(|| format!("cannot remove {}", target.display()))?;
        }
        fs::rename(&from, target).with_context(|| format!("cannot make {}", target.display()))
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.path);
    }
}

/// Makes a directory that other users can read, whatever the umask.
///
/// # Errors
///
/// The operating system's error.
pub fn make_directory(path: &Path) -> io::Result<()> {
    if path.is_dir() {
        return Ok(());
    }
    if let Some(parent) = path
        .parent()
        .filter(|parent| !parent.as_os_str().is_empty())
    {
        make_directory(parent)?;
    }
    match fs::create_dir(path) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
        Err(error) => Err(error),
        Ok(()) => fs::set_permissions(path, fs::Permissions::from_mode(0o755)),
    }
}

/// Writes a file that other users can read, whatever the umask.
///
/// # Errors
///
/// The operating system's error.
pub fn write_readable(path: &Path, content: &[u8]) -> io::Result<()> {
    fs::write(path, content)?;
    fs::set_permissions(path, fs::Permissions::from_mode(0o644))
}

/// SHA-256 in hex.
pub fn hex_sum(bytes: &[u8]) -> String {
    let mut hex = String::with_capacity(64);
    for byte in Sha256::digest(bytes) {
        let _ = write!(hex, "{byte:02x}");
    }
    hex
}

#[cfg(test)]
mod tests {
    use super::*;

    fn scratch_cache() -> (tempfile::TempDir, Cache) {
        let directory = tempfile::tempdir().expect("scratch directory");
        let cache = Cache::at(&directory.path().join("a/b")).expect("cache");
        (directory, cache)
    }

    #[test]
    fn a_changed_file_has_a_new_sum() {
        let (directory, cache) = scratch_cache();
        let file = directory.path().join("file");
        fs::write(&file, "one").expect("write");
        let first = cache.hash(&file).expect("hash");
        assert_eq!(first, hex_sum(b"one"));
        assert_eq!(cache.hash(&file).expect("remembered"), first);
        fs::write(&file, "three").expect("write");
        assert_eq!(cache.hash(&file).expect("hash"), hex_sum(b"three"));
    }

    #[test]
    fn what_a_killed_builder_left_is_removed() {
        let (_directory, cache) = scratch_cache();
        fs::create_dir(cache.path("scratch")).expect("left over");
        fs::write(cache.path("scratch/half"), "x").expect("left over");
        let lock = cache.lock().expect("lock");
        let scratch = cache.scratch(&lock).expect("scratch");
        assert_eq!(fs::read_dir(scratch.path()).expect("list").count(), 0);
    }

    #[test]
    fn a_scratch_directory_vanishes_unless_kept() {
        let (_directory, cache) = scratch_cache();
        let lock = cache.lock().expect("lock");
        let scratch = cache.scratch(&lock).expect("scratch");
        fs::create_dir(scratch.path().join("image")).expect("make");
        scratch
            .keep("image", &cache.path("guest/key"))
            .expect("keep");
        let path = scratch.path().to_path_buf();
        drop(scratch);
        assert!(cache.path("guest/key").is_dir());
        assert!(!path.exists());
    }

    #[test]
    fn only_one_holds_the_lock() {
        let (_directory, cache) = scratch_cache();
        let lock = cache.lock().expect("lock");
        let (sender, receiver) = std::sync::mpsc::channel();
        std::thread::scope(|scope| {
            scope.spawn(|| {
                let _second = cache.lock().expect("lock after the first");
                sender.send(()).expect("listened to");
            });
            assert!(receiver.recv_timeout(Duration::from_millis(300)).is_err());
            drop(lock);
            receiver
                .recv_timeout(Duration::from_secs(10))
                .expect("lock was handed on");
        });
    }

    #[test]
    fn a_full_disk_names_the_cure() {
        let (_directory, cache) = scratch_cache();
        let error = cache.explain(io::ErrorKind::StorageFull.into(), Path::new("x"));
        assert!(format!("{error:#}").contains("LANFENCE_CACHE"));
        let error = cache.explain(io::ErrorKind::NotFound.into(), Path::new("x"));
        assert!(!format!("{error:#}").contains("LANFENCE_CACHE"));
    }

    #[test]
    fn directories_are_readable_by_others() {
        let (_directory, cache) = scratch_cache();
        let mode = fs::metadata(cache.path(""))
            .expect("there")
            .permissions()
            .mode();
        assert_eq!(mode & 0o777, 0o755);
    }
}
