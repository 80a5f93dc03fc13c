//! GRUB as a guest: one image with its configuration in it, which iPXE starts as its initial
//! RAM disk (`src/guest/domain.rs`). It is made by GRUB's own program out of the unpacked
//! packages; nothing is installed.

use crate::cache::{make_directory, write_readable};
use crate::tool;
use anyhow::{Context as _, Result, bail};
use std::env;
use std::fs;
use std::path::Path;
use std::process::Command;

/// The image's name.
pub const FILE: &str = "grub.0";

/// All that the image is made of besides the packages: what GRUB reads before it has a shell,
/// the script that this one then runs, and the modules.
pub const RECIPE: [&str; 3] = [EARLY, SCRIPT, MODULES];
const EARLY: &str = include_str!("../../../images/grub/early.cfg");
const SCRIPT: &str = include_str!("../../../images/grub/grub.cfg");
const MODULES: &str = "memdisk tar net tftp http echo cat serial terminal halt test normal pxe";

/// Where the packages have libraries, in either layout of the file system.
const LIBRARIES: [&str; 2] = ["lib/x86_64-linux-gnu", "usr/lib/x86_64-linux-gnu"];

/// Makes the image of the packages that are unpacked below the root.
///
/// # Errors
///
/// If the packages lack the program or it cannot be run, or the disk is full.
pub fn image(root: &Path, scratch: &Path) -> Result<Vec<u8>> {
    let program = root.join("usr/bin/grub-mkimage");
    if !program.exists() {
        bail!("GRUB's packages hold no usr/bin/grub-mkimage");
    }
    let directory = scratch.join("grub");
    make_directory(&directory)?;
    let file = |name: &str| directory.join(name);
    write_readable(&file("early.cfg"), EARLY.as_bytes())?;
    write_readable(&file("grub.cfg"), SCRIPT.as_bytes())?;
    tool::output(
        Command::new("tar")
            .args(["--create", "--format=ustar", "--mtime=@0"])
            .args(["--owner=0", "--group=0", "--numeric-owner", "--file"])
            .arg(file("memdisk.tar"))
            .arg("--directory")
            .arg(&directory)
            .arg("grub.cfg"),
    )?;
    let libraries = env::join_paths(LIBRARIES.map(|library| root.join(library)))?;
    tool::output(
        Command::new(program)
            .env("LD_LIBRARY_PATH", libraries)
            .arg("--directory")
            .arg(root.join("usr/lib/grub/i386-pc"))
            .args(["--format=i386-pc-pxe", "--prefix=(memdisk)/"])
            .arg("--memdisk")
            .arg(file("memdisk.tar"))
            .arg("--config")
            .arg(file("early.cfg"))
            .arg("--output")
            .arg(file(FILE))
            .args(MODULES.split(' ')),
    )?;
    let made = file(FILE);
    fs::read(&made).with_context(|| format!("cannot read {}", made.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn packages_without_the_program_are_named() {
        let root = tempfile::tempdir().expect("scratch directory");
        let error = image(root.path(), root.path()).expect_err("nothing there");
        assert!(error.to_string().contains("grub-mkimage"), "{error:#}");
    }
}
