//! The drive that a foreign guest boots from.

use super::foreign::{Clock, DiskBus, Format, MachineType, Manifest, Medium};
use super::xml::Xml;
use std::path::PathBuf;

/// A drive and the machine around it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Drive<'a> {
    /// What the manifest says.
    pub manifest: &'a Manifest,
    /// The overlay, or the image itself where nothing can be written.
    pub file: PathBuf,
    /// The format of that file.
    pub format: Format,
}

impl Drive<'_> {
    /// libvirt's machine type.
    pub(super) fn machine(&self) -> &'static str {
        match self.manifest.machine {
            MachineType::Pc => "pc",
            MachineType::Q35 => "q35",
        }
    }

    /// libvirt's clock offset.
    pub(super) fn clock(&self) -> &'static str {
        match self.manifest.clock {
            Clock::Utc => "utc",
            Clock::Localtime => "localtime",
        }
    }

    /// libvirt's boot device.
    pub(super) fn boot(&self) -> &'static str {
        match self.manifest.medium {
            Medium::Disk => "hd",
            Medium::Cdrom => "cdrom",
            Medium::Floppy => "fd",
        }
    }
}

/// The `<disk>` element.
pub(super) fn write(xml: &mut Xml, drive: &Drive<'_>) {
    let device = match drive.manifest.medium {
        Medium::Disk => "disk",
        Medium::Cdrom => "cdrom",
        Medium::Floppy => "floppy",
    };
    let (bus, dev) = match drive.manifest.bus {
        DiskBus::Ide => ("ide", "hda"),
        DiskBus::Sata => ("sata", "sda"),
        DiskBus::Scsi => ("scsi", "sda"),
        DiskBus::Virtio => ("virtio", "vda"),
        DiskBus::Fdc => ("fdc", "fda"),
    };
    xml.open("disk", &[("type", "file"), ("device", device)], |xml| {
        let format = drive.format.name();
        // What is thrown away need not survive the host's death.
        let driver = [("name", "qemu"), ("type", format), ("cache", "unsafe")];
        xml.empty("driver", &driver);
        xml.empty("source", &[("file", &drive.file.to_string_lossy())]);
        xml.empty("target", &[("dev", dev), ("bus", bus)]);
        if drive.manifest.medium == Medium::Cdrom {
            xml.empty("readonly", &[]);
        }
    });
}
