//! From a domain's XML to a guest that has said READY.

use super::agent::AgentClient;
use super::back_end;
use super::console::{Console, last_line};
use super::domain::{DomainSpec, agent_path, console_path, domain_xml, serial_log};
use super::error::{GuestError, ends};
use super::interface::{FilterRef, Interface};
use super::owned::Owned;
use super::ready::{Patience, ready};
use crate::lab::{Lab, LabError, Libvirt, PacketSocket, Sensor, ruleset};
use crate::report::model::BackEnd;
use std::time::{Duration, Instant};
use tokio::net::UnixStream;

/// Longest wait until libvirt has forgotten the cell's predecessor of the same
/// name; it is told of a domain's end within milliseconds.
const FORGET: Duration = Duration::from_secs(10);

/// How often libvirt is asked, since it has no event for it that the crate offers.
const LOOK: Duration = Duration::from_millis(3);

/// A running Linux guest. Dropping it ends the domain.
#[derive(Debug)]
pub struct Guest {
    /// Its agent.
    pub agent: AgentClient,
    /// The rest of it.
    pub machine: Machine,
}

/// A running domain with one NIC, whatever runs in it. Dropping it ends the domain.
#[derive(Debug)]
pub struct Machine {
    /// Frames at its tap, both ways.
    pub tap: Sensor,
    pub(super) domain: Owned,
    pub(super) interface: Interface,
}

/// Starts the domain stopped, arms the tap's sensor and the console, lets it
/// run and waits for READY with the right nonce. So no frame and no line of the
/// guest is missed.
///
/// # Errors
/// libvirt's words, or what became of the guest instead of READY.
pub async fn boot(
    lab: &Lab,
    spec: &DomainSpec<'_>,
    interface: &Interface,
) -> Result<Guest, GuestError> {
    forgotten(lab, spec.name).await?;
    let domain = create(lab, spec, interface)?;
    let tap = Sensor::start("tap", PacketSocket::open(&interface.tap)?)?;
    let attached = attach(lab, domain, spec.name).await?;
    attached.domain.resume()?;
    let patience = Patience::of_boot(spec.accel, lab.slowness, &attached.domain);
    ready(attached.console.state(), spec.nonce, patience).await?;
    Ok(attached.with_nic(tap, interface.clone()))
}

/// Starts the domain stopped.
pub(super) fn create(
    lab: &Lab,
    spec: &DomainSpec<'_>,
    interface: &Interface,
) -> Result<Owned, GuestError> {
    let try_with = |interface: &Interface| {
        let xml = domain_xml(spec, Some(interface));
        let domain = lab.libvirt.create_paused(&xml)?;
        Ok(Owned::new(domain, lab))
    };
    try_with(interface).map_err(|error| blame(error, interface, |bare| try_with(bare).map(drop)))
}

/// Whose fault it is that libvirt does not take a NIC: it is tried without its filter.
pub(super) fn blame(
    error: LabError,
    interface: &Interface,
    retry: impl FnOnce(&Interface) -> Result<(), LabError>,
) -> GuestError {
    let bare = Interface {
        filter: None,
        ..interface.clone()
    };
    if interface.filter.is_some() && retry(&bare).is_ok() {
        GuestError::Filter(error)
    } else {
        error.into()
    }
}

/// Waits until libvirt has no domain of this name.
pub(super) async fn forgotten(lab: &Lab, name: &str) -> Result<(), LabError> {
    let longest = lab.slowness.stretch(FORGET);
    let end = Instant::now() + longest;
    while lab.libvirt.has_domain(name) {
        if Instant::now() > end {
            return Err(LabError::Deadline {
                what: format!("the end of an earlier domain {name}"),
                deadline_ms: longest.as_millis(),
                slowness: lab.slowness,
                detail: String::new(),
            });
        }
        tokio::time::sleep(LOOK).await;
    }
    Ok(())
}

/// A domain whose console and agent's port are connected.
#[derive(Debug)]
pub(super) struct Attached {
    pub(super) agent: AgentClient,
    pub(super) domain: Owned,
    pub(super) console: Console,
}

