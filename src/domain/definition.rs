//! A guest as libvirt defines it.

use super::element::Element;
use super::error::DomainError;
use super::host_device::HostDevice;
use super::interface::Interface;

/// What prints a domain.
const DUMPXML: &str = "give what `virsh dumpxml GUEST` prints";

/// What prints a snapshot.
const SNAPSHOT_DUMPXML: &str = "give what `virsh snapshot-dumpxml GUEST SNAPSHOT` prints";

/// A `<domain>`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Domain {
    /// The guest's name.
    pub name: String,
    /// Its UUID.
    pub uuid: Option<String>,
    /// What runs it: `kvm`, `qemu`, `lxc`.
    pub hypervisor: Option<String>,
    /// Its architecture, `x86_64`.
    pub arch: Option<String>,
    /// Its machine type, `pc-q35-7.2`.
    pub machine: Option<String>,
    /// Its network interfaces, in document order.
    pub interfaces: Vec<Interface>,
    /// Other ways out, which no filter sees: devices of the host and arguments of QEMU.
    pub hostdev_nics: Vec<HostDevice>,
}

/// A `<domainsnapshot>`: what a revert makes of a guest.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Snapshot {
    /// The snapshot's name.
    pub name: String,
    /// What the guest runs with after a revert.
    pub domain: Domain,
    /// What its persistent definition is after a revert, where that is another.
    pub inactive: Option<Domain>,
}

impl Domain {
    /// Reads what `virsh dumpxml` prints.
    ///
    /// # Errors
    /// A text that is no well-formed XML, that is another element, or that has no name.
    ///
    /// # Examples
    ///
    /// ```
    /// use lanfence::domain::{Domain, Kind};
    ///
    /// let xml = "<domain type='kvm'><name>web</name><devices><interface type='bridge'>\
    ///            <source bridge='br0'/><filterref filter='lan-only'/></interface></devices></domain>";
    /// let guest = Domain::parse(xml)?;
    /// let interface = &guest.interfaces[0];
    /// assert_eq!(interface.kind, Kind::Bridge);
    /// assert_eq!(interface.filterref().unwrap().filter, "lan-only");
    /// # Ok::<(), lanfence::domain::DomainError>(())
    /// ```
    pub fn parse(xml: &str) -> Result<Self, DomainError> {
        let root = root(xml, "domain", DUMPXML)?;
        Self::of(&root)
    }

    /// Reads what `virsh snapshot-dumpxml` prints: the snapshot's name, and the guest that
    /// runs after a revert to it. [`Snapshot::parse`] has its persistent definition too.
    ///
    /// # Errors
    /// As [`Domain::parse`], and a snapshot without a domain.
    pub fn parse_snapshot(xml: &str) -> Result<(String, Self), DomainError> {
        let snapshot = Snapshot::parse(xml)?;
        Ok((snapshot.name, snapshot.domain))
    }

    fn of(element: &Element) -> Result<Self, DomainError> {
        let os = element.child("os").and_then(|os| os.child("type"));
        let os = |name: &str| Some(os?.attribute(name)?.to_owned());
        let devices = element.all("devices");
        let interfaces = devices.flat_map(|devices| devices.all("interface"));
        Ok(Self {
            name: element.child_text("name").ok_or(DomainError::Missing {
                element: "domain",
                missing: "name",
            })?,
            uuid: element.child_text("uuid"),
            hypervisor: element.attribute("type").map(str::to_owned),
            arch: os("arch"),
            machine: os("machine"),
            interfaces: interfaces.map(Interface::of).collect(),
            hostdev_nics: HostDevice::all(element),
        })
    }

    /// The interfaces that a user means by this word: a MAC address, a device or an alias.
    pub fn interfaces_called<'a>(&'a self, word: &'a str) -> impl Iterator<Item = &'a Interface> {
        let interfaces = self.interfaces.iter();
        interfaces.filter(move |interface| interface.is_called(word))
    }
}

impl Snapshot {
    /// Reads what `virsh snapshot-dumpxml` prints.
    ///
    /// # Errors
    /// As [`Domain::parse`], and a snapshot without a domain.
    pub fn parse(xml: &str) -> Result<Self, DomainError> {
        let root = root(xml, "domainsnapshot", SNAPSHOT_DUMPXML)?;
        let missing = |missing| DomainError::Missing {
            element: "domainsnapshot",
            missing,
        };
        let name = root.child_text("name").ok_or(missing("name"))?;
        let inactive = root.child("inactiveDomain").map(Domain::of).transpose()?;
        let (domain, inactive) = match (root.child("domain"), inactive) {
            (Some(domain), inactive) => (Domain::of(domain)?, inactive),
            (None, Some(only)) => (only, None),
            (None, None) => return Err(missing("domain")),
        };
        Ok(Self {
            name,
            domain,
            inactive,
        })
    }
}

/// Reads a text whose element has this name.
pub(super) fn root(
    xml: &str,
    wanted: &'static str,
    cure: &'static str,
) -> Result<Element, DomainError> {
    let root = Element::parse(xml)?;
    if root.name == wanted {
        return Ok(root);
    }
    Err(DomainError::Root {
        found: root.name.chars().take(40).collect(),
        wanted,
        cure,
    })
}
