//! The Linux guest's kernel and initramfs.

use super::error::{GuestError, ImageFault};
use std::path::{Path, PathBuf};

/// Where xtask left the image.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Image {
    /// Uncompressed ELF kernel, booted through PVH.
    pub kernel: PathBuf,
    /// The agent, busybox, dropbear and the NIC drivers.
    pub initramfs: PathBuf,
    /// iPXE as a Linux-like kernel. An image made by hand may come without.
    pub ipxe: PathBuf,
    /// GRUB with its script, for iPXE to start. An image made by hand may come without.
    pub grub: PathBuf,
    /// U-Boot as a ROM. An image made by hand may come without.
    pub uboot: PathBuf,
    /// U-Boot for MIPS Malta, its words in the order in which QEMU takes them. An image made by
    /// hand may come without.
    pub uboot_malta: PathBuf,
    /// EDK2's code in a flash. An image made by hand may come without.
    pub ovmf_code: PathBuf,
    /// Its variables before the first boot. An image made by hand may come without.
    pub ovmf_vars: PathBuf,
    /// Where ROMs with EDK2's drivers are.
    pub roms: PathBuf,
}

impl Image {
    /// Finds the image in a directory and checks that its kernel is what QEMU can boot.
    ///
    /// # Errors
    /// [`GuestError::Image`] when a file cannot be read or is of another kind.
    pub fn open(dir: &Path) -> Result<Self, GuestError> {
        let image = Self {
            kernel: dir.join("vmlinux"),
            initramfs: dir.join("initramfs.cpio"),
            ipxe: dir.join(IPXE),
            grub: dir.join(GRUB),
            uboot: dir.join(UBOOT),
            uboot_malta: dir.join(UBOOT_MALTA),
            ovmf_code: dir.join(OVMF_CODE),
            ovmf_vars: dir.join(OVMF_VARS),
            roms: dir.to_owned(),
        };
        expect_magic(&image.kernel, b"\x7fELF", "an ELF kernel")?;
        expect_magic(&image.initramfs, b"070701", "a newc archive")?;
        Ok(image)
    }
}

/// iPXE's file in the image.
const IPXE: &str = "ipxe.lkrn";

/// GRUB's file in the image.
const GRUB: &str = "grub.0";

/// U-Boot's file in the image.
const UBOOT: &str = "u-boot.rom";

/// The file of U-Boot for MIPS Malta in the image.
const UBOOT_MALTA: &str = "u-boot-malta.bin";
/// EDK2's files in the image.
const OVMF_CODE: &str = "ovmf-code.fd";
const OVMF_VARS: &str = "ovmf-vars.fd";

/// What the image has of the things that some NIC models need.
#[expect(
    clippy::struct_excessive_bools,
    reason = "one fact a file, all combinations occur"
)]
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ImageContents {
    /// Modules that were looked for and that the kernel does not come with.
    pub absent_modules: Vec<String>,
    /// Firmware files, relative to `/lib/firmware`.
    pub firmware: Vec<String>,
    /// Whether it has iPXE.
    pub ipxe: bool,
    /// Whether it has GRUB.
    pub grub: bool,
    /// Whether it has U-Boot.
    pub uboot: bool,
    /// Whether it has U-Boot for MIPS Malta.
    pub uboot_malta: bool,
    /// Whether it has EDK2.
    pub edk2: bool,
    /// ROMs that it has.
    pub roms: Vec<String>,
}

/// How a firmware file's name begins in the archive.
const FIRMWARE: &[u8] = b"lib/firmware/";

