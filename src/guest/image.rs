//! The Linux guest's kernel and initramfs.

use super::error::GuestError;
use std::path::{Path, PathBuf};

/// Where xtask left the image.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Image {
    /// Uncompressed ELF kernel, booted through PVH.
    pub kernel: PathBuf,
    /// The agent, busybox, dropbear and the NIC drivers.
    pub initramfs: PathBuf,
}

impl Image {
    /// Finds the image in a directory and checks that its kernel is what QEMU can boot.
    pub fn open(dir: &Path) -> Result<Self, GuestError> {
        let image = Self {
            kernel: dir.join("vmlinux"),
            initramfs: dir.join("initramfs.cpio"),
        };
        expect_magic(&image.kernel, b"\x7fELF", "an ELF kernel")?;
        expect_magic(&image.initramfs, b"070701", "a newc archive")?;
        Ok(image)
    }
}

fn expect_magic(path: &Path, magic: &[u8], what: &str) -> Result<(), GuestError> {
    use std::io::Read as _;
    let mut head = vec![0; magic.len()];
    let read = std::fs::File::open(path).and_then(|mut file| file.read_exact(&mut head));
    match read {
        Err(error) => Err(GuestError::Image {
            what: format!("{}: {error}", path.display()),
        }),
        Ok(()) if head != magic => Err(GuestError::Image {
            what: format!("{} is not {what}", path.display()),
        }),
        Ok(()) => Ok(()),
    }
}
