//! A network as libvirt defines it.

use super::definition::root;
use super::element::Element;
use super::error::DomainError;
use super::interface::virtualport;
use std::net::IpAddr;
use std::ops::Range;

/// A `<network>`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Network {
    /// Its name.
    pub name: String,
    /// Its UUID.
    pub uuid: Option<String>,
    /// How it is connected: `nat`, `route`, `open`, `bridge`, `hostdev`…; none where it is isolated.
    pub forward: Option<String>,
    /// Its bridge, libvirt's own or one of the host.
    pub bridge: Option<String>,
    /// The devices of the host that it hands out or forwards to.
    pub devices: Vec<String>,
    /// The type of its `<virtualport>`; empty where the element has none.
    pub virtualport: Option<String>,
    /// Its port groups.
    pub portgroups: Vec<PortGroup>,
    /// Its addresses on the bridge.
    pub addresses: Vec<NetworkAddress>,
    /// The bytes of filterrefs in it or its port groups, all of which libvirt drops.
    pub filterref_spans: Vec<Range<usize>>,
}

/// A `<portgroup>` of a network.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PortGroup {
    /// Its name.
    pub name: String,
    /// Whether interfaces that name no port group have this one.
    pub is_default: bool,
    /// The type of its `<virtualport>`; empty where the element has none.
    pub virtualport: Option<String>,
}

/// An address of a network on its bridge.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NetworkAddress {
    /// The host's address.
    pub address: IpAddr,
    /// The length of the prefix.
    pub prefix: u8,
    /// Whether libvirt serves DHCP there.
    pub dhcp: bool,
    /// The addresses that it leases, first and last of each range.
    pub ranges: Vec<(IpAddr, IpAddr)>,
}

impl Network {
    /// Whether libvirt serves DHCP in it.
    pub fn serves_dhcp(&self) -> bool {
        self.addresses.iter().any(|address| address.dhcp)
    }

    /// Reads what `virsh net-dumpxml` prints.
    ///
    /// # Errors
    /// A text that is no well-formed XML, that is another element, that has no name, or an
    /// address that is none.
    pub fn parse(xml: &str) -> Result<Self, DomainError> {
        let element = root(
            xml,
            "network",
            "give what `virsh net-dumpxml NETWORK` prints",
        )?;
        let groups = || element.all("portgroup");
        let inside = std::iter::once(&element).chain(groups());
        let forward = element.child("forward");
        let devices = forward
            .into_iter()
            .flat_map(|forward| forward.all("interface"));
        Ok(Self {
            name: element.child_text("name").ok_or(DomainError::Missing {
                element: "network",
                missing: "name",
            })?,
            uuid: element.child_text("uuid"),
            forward: forward.map(|found| found.attribute("mode").unwrap_or("nat").to_owned()),
            bridge: element.child_attribute("bridge", "name"),
            devices: devices
                .filter_map(|found| found.attribute("dev").map(str::to_owned))
                .collect(),
            virtualport: virtualport(&element),
            portgroups: groups().map(PortGroup::of).collect(),
            addresses: element
                .all("ip")
                .map(NetworkAddress::of)
                .collect::<Result<_, _>>()?,
            filterref_spans: inside
                .flat_map(|around| around.all("filterref"))
                .map(|found| found.span.clone())
                .collect(),
        })
    }

    /// Whether a filterref stands in it or in one of its port groups, where libvirt drops it.
    pub fn filterref_inside(&self) -> bool {
        !self.filterref_spans.is_empty()
    }

    /// The port group of an interface that names this one, or none.
    pub fn portgroup(&self, name: Option<&str>) -> Option<&PortGroup> {
        let mut groups = self.portgroups.iter();
        match name {
            Some(name) => groups.find(|group| group.name == name),
            None => groups.find(|group| group.is_default),
        }
    }
}

impl PortGroup {
    fn of(element: &Element) -> Self {
        Self {
            name: element.attribute("name").unwrap_or_default().to_owned(),
            is_default: element.attribute("default") == Some("yes"),
            virtualport: virtualport(element),
        }
    }
}

impl NetworkAddress {
    fn of(element: &Element) -> Result<Self, DomainError> {
        let address = address(element, "address")?;
        let dhcp = element.child("dhcp");
        let ranges = dhcp.into_iter().flat_map(|dhcp| dhcp.all("range"));
        let range = |range| Ok((self::address(range, "start")?, self::address(range, "end")?));
        Ok(Self {
            address,
            prefix: prefix(element, address)?,
            dhcp: dhcp.is_some(),
            ranges: ranges.map(range).collect::<Result<_, _>>()?,
        })
    }

    /// Its family, in libvirt's word.
    pub fn family(&self) -> &'static str {
        match self.address {
            IpAddr::V4(_) => "ipv4",
            IpAddr::V6(_) => "ipv6",
        }
    }
}

fn address(element: &Element, what: &'static str) -> Result<IpAddr, DomainError> {
    let value = element.attribute(what).unwrap_or_default();
    value.parse().map_err(|_| DomainError::Address {
        what,
        value: value.to_owned(),
    })
}

/// The prefix's length from `prefix` or `netmask`, else the one that libvirt takes.
fn prefix(element: &Element, address: IpAddr) -> Result<u8, DomainError> {
    let wrong = |what, value: &str| DomainError::Address {
        what,
        value: value.to_owned(),
    };
    let most = if address.is_ipv4() { 32 } else { 128 };
    if let Some(value) = element.attribute("prefix") {
        let prefix = value.parse().ok().filter(|prefix| *prefix <= most);
        return prefix.ok_or_else(|| wrong("prefix", value));
    }
    if let Some(value) = element.attribute("netmask") {
        let mask = value.parse().ok();
        let prefix = mask.and_then(|mask| ipnet::ip_mask_to_prefix(mask).ok());
        return prefix.ok_or_else(|| wrong("netmask", value));
    }
    Ok(match address {
        IpAddr::V6(_) => 64,
        // The classes of RFC 791, as `virSocketAddrGetIPPrefix` has them.
        IpAddr::V4(v4) => match v4.octets()[0] {
            0..=127 => 8,
            128..=191 => 16,
            _ => 24,
        },
    })
}
