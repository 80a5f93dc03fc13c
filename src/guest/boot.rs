//! From a domain's XML to a guest that has said READY.

use super::accel::Accel;
use super::agent::{AgentClient, death};
use super::console::{Console, Snapshot, last_line};
use super::domain::{DomainSpec, agent_path, console_path, domain_xml, serial_log};
use super::error::{GuestError, ends};
use super::interface::{FilterRef, Interface};
use super::owned::Owned;
use crate::lab::{Lab, LabError, Libvirt, PacketSocket, Sensor, ruleset};
use std::time::{Duration, Instant};
use tokio::net::UnixStream;
use tokio::sync::watch;

/// Longest boot under emulation: 2.5 s here, ten times that on a busy machine.
const BOOT_TCG: Duration = Duration::from_secs(40);

/// Longest boot under KVM. Where KVM works a boot takes about a second; where it
/// only seems to work the guest hangs for ever (measured: docs/measurements.md#M27), and this
/// bounds the wait.
const BOOT_KVM: Duration = Duration::from_secs(10);

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
    let attached = attach(domain, spec.name).await?;
    attached.domain.resume()?;
    let deadline = boot_deadline(spec.accel);
    ready(attached.console.state(), spec.nonce, deadline).await?;
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
        Ok(Owned::new(domain, lab.shortcuts))
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
    let end = Instant::now() + FORGET;
    while lab.libvirt.has_domain(name) {
        if Instant::now() > end {
            return Err(LabError::Deadline {
                what: format!("the end of an earlier domain {name}"),
                deadline_ms: FORGET.as_millis(),
                detail: String::new(),
            });
        }
        tokio::time::sleep(LOOK).await;
    }
    Ok(())
}

/// Longest boot to READY.
pub(super) fn boot_deadline(accel: Accel) -> Duration {
    match accel {
        Accel::Kvm => BOOT_KVM,
        Accel::Tcg => BOOT_TCG,
    }
}

/// A domain whose console and agent's port are connected.
#[derive(Debug)]
pub(super) struct Attached {
    pub(super) agent: AgentClient,
    pub(super) domain: Owned,
    pub(super) console: Console,
}

/// Connects console and agent of a domain whose CPUs are stopped, so that no line is missed.
pub(super) async fn attach(domain: Owned, name: &str) -> Result<Attached, GuestError> {
    let console = console(name).await?;
    let agent = AgentClient::new(connect(&agent_path(name)).await?, &console);
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

/// Waits for the READY line with this nonce.
pub(super) async fn ready(
    mut console: watch::Receiver<Snapshot>,
    nonce: &str,
    deadline: Duration,
) -> Result<(), GuestError> {
    let waiting = "the guest's way to READY";
    let last = console.clone();
    let mut watched = console.clone();
    let said = async {
        loop {
            if console
                .borrow_and_update()
                .ready
                .as_ref()
                .is_some_and(|line| line.starts_with(nonce))
            {
                return;
            }
            if console.changed().await.is_err() {
                std::future::pending::<()>().await;
            }
        }
    };
    tokio::select! {
        () = said => Ok(()),
        error = death(&mut watched, "booting") => Err(error),
        () = tokio::time::sleep(deadline) => Err(GuestError::Deadline {
            waiting: waiting.into(),
            deadline_ms: deadline.as_millis(),
            last: last.borrow().last.clone(),
        }),
    }
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

    /// Whether libvirt still counts the domain among the running.
    pub fn alive(&self) -> bool {
        tokio::task::block_in_place(|| self.domain.is_active()).unwrap_or(false)
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
