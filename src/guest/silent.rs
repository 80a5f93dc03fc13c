//! Guests that cannot be asked: iPXE and foreign disks. Their network stack and
//! drivers are not Linux's.

use super::boot::{Machine, create, forgotten};
use super::domain::{DomainSpec, Interface};
use super::error::GuestError;
use crate::lab::{Lab, PacketSocket, STATE, Sensor};
use virt::domain::{DomainPausedReason, DomainState as State, DomainStateReason as Reason};
use virt::enumutil::Enum;

/// Starts the domain stopped, arms the tap's sensor and lets it run. What it
/// does is seen on the network and in the serial log only.
///
/// # Errors
/// libvirt's words when it cannot start the domain.
pub async fn begin(
    lab: &Lab,
    spec: &DomainSpec<'_>,
    interface: &Interface,
) -> Result<Machine, GuestError> {
    forgotten(lab, spec.name).await?;
    let domain = create(lab, spec, interface)?;
    let tap = Sensor::start("tap", PacketSocket::open(&interface.tap)?)?;
    domain.resume()?;
    Ok(Machine {
        tap,
        domain,
        interface: interface.clone(),
    })
}

impl Machine {
    /// Why its CPUs do not run any more; none while they do.
    pub fn halted(&self) -> Option<String> {
        match tokio::task::block_in_place(|| self.domain.0.state()) {
            Ok((_, Enum::Known(Reason::Paused(Enum::Known(DomainPausedReason::IOError))))) => Some(
                "what it writes cannot be kept: is the disk full where TMPDIR or else /var/tmp is?"
                    .into(),
            ),
            Ok((Enum::Known(State::Running | State::Blocked | State::Paused), _)) => None,
            Ok((state, _)) => Some(format!("it switched itself off or crashed ({state:?})")),
            Err(_) => Some("it switched itself off or crashed".into()),
        }
    }

    /// Keeps a picture of its screen for the evidence. A guest without one has none.
    pub fn screen(&self) {
        let name = self.domain.0.name().unwrap_or_default();
        let command = format!("screendump {}", screen_path(&name));
        let flags = virt_sys::VIR_DOMAIN_QEMU_MONITOR_COMMAND_HMP;
        // A picture less spoils no verdict.
        let _ = tokio::task::block_in_place(|| self.domain.0.qemu_monitor_command(&command, flags));
    }
}

/// Where [`Machine::screen`] writes.
pub fn screen_path(domain: &str) -> String {
    format!("{STATE}/{domain}.ppm")
}
