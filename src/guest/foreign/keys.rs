//! The words that keys of a manifest take.

use serde::{Deserialize, Serialize};

/// What the guest takes the image for.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Medium {
    /// A hard disk, written to through an overlay.
    #[default]
    Disk,
    /// A CD, which nobody can write to.
    Cdrom,
    /// A floppy disk, written to through an overlay.
    Floppy,
}

/// Machine types of QEMU.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum MachineType {
    /// i440FX of 1996: what old guests know.
    #[default]
    Pc,
    /// Q35 of 2009, with PCI Express.
    Q35,
}

/// What a disk is plugged into.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum DiskBus {
    /// PIIX3 IDE; machine `pc` only.
    Ide,
    /// AHCI.
    Sata,
    /// LSI 53C895A.
    Scsi,
    /// virtio-blk.
    Virtio,
    /// The floppy controller.
    Fdc,
}

/// What the real-time clock shows.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Clock {
    /// UTC, as Unix wants it.
    #[default]
    Utc,
    /// Local time, as DOS and Windows want it.
    Localtime,
}

/// `dhcp`
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Dhcp {
    /// It takes a lease.
    #[default]
    Bound,
    /// It may have a fixed address.
    Any,
}

/// `arp`
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Arp {
    /// It asks or announces.
    #[default]
    Seen,
    /// It may stay silent.
    Any,
}

/// `broadcast`
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Broadcast {
    /// It sends one, such as a NetBIOS name registration.
    Seen,
    /// It may send none.
    #[default]
    Any,
}

/// `wan`
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Wan {
    /// It tries to reach the WAN, so its cell must show that stopped.
    Attempted,
    /// It may not try: then only what the lab sends it from the WAN is shown stopped.
    #[default]
    Any,
}
