//! Which interfaces of the host's guests are meant.

use super::reason::Definition;
use crate::domain::Interface;
use crate::host::error::HostError;
use crate::host::inventory::{Defined, Guest, Inventory};
use crate::host::links;

/// Which interfaces are meant.
#[derive(Debug, Clone, Default)]
pub struct Scope {
    /// Names or UUIDs of guests; all where none is named.
    pub guests: Vec<String>,
    /// Bridges; an interface on another is left out.
    pub bridges: Vec<String>,
    /// Networks of libvirt.
    pub networks: Vec<String>,
    /// The one interface that is called so.
    pub interface: Option<String>,
}

/// An interface as its guest's definitions have it.
#[derive(Debug, Clone, Copy)]
pub struct Subject<'a> {
    /// The guest.
    pub guest: &'a Guest,
    /// What it runs by.
    pub live: Option<&'a Interface>,
    /// What it will start by.
    pub config: Option<&'a Interface>,
    /// What it goes on by, where it was saved.
    pub saved: Option<&'a Interface>,
}

impl Scope {
    /// Whether it names no guest, bridge or network.
    pub fn is_everything(&self) -> bool {
        self.guests.is_empty() && self.bridges.is_empty() && self.networks.is_empty()
    }

    /// That the guests, bridges, networks and the interface that it names are there: a name that means
    /// nothing must not pass for one with which all is well.
    ///
    /// # Errors
    /// The first that is not.
    pub fn check(&self, inventory: &Inventory) -> Result<(), HostError> {
        let no_guest = |name: &&String| inventory.guest(name).is_none();
        if let Some(name) = self.guests.iter().find(no_guest) {
            return Err(HostError::refused(
                format!("there is no guest {name}"),
                "`virsh list --all` shows the guests; --connect names another libvirt",
            ));
        }
        let no_network = |name: &&String| !inventory.networks.contains_key(*name);
        if let Some(name) = self.networks.iter().find(no_network) {
            return Err(HostError::refused(
                format!("libvirt has no network {name}"),
                "`virsh net-list --all` shows them",
            ));
        }
        let is_used = |name: &str| {
            let mut all = inventory.guests.iter().flat_map(subjects);
            all.any(|it| bridge(it.interface(), inventory).as_deref() == Some(name))
        };
        let no_bridge = |name: &&String| !links::exists(name) && !is_used(name);
        if let Some(name) = self.bridges.iter().find(no_bridge) {
            return Err(HostError::refused(
                format!("there is no bridge {name}, and no guest is to be on one of that name"),
                "`ip link show type bridge` shows the bridges",
            ));
        }
        match &self.interface {
            Some(word) if self.subjects(inventory).is_empty() => Err(HostError::refused(
                format!("no interface that is meant is called {word}"),
                "`virsh domiflist GUEST` shows a guest's interfaces; MAC, device and alias are taken",
            )),
            _ => Ok(()),
        }
    }

    /// The interfaces that are meant.
    pub fn subjects<'a>(&self, inventory: &'a Inventory) -> Vec<Subject<'a>> {
        let guests = inventory.guests.iter();
        let subjects = guests.flat_map(subjects);
        let meant = subjects.filter(|subject| self.means(subject, inventory));
        meant.collect()
    }

    /// Whether it means all of a guest, whatever its interfaces.
    pub fn means_guest(&self, guest: &Guest) -> bool {
        let named = |name: &String| *name == guest.name || *name == guest.uuid;
        self.interface.is_none() && (self.is_everything() || self.guests.iter().any(named))
    }

    fn means(&self, subject: &Subject<'_>, inventory: &Inventory) -> bool {
        let guest = subject.guest;
        let named = |name: &String| *name == guest.name || *name == guest.uuid;
        let by_guest = self.guests.iter().any(named);
        let interface = subject.interface();
        let bridge = bridge(interface, inventory);
        let by_bridge = bridge.is_some_and(|bridge| self.bridges.contains(&bridge));
        let by_network = interface
            .network
            .as_ref()
            .is_some_and(|network| self.networks.contains(network));
        let called = self.interface.as_deref().is_none_or(|word| {
            let all = [subject.live, subject.config, subject.saved];
            all.into_iter().flatten().any(|one| one.is_called(word))
        });
        called && (self.is_everything() || by_guest || by_bridge || by_network)
    }
}

impl<'a> Subject<'a> {
    /// The live interface, else that of the persistent definition, else that of the saved image.
    pub fn interface(&self) -> &'a Interface {
        let first = self.live.or(self.config).or(self.saved);
        first.expect("it is in one of them")
    }

    /// The definition that [`Subject::interface`] is of.
    pub fn definition(&self) -> Definition {
        match (self.live, self.config) {
            (Some(_), _) => Definition::Live,
            (None, Some(_)) => Definition::Config,
            (None, None) => Definition::Saved,
        }
    }
}

/// The interfaces of a guest: those that it runs by with their persistent and saved selves, then those
/// that it will only have at its next start.
fn subjects(guest: &Guest) -> Vec<Subject<'_>> {
    let mut out: Vec<Subject<'_>> = Vec::new();
    for live in interfaces(guest.live.as_ref()) {
        out.push(Subject {
            guest,
            live: Some(live),
            config: None,
            saved: None,
        });
    }
    for config in interfaces(guest.config.as_ref()) {
        let free = |it: &&mut Subject<'_>| it.config.is_none() && it.interface().mac == config.mac;
        match out.iter_mut().find(free) {
            Some(same) => same.config = Some(config),
            None => out.push(Subject {
                guest,
                live: None,
                config: Some(config),
                saved: None,
            }),
        }
    }
    for saved in interfaces(guest.saved.as_ref()) {
        let free = |it: &&mut Subject<'_>| it.saved.is_none() && it.interface().mac == saved.mac;
        match out.iter_mut().find(free) {
            Some(same) => same.saved = Some(saved),
            None => out.push(Subject {
                guest,
                live: None,
                config: None,
                saved: Some(saved),
            }),
        }
    }
    out
}

fn interfaces(defined: Option<&Defined>) -> impl Iterator<Item = &Interface> {
    defined.into_iter().flat_map(|one| &one.domain.interfaces)
}

/// Where an interface is, in one word: its network's or its own bridge, else whatever it is connected to.
pub fn place(interface: &Interface, inventory: &Inventory) -> String {
    bridge(interface, inventory)
        .or_else(|| interface.network.clone())
        .or_else(|| interface.source.clone())
        .unwrap_or_else(|| interface.kind.to_string())
}

/// The bridge that an interface is to be on, as far as the definitions tell.
pub fn bridge(interface: &Interface, inventory: &Inventory) -> Option<String> {
    let of_network = || {
        let name = interface.network.as_ref()?;
        inventory.networks.get(name)?.bridge.clone()
    };
    interface.bridge.clone().or_else(of_network)
}
