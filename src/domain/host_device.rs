//! Ways out of a guest that no filter of an interface sees.

use super::element::Element;
use std::fmt;
use std::ops::Range;

/// A device of the host, or a NIC behind libvirt's back, that may connect a guest.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HostDevice {
    /// Its bytes in the text that was parsed.
    pub span: Range<usize>,
    /// Which device it is.
    pub device: Device,
}

/// Which device of the host a guest has.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Device {
    /// A PCI function, `0000:03:00.0`; the host knows whether it is a NIC.
    Pci(String),
    /// A USB device, `0bda:8153` or `bus 1, device 4`.
    Usb(String),
    /// A mediated device, by its UUID.
    Mediated(String),
    /// A network interface of the host that a container takes.
    Net(String),
    /// A NIC that was given to QEMU itself: the argument behind libvirt's back.
    Argument(String),
}

impl fmt::Display for HostDevice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.device {
            Device::Pci(address) => write!(f, "the PCI device {address} of the host"),
            Device::Usb(name) => write!(f, "the USB device {name} of the host"),
            Device::Mediated(uuid) => write!(f, "the mediated device {uuid} of the host"),
            Device::Net(name) => write!(f, "the network interface {name} of the host"),
            Device::Argument(text) => write!(f, "a NIC from the argument `{text}` of QEMU"),
        }
    }
}

impl HostDevice {
    /// Those of a `<domain>`.
    pub(super) fn all(domain: &Element) -> Vec<Self> {
        let devices = domain
            .all("devices")
            .flat_map(|devices| devices.all("hostdev"));
        let mut found: Vec<Self> = devices.filter_map(Self::of).collect();
        let lines = domain.all("qemu:commandline");
        for line in lines {
            let arguments: Vec<&Element> = line.all("qemu:arg").collect();
            found.extend(arguments.windows(2).filter_map(Self::argument));
        }
        found
    }

    fn of(element: &Element) -> Option<Self> {
        let source = element.child("source")?;
        let device = match element.attribute("type").unwrap_or_default() {
            "pci" => Device::Pci(pci(source.child("address")?)),
            "usb" => Device::Usb(usb(source)?),
            "mdev" => {
                let address = source.child("address")?;
                Device::Mediated(address.attribute("uuid")?.to_owned())
            }
            "net" => Device::Net(source.child_text("interface")?),
            // Disks behind SCSI adapters.
            _ => return None,
        };
        Some(Self {
            span: element.span.clone(),
            device,
        })
    }

    /// What QEMU makes a NIC of: `-nic user`, `-netdev tap,…`, `-net nic`.
    fn argument(pair: &[&Element]) -> Option<Self> {
        let option = pair[0].attribute("value")?;
        let word = option.trim_start_matches('-');
        let connects = option.starts_with('-') && ["nic", "netdev", "net"].contains(&word);
        let value = pair[1].attribute("value")?;
        connects.then(|| Self {
            span: pair[0].span.start..pair[1].span.end,
            device: Device::Argument(format!("{option} {value}")),
        })
    }
}

/// `0000:03:00.0`, from `domain='0x0000' bus='0x03' slot='0x00' function='0x0'`.
fn pci(address: &Element) -> String {
    let part = |name: &str| {
        let value = address.attribute(name).unwrap_or("0");
        let parsed = match value.strip_prefix("0x") {
            Some(digits) => u32::from_str_radix(digits, 16),
            None => value.parse(),
        };
        parsed.unwrap_or_default()
    };
    format!(
        "{:04x}:{:02x}:{:02x}.{:x}",
        part("domain"),
        part("bus"),
        part("slot"),
        part("function")
    )
}

/// `0bda:8153` where vendor and product name it, else its place.
fn usb(source: &Element) -> Option<String> {
    let id = |name: &str| {
        let id = source.child_attribute(name, "id")?;
        Some(id.trim_start_matches("0x").to_owned())
    };
    if let (Some(vendor), Some(product)) = (id("vendor"), id("product")) {
        return Some(format!("{vendor}:{product}"));
    }
    let address = source.child("address")?;
    let (bus, device) = (address.attribute("bus")?, address.attribute("device")?);
    Some(format!("bus {bus}, device {device}"))
}
