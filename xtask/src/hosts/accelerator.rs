//! Whether a host runs under this machine's KVM or is emulated.

use super::qemu::Accelerator;
use std::fs::{self, OpenOptions};

/// KVM where it can be opened and says that it nests: a host without a KVM inside is of no use.
/// Else emulation, whose KVM inside is slow and there.
pub fn choose() -> Accelerator {
    let opened = OpenOptions::new().read(true).write(true).open("/dev/kvm");
    let nests = ["kvm_intel", "kvm_amd"]
        .iter()
        .filter_map(|module| {
            fs::read_to_string(format!("/sys/module/{module}/parameters/nested")).ok()
        })
        .any(|value| matches!(value.trim(), "Y" | "1"));
    if opened.is_ok() && nests {
        Accelerator::Kvm
    } else {
        Accelerator::Tcg
    }
}
