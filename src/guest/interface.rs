//! The guest's NIC as an element of the domain's XML.

use super::models::{Bus, quirk};
use super::xml::Xml;
use crate::frame::{Mac, mac_text};
use crate::lab::BRIDGE;
use crate::report::model::BackEnd;
use std::path::PathBuf;

/// A filter on an interface, with parameters.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FilterRef {
    /// Name of the filter.
    pub filter: String,
    /// Parameters, in order.
    pub parameters: Vec<(String, String)>,
}

/// The guest's one NIC.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Interface {
    /// libvirt's model name.
    pub model: String,
    /// MAC address.
    pub mac: Mac,
    /// Name of the tap.
    pub tap: String,
    /// Whether its link is up.
    pub link: bool,
    /// The file of its option ROM, if it has one.
    pub rom: Option<PathBuf>,
    /// The filter, if any.
    pub filter: Option<FilterRef>,
}

impl Interface {
    /// The `<interface>` element, for start and update alike.
    pub fn xml(&self) -> String {
        let mut xml = Xml::new();
        self.write(&mut xml);
        xml.finish()
    }

    pub(super) fn write(&self, xml: &mut Xml) {
        xml.open("interface", &[("type", "bridge")], |xml| {
            xml.empty("mac", &[("address", &mac_text(self.mac))]);
            xml.empty("source", &[("bridge", BRIDGE)]);
            xml.empty("target", &[("dev", &self.tap)]);
            let quirk = quirk(&self.model);
            let model = quirk.libvirt_model().unwrap_or(&self.model);
            xml.empty("model", &[("type", model)]);
            if let Some(back_end) = quirk.back_end {
                let name = match back_end {
                    BackEnd::VhostNet => "vhost",
                    BackEnd::Qemu => "qemu",
                };
                xml.empty("driver", &[("name", name)]);
            }
            xml.empty("link", &[("state", if self.link { "up" } else { "down" })]);
            // The guest never boots from the network; a boot ROM only costs time, unless the
            // firmware takes its driver from there.
            // libvirt refuses to hear of a ROM where there is no PCI.
            match (quirk.bus, &self.rom) {
                (Bus::Pci, Some(rom)) => xml.empty("rom", &[("file", &rom.to_string_lossy())]),
                (Bus::Pci, None) => xml.empty("rom", &[("enabled", "no")]),
                // libvirt 9.0 looks for a PCI slot unless told the port (measured:
                // docs/measurements.md#M26).
                (Bus::Usb, _) => {
                    xml.empty("address", &[("type", "usb"), ("bus", "0"), ("port", "1")]);
                }
                (Bus::Isa | Bus::None, _) => {}
            }
            if let Some(filter) = &self.filter {
                xml.open("filterref", &[("filter", &filter.filter)], |xml| {
                    for (name, value) in &filter.parameters {
                        xml.empty("parameter", &[("name", name), ("value", value)]);
                    }
                });
            }
        });
    }
}
