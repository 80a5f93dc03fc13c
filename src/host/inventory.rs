//! Everything about a host's guests at one moment: one listing of each kind, one dump of the
//! rules, however many guests there are.

use super::error::HostError;
use super::fences::Fences;
use super::kernel::{self, Ruleset};
use super::libvirt::{self, Libvirt};
use crate::domain::{Domain as Definition, FilterBinding, Network, Snapshot};
use crate::nwfilter::evaluate::Backend;
use std::collections::HashMap;
use std::io::ErrorKind;
use virt::domain::Domain;
use virt::enumutil::Enum;
use virt::error::{Error, ErrorNumber};

/// What was looked at.
#[derive(Debug)]
pub struct Inventory {
    /// The guests, by name.
    pub guests: Vec<Guest>,
    /// The networks, by name.
    pub networks: HashMap<String, Network>,
    /// The XML of the filters, by name.
    pub filters: HashMap<String, String>,
    /// The bindings, by device.
    pub bindings: HashMap<String, FilterBinding>,
    /// What lanfence has fenced, or why that cannot be told.
    pub fences: Result<Fences, String>,
    /// The kernel's rules, or why they cannot be seen.
    pub rules: Result<Ruleset, String>,
    /// The back end of libvirt's nwfilter.
    pub backend: Backend,
    /// libvirt's version, 1,000,000 × major + 1,000 × minor + release.
    pub version: u32,
}

/// A guest with all definitions that it runs by or may run by.
#[derive(Debug)]
pub struct Guest {
    /// Its name.
    pub name: String,
    /// Its UUID.
    pub uuid: String,
    /// What it runs by; none where it does not run.
    pub live: Option<Defined>,
    /// What it will start by; none where it is transient.
    pub config: Option<Defined>,
    /// What it goes on by when it is started, where it was saved.
    pub saved: Option<Defined>,
    /// What a revert makes of it, by the snapshots' names.
    pub snapshots: Vec<(String, Snapshot)>,
    /// What could not be looked at.
    pub unseen: Vec<String>,
}

/// A definition with its text.
#[derive(Debug, Clone)]
pub struct Defined {
    /// As libvirt prints it.
    pub xml: String,
    /// The same, read.
    pub domain: Definition,
}

impl Defined {
    /// Reads a definition.
    ///
    /// # Errors
    /// When it is not understood.
    pub fn read(guest: &str, xml: String) -> Result<Self, HostError> {
        let domain = Definition::parse(&xml).map_err(|source| HostError::Domain {
            guest: guest.to_owned(),
            source,
        })?;
        Ok(Self { xml, domain })
    }
}

impl Inventory {
    /// Looks at everything.
    ///
    /// # Errors
    /// When libvirt does not answer. What only this user may not see is no error, and is told.
    pub fn take(libvirt: &Libvirt) -> Result<Self, HostError> {
        let mut guests = Vec::new();
        for domain in libvirt.guests()? {
            guests.extend(Guest::look(&domain)?);
        }
        guests.sort_by(|one, other| one.name.cmp(&other.name));
        Ok(Self {
            guests,
            ..Self::without_guests(libvirt)?
        })
    }

    /// Looks at one guest, and at what it needs.
    ///
    /// # Errors
    /// When libvirt does not answer, or there is no such guest.
    pub fn of_guest(libvirt: &Libvirt, name: &str) -> Result<Self, HostError> {
        let guest = Guest::look(&libvirt.guest(name)?)?;
        Ok(Self {
            guests: guest.into_iter().collect(),
            ..Self::without_guests(libvirt)?
        })
    }

    fn without_guests(libvirt: &Libvirt) -> Result<Self, HostError> {
        let filters = libvirt.filters()?.into_iter().collect();
        let bindings = libvirt.bindings()?;
        let bindings = bindings
            .iter()
            .filter_map(|xml| FilterBinding::parse(xml).ok());
        let bindings = bindings.map(|binding| (binding.device.clone(), binding));
        Ok(Self {
            guests: Vec::new(),
            networks: networks(libvirt)?,
            filters,
            bindings: bindings.collect(),
            backend: libvirt.backend()?,
            version: libvirt.version()?,
            fences: fences(),
            // Last, so that no guest is missed whose rules were made meanwhile.
            rules: rules(),
        })
    }

    /// Looks at the rules again.
    pub fn look_again(&mut self) {
        self.rules = rules();
    }

