//! One network interface of a guest.

use super::element::Element;
use crate::frame::{Mac, mac_text};
use crate::nwfilter::FilterRef;
use std::fmt;
use std::ops::Range;

/// An `<interface>` of a domain.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Interface {
    /// Its bytes in the text that was parsed.
    pub span: Range<usize>,
    /// What it is connected to.
    pub kind: Kind,
    /// What its kind names as the other end: the bridge, the network or the device.
    pub source: Option<String>,
    /// The network, which the definition of a running guest names beside what it is made of.
    pub network: Option<String>,
    /// The bridge, which the definition of a running guest names too.
    pub bridge: Option<String>,
    /// The port group of the network.
    pub portgroup: Option<String>,
    /// Its MAC address; none where libvirt has yet to make one up.
    pub mac: Option<Mac>,
    /// The device of the host, `vnet0`.
    pub target: Option<String>,
    /// Its alias, `net0` or `ua-…`.
    pub alias: Option<String>,
    /// The NIC model.
    pub model: Option<String>,
    /// Who carries the frames of a virtio NIC, where the definition pins it: `qemu` or `vhost`.
    pub driver: Option<String>,
    /// What runs the other end, where another than usual does: `passt`.
    pub backend: Option<String>,
    /// The type of its `<virtualport>`; empty where the element has none.
    pub virtualport: Option<String>,
    /// Its filters; libvirt keeps one, text from an editor may have more.
    pub filterrefs: Vec<FilterRef>,
    /// The bytes of each filterref in the text that was parsed.
    pub filterref_spans: Vec<Range<usize>>,
    /// Whether its cable is unplugged.
    pub link_down: bool,
}

/// What an interface is connected to: its `type`.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Kind {
    /// A bridge of the host.
    Bridge,
    /// A network of libvirt.
    Network,
    /// A tap that libvirt puts into no bridge.
    Ethernet,
    /// macvtap on a device of the host.
    Direct,
    /// User mode: slirp or passt.
    User,
    /// A switch in another process.
    VhostUser,
    /// A PCI function of the host's NIC.
    Hostdev,
    /// A vDPA device.
    Vdpa,
    /// A UDP tunnel to another QEMU.
    Udp,
    /// A multicast group that guests share.
    Mcast,
    /// A TCP tunnel, its listening end.
    Server,
    /// A TCP tunnel, its other end.
    Client,
    /// A network of VirtualBox.
    Internal,
    /// Nothing.
    Null,
    /// A switch of VMware.
    Vds,
    /// One that lanfence does not know.
    Other(String),
}

impl Kind {
    /// The kind of a `type`.
    fn of(word: &str) -> Self {
        match word {
            "bridge" => Self::Bridge,
            "network" => Self::Network,
            "ethernet" => Self::Ethernet,
            "direct" => Self::Direct,
            "user" => Self::User,
            "vhostuser" => Self::VhostUser,
            "hostdev" => Self::Hostdev,
            "vdpa" => Self::Vdpa,
            "udp" => Self::Udp,
            "mcast" => Self::Mcast,
            "server" => Self::Server,
            "client" => Self::Client,
            "internal" => Self::Internal,
            "null" => Self::Null,
            "vds" => Self::Vds,
            other => Self::Other(other.to_owned()),
        }
    }

    /// The `type`.
    pub fn word(&self) -> &str {
        match self {
            Self::Bridge => "bridge",
            Self::Network => "network",
            Self::Ethernet => "ethernet",
            Self::Direct => "direct",
            Self::User => "user",
            Self::VhostUser => "vhostuser",
            Self::Hostdev => "hostdev",
            Self::Vdpa => "vdpa",
            Self::Udp => "udp",
            Self::Mcast => "mcast",
            Self::Server => "server",
            Self::Client => "client",
            Self::Internal => "internal",
            Self::Null => "null",
            Self::Vds => "vds",
            Self::Other(word) => word,
        }
    }

    /// The attribute of `<source>` that names the other end.
    fn source_attribute(&self) -> &'static str {
        match self {
            Self::Bridge => "bridge",
            Self::Network => "network",
            Self::Internal => "name",
            Self::VhostUser => "path",
            Self::Udp | Self::Mcast | Self::Server | Self::Client => "address",
            Self::Vds => "switchid",
            _ => "dev",
        }
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.word())
    }
}

impl Interface {
    /// Reads an `<interface>`.
    pub(super) fn of(element: &Element) -> Self {
        let kind = Kind::of(element.attribute("type").unwrap_or_default());
        let source = |attribute| element.child_attribute("source", attribute);
        let references = || element.all("filterref");
        Self {
            span: element.span.clone(),
            source: source(kind.source_attribute()),
            kind,
            network: source("network"),
            bridge: source("bridge"),
            portgroup: source("portgroup"),
            mac: element
                .child_attribute("mac", "address")
                .and_then(|text| mac(&text)),
            target: element.child_attribute("target", "dev"),
            alias: element.child_attribute("alias", "name"),
            model: element.child_attribute("model", "type"),
            driver: element.child_attribute("driver", "name"),
            backend: element.child_attribute("backend", "type"),
            virtualport: virtualport(element),
            filterrefs: references().map(filterref).collect(),
            filterref_spans: references().map(|found| found.span.clone()).collect(),
            link_down: element.child_attribute("link", "state").as_deref() == Some("down"),
        }
    }

    /// How messages name it: by its MAC address, else by its device or alias, else by its kind.
    pub fn label(&self) -> String {
        let named = || self.target.clone().or_else(|| self.alias.clone());
        match (self.mac.map(mac_text), named()) {
            (Some(mac), _) => mac,
            (None, Some(name)) => name,
            (None, None) => format!("of type {}", self.kind),
        }
    }

    /// Whether a user means it by this word: its MAC address, its device or its alias.
    pub fn is_called(&self, word: &str) -> bool {
        let name = Some(word);
        let by_mac = mac(word).is_some_and(|mac| self.mac == Some(mac));
        by_mac || self.target.as_deref() == name || self.alias.as_deref() == name
    }

    /// Its filter, where it has exactly one.
    pub fn filterref(&self) -> Option<&FilterRef> {
        match self.filterrefs.as_slice() {
            [one] => Some(one),
            _ => None,
        }
    }
}

/// The type of an element's `<virtualport>`; empty where it names none.
pub(super) fn virtualport(element: &Element) -> Option<String> {
    let port = element.child("virtualport")?;
    Some(port.attribute("type").unwrap_or_default().to_owned())
}

/// A reference with its parameters in document order.
pub(super) fn filterref(element: &Element) -> FilterRef {
    let parameters = element.all("parameter").filter_map(|parameter| {
        let (name, value) = (parameter.attribute("name")?, parameter.attribute("value")?);
        Some((name.to_owned(), value.to_owned()))
    });
    FilterRef {
        filter: element.attribute("filter").unwrap_or_default().to_owned(),
        parameters: parameters.collect(),
    }
}

/// A MAC address as libvirt reads it: one digit of an octet is enough.
pub(super) fn mac(text: &str) -> Option<Mac> {
    let mut octets = [0; 6];
    let mut parts = text.trim().split(':');
    for octet in &mut octets {
        let part = parts.next().filter(|part| (1..=2).contains(&part.len()))?;
        let digits = part.bytes().all(|byte| byte.is_ascii_hexdigit());
        *octet = digits.then(|| u8::from_str_radix(part, 16).ok())??;
    }
    parts.next().is_none().then_some(octets)
}
