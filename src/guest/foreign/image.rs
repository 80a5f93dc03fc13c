//! The user's image file: what it must be, and that nobody writes to it.

use super::format::{Format, HEAD, detect, lone};
use super::manifest::Manifest;
use crate::frame::to_hex;
use sha2::{Digest as _, Sha256};
use std::fs::{File, Metadata};
use std::io::{Read as _, Seek as _};
use std::path::{Path, PathBuf};
use std::time::SystemTime;
use thiserror::Error;

/// An image that cannot be used.
#[derive(Debug, Error)]
pub enum ImageError {
    /// The system refuses the file.
    #[error(
        "the image {path} cannot be read: {source}\n  cure: check the path and its permissions"
    )]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// The system's words.
        source: std::io::Error,
    },
    /// Not a disk.
    #[error(
        "{path} is no disk image that can be told by its first bytes\n  cure: if it is one, name its `format` in the manifest"
    )]
    NoDisk {
        /// The file.
        path: PathBuf,
    },
    /// It needs other files, or libvirt cannot read it.
    #[error(
        "{path} cannot be used as it is: {why}\n  cure: `qemu-img convert -O qcow2 {path} whole.qcow2` makes one file of it"
    )]
    Parts {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        why: &'static str,
    },
    /// Not the file that the manifest means.
    #[error(
        "{path} is not the image that the manifest means: its SHA-256 is {found}, the manifest says {wanted}\n  cure: use the right image, or mend `sha256` in the manifest"
    )]
    Sum {
        /// The file.
        path: PathBuf,
        /// Its sum.
        found: String,
        /// The manifest's.
        wanted: String,
    },
    /// Somebody wrote to it.
    #[error(
        "{path} was changed while its guest ran, so the phases of the cell were not of one guest\n  cure: close whatever else uses the image and run the cell again"
    )]
    Changed {
        /// The file.
        path: PathBuf,
    },
}

/// An image that has been looked at. It is only ever opened for reading.
#[derive(Debug)]
pub struct Image {
    /// Its format.
    pub format: Format,
    path: PathBuf,
    file: File,
    stamp: Stamp,
}

/// What changes when somebody writes to a file.
type Stamp = (u64, Option<SystemTime>);

impl Image {
    /// Opens the image at `file`, which the user knows as `path`, and checks
    /// that it is what the manifest says.
    ///
    /// # Errors
    /// What is wrong with it, with the cure.
    pub fn open(manifest: &Manifest, path: &Path, file: &Path) -> Result<Self, ImageError> {
        let unreadable = |source| ImageError::Unreadable {
            path: path.into(),
            source,
        };
        let mut opened = File::open(file).map_err(unreadable)?;
        let metadata = opened.metadata().map_err(unreadable)?;
        if metadata.is_dir() {
            return Err(unreadable(std::io::ErrorKind::IsADirectory.into()));
        }
        let mut head = Vec::new();
        let whole = opened.by_ref().take(HEAD as u64).read_to_end(&mut head);
        whole.map_err(unreadable)?;
        let format = manifest.format.or_else(|| detect(&head));
        let format = format.ok_or_else(|| ImageError::NoDisk { path: path.into() })?;
        if let Some(why) = lone(&head, format) {
            let path = path.into();
            return Err(ImageError::Parts { path, why });
        }
        if let Some(wanted) = &manifest.sha256 {
            let found = sum(&mut opened).map_err(unreadable)?;
            if found != *wanted {
                return Err(ImageError::Sum {
                    path: path.into(),
                    found,
                    wanted: wanted.clone(),
                });
            }
        }
        Ok(Self {
            format,
            path: path.into(),
            stamp: stamp(&metadata),
            file: opened,
        })
    }

    /// That the file is still as it was when it was opened.
    ///
    /// # Errors
    /// [`ImageError::Changed`] when it is not.
    pub fn unchanged(&self) -> Result<(), ImageError> {
        let same = self
            .file
            .metadata()
            .is_ok_and(|now| stamp(&now) == self.stamp);
        same.then_some(()).ok_or_else(|| ImageError::Changed {
            path: self.path.clone(),
        })
    }
}

fn stamp(metadata: &Metadata) -> Stamp {
    (metadata.len(), metadata.modified().ok())
}

/// SHA-256 of the whole file in hexadecimal digits.
fn sum(file: &mut File) -> std::io::Result<String> {
    file.rewind()?;
    let mut hash = Sha256::new();
    let mut chunk = vec![0; 1 << 20];
    loop {
        let length = file.read(&mut chunk)?;
        if length == 0 {
            break;
        }
        hash.update(&chunk[..length]);
    }
    Ok(to_hex(&hash.finalize()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    const DISK: &[u8] = b"QFI\xfb\0\0\0\x02\0\0\0\0\0\0\0\0";

    /// Of [`DISK`], by sha256sum.
    const SUM: &str = "0fd7bd5563f853110345a8920014ddaa821e77db4d8e7ef44079aa3dd0d3d3d7";

    fn manifest(more: &str) -> Manifest {
        let text =
            format!("name = \"x\"\npath = \"x\"\nnics = [\"pcnet\"]\ndeadline-s = 9\n{more}\n");
        Manifest::parse(&text, "x.toml", Path::new("")).unwrap()
    }

    fn opened(content: &[u8], more: &str) -> Result<Image, ImageError> {
        let dir = tempfile::tempdir().expect("a directory");
        let file = dir.path().join("disk");
        std::fs::write(&file, content).expect("a file");
        Image::open(&manifest(more), Path::new("disk"), &file)
    }

    #[rstest]
    #[case::by_its_bytes(DISK, "", Format::Qcow2)]
    #[case::as_told(b"anything", "format = \"raw\"", Format::Raw)]
    #[case::with_its_sum(DISK, &format!("sha256 = \"{SUM}\""), Format::Qcow2)]
    fn used(#[case] content: &[u8], #[case] more: &str, #[case] format: Format) {
        assert_eq!(opened(content, more).unwrap().format, format);
    }

    #[rstest]
    #[case::no_disk(b"hello", "", "no disk image")]
    #[case::empty(b"", "", "no disk image")]
    #[case::wrong_sum(b"anything", &format!("format = \"raw\"\nsha256 = \"{SUM}\""), "is not the image")]
    #[case::parts(b"# Disk DescriptorFile", "", "in other files")]
    #[case::vhdx(b"vhdxfile", "", "libvirt cannot read VHDX")]
    fn refused(#[case] content: &[u8], #[case] more: &str, #[case] why: &str) {
        let error = opened(content, more).unwrap_err().to_string();
        assert!(error.contains(why) && error.contains("cure: "), "{error}");
    }

    #[test]
    fn a_file_that_is_not_there_and_a_directory_are_told() {
        let dir = tempfile::tempdir().expect("a directory");
        for path in [dir.path().join("none"), dir.path().to_owned()] {
            let error = Image::open(&manifest(""), &path, &path).unwrap_err();
            assert!(matches!(error, ImageError::Unreadable { .. }), "{error}");
        }
    }

    #[test]
    fn a_write_is_noticed() {
        let file = tempfile::NamedTempFile::new().expect("a file");
        std::fs::write(file.path(), DISK).expect("writes");
        let image = Image::open(&manifest(""), file.path(), file.path()).unwrap();
        image.unchanged().unwrap();
        std::fs::write(file.path(), [DISK, b"more"].concat()).expect("writes");
        assert!(matches!(image.unchanged(), Err(ImageError::Changed { .. })));
    }
}
