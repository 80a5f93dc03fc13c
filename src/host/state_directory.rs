//! The directory in which lanfence keeps what it must know from one run to the next.

use super::error::HostError;
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::fs::{DirBuilder, File};
use std::io::ErrorKind;
use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};

/// Where it lies (hier(7): what a program keeps from one run to the next).
const DIRECTORY: &str = "/var/lib/lanfence";

/// Names another directory, for tests and packagers.
const VARIABLE: &str = "LANFENCE_STATE_DIR";

/// A file of it.
pub fn file(name: &str) -> PathBuf {
    let directory = std::env::var_os(VARIABLE).map_or_else(|| DIRECTORY.into(), PathBuf::from);
    directory.join(name)
}

/// Makes the directory of a file, which only its owner may write to.
///
/// # Errors
/// When it cannot be made.
pub fn make_for(path: &Path) -> Result<(), HostError> {
    let Some(directory) = path.parent() else {
        return Ok(());
    };
    let mut builder = DirBuilder::new();
    let made = builder.recursive(true).mode(0o755).create(directory);
    made.map_err(|source| failed(directory, source))
}

/// Reads a file of it; empty where there is none.
///
/// # Errors
/// When it cannot be read, or is not what lanfence writes.
pub fn read<T: DeserializeOwned + Default>(path: &Path) -> Result<T, HostError> {
    match std::fs::read_to_string(path) {
        Ok(text) => serde_json::from_str(&text).map_err(|error| {
            let error = std::io::Error::new(ErrorKind::InvalidData, error);
            failed(path, error)
        }),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(T::default()),
        Err(error) => Err(failed(path, error)),
    }
}

/// Writes a file of it whole or not at all.
///
/// # Errors
/// When it cannot be written.
pub fn write<T: Serialize>(path: &Path, kept: &T) -> Result<(), HostError> {
    let text = serde_json::to_string_pretty(kept).expect("strings only");
    let beside = path.with_extension("new");
    make_for(path)?;
    std::fs::write(&beside, text)
        .and_then(|()| File::open(&beside)?.sync_all())
        .and_then(|()| std::fs::rename(&beside, path))
        .map_err(|source| failed(path, source))
}

/// What went wrong with a file of it, with the cure where there is one.
pub fn failed(path: &Path, source: std::io::Error) -> HostError {
    let source = match source.kind() {
        kind @ ErrorKind::PermissionDenied => std::io::Error::new(
            kind,
            format!("{source}\n  cure: run lanfence as root, or as whom the directory belongs to"),
        ),
        _ => source,
    };
    HostError::File {
        path: path.to_owned(),
        source,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_read_as_it_was_written() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("state/kept.json");
        assert_eq!(read::<Vec<String>>(&path).unwrap(), Vec::<String>::new());
        let kept = vec!["one".to_owned()];
        write(&path, &kept).unwrap();
        assert_eq!(read::<Vec<String>>(&path).unwrap(), kept);
        std::fs::write(&path, "[").unwrap();
        let error = read::<Vec<String>>(&path).unwrap_err();
        assert!(error.to_string().contains("kept.json"), "{error}");
    }
}
