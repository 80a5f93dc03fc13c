//! What libvirtd is not to find, since it does nothing with it but lose time.

use crate::lab::bind_mount::{bind, bind_read_only};
use crate::lab::programs::EMULATOR;
use std::path::{Path, PathBuf};

/// How emulators are called. Before its first domain libvirtd looks for one of each
/// architecture (`virQEMUCapsInit` in its `qemu_capabilities.c`) and reads up on each that
/// it finds, a quarter of a megabyte of XML, and on a new machine it asks each of them what
/// it can. That is so at each start, and what it has read is copied with each fork for a
/// rule: the second emulator in Debian's package, for 32-bit guests, takes a fifth of its
/// memory (10.5 and 8.3 MiB; measured: docs/measurements.md#M21), and some hosts have thirty.
const EMULATORS: &str = "qemu-system-";

/// What tells libvirtd the host's serial numbers, which no domain of the lab is told.
const SERIAL_NUMBERS: &str = "dmidecode";

/// The device of KVM.
const KVM: &str = "/dev/kvm";

/// Hides KVM from a lab whose guests are emulated, with an empty file made in `dir`. One that
/// cannot be hidden is only slow.
///
/// libvirtd keeps what it knows of QEMU together with what KVM says of the processor, and
/// asks QEMU anew when that has changed (`virQEMUCapsIsValid` in its `qemu_capabilities.c`).
/// KVM answers for the core that it is asked on, with that core's number in three leaves of
/// CPUID; libvirt 11.3 blanks it in leaves 1 and 0xb, but not in 0x1f, which newer processors
/// have. So on two cores every other start takes 0.7 s longer (measured:
/// docs/measurements.md#M22); guests under KVM bear it. Nothing is compared where access(2) does
/// not allow to write to the device, and root is stopped only at what is a regular file on a
/// read-only mount.
pub fn kvm(dir: &Path) {
    let nothing = dir.join("no-kvm");
    if std::fs::write(&nothing, "").is_ok() {
        let _ = bind_read_only(&nothing, KVM);
    }
}

/// Hides programs in this mount namespace, but for emulators that guests `also` run in. One that
/// cannot be hidden is only slow.
pub fn programs(also: &[&str]) {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let dirs: Vec<PathBuf> = std::env::split_paths(&path).collect();
    for program in idle(&dirs, also) {
        let _ = bind(Path::new("/dev/null"), &program.to_string_lossy());
    }
}

/// The programs in these directories that are to be hidden. No links: a mount on a link is
/// one on what it leads to, which may be the one that is needed; nor what the emulator is
/// itself a link to.
fn idle(dirs: &[PathBuf], also: &[&str]) -> Vec<PathBuf> {
    let emulators = || also.iter().chain([&EMULATOR]);
    let needed = dirs
        .iter()
        .flat_map(|dir| emulators().filter_map(|name| dir.join(name).canonicalize().ok()));
    let needed: Vec<PathBuf> = needed.collect();
    let entries = dirs.iter().filter_map(|dir| std::fs::read_dir(dir).ok());
    entries
        .flatten()
        .flatten()
        .filter(|entry| entry.file_name().to_str().is_some_and(is_idle))
        .filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_file()))
        .map(|entry| entry.path())
        .filter(|path| {
            path.canonicalize()
                .is_ok_and(|path| !needed.contains(&path))
        })
        .collect()
}

/// What begins with the emulator's name may be what a script of that name runs.
fn is_idle(name: &str) -> bool {
    name == SERIAL_NUMBERS || (name.starts_with(EMULATORS) && !name.starts_with(EMULATOR))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_emulator_and_links_to_it_stay() {
        let dir = tempfile::tempdir().expect("a directory");
        let files = [
            EMULATOR,
            "qemu-system-x86_64.real",
            "qemu-system-i386",
            "qemu-img",
            "dmidecode",
            "ebtables",
        ];
        for file in files {
            std::fs::write(dir.path().join(file), "").expect("a file");
        }
        std::os::unix::fs::symlink(EMULATOR, dir.path().join("qemu-system-amd64")).expect("a link");
        let mut hidden = idle(&[dir.path().into()], &[]);
        hidden.sort();
        assert_eq!(
            hidden,
            ["dmidecode", "qemu-system-i386"].map(|name| dir.path().join(name))
        );
        let hidden = idle(&[dir.path().into()], &["qemu-system-i386"]);
        assert_eq!(
            hidden,
            [dir.path().join("dmidecode")],
            "another that guests run in"
        );
    }

    #[test]
    fn what_the_emulator_is_a_link_to_stays() {
        let dir = tempfile::tempdir().expect("a directory");
        let real = "qemu-system-all";
        std::fs::write(dir.path().join(real), "").expect("a file");
        let links = tempfile::tempdir().expect("a directory");
        std::os::unix::fs::symlink(dir.path().join(real), links.path().join(EMULATOR))
            .expect("a link");
        assert!(idle(&[links.path().into(), dir.path().into()], &[]).is_empty());
    }

    #[test]
    fn a_directory_that_is_not_there_hides_nothing() {
        assert!(idle(&["/nonexistent".into()], &[]).is_empty());
    }
}
