//! A guest that was booted once, without a NIC, and goes on from there in every cell.

use super::agent::AgentClient;
use super::boot::{Attached, Guest, attach, blame, connect, forgotten};
use super::console::Console;
use super::domain::{DomainSpec, console_path, domain_xml};
use super::error::GuestError;
use super::interface::Interface;
use super::owned::Owned;
use super::ready::{Patience, ready};
use super::typed::{Talk, say};
use crate::frame::to_hex;
use crate::lab::{Lab, Libvirt, PacketSocket, Sensor};
use lanfence_agent::Op;
use std::path::Path;
use std::time::{Duration, SystemTime, UNIX_EPOCH};
use virt::domain::Domain;

/// Longest wait for the first answer of a restored guest; 0.1 s here.
pub(super) const WAKE: Duration = Duration::from_secs(10);

/// What makes a restored guest differ from all others of the same state.
#[derive(Debug)]
pub struct Identity<'a> {
    /// Repeated in the READY line.
    pub nonce: &'a str,
    /// Random bytes for the guest's pool.
    pub seed: [u8; 32],
}

/// Boots the guest, with a NIC or without, to READY and writes its state to the file. What some
/// guests have to be told on the way there is the talk.
///
/// Nobody has opened the agent's port by then: a port that was open when the
/// state was saved would be reported to the guest as closed and opened anew.
///
/// # Errors
/// What became of the guest instead of READY, or libvirt's words when the state
/// cannot be written (a full disk, say).
pub async fn save(
    lab: &Lab,
    spec: &DomainSpec<'_>,
    interface: Option<&Interface>,
    talk: Option<&Talk>,
    file: &Path,
) -> Result<(), GuestError> {
    forgotten(lab, spec.name).await?;
    let domain = lab.libvirt.create_paused(&domain_xml(spec, interface))?;
    let domain = Owned::new(domain, lab);
    let mut console = connect(&console_path(spec.name)).await?;
    domain.resume()?;
    if let Some(talk) = talk {
        say(lab, spec.name, &mut console, talk).await?;
    }
    let console = Console::read(console);
    let patience = Patience::of_boot(spec.accel, lab.slowness, &domain);
    ready(console.state(), spec.nonce, patience).await?;
    Ok(Libvirt::save(&domain, file)?)
}

/// A restored guest that has answered and has no NIC yet.
#[derive(Debug)]
pub struct RestoredGuest(Attached);

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
    identity: &Identity<'_>,
) -> Result<RestoredGuest, GuestError> {
    forgotten(lab, name).await?;
    let domain = lab.libvirt.restore_paused(file, name, None)?;
    let domain = Owned::new(domain, lab);
    let mut attached = attach(lab, domain, name).await?;
    attached.domain.resume()?;
    let now = SystemTime::now().duration_since(UNIX_EPOCH);
    let wake = Op::Wake {
        nonce: identity.nonce.to_owned(),
        unix_ns: now.map_or(0, |since| {
            u64::try_from(since.as_nanos()).unwrap_or(u64::MAX)
        }),
        seed: to_hex(&identity.seed),
    };
    attached.agent.ask(wake, WAKE).await?;
    let patience = Patience::awake(WAKE, lab.slowness);
    ready(attached.console.state(), identity.nonce, patience).await?;
    Ok(RestoredGuest(attached))
}

impl RestoredGuest {
    /// Plugs the NIC and arms its tap's sensor. No frame of the guest is missed: its
    /// end of the NIC is down until the agent is told to use it ([`Op::Nic`]), which
    /// must not be part of what the agent is asked `meanwhile`. libvirt's work takes
    /// half a second with a filter, and most of it no CPU of the guest's.
    ///
    /// # Errors
    /// libvirt's words when QEMU has no such device or cannot plug it, or what
    /// `meanwhile` says.
    pub async fn plug<T, E: From<GuestError>>(
        self,
        interface: &Interface,
        meanwhile: impl AsyncFnOnce(&mut AgentClient) -> Result<T, E>,
    ) -> Result<(Guest, T), E> {
        let Self(mut attached) = self;
        let (domain, nic) = (Domain::clone(&attached.domain), interface.clone());
        let plug = tokio::task::spawn_blocking(move || {
            let plug = |nic: &Interface| Libvirt::plug_interface(&domain, &nic.xml());
            plug(&nic).map_err(|error| blame(error, &nic, plug))
        });
        let (plugged, asked) = tokio::join!(plug, meanwhile(&mut attached.agent));
        let plugged = plugged.unwrap_or_else(|panic| std::panic::resume_unwind(panic.into_panic()));
        plugged?;
        let socket = PacketSocket::open(&interface.tap).map_err(GuestError::from)?;
        let tap = Sensor::start("tap", socket).map_err(GuestError::from)?;
        Ok((attached.with_nic(tap, interface.clone()), asked?))
    }
}
