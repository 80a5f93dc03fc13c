//! Filters bound to a device without a domain.

use super::error::LabError;
use super::libvirtd::Libvirt;
use super::ruleset;
use crate::frame::{Mac, mac_text};
use quick_xml::Writer;
use quick_xml::events::BytesText;
use std::ffi::CString;
use virt::connect::Connect;

/// What is bound to what.
#[derive(Debug, Clone, Copy)]
pub struct BindingSpec<'a> {
    /// The device, which must exist: libvirt lists a binding to one that is
    /// absent and filters nothing (measured: docs/measurements.md#M7).
    pub device: &'a str,
    /// The guest's MAC, the variable `MAC` of the filter.
    pub mac: Mac,
    /// Name of the filter.
    pub filter: &'a str,
    /// Parameters of its reference, in order.
    pub parameters: &'a [(String, String)],
}

/// A binding that libvirt holds. It is deleted when this is dropped.
#[derive(Debug)]
pub struct Binding {
    /// What was asked of libvirt, for evidence.
    pub xml: String,
    device: String,
    pointer: Option<virt_sys::virNWFilterBindingPtr>,
    /// Keeps the connection that the pointer belongs to.
    _connect: Connect,
}

/// An owner is mandatory and need not exist.
const OWNER: (&str, &str) = ("lanfence", "6f0b9c9e-0c0b-4c9a-9d6e-3a6d1d1f2b78");

impl Libvirt {
    /// Binds a filter to a device. The ruleset must be read afterwards: that
    /// libvirt says yes proves nothing.
    ///
    /// # Errors
    /// libvirt's words when it cannot make rules of the filter.
    pub fn bind(&self, spec: &BindingSpec<'_>) -> Result<Binding, LabError> {
        let doing = || format!("bind {} to {}", spec.filter, spec.device);
        let text = spec.xml();
        let xml = CString::new(text.as_str())
            .map_err(|_| LabError::system(doing(), std::io::ErrorKind::InvalidInput))?;
        let connect = self.connection();
        let pointer = tokio::task::block_in_place(|| {
            // SAFETY: the connection is open while `connect` lives, the XML outlives the call.
            unsafe { virt_sys::virNWFilterBindingCreateXML(connect.as_ptr(), xml.as_ptr(), 0) }
        });
        if pointer.is_null() {
            return Err(LabError::libvirt(
                doing(),
                &virt::error::Error::last_error(),
            ));
        }
        Ok(Binding {
            xml: text,
            device: spec.device.to_owned(),
            pointer: Some(pointer),
            _connect: connect,
        })
    }
}

impl Binding {
    /// Takes the filter away.
    ///
    /// # Errors
    /// libvirt's words when it cannot.
    pub fn remove(mut self) -> Result<(), LabError> {
        self.delete()?;
        ruleset::wait_for_rcu()
    }

    /// Leaves it to a libvirtd that will not run any longer.
    pub fn leave(mut self) {
        if let Some(pointer) = self.pointer.take() {
            // SAFETY: the pointer came from libvirt, and nobody has it any more.
            unsafe { virt_sys::virNWFilterBindingFree(pointer) };
        }
    }

    fn delete(&mut self) -> Result<(), LabError> {
        let Some(pointer) = self.pointer.take() else {
            return Ok(());
        };
        let deleted = tokio::task::block_in_place(|| {
            // SAFETY: the pointer came from libvirt and has not been freed: it was taken just now.
            unsafe { virt_sys::virNWFilterBindingDelete(pointer) }
        });
        let error = (deleted < 0).then(virt::error::Error::last_error);
        // SAFETY: as above, and nobody uses it after this.
        unsafe { virt_sys::virNWFilterBindingFree(pointer) };
        error.map_or(Ok(()), |error| {
            let doing = format!("take the filter from {}", self.device);
            Err(LabError::libvirt(doing, &error))
        })
    }
}

impl Drop for Binding {
    fn drop(&mut self) {
        // A lab that ends takes its rules along; nobody is left to be told.
        let _ = self.delete();
    }
}

impl BindingSpec<'_> {
    /// The `<filterbinding>` element; `linkdev` serves only the learning of addresses.
    fn xml(&self) -> String {
        let mut writer = Writer::new_with_indent(Vec::new(), b' ', 2);
        self.write(&mut writer).expect("writing to memory");
        String::from_utf8(writer.into_inner()).expect("quick-xml writes UTF-8")
    }

    fn write(&self, writer: &mut Writer<Vec<u8>>) -> std::io::Result<()> {
        let text = |name: &'static str, text: &'static str| {
            move |inside: &mut Writer<Vec<u8>>| {
                let element = inside.create_element(name);
                element.write_text_content(BytesText::new(text)).map(drop)
            }
        };
        let binding = writer.create_element("filterbinding");
        binding.write_inner_content(|inside| {
            let owner = inside.create_element("owner");
            owner.write_inner_content(|inside| {
                text("name", OWNER.0)(inside)?;
                text("uuid", OWNER.1)(inside)
            })?;
            let device = inside.create_element("portdev");
            device.with_attribute(("name", self.device)).write_empty()?;
            let mac = inside.create_element("mac");
            mac.with_attribute(("address", mac_text(self.mac).as_str()))
                .write_empty()?;
            let reference = inside.create_element("filterref");
            let reference = reference.with_attribute(("filter", self.filter));
            reference.write_inner_content(|inside| {
                for (name, value) in self.parameters {
                    let parameter = inside.create_element("parameter");
                    let attributes = [("name", name.as_str()), ("value", value.as_str())];
                    parameter.with_attributes(attributes).write_empty()?;
                }
                Ok(())
            })?;
            Ok(())
        })?;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn binding_xml() {
        let parameters = [("LAN".to_owned(), "192.168.1.0".to_owned())];
        let spec = BindingSpec {
            device: "tap1",
            mac: [0x52, 0x54, 0, 0, 1, 1],
            filter: "a'<b",
            parameters: &parameters,
        };
        insta::assert_snapshot!(spec.xml());
    }
}
