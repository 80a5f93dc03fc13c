//! What a foreign guest writes: a qcow2 overlay without a name.
//!
//! The file never has a directory entry (open(2), `O_TMPFILE`), so whichever process
//! is killed at whatever moment, the kernel frees it with the last descriptor.
//! It lies where QEMU's own snapshot mode would put it, in `TMPDIR` or else
//! /var/tmp, and not in the lab's tmpfs: it may grow by gigabytes.

use super::format::Format;
use crate::guest::error::GuestError;
use crate::lab::{LabError, ProgramFault};
use std::fs::{File, OpenOptions};
use std::os::fd::AsRawFd as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;

/// An overlay. It is gone when this and the QEMU that uses it are.
#[derive(Debug)]
pub struct Overlay {
    file: File,
}

/// Where overlays lie.
fn directory() -> PathBuf {
    let named = std::env::var_os("TMPDIR").filter(|dir| !dir.is_empty());
    named.map_or_else(|| "/var/tmp".into(), PathBuf::from)
}

impl Overlay {
    /// Makes an empty overlay over the image.
    ///
    /// # Errors
    /// What the system or `qemu-img` says; a full disk, say.
    pub fn over(image: &Path, format: Format) -> Result<Self, GuestError> {
        Self::at(&directory(), image, format)
    }

    fn at(dir: &Path, image: &Path, format: Format) -> Result<Self, GuestError> {
        let what = format!("no overlay can be made in {}", dir.display());
        let cure = "free some space there, or name a directory on a larger disk by the environment variable TMPDIR";
        let file = nameless(dir).map_err(|error| LabError::host_because(&what, error, cure))?;
        let overlay = Self { file };
        let output = Command::new("qemu-img")
            .args(["create", "-q", "-f", "qcow2", "-F", format.name(), "-b"])
            .arg(image)
            .arg(overlay.path())
            .output()
            .map_err(|error| {
                let what = format!("{what}: qemu-img cannot be started");
                LabError::host_because(what, error, "`cargo xtask setup` installs it")
            })?;
        if output.status.success() {
            return Ok(overlay);
        }
        let failed = ProgramFault::of(&output);
        Err(LabError::host_because(what, failed, cure).into())
    }

    /// By what name other processes of the lab can open it.
    pub fn path(&self) -> PathBuf {
        format!("/proc/{}/fd/{}", std::process::id(), self.file.as_raw_fd()).into()
    }
}

/// A file without a name.
fn nameless(dir: &Path) -> std::io::Result<File> {
    let mut options = OpenOptions::new();
    options.read(true).write(true).mode(0o600);
    let file = options.clone().custom_flags(libc::O_TMPFILE).open(dir);
    match file.as_ref().map_err(std::io::Error::raw_os_error) {
        // A file system that cannot do that: the name is there for a moment only.
        Err(Some(libc::EOPNOTSUPP | libc::EISDIR)) => {
            let path = dir.join(format!("lanfence-overlay-{}", std::process::id()));
            let file = options.create_new(true).open(&path)?;
            std::fs::remove_file(&path)?;
            Ok(file)
        }
        _ => file,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Read as _;

    #[test]
    fn an_overlay_has_no_name_and_leaves_the_image_alone() {
        let dir = tempfile::tempdir().expect("a directory");
        let image = dir.path().join("disk");
        std::fs::write(&image, vec![7; 1 << 16]).expect("an image");
        let overlay = Overlay::at(dir.path(), &image, Format::Raw).unwrap();
        let mut magic = [0; 4];
        File::open(overlay.path())
            .unwrap()
            .read_exact(&mut magic)
            .unwrap();
        assert_eq!(&magic, b"QFI\xfb");
        assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 1);
        assert_eq!(std::fs::read(&image).unwrap(), vec![7; 1 << 16]);
    }

    #[test]
    fn a_directory_that_is_not_there_is_named() {
        let error = Overlay::at(Path::new("/none"), Path::new("/x"), Format::Raw).unwrap_err();
        assert!(error.is_host());
        assert!(error.to_string().contains("/none"), "{error}");
    }
}
