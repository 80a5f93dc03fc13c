//! U-Boot as a guest: Debian's builds for QEMU's machines `pc` and `malta`.

use crate::cache::write_readable;
use anyhow::Result;
use std::fs;
use std::path::Path;

/// U-Boot for machine `pc`.
pub const PC: &str = "u-boot.rom";

/// U-Boot for machine `malta`, little-endian.
pub const MALTA: &str = "u-boot-malta.bin";

/// What becomes of a build's bytes for QEMU to take them.
type AsTaken = fn(Vec<u8>) -> Vec<u8>;

/// Puts those into the directory that the unpacked packages have. The other guests do without
/// them, and their cells say what is missing.
///
/// # Errors
///
/// If the disk is full.
pub fn put(root: &Path, target: &Path) -> Result<()> {
    let builds: [(&str, &str, AsTaken); 2] = [
        (PC, "qemu-x86/u-boot.rom", |rom| rom),
        (MALTA, "maltael/u-boot.bin", |flash| swapped(&flash)),
    ];
    for (name, build, as_taken) in builds {
        match fs::read(root.join("usr/lib/u-boot").join(build)) {
            Ok(bytes) => write_readable(&target.join(name), &as_taken(bytes))?,
            Err(error) => eprintln!("no {name} for the cells of U-Boot: {error}"),
        }
    }
    Ok(())
}

/// A build for Malta as its little-endian machine in QEMU takes it: QEMU turns the bytes of each
/// word round, since the images that people have are in big-endian order (its `hw/mips/malta.c`),
/// and Debian's is not.
fn swapped(flash: &[u8]) -> Vec<u8> {
    let word = |bytes: &[u8]| {
        let mut word = [0; 4];
        word[..bytes.len()].copy_from_slice(bytes);
        word.reverse();
        word
    };
    flash.chunks(4).flat_map(word).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_bytes_of_each_word_are_turned_round() {
        assert_eq!(swapped(&[1, 2, 3, 4, 5, 6]), [4, 3, 2, 1, 0, 0, 6, 5]);
        assert!(swapped(&[]).is_empty());
    }

    #[test]
    fn a_package_without_a_build_costs_its_cells_only() {
        let (root, target) = (
            tempfile::tempdir().expect("one"),
            tempfile::tempdir().expect("two"),
        );
        let builds = root.path().join("usr/lib/u-boot/maltael");
        fs::create_dir_all(&builds).expect("directory");
        fs::write(builds.join("u-boot.bin"), [1, 2, 3, 4]).expect("file");
        put(root.path(), target.path()).expect("what is there");
        assert!(!target.path().join(PC).exists());
        assert_eq!(
            fs::read(target.path().join(MALTA)).expect("written"),
            [4, 3, 2, 1]
        );
    }
}
