//! The programs that the lab runs.

use crate::pool::search_path;
use std::path::PathBuf;

/// The emulator of guests on x86.
pub const EMULATOR: &str = "qemu-system-x86_64";

/// The emulator of guests on MIPS, which few machines have.
pub const MIPS_EMULATOR: &str = "qemu-system-mipsel";

/// The file of a program in the directories of `PATH` and those of system programs; none where
/// there is none.
pub fn find(program: &str) -> Option<PathBuf> {
    std::env::split_paths(&search_path())
        .map(|dir| dir.join(program))
        .find(|file| file.exists())
}
