//! What a process asks for when it enters the lab's namespaces.

use super::shortcuts::Shortcuts;
use std::path::{Path, PathBuf};

/// What the lab takes from the host.
#[derive(Debug, Clone, Copy)]
pub struct EnterOptions<'a> {
    /// Directory that stands in for `/var/cache/libvirt`, where libvirt keeps what it has
    /// learned about QEMU. Only [`Shortcut::CacheCapabilities`](super::shortcuts::Shortcut::CacheCapabilities) has it used.
    pub libvirt_cache: Option<&'a Path>,
    /// Disk images to show in the lab, read-only; see [`image_path`](super::image_path).
    pub images: &'a [PathBuf],
    /// Whether guests are to run under KVM.
    pub kvm: bool,
    /// Emulators that guests run in besides that of x86.
    pub emulators: &'a [&'a str],
    /// What is done only to save time.
    pub shortcuts: Shortcuts,
    /// The process that started this one, by its number: the lab ends when it dies.
    pub parent: u32,
}
