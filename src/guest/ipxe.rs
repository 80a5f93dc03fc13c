//! iPXE as a guest: a network stack and drivers that are not Linux's.

use super::boot::{Machine, Owned, forgotten};
use super::domain::{DomainSpec, Interface, domain_xml};
use super::error::GuestError;
use crate::lab::{Lab, PacketSocket, Sensor};

/// Starts the domain stopped, arms the tap's sensor and lets it run. What its
/// script does is seen on the network and in the serial log only.
///
/// # Errors
/// libvirt's words when it cannot start the domain.
pub async fn begin(
    lab: &Lab,
    spec: &DomainSpec<'_>,
    interface: &Interface,
) -> Result<Machine, GuestError> {
    forgotten(lab, spec.name).await?;
    let xml = domain_xml(spec, Some(interface));
    let domain = Owned(lab.libvirt.create_paused(&xml)?);
    let tap = Sensor::start("tap", PacketSocket::open(&interface.tap)?)?;
    domain.resume()?;
    Ok(Machine {
        tap,
        domain,
        interface: interface.clone(),
    })
}
