//! A domain that ends with its owner.

use super::error::GuestError;
use crate::lab::{LabError, Process, Shortcut, Shortcuts};
use std::ops::Deref;
use std::path::PathBuf;
use virt::domain::Domain;

/// A domain that ends when this is dropped.
#[derive(Debug)]
pub(super) struct Owned {
    domain: Domain,
    /// QEMU, to be killed, where [`Shortcut::KillGuests`] is taken and libvirt has noted
    /// which process it is.
    process: Option<Process>,
}

impl Owned {
    /// Of a domain that has been started.
    pub(super) fn new(domain: Domain, shortcuts: Shortcuts) -> Self {
        let name = domain.name().unwrap_or_default();
        let kills = shortcuts.has(Shortcut::KillGuests);
        let process = kills.then(|| Process::of_pid_file(&pid_file(&name)));
        let process = process.flatten();
        Self { domain, process }
    }

    /// The number of the QEMU that runs it; none where it has ended.
    pub(super) fn process_number(&self) -> Option<u32> {
        let name = self.domain.name().ok()?;
        std::fs::read_to_string(pid_file(&name))
            .ok()?
            .trim()
            .parse()
            .ok()
    }

    /// Lets its CPUs run.
    pub(super) fn resume(&self) -> Result<(), GuestError> {
        tokio::task::block_in_place(|| self.domain.resume())
            .map(drop)
            .map_err(|error| LabError::libvirt("resume the domain", &error).into())
    }
}

impl Deref for Owned {
    type Target = Domain;

    fn deref(&self) -> &Domain {
        &self.domain
    }
}

impl Drop for Owned {
    /// QEMU has nothing to put away. libvirt's `destroy` waits for QEMU to heed SIGTERM,
    /// which `-no-shutdown` makes it ignore (measured: docs/measurements.md#M23).
    fn drop(&mut self) {
        let ended = self.process.as_ref().is_some_and(Process::end);
        if !ended {
            let _ = self.domain.destroy();
        }
    }
}

/// Where libvirt notes QEMU's process (`virPidFileBuildPath` in its `qemu_process.c`).
fn pid_file(name: &str) -> PathBuf {
    format!("/run/libvirt/qemu/{name}.pid").into()
}
