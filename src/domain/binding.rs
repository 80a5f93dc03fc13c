//! libvirt's `<filterbinding>`: which device has which filter, as the daemon believes.

use super::definition::root;
use super::error::DomainError;
use super::interface::{filterref, mac};
use crate::frame::Mac;
use crate::nwfilter::FilterRef;

/// What prints a binding.
const DUMPXML: &str = "give what `virsh nwfilter-binding-dumpxml DEVICE` prints";

/// A `<filterbinding>`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FilterBinding {
    /// The device.
    pub device: String,
    /// The guest that it is for.
    pub owner: Option<String>,
    /// The guest's MAC.
    pub mac: Option<Mac>,
    /// The filter with its parameters.
    pub reference: FilterRef,
    /// The text, with which it can be made again.
    pub xml: String,
}

impl FilterBinding {
    /// Reads what `virsh nwfilter-binding-dumpxml` prints.
    ///
    /// # Errors
    /// A text that is no well-formed XML, or that names no device or no filter.
    pub fn parse(xml: &str) -> Result<Self, DomainError> {
        let element = root(xml, "filterbinding", DUMPXML)?;
        let missing = |missing| DomainError::Missing {
            element: "filterbinding",
            missing,
        };
        let device = element.child_attribute("portdev", "name");
        let reference = element.child("filterref").ok_or(missing("filterref"))?;
        let owner = element.child("owner");
        let address = element.child_attribute("mac", "address");
        Ok(Self {
            device: device.ok_or(missing("portdev"))?,
            owner: owner.and_then(|owner| owner.child_text("name")),
            mac: address.and_then(|address| mac(&address)),
            reference: filterref(reference),
            xml: xml.to_owned(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const XML: &str = "<filterbinding>\n  <owner>\n    <name>web</name>\n    <uuid>1</uuid>\n  </owner>\n  \
                       <portdev name='vnet0'/>\n  <mac address='52:54:00:00:00:01'/>\n  \
                       <filterref filter='lan-only'>\n    <parameter name='IP' value='192.168.1.2'/>\n  </filterref>\n</filterbinding>\n";

    #[test]
    fn a_binding_is_read_whole() {
        let binding = FilterBinding::parse(XML).unwrap();
        assert_eq!(binding.device, "vnet0");
        assert_eq!(binding.owner.as_deref(), Some("web"));
        assert_eq!(binding.mac, Some([0x52, 0x54, 0, 0, 0, 1]));
        assert_eq!(binding.reference.filter, "lan-only");
        let ip = ("IP".to_owned(), "192.168.1.2".to_owned());
        assert_eq!(binding.reference.parameters, [ip]);
    }

    #[test]
    fn what_names_no_device_or_filter_is_none() {
        for part in ["<portdev name='vnet0'/>", "<filterref filter='lan-only'>"] {
            let text = XML.replace(part, "").replace("</filterref>", "");
            assert!(FilterBinding::parse(&text).is_err(), "{part}");
        }
    }
}
