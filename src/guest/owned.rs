//! A domain that ends with its owner.

use super::error::GuestError;
use crate::lab::{EarlyEnds, Lab, LabError, Process, Shortcut};
use std::ops::Deref;
use std::path::PathBuf;
use virt::domain::Domain;

/// A domain that ends when this is dropped.
#[derive(Debug)]
pub(super) struct Owned {
    domain: Domain,
    /// QEMU, where libvirt has noted which process it is.
    process: Option<Process>,
    /// Whether QEMU is killed ([`Shortcut::KillGuests`]).
    kills: bool,
    early_ends: EarlyEnds,
}

impl Owned {
    /// Of a domain that has been started.
    pub(super) fn new(domain: Domain, lab: &Lab) -> Self {
        let name = domain.name().unwrap_or_default();
        lab.early_ends.forget(&name);
        Self {
            domain,
            process: Process::of_pid_file(&pid_file(&name)),
            kills: lab.shortcuts.has(Shortcut::KillGuests),
            early_ends: lab.early_ends.clone(),
        }
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

    /// Whether QEMU has ended or is about to.
    pub(super) fn is_ending(&self) -> bool {
        self.process.as_ref().is_some_and(Process::is_ending)
    }

    /// Kills QEMU behind libvirt's back.
    pub(super) fn kill(&self) {
        if let Some(process) = &self.process {
            process.kill();
        }
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
        if self.is_ending() {
            self.early_ends
                .note(&self.domain.name().unwrap_or_default());
        }
        let process = self.process.as_ref().filter(|_| self.kills);
        let ended = process.is_some_and(Process::end);
        if !ended {
            let _ = self.domain.destroy();
        }
    }
}

/// Where libvirt notes QEMU's process (`virPidFileBuildPath` in its `qemu_process.c`).
fn pid_file(name: &str) -> PathBuf {
    format!("/run/libvirt/qemu/{name}.pid").into()
}
