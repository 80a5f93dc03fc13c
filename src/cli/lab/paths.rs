//! Files and directories that a run writes, checked before a guest is booted for them.

use crate::cli::failure::Failure;
use std::path::{Path, PathBuf};

/// Makes the directory for evidence and returns its absolute path.
pub fn output(dir: &Path) -> Result<PathBuf, Failure> {
    let bad = |error| Failure::file(dir, error);
    std::fs::create_dir_all(dir).map_err(bad)?;
    dir.canonicalize().map_err(bad)
}

/// Refuses a file that cannot be written, before minutes are spent on what to
/// write, and empties it: should this run end early, no earlier run's report is
/// taken for its own.
pub fn writable(file: &Path) -> Result<(), Failure> {
    std::fs::File::create(file)
        .map(drop)
        .map_err(|error| Failure::file(file, error))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_earlier_report_does_not_survive_the_start_of_a_run() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("run.json");
        std::fs::write(&file, "an earlier run").unwrap();
        writable(&file).unwrap();
        assert_eq!(std::fs::read_to_string(&file).unwrap(), "");
    }
}
