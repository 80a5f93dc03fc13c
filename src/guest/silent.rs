//! Guests that cannot be asked: iPXE and foreign disks. Their network stack and
//! drivers are not Linux's.

use super::boot::{Machine, blame, connect, create, forgotten};
use super::console::Console;
use super::domain::{DomainSpec, console_path, domain_xml};
use super::error::GuestError;
use super::interface::Interface;
use super::owned::Owned;
use super::ready::{Patience, ready};
use super::restore::WAKE;
use crate::lab::{Lab, LabError, PacketSocket, STATE, Sensor};
use std::path::Path;
use tokio::io::AsyncWriteExt as _;
use virt::domain::{DomainPausedReason, DomainState as Snapshot, DomainStateReason as Reason};
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

/// Goes on from the state in the file, which [`save`](super::save) has made of the same
/// domain without the filter, and types what the guest waits for. It repeats the word in a READY line. The filter is there before the guest goes on; QEMU has
/// announced the guest's MAC by then, as it does after every migration, in RARP frames.
///
/// # Errors
/// libvirt's words when it or QEMU does not take the state, or what became of the
/// guest instead of its answer.
pub async fn restore(
    lab: &Lab,
    spec: &DomainSpec<'_>,
    interface: &Interface,
    file: &Path,
    (typed, word): (&str, &str),
) -> Result<Machine, GuestError> {
    forgotten(lab, spec.name).await?;
    let try_with = |interface: &Interface| {
        let xml = domain_xml(spec, Some(interface));
        let restored = lab.libvirt.restore_paused(file, spec.name, Some(&xml));
        Ok(Owned::new(restored?, lab))
    };
    let domain = try_with(interface)
        .map_err(|error| blame(error, interface, |bare| try_with(bare).map(drop)))?;
    let tap = Sensor::start("tap", PacketSocket::open(&interface.tap)?)?;
    let path = console_path(spec.name);
    let (reader, mut writer) = connect(&path).await?.into_split();
    let console = Console::read(reader);
    // At each tick of its clock (55 ms) the firmware takes a character, or all that is
    // there (measured: docs/measurements.md#M41).
    let typed = writer.write_all(format!("{typed}\r").as_bytes()).await;
    typed.map_err(|source| LabError::File {
        path: path.into(),
        source,
    })?;
    domain.resume()?;
    let patience = Patience::awake(WAKE, lab.slowness);
    ready(console.state(), word, patience).await?;
    Ok(Machine {
        tap,
        domain,
        interface: interface.clone(),
    })
}

impl Machine {
    /// Whether its tap is gone: a guest that has ended takes it along, and its rules, before libvirt
    /// calls it ended.
    pub fn tap_is_gone(&self) -> bool {
        nix::net::if_::if_nametoindex(self.interface.tap.as_str()).is_err()
    }

    /// Why its CPUs do not run any more; none while they do.
    pub fn halted(&self) -> Option<String> {
        match tokio::task::block_in_place(|| self.domain.state()) {
            Ok((_, Enum::Known(Reason::Paused(Enum::Known(DomainPausedReason::IOError))))) => Some(
                "what it writes cannot be kept: is the disk full where TMPDIR or else /var/tmp is?"
                    .into(),
            ),
            Ok((Enum::Known(Snapshot::Running | Snapshot::Blocked | Snapshot::Paused), _)) => None,
            Ok((Enum::Known(state), _)) => {
                Some(format!("it switched itself off or crashed ({state:?})"))
            }
            // libvirt has forgotten it: it knows a domain like this one as long as it runs.
            _ => Some("it switched itself off or crashed".into()),
        }
    }

    /// Keeps a picture of its screen for the evidence. A guest without one has none.
    pub fn screen(&self) {
        let name = self.domain.name().unwrap_or_default();
        let command = format!("screendump {}", screen_path(&name));
        let flags = virt_sys::VIR_DOMAIN_QEMU_MONITOR_COMMAND_HMP;
        // A picture less spoils no verdict.
        let _ = tokio::task::block_in_place(|| self.domain.qemu_monitor_command(&command, flags));
    }
}

/// Where [`Machine::screen`] writes.
pub fn screen_path(domain: &str) -> String {
    format!("{STATE}/{domain}.ppm")
}
