//! The programs that the lab runs.

use std::path::PathBuf;

/// The emulator of guests on x86.
pub const EMULATOR: &str = "qemu-system-x86_64";

/// The emulator of guests on MIPS, which few machines have.
pub const MIPS_EMULATOR: &str = "qemu-system-mipsel";

/// The file of a program in the directories of `PATH`; none where there is none.
pub fn find(program: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path)
        .map(|dir| dir.join(program))
        .find(|file| file.exists())
}
