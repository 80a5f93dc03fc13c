//! NIC models: what the installed QEMU has, what libvirt calls it, and whether
//! the Linux guest can be given one here.

mod firmware;
mod qemu;
mod quirks;

pub use firmware::edk2_rom;
pub use qemu::{Device, devices};
pub use quirks::{Bus, Quirk, place, quirk};

use super::back_end::VHOST;
use super::error::GuestError;
use super::image::ImageContents;
use super::kind::GuestKind;
use crate::report::model::BackEnd;
use quirks::QUIRKS;
use std::collections::BTreeMap;

/// A NIC model of the matrix.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Nic {
    /// libvirt's name.
    pub name: String,
    /// QEMU's names: the device's and its alias.
    pub devices: Vec<String>,
    /// Why no guest can be given one here; none where one can.
    pub plug_skip: Option<String>,
    /// Why the Linux guest cannot use it here; none where it can.
    pub skip: Option<String>,
    /// Why a firmware cannot use it here, by firmware; one that can is not in it.
    pub firmware_skip: BTreeMap<GuestKind, String>,
}

/// Every model of the table and every further device that QEMU has, in the
/// order of the table, each with the reason where it cannot run.
pub fn nics(devices: &[Device], image: &ImageContents) -> Vec<Nic> {
    let known = QUIRKS.iter().map(|quirk| {
        let device = devices.iter().find(|device| device.name == quirk.device);
        let alias = device.and_then(|device| device.alias.clone());
        Nic {
            name: quirk.name.into(),
            devices: [Some(quirk.device.to_owned()), alias]
                .into_iter()
                .flatten()
                .collect(),
            plug_skip: device
                .map_or_else(|| Some(absent(quirk)), |_| quirk.unfit.map(str::to_owned)),
            skip: device.map_or_else(|| Some(absent(quirk)), |_| unfit(quirk, image)),
            firmware_skip: firmware_skip(|kind| match device {
                None => Some(absent(quirk)),
                Some(_) => firmware::unfit(kind, quirk, image),
            }),
        }
    });
    let strange = devices
        .iter()
        .filter(|device| QUIRKS.iter().all(|quirk| quirk.device != device.name));
    known.chain(strange.map(unknown)).collect()
}

fn absent(quirk: &Quirk) -> String {
    format!("QEMU here has no device {}", quirk.device)
}

/// The reasons of each firmware that has one.
fn firmware_skip(reason: impl Fn(&GuestKind) -> Option<String>) -> BTreeMap<GuestKind, String> {
    let all = GuestKind::FIRMWARE.into_iter();
    all.filter_map(|kind| Some((kind.clone(), reason(&kind)?)))
        .collect()
}

/// Why the Linux guest cannot use the model.
fn unfit(quirk: &Quirk, image: &ImageContents) -> Option<String> {
    let driver = quirk.driver;
    if let Some(reason) = quirk.unfit {
        return Some(reason.to_owned());
    }
    if quirk.back_end == Some(BackEnd::VhostNet) {
        return no_vhost();
    }
    if image.absent_modules.iter().any(|module| module == driver) {
        return Some(format!("the guest's kernel has no module `{driver}`"));
    }
    let firmware = quirk.firmware?;
    (!image.has_firmware(firmware)).then(|| {
        format!(
            "its Linux driver {driver} needs the firmware {firmware}, which Debian ships in non-free only and the guest image does not hold"
        )
    })
}

/// Why vhost-net cannot be used here.
fn no_vhost() -> Option<String> {
    let mut options = std::fs::File::options();
    let opened = options.read(true).write(true).open(VHOST);
    let error = opened.err()?;
    Some(format!(
        "{VHOST} cannot be opened: {error} (modprobe vhost_net, and write access to it)"
    ))
}

/// A device that is newer than the table: tried as an ordinary NIC where it goes into PCI.
fn unknown(device: &Device) -> Nic {
    let plugs = device.bus == "PCI";
    let skip = (!plugs).then(|| {
        format!(
            "lanfence does not know it, and it goes into bus `{}`, not PCI",
            device.bus
        )
    });
    let strange = "firmware is only tried on models that lanfence knows";
    Nic {
        name: device.name.clone(),
        devices: [Some(device.name.clone()), device.alias.clone()]
            .into_iter()
            .flatten()
            .collect(),
        plug_skip: skip.clone(),
        firmware_skip: firmware_skip(|_| Some(skip.clone().unwrap_or_else(|| strange.to_owned()))),
        skip,
    }
}

/// Finds a model by libvirt's name or one of QEMU's.
///
/// # Errors
/// [`GuestError::Nic`] with the names that begin alike.
pub fn find<'a>(nics: &'a [Nic], name: &str) -> Result<&'a Nic, GuestError> {
    let named = |nic: &&Nic| nic.name == name || nic.devices.iter().any(|device| device == name);
    if let Some(nic) = nics.iter().find(named) {
        return Ok(nic);
    }
    let head = name.get(..2).unwrap_or(name);
    let near: Vec<&str> = nics
        .iter()
        .map(|nic| nic.name.as_str())
        .filter(|near| near.starts_with(head))
        .collect();
    let nearest = if near.is_empty() {
        String::new()
    } else {
        format!("; it has {}", near.join(", "))
    };
    Err(GuestError::Nic {
        model: name.to_owned(),
        nearest,
    })
}

#[cfg(test)]
mod tests;
