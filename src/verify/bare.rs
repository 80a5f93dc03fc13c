//! The same kernel and initramfs under QEMU alone: what the lab's boot is measured against.

use crate::guest::{Accel, Image};
use crate::lab::{EMULATOR, Shortcuts};
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

/// Longest boot that is waited for.
const DEADLINE: Duration = Duration::from_secs(60);

/// Why a guest did not boot under QEMU alone.
#[derive(Debug, thiserror::Error)]
pub enum BareBootError {
    /// QEMU cannot be started.
    #[error("{EMULATOR}: {0}; `cargo xtask setup` installs it")]
    NoEmulator(#[source] std::io::Error),
    /// The guest did not come up.
    #[error("the guest did not reach READY under QEMU alone")]
    NotReady,
}

/// Boots a kernel with the image's initramfs once under emulation, without libvirt,
/// network or agent port; milliseconds to READY.
///
/// # Errors
/// When QEMU cannot be started or the guest does not reach READY.
pub fn bare_boot(kernel: &Path, image: &Image) -> Result<u64, BareBootError> {
    let started = Instant::now();
    let mut child = command(kernel, image)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .spawn()
        .map_err(BareBootError::NoEmulator)?;
    let lines = child
        .stdout
        .take()
        .map(BufReader::new)
        .into_iter()
        .flat_map(BufRead::lines)
        .map_while(Result::ok);
    let mut ready = None;
    for line in lines {
        if line.contains(lanfence_agent::READY) {
            ready = u64::try_from(started.elapsed().as_millis()).ok();
            break;
        }
        if started.elapsed() > DEADLINE {
            break;
        }
    }
    let _ = child.kill();
    let _ = child.wait();
    ready.ok_or(BareBootError::NotReady)
}

/// The lab's machine as far as a boot needs it.
fn command(kernel: &Path, image: &Image) -> Command {
    let mut command = Command::new(EMULATOR);
    command
        .args([
            "-accel",
            "tcg",
            "-machine",
            "pc",
            "-m",
            "128",
            "-nodefaults",
            "-display",
            "none",
            "-no-reboot",
        ])
        .args([
            "-serial",
            "stdio",
            "-device",
            "virtio-serial-pci",
            "-chardev",
            "null,id=agent",
            "-device",
        ])
        .arg(format!(
            "virtserialport,chardev=agent,name={}",
            lanfence_agent::PORT_NAME
        ))
        .arg("-kernel")
        .arg(kernel)
        .arg("-initrd")
        .arg(&image.initramfs)
        .args([
            "-append",
            &crate::guest::command_line(Accel::Tcg, "bare", &[], Shortcuts::all()),
        ]);
    command
}
