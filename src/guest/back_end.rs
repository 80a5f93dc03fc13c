//! Which back end carries the frames of a running guest's NIC.

use crate::report::model::BackEnd;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;

/// The device through which QEMU asks the kernel to carry a NIC's frames.
pub(super) const VHOST: &str = "/dev/vhost-net";

/// What carries the frames of the NIC of the QEMU with this number: vhost-net where it holds
/// that device open. libvirt opens it for QEMU, does not note so in the domain's XML, and
/// goes on without a word where it cannot (`qemuInterfaceOpenVhostNet` in its
/// `qemu_interface.c`).
///
/// # Errors
/// When QEMU has ended or its files are not to be seen.
pub(super) fn of_process(number: u32) -> std::io::Result<BackEnd> {
    holds(number, Path::new(VHOST)).map(|vhost| {
        if vhost {
            BackEnd::VhostNet
        } else {
            BackEnd::Qemu
        }
    })
}

/// Whether a process holds a device open.
fn holds(number: u32, device: &Path) -> std::io::Result<bool> {
    let files = std::fs::read_dir(format!("/proc/{number}/fd"))?;
    let Ok(device) = std::fs::metadata(device) else {
        // What is not there cannot be held.
        return Ok(false);
    };
    // A file that was closed meanwhile is not held.
    let mut open = files
        .flatten()
        .filter_map(|file| std::fs::metadata(file.path()).ok());
    Ok(open.any(|file| file.rdev() == device.rdev() && file.ino() == device.ino()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_device_is_held_while_it_is_open() {
        let (own, zero) = (std::process::id(), Path::new("/dev/zero"));
        assert!(!holds(own, zero).expect("own files"));
        let file = std::fs::File::open(zero).expect("/dev/zero");
        assert!(holds(own, zero).expect("own files"));
        drop(file);
        assert!(!holds(own, zero).expect("own files"));
        assert!(!holds(own, Path::new("/dev/no-such-device")).expect("own files"));
    }
}
