//! A domain that ends with its owner.

use super::error::GuestError;
use crate::lab::{LabError, Process};
use std::ops::Deref;
use std::path::PathBuf;
use virt::domain::Domain;

/// A domain that ends when this is dropped.
#[derive(Debug)]
pub(super) struct Owned {
    domain: Domain,
    /// QEMU, wherever libvirt has said which process it is.
    process: Option<Process>,
}

impl Owned {
    /// Of a domain that has been started.
    pub(super) fn new(domain: Domain) -> Self {
        let name = domain.name().unwrap_or_default();
        let process = Process::of_pid_file(&pid_file(&name));
        Self { domain, process }
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
    /// QEMU has nothing to put away. Destroying a running domain takes 1.6 s, since libvirt
    /// waits for a SIGTERM that `-no-shutdown` makes QEMU ignore, and the monitor's `quit`
    /// takes 25-40 ms (measured).
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