    /// Whether there is a guest of this UUID.
    pub fn has(&self, uuid: &str) -> bool {
        self.guests.iter().any(|guest| guest.uuid == uuid)
    }

    /// The guest of this name or UUID.
    pub fn guest(&self, name: &str) -> Option<&Guest> {
        let mut guests = self.guests.iter();
        guests.find(|guest| guest.name == name || guest.uuid == name)
    }
}

fn fences() -> Result<Fences, String> {
    let why = |error: HostError| match error {
        // What carries the filter is kept in mind again.
        HostError::File { ref source, .. } if source.kind() == ErrorKind::InvalidData => {
            format!(
                "{error}\n  cure: take the file away, then run `lanfence apply` for each guest again"
            )
        }
        other => other.to_string(),
    };
    Fences::read().map_err(why)
}

fn rules() -> Result<Ruleset, String> {
    let texts = kernel::read().map_err(|error| error.to_string())?;
    Ok(Ruleset::of(&texts))
}

/// The networks, those that are not understood left out: what uses them is unknown.
fn networks(libvirt: &Libvirt) -> Result<HashMap<String, Network>, HostError> {
    let all = libvirt.networks()?;
    let read = all
        .into_iter()
        .filter_map(|(name, xml)| Some((name, Network::parse(&xml).ok()?)));
    Ok(read.collect())
}

impl Guest {
    /// Looks at a guest; none where it is gone meanwhile.
    ///
    /// # Errors
    /// When libvirt does not answer.
    pub fn look(domain: &Domain) -> Result<Option<Self>, HostError> {
        match Self::try_look(domain) {
            Ok(guest) => Ok(Some(guest?)),
            Err(error) if error.code() == Enum::Known(ErrorNumber::NoDomain) => Ok(None),
            Err(error) => Err(HostError::libvirt("look at a guest", &error)),
        }
    }

    fn try_look(domain: &Domain) -> Result<Result<Self, HostError>, Error> {
        let name = domain.name()?;
        let mut guest = Self {
            uuid: domain.uuid_string()?,
            live: None,
            config: None,
            saved: None,
            snapshots: Vec::new(),
            unseen: Vec::new(),
            name,
        };
        let mut texts = [None, None];
        if domain.is_active()? {
            texts[0] = live_xml(domain)?;
        }
        if domain.is_persistent()? {
            texts[1] = Some(domain.xml_desc(virt_sys::VIR_DOMAIN_XML_INACTIVE)?);
        }
        match libvirt::saved_xml(domain) {
            Ok(saved) => {
                let saved = saved.map(|xml| Defined::read(&guest.name, xml)).transpose();
                guest.saved = match saved {
                    Ok(saved) => saved,
                    Err(error) => return Ok(Err(error)),
                };
            }
            Err(error) => guest
                .unseen
                .push(format!("its saved image: {}", error.message())),
        }
        guest.look_at_snapshots(domain);
        let [live, config] =
            texts.map(|xml| xml.map(|xml| Defined::read(&guest.name, xml)).transpose());
        match (live, config) {
            (Ok(live), Ok(config)) => {
                (guest.live, guest.config) = (live, config);
                Ok(Ok(guest))
            }
            (Err(error), _) | (_, Err(error)) => Ok(Err(error)),
        }
    }

    fn look_at_snapshots(&mut self, domain: &Domain) {
        let snapshots = match domain.list_all_snapshots(0) {
            Ok(snapshots) => snapshots,
            // Its driver knows no snapshots.
            Err(error) if error.code() == Enum::Known(ErrorNumber::NoSupport) => return,
            Err(error) => {
                self.unseen
                    .push(format!("its snapshots: {}", error.message()));
                return;
            }
        };
        for snapshot in snapshots {
            let name = snapshot.name().unwrap_or_default();
            let xml = snapshot.xml_desc(0);
            let xml = xml.map_err(|error| error.message().to_owned());
            let read = xml.and_then(|xml| Snapshot::parse(&xml).map_err(|error| error.to_string()));
            match read {
                Ok(read) => self.snapshots.push((name, read)),
                Err(why) => self.unseen.push(format!("its snapshot {name}: {why}")),
            }
        }
    }
}

/// What a guest runs by; none where it has ended meanwhile, since libvirt prints its persistent
/// definition then.
fn live_xml(domain: &Domain) -> Result<Option<String>, Error> {
    let xml = domain.xml_desc(0)?;
    Ok(domain.is_active()?.then_some(xml))
}
