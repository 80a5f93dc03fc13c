//! The directory of one running host: its overlay, logs, sockets and what it is handed.
//!
//! It is removed with its owner. What a killed owner left is removed by the next one, who knows
//! it by the lock that nobody holds.

use crate::cache::{Cache, make_directory};
use anyhow::{Context as _, Result};
use nix::fcntl::{Flock, FlockArg};
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};

/// Where they are in the cache.
const ALL: &str = "hosts/runs";
/// The file in each that its owner holds locked.
const LOCK: &str = "lock";

static NEXT: AtomicU32 = AtomicU32::new(0);

/// A directory that goes with its owner.
#[derive(Debug)]
pub struct RunDirectory {
    path: PathBuf,
    _lock: Flock<File>,
}

impl RunDirectory {
    /// A new one; those without an owner are removed.
    ///
    /// # Errors
    ///
    /// If the cache cannot be written.
    pub fn new(cache: &Cache) -> Result<RunDirectory> {
        let all = cache.path(ALL);
        make_directory(&all).map_err(|error| cache.explain(error, &all))?;
        // Between making a directory and locking it, another process takes it for an orphan.
        let _guard = cache.lock_named("hosts/runs.lock")?;
        remove_orphans(&all);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let path = all.join(format!("{}-{number}", std::process::id()));
        make_directory(&path).map_err(|error| cache.explain(error, &path))?;
        let file = File::create(path.join(LOCK)).map_err(|error| cache.explain(error, &path))?;
        let lock = Flock::lock(file, FlockArg::LockExclusiveNonblock)
            .map_err(|(_, error)| error)
            .with_context(|| format!("cannot lock {}", path.display()))?;
        Ok(RunDirectory { path, _lock: lock })
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }
}

impl Drop for RunDirectory {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.path);
    }
}

fn remove_orphans(all: &Path) {
    for entry in fs::read_dir(all).into_iter().flatten().flatten() {
        let path = entry.path();
        let free = File::open(path.join(LOCK)).map_or(true, |file| {
            Flock::lock(file, FlockArg::LockExclusiveNonblock).is_ok()
        });
        if free {
            let _ = fs::remove_dir_all(path);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_orphan_goes_and_an_owned_one_stays() {
        let directory = tempfile::tempdir().expect("scratch directory");
        let cache = Cache::at(directory.path()).expect("cache");
        let first = RunDirectory::new(&cache).expect("first");
        let orphan = cache.path(ALL).join("1-0");
        fs::create_dir(&orphan).expect("orphan");
        fs::write(orphan.join(LOCK), "").expect("its lock");
        let second = RunDirectory::new(&cache).expect("second");
        assert!(first.path().is_dir() && second.path().is_dir());
        assert!(!orphan.exists());
        let path = first.path().to_owned();
        drop(first);
        assert!(!path.exists());
    }
}