impl ImageContents {
    /// Reads the image's manifest and the names in its archive. An image without
    /// a manifest, made by hand, is taken to have every module.
    ///
    /// # Errors
    /// [`GuestError::Image`] when the manifest is no such JSON, or the archive cannot be
    /// read.
    pub fn read(dir: &Path) -> Result<Self, GuestError> {
        #[derive(serde::Deserialize)]
        struct Manifest {
            absent_modules: String,
        }
        let path = dir.join("manifest.json");
        let absent_modules = match std::fs::read_to_string(&path) {
            Err(_) => Vec::new(),
            Ok(text) => serde_json::from_str::<Manifest>(&text)
                .map_err(|source| ImageFault::Manifest { path, source })?
                .absent_modules
                .split_whitespace()
                .map(str::to_owned)
                .collect(),
        };
        let path = dir.join("initramfs.cpio");
        let archive = std::fs::read(&path).map_err(|source| ImageFault::File { path, source })?;
        Ok(Self {
            absent_modules,
            firmware: firmware_names(&archive),
            ipxe: dir.join(IPXE).is_file(),
            grub: dir.join(GRUB).is_file(),
            uboot: dir.join(UBOOT).is_file(),
            uboot_malta: dir.join(UBOOT_MALTA).is_file(),
            edk2: dir.join(OVMF_CODE).is_file() && dir.join(OVMF_VARS).is_file(),
            roms: roms(dir),
        })
    }

    /// Whether the image has this firmware file.
    pub fn has_firmware(&self, file: &str) -> bool {
        self.firmware.iter().any(|name| name == file)
    }
}

/// The names of the ROMs in the image's directory.
fn roms(dir: &Path) -> Vec<String> {
    let entries = std::fs::read_dir(dir).into_iter().flatten().flatten();
    let paths = entries.map(|entry| entry.path());
    let roms = paths.filter(|path| path.extension().is_some_and(|ends| ends == "rom"));
    roms.filter_map(|path| Some(path.file_name()?.to_str()?.to_owned()))
        .collect()
}

/// Names below `/lib/firmware` in a newc archive: a header of 110 bytes, the
/// name with its closing zero, padding to 4, the data, padding to 4 (cpio(5)).
fn firmware_names(archive: &[u8]) -> Vec<String> {
    const HEADER: usize = 110;
    let padded = |length: usize| length.next_multiple_of(4);
    let mut names = Vec::new();
    let mut at = 0;
    while let Some(header) = archive.get(at..at + HEADER) {
        let field = |index: usize| -> Option<usize> {
            let text = std::str::from_utf8(&header[6 + 8 * index..14 + 8 * index]).ok()?;
            usize::from_str_radix(text, 16).ok()
        };
        let (Some(data), Some(name)) = (field(6), field(11)) else {
            break;
        };
        let text = archive.get(at + HEADER..at + HEADER + name.saturating_sub(1));
        if let Some(file) = text.and_then(|text| text.strip_prefix(FIRMWARE)) {
            names.push(String::from_utf8_lossy(file).into_owned());
        }
        at = padded(at + HEADER + name) + padded(data);
    }
    names
}

fn expect_magic(path: &Path, magic: &[u8], wanted: &'static str) -> Result<(), ImageFault> {
    use std::io::Read as _;
    let mut head = vec![0; magic.len()];
    let read = std::fs::File::open(path).and_then(|mut file| file.read_exact(&mut head));
    let path = path.to_owned();
    match read {
        Err(source) => Err(ImageFault::File { path, source }),
        Ok(()) if head != magic => Err(ImageFault::Kind { path, wanted }),
        Ok(()) => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(name: &str, data: &[u8]) -> Vec<u8> {
        let mut fields = [0; 13];
        (fields[6], fields[11]) = (data.len(), name.len() + 1);
        let mut bytes = b"070701".to_vec();
        for field in fields {
            bytes.extend(format!("{field:08x}").bytes());
        }
        bytes.extend(name.bytes());
        bytes.push(0);
        bytes.resize(bytes.len().next_multiple_of(4), 0);
        bytes.extend(data);
        bytes.resize(bytes.len().next_multiple_of(4), 0);
        bytes
    }

    #[test]
    fn firmware_is_found_by_name_and_not_by_content() {
        let archive = [
            entry("lib/modules/e100.ko", b"lib/firmware/e100/none.bin"),
            entry("lib/firmware/e100/d102e_ucode.bin", b"abc"),
            entry("TRAILER!!!", b""),
        ]
        .concat();
        assert_eq!(firmware_names(&archive), ["e100/d102e_ucode.bin"]);
    }
}
