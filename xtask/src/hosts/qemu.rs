//! QEMU's command line for a host.

use crate::tool::quoted_for_shell;
use std::path::{Path, PathBuf};
use std::process::Command;

/// The host's serial line.
pub const CONSOLE: &str = "console.log";
/// What QEMU writes to its standard error.
pub const COMPLAINTS: &str = "qemu.log";
/// QEMU's monitor.
pub const MONITOR_SOCKET: &str = "monitor";
/// The agent in the host.
pub const AGENT_SOCKET: &str = "agent";
/// The virtual terminal of `hosts shell`.
pub const TERMINAL_SOCKET: &str = "terminal";

/// How the host's CPU is had.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Accelerator {
    /// KVM with nesting.
    Kvm,
    /// Emulation, AMD's SVM included, so that there is a KVM inside.
    Tcg,
}

impl Accelerator {
    fn arguments(self) -> [&'static str; 4] {
        match self {
            Accelerator::Kvm => ["-accel", "kvm", "-cpu", "host"],
            Accelerator::Tcg => ["-accel", "tcg,thread=multi", "-cpu", "max,+svm,+npt"],
        }
    }

    /// How many of the CPUs that a manifest wants are had. An emulated host has one: with two, the
    /// emulated SVM ends its guests now and then (docs/measurements.md#M61).
    pub fn cores(self, wanted: u32) -> u32 {
        match self {
            Accelerator::Kvm => wanted,
            Accelerator::Tcg => 1,
        }
    }

    /// QEMU's word for it.
    pub fn word(self) -> &'static str {
        match self {
            Accelerator::Kvm => "kvm",
            Accelerator::Tcg => "tcg",
        }
    }
}

/// A directory of this machine that the host can mount.
#[derive(Debug, Clone)]
pub struct Share {
    /// The tag by which the host names it.
    pub tag: &'static str,
    /// The directory.
    pub path: PathBuf,
    /// What the host may do with it.
    pub access: Access,
}

/// What a host may do with a share.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Access {
    /// Read.
    Read,
    /// Read and write; files belong to whoever runs QEMU.
    Write,
    /// The same, with the host's owners and modes kept beside the files.
    WriteMapped,
}

/// What a host is started with.
#[derive(Debug)]
pub struct Spec<'a> {
    /// The kernel and its initramfs.
    pub kernel: (&'a Path, &'a Path),
    /// Words for the kernel's command line.
    pub kernel_arguments: &'a [String],
    /// The root file system, in qcow2.
    pub disk: &'a Path,
    /// Virtual CPUs and MiB of memory.
    pub size: (u32, u32),
    /// How its CPU is had.
    pub accelerator: Accelerator,
    /// Directories to share. Each host has the same tags, or a saved one could not be restored.
    pub shares: &'a [Share],
    /// The state to go on from; none boots it.
    pub saved: Option<&'a Path>,
}

/// The command that starts a host; its logs and sockets are in its current directory.
pub fn command(spec: &Spec<'_>) -> Command {
    let mut command = Command::new("qemu-system-x86_64");
    let mut words = vec!["root=/dev/vda rw console=ttyS0 loglevel=6 panic=-1".to_owned()];
    words.extend(spec.kernel_arguments.iter().cloned());
    command
        .args(["-nodefaults", "-no-user-config", "-display", "none"])
        // A kernel that panics resets the machine, which then ends.
        .args(["-no-reboot", "-machine", "q35"])
        .args(spec.accelerator.arguments())
        .args(["-smp", &spec.size.0.to_string()])
        .args(["-m", &spec.size.1.to_string()])
        .arg("-kernel")
        .arg(spec.kernel.0)
        .arg("-initrd")
        .arg(spec.kernel.1)
        .args(["-append", &words.join(" ")])
        .arg("-drive")
        .arg(format!(
            "file={},format=qcow2,if=virtio,cache=unsafe",
            comma_safe(spec.disk)
        ))
        .args(["-device", "virtio-rng-pci", "-device", "pvpanic-pci"])
        .args(["-chardev", &format!("file,id=console,path={CONSOLE}")])
        .args(["-serial", "chardev:console"])
        .args(["-device", "virtio-serial-pci,max_ports=4"])
        .args([
            "-chardev",
            &format!("socket,id=agent,path={AGENT_SOCKET},server=on,wait=off"),
        ])
        .args([
            "-device",
            "virtserialport,chardev=agent,name=org.qemu.guest_agent.0",
        ])
        .args([
            "-chardev",
            &format!("socket,id=terminal,path={TERMINAL_SOCKET},server=on,wait=off"),
        ])
        .args(["-device", "virtconsole,chardev=terminal"])
        .args([
            "-chardev",
            &format!("socket,id=monitor,path={MONITOR_SOCKET},server=on,wait=off"),
        ])
        .args(["-mon", "chardev=monitor,mode=control"]);
    shares(&mut command, spec.shares);
    if let Some(saved) = spec.saved {
        let source = quoted_for_shell(saved.as_os_str());
        command.args(["-incoming", &format!("exec:cat {source}")]);
    }
    command
}

fn shares(command: &mut Command, shares: &[Share]) {
    for share in shares {
        let model = match share.access {
            Access::Read => "security_model=none,readonly=on",
            Access::Write => "security_model=none",
            Access::WriteMapped => "security_model=mapped-xattr",
        };
        let (tag, path) = (share.tag, comma_safe(&share.path));
        command
            .args([
                "-fsdev",
                &format!("local,id={tag},path={path},{model},multidevs=remap"),
            ])
            .args([
                "-device",
                &format!("virtio-9p-pci,fsdev={tag},mount_tag={tag}"),
            ]);
    }
}

/// A path inside one of QEMU's options, where a comma is written twice.
fn comma_safe(path: &Path) -> String {
    path.to_string_lossy().replace(',', ",,")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_emulated_host_has_one_core() {
        assert_eq!(Accelerator::Kvm.cores(2), 2);
        assert_eq!(Accelerator::Tcg.cores(2), 1);
    }

    #[test]
    fn a_comma_does_not_end_a_path() {
        assert_eq!(comma_safe(Path::new("/a,b")), "/a,,b");
    }
}