/// Connects console and agent of a domain whose CPUs are stopped, so that no line is missed.
pub(super) async fn attach(lab: &Lab, domain: Owned, name: &str) -> Result<Attached, GuestError> {
    let console = console(name).await?;
    let agent = AgentClient::new(connect(&agent_path(name)).await?, &console, lab.slowness);
    Ok(Attached {
        agent,
        domain,
        console,
    })
}

impl Attached {
    pub(super) fn with_nic(self, tap: Sensor, interface: Interface) -> Guest {
        Guest {
            agent: self.agent,
            machine: Machine {
                tap,
                domain: self.domain,
                interface,
            },
        }
    }
}

/// Begins to read the console of a domain.
pub(super) async fn console(name: &str) -> Result<Console, GuestError> {
    Ok(Console::read(connect(&console_path(name)).await?))
}

pub(super) async fn connect(path: &str) -> Result<UnixStream, GuestError> {
    UnixStream::connect(path).await.map_err(|source| {
        LabError::File {
            path: path.into(),
            source,
        }
        .into()
    })
}

impl Machine {
    /// Puts the filter on the NIC, or takes it away.
    ///
    /// # Errors
    /// libvirt's words when it cannot bind the filter.
    pub fn set_filter(&mut self, filter: Option<FilterRef>) -> Result<(), GuestError> {
        let interface = Interface {
            filter,
            ..self.interface.clone()
        };
        Libvirt::update_interface(&self.domain, &interface.xml())?;
        self.interface = interface;
        Ok(ruleset::wait_for_rcu()?)
    }

    /// Pulls or plugs the NIC's cable.
    ///
    /// # Errors
    /// libvirt's words.
    pub fn set_link(&mut self, link: bool) -> Result<(), GuestError> {
        let interface = Interface {
            link,
            ..self.interface.clone()
        };
        Libvirt::update_interface(&self.domain, &interface.xml())?;
        self.interface = interface;
        Ok(())
    }

    /// Stops the guest's CPU.
    ///
    /// # Errors
    /// libvirt's words.
    pub fn pause(&self) -> Result<(), GuestError> {
        tokio::task::block_in_place(|| self.domain.suspend())
            .map(drop)
            .map_err(|error| LabError::libvirt("suspend the domain", &error).into())
    }

    /// Resets the guest, which ends a domain that is not to be started again.
    ///
    /// # Errors
    /// libvirt's words.
    pub fn reset(&self) -> Result<(), GuestError> {
        tokio::task::block_in_place(|| self.domain.reset())
            .map(drop)
            .map_err(|error| LabError::libvirt("reset the domain", &error).into())
    }

    /// Kills QEMU, as the kernel does where memory runs out, and waits for nothing.
    pub fn kill(&self) {
        self.domain.kill();
    }

    /// Lets the guest's CPU run again.
    ///
    /// # Errors
    /// libvirt's words.
    pub fn resume(&self) -> Result<(), GuestError> {
        self.domain.resume()
    }

    /// How its serial console ends, be that line finished or not.
    pub fn console_ends(&self) -> String {
        let name = self.domain.name().unwrap_or_default();
        ends(&last_line(
            &std::fs::read(serial_log(&name)).unwrap_or_default(),
        ))
    }

    /// Whether it runs: libvirt counts the domain among the running, and QEMU is there. libvirt
    /// hears of QEMU's end a moment later.
    pub fn alive(&self) -> bool {
        let active = tokio::task::block_in_place(|| self.domain.is_active()).unwrap_or(false);
        active && !self.domain.is_ending()
    }

    /// What carries the frames of its NIC, where that can be seen.
    pub fn back_end(&self) -> Option<BackEnd> {
        back_end::of_process(self.domain.process_number()?).ok()
    }

    /// The interface as it is now.
    pub fn interface(&self) -> &Interface {
        &self.interface
    }

    /// The domain's live XML.
    pub fn xml(&self) -> String {
        tokio::task::block_in_place(|| self.domain.xml_desc(0))
            .unwrap_or_else(|error| error.to_string())
    }
}
