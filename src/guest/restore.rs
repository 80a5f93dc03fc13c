//! A guest that was booted once, without a NIC, and goes on from there in every cell.

use super::boot::{Attached, Guest, Owned, attach, boot_deadline, console, forgotten, ready};
use super::domain::{DomainSpec, Interface, domain_xml};
use super::error::GuestError;
use crate::lab::{Lab, LabError, Libvirt, PacketSocket, Sensor};
use lanfence_agent::{Op, to_hex};
use std::path::Path;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// Longest wait for the first answer of a restored guest; 0.1 s here.
const WAKE: Duration = Duration::from_secs(10);

/// What makes a restored guest differ from all others of the same state.
#[derive(Debug)]
pub struct Life<'a> {
    /// Repeated in the READY line.
    pub nonce: &'a str,
    /// Random bytes for the guest's pool.
    pub seed: [u8; 32],
}

/// Boots the guest without a NIC to READY and writes its state to the file.
///
/// Nobody has opened the agent's port by then: a port that was open when the
/// state was saved would be reported to the guest as closed and opened anew.
///
/// # Errors
/// What became of the guest instead of READY, or libvirt's words when the state
/// cannot be written (a full disk, say).
pub async fn save(lab: &Lab, spec: &DomainSpec<'_>, file: &Path) -> Result<(), GuestError> {
    forgotten(lab, spec.name).await?;
    let domain = Owned(lab.libvirt.create_paused(&domain_xml(spec, None))?);
    let console = console(spec.name).await?;
    domain.resume()?;
    ready(console.state(), spec.nonce, boot_deadline(spec.accel)).await?;
    Ok(Libvirt::save(&domain.0, file)?)
}

/// A restored guest that has answered and has no NIC yet.
#[derive(Debug)]
pub struct Spare(Attached);

/// Goes on from the state in the file, which [`save`] has made of a domain of
/// this name, and makes the guest one of its own.
///
/// # Errors
/// libvirt's words when it or QEMU does not take the state, or what became of
/// the guest instead of its answer.
pub async fn restore(
    lab: &Lab,
    name: &str,
    file: &Path,
    life: &Life<'_>,
) -> Result<Spare, GuestError> {
    forgotten(lab, name).await?;
    let domain = Owned(lab.libvirt.restore_paused(file, name)?);
    let mut attached = attach(domain, name).await?;
    attached.domain.resume()?;
    let now = SystemTime::now().duration_since(UNIX_EPOCH);
    let wake = Op::Wake {
        nonce: life.nonce.to_owned(),
        unix_ns: now.map_or(0, |since| {
            u64::try_from(since.as_nanos()).unwrap_or(u64::MAX)
        }),
        seed: to_hex(&life.seed),
    };
    attached.agent.ask(wake, WAKE).await?;
    ready(attached.console.state(), life.nonce, WAKE).await?;
    Ok(Spare(attached))
}

impl Spare {
    /// Plugs the NIC while the CPUs stand still and arms its tap's sensor before
    /// they go on, so that no frame of the guest is missed.
    ///
    /// # Errors
    /// libvirt's words when QEMU has no such device or cannot plug it.
    pub fn plug(self, interface: &Interface) -> Result<Guest, GuestError> {
        let Self(attached) = self;
        tokio::task::block_in_place(|| attached.domain.0.suspend())
            .map_err(|error| LabError::libvirt("suspend the domain", &error))?;
        Libvirt::plug_interface(&attached.domain.0, &interface.xml())?;
        let tap = Sensor::start("tap", PacketSocket::open(&interface.tap)?)?;
        attached.domain.resume()?;
        Ok(attached.with_nic(tap, interface.clone()))
    }
}
