//! One lanfence at a time changes a host.

use crate::host::error::HostError;
use nix::fcntl::{Flock, FlockArg};
use std::fs::File;
use std::path::Path;
use std::time::{Duration, Instant};

/// The lock file, where every user may make one (the Filesystem Hierarchy Standard, 5.9).
const FILE: &str = "/run/lock/lanfence.lock";

/// Longest wait for another lanfence; binding a hundred guests takes half a minute.
const LONGEST: Duration = Duration::from_secs(120);

/// From one try to the next.
const LOOK: Duration = Duration::from_millis(50);

/// The lock. The kernel frees it with the process, however that ends.
#[derive(Debug)]
pub struct Lock {
    _file: Flock<File>,
}

impl Lock {
    /// Waits until no other lanfence changes the host.
    ///
    /// # Errors
    /// When the file cannot be made, or another one does not come to an end.
    pub fn take() -> Result<Self, HostError> {
        Self::at(Path::new(FILE), LONGEST)
    }

    fn at(path: &Path, longest: Duration) -> Result<Self, HostError> {
        let failed = |source| HostError::File {
            path: path.to_owned(),
            source,
        };
        let mut options = File::options();
        options.create(true).truncate(false).read(true).write(true);
        // Another user's can be locked, and not written.
        let opened = options.open(path).or_else(|_| File::open(path));
        let mut file = opened.map_err(failed)?;
        let end = Instant::now() + longest;
        loop {
            match Flock::lock(file, FlockArg::LockExclusiveNonblock) {
                Ok(lock) => return Ok(Self { _file: lock }),
                Err((again, nix::Error::EWOULDBLOCK)) if Instant::now() < end => file = again,
                Err((_, nix::Error::EWOULDBLOCK)) => {
                    return Err(HostError::Deadline {
                        what: format!(
                            "the end of another lanfence, which holds {}",
                            path.display()
                        ),
                        deadline: longest,
                        cure: format!("`fuser {}` shows which it is", path.display()),
                    });
                }
                Err((_, errno)) => return Err(failed(errno.into())),
            }
            std::thread::sleep(LOOK);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_one_has_it() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("lock");
        let wait = Duration::from_millis(1);
        let first = Lock::at(&path, wait).unwrap();
        let error = Lock::at(&path, wait).unwrap_err();
        assert!(error.to_string().contains("another lanfence"), "{error}");
        drop(first);
        Lock::at(&path, wait).unwrap();
    }
}
