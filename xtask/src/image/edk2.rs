//! EDK2 as a guest: the firmware for virtual machines, and the option ROMs that give it drivers
//! for other NICs than virtio's. All of it is taken from packages as it is.

use crate::cache::write_readable;
use anyhow::{Context as _, Result};
use std::fs;
use std::path::{Path, PathBuf};

/// The firmware's code and its variables as they are before the first boot. All releases have
/// the files for a flash of 4 MB, and only old ones those of 2 MB.
const FIRMWARE: [(&str, &str); 2] = [
    ("usr/share/OVMF/OVMF_CODE_4M.fd", "ovmf-code.fd"),
    ("usr/share/OVMF/OVMF_VARS_4M.fd", "ovmf-vars.fd"),
];

/// Where the ROMs may be.
const ROMS: [&str; 2] = ["usr/lib/ipxe/qemu", "usr/share/qemu"];

/// How the name of a ROM for UEFI begins.
const ROM: &str = "efi-";

/// Copies what there is from the unpacked packages.
///
/// # Errors
///
/// If the packages lack the firmware, or the disk is full. A ROM that is missing is none.
pub fn copy(root: &Path, target: &Path) -> Result<()> {
    for (from, name) in FIRMWARE {
        let from = root.join(from);
        let bytes = fs::read(&from).with_context(|| format!("cannot read {}", from.display()))?;
        write_readable(&target.join(name), &bytes)?;
    }
    for rom in roms(root) {
        let name = rom.file_name().context("a ROM has a name")?;
        write_readable(&target.join(name), &fs::read(&rom)?)?;
    }
    Ok(())
}

/// What [`copy`] has put into the directory, by name.
///
/// # Errors
///
/// If the directory cannot be listed.
pub fn names(directory: &Path) -> Result<Vec<String>> {
    let list = || format!("cannot list {}", directory.display());
    let mut names = Vec::new();
    for entry in fs::read_dir(directory).with_context(list)? {
        let name = entry.with_context(list)?.file_name();
        let name = name.to_string_lossy().into_owned();
        let firmware = FIRMWARE.iter().any(|(_, firmware)| *firmware == name);
        if firmware || is_rom(&name) {
            names.push(name);
        }
    }
    names.sort();
    Ok(names)
}

/// The ROMs of the unpacked packages.
fn roms(root: &Path) -> Vec<PathBuf> {
    let places = ROMS.iter().map(|place| root.join(place));
    let entries = places.filter_map(|place| fs::read_dir(place).ok());
    let files = entries.flatten().flatten().map(|entry| entry.path());
    // A link may lead past the unpacked tree.
    files
        .filter(|file| fs::symlink_metadata(file).is_ok_and(|data| data.is_file()))
        .filter(|file| {
            file.file_name()
                .is_some_and(|name| is_rom(&name.to_string_lossy()))
        })
        .collect()
}

fn is_rom(name: &str) -> bool {
    let ends = Path::new(name).extension();
    name.starts_with(ROM) && ends.is_some_and(|ends| ends == "rom")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn package(files: &[&str]) -> tempfile::TempDir {
        let root = tempfile::tempdir().expect("scratch directory");
        for file in files {
            let path = root.path().join(file);
            fs::create_dir_all(path.parent().expect("a place")).expect("directory");
            fs::write(path, file).expect("file");
        }
        root
    }

    #[test]
    fn firmware_and_roms_are_copied_and_nothing_else() {
        let root = package(&[
            "usr/share/OVMF/OVMF_CODE_4M.fd",
            "usr/share/OVMF/OVMF_VARS_4M.fd",
            "usr/share/OVMF/OVMF_CODE_4M.secboot.fd",
            "usr/lib/ipxe/qemu/efi-pcnet.rom",
            "usr/lib/ipxe/qemu/pxe-pcnet.rom",
        ]);
        let target = tempfile::tempdir().expect("scratch directory");
        copy(root.path(), target.path()).expect("all there");
        let expected = ["efi-pcnet.rom", "ovmf-code.fd", "ovmf-vars.fd"];
        assert_eq!(names(target.path()).expect("listed"), expected);
    }

    #[test]
    fn a_package_without_the_firmware_is_named() {
        let root = package(&["usr/lib/ipxe/qemu/efi-pcnet.rom"]);
        let target = tempfile::tempdir().expect("scratch directory");
        let error = copy(root.path(), target.path()).expect_err("no firmware");
        assert!(error.to_string().contains("OVMF_CODE_4M.fd"), "{error:#}");
    }
}
