//! From a domain's XML to a guest that has said READY.

use super::agent::{AgentClient, death};
use super::console::{Console, State};
use super::domain::{
    Accel, DomainSpec, FilterRef, Interface, agent_path, console_path, domain_xml,
};
use super::error::GuestError;
use crate::lab::{Lab, LabError, Libvirt, PacketSocket, Sensor};
use std::time::{Duration, Instant};
use tokio::net::UnixStream;
use tokio::sync::watch;
use virt::domain::Domain;

/// Longest boot under emulation: 2.5 s here, ten times that on a busy machine.
const BOOT_TCG: Duration = Duration::from_secs(40);

/// Longest boot under KVM. Where KVM works a boot takes about a second; where it
/// only seems to work the guest hangs for ever (measured), and this bounds the wait.
const BOOT_KVM: Duration = Duration::from_secs(10);

/// A running guest. Dropping it ends the domain.
#[derive(Debug)]
pub struct Guest {
    /// Its agent.
    pub agent: AgentClient,
    /// Frames at its tap, both ways.
    pub tap: Sensor,
    /// Milliseconds from resume to READY.
    pub boot_ms: u64,
    domain: Domain,
    interface: Interface,
}

/// Starts the domain stopped, arms the tap's sensor and the console, lets it
/// run and waits for READY with the right nonce. So no frame and no line of the
/// guest is missed.
pub async fn boot(lab: &Lab, spec: &DomainSpec<'_>) -> Result<Guest, GuestError> {
    let domain = Owned(Some(lab.libvirt.create_paused(&domain_xml(spec))?));
    let tap = Sensor::start("tap", PacketSocket::open(&spec.interface.tap)?)?;
    let console = Console::read(connect(&console_path(spec.name)).await?);
    let agent = AgentClient::new(connect(&agent_path(spec.name)).await?, &console);
    let started = Instant::now();
    let running = domain
        .0
        .as_ref()
        .expect("owned until the end of this function");
    tokio::task::block_in_place(|| running.resume())
        .map_err(|error| LabError::libvirt("resume the domain", &error))?;
    let deadline = if spec.accel == Accel::Kvm {
        BOOT_KVM
    } else {
        BOOT_TCG
    };
    ready(console.state(), spec.nonce, deadline).await?;
    let boot_ms = u64::try_from(started.elapsed().as_millis()).unwrap_or(u64::MAX);
    let interface = spec.interface.clone();
    Ok(Guest {
        agent,
        tap,
        boot_ms,
        domain: domain.release(),
        interface,
    })
}

/// Ends the domain on every way out of [`boot`].
struct Owned(Option<Domain>);

impl Owned {
    fn release(mut self) -> Domain {
        self.0.take().expect("released once")
    }
}

impl Drop for Owned {
    fn drop(&mut self) {
        if let Some(domain) = &self.0 {
            end(domain);
        }
    }
}

/// The monitor's `quit` takes 25-40 ms; destroying a running domain takes 1.6 s,
/// since libvirt waits for a SIGTERM that `-no-shutdown` makes QEMU ignore (measured).
fn end(domain: &Domain) {
    let quit = domain.qemu_monitor_command("quit", virt_sys::VIR_DOMAIN_QEMU_MONITOR_COMMAND_HMP);
    if quit.is_err() {
        // The monitor is gone with the process, or hangs; destroy settles both.
        let _ = domain.destroy();
    }
}

async fn connect(path: &str) -> Result<UnixStream, GuestError> {
    UnixStream::connect(path).await.map_err(|source| {
        LabError::File {
            path: path.into(),
            source,
        }
        .into()
    })
}

async fn ready(
    mut console: watch::Receiver<State>,
    nonce: &str,
    deadline: Duration,
) -> Result<(), GuestError> {
    let waiting = "the guest's boot to READY";
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

impl Guest {
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
        Ok(())
    }

    /// Pulls or plugs the NIC's cable.
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
    pub fn pause(&self) -> Result<(), GuestError> {
        tokio::task::block_in_place(|| self.domain.suspend())
            .map(drop)
            .map_err(|error| LabError::libvirt("suspend the domain", &error).into())
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

impl Drop for Guest {
    fn drop(&mut self) {
        end(&self.domain);
    }
}
