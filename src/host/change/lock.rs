//! One lanfence at a time changes a host.

use crate::host::error::HostError;
use crate::host::state_directory;
use nix::fcntl::{Flock, FlockArg};
use std::fs::File;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;
use std::time::{Duration, Instant};

/// The lock file. It lies where only those can hold it who may write what lanfence keeps: anywhere else any
/// user could, and nothing would be mended meanwhile.
const FILE: &str = "lock";

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
        let path = state_directory::file(FILE);
        state_directory::make_for(&path)?;
        Self::at(&path, LONGEST)
    }

    /// The lock, unless another lanfence has it.
    ///
    /// # Errors
    /// When the file cannot be made.
    pub fn try_take() -> Result<Option<Self>, HostError> {
        let path = state_directory::file(FILE);
        state_directory::make_for(&path)?;
        match Self::at(&path, Duration::ZERO) {
            Ok(lock) => Ok(Some(lock)),
            Err(HostError::Deadline { .. }) => Ok(None),
            Err(error) => Err(error),
        }
    }

    fn at(path: &Path, longest: Duration) -> Result<Self, HostError> {
        let failed = |source| state_directory::failed(path, source);
        let mut options = File::options();
        options.create(true).truncate(false).read(true).write(true);
        // Who can read it can lock it.
        let opened = options.mode(0o600).open(path);
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
