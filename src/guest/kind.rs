//! The kinds of guests that a cell can have.

use crate::probe::Shows;
use serde::{Deserialize, Serialize};
use std::convert::Infallible;
use std::fmt;
use std::str::FromStr;

/// What stands behind the filter in a cell. Read and written as one word: `linux`, `ipxe`,
/// `grub`, `uboot`, `edk2`, `edk2-pxe`, `edk2-http`, `tap`, or the name in a foreign guest's manifest, which may be none of these.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(from = "String", into = "String")]
pub enum GuestKind {
    /// The project's Linux guest with its agent.
    Linux,
    /// The iPXE firmware of a NIC.
    Ipxe,
    /// GRUB with its own stack over iPXE's drivers.
    Grub,
    /// U-Boot with its own stack and drivers.
    Uboot,
    /// EDK2, the firmware of UEFI machines.
    Edk2,
    /// The PXE client of EDK2.
    Edk2Pxe,
    /// The HTTP boot client of EDK2.
    Edk2Http,
    /// No guest: the lab itself holds the tap.
    Tap,
    /// The user's own disk image, by the name in its manifest.
    Foreign(String),
}

impl GuestKind {
    /// The kinds that lanfence brings along. Their words are taken: no manifest may use one.
    pub const OWN: [Self; 8] = [
        Self::Linux,
        Self::Ipxe,
        Self::Grub,
        Self::Uboot,
        Self::Edk2,
        Self::Edk2Pxe,
        Self::Edk2Http,
        Self::Tap,
    ];

    /// Those of them that are a firmware or boot loader with a network stack of its own.
    pub const FIRMWARE: [Self; 6] = [
        Self::Ipxe,
        Self::Grub,
        Self::Uboot,
        Self::Edk2,
        Self::Edk2Pxe,
        Self::Edk2Http,
    ];

    /// The word for it.
    pub fn word(&self) -> &str {
        match self {
            Self::Linux => "linux",
            Self::Ipxe => "ipxe",
            Self::Grub => "grub",
            Self::Uboot => "uboot",
            Self::Edk2 => "edk2",
            Self::Edk2Pxe => "edk2-pxe",
            Self::Edk2Http => "edk2-http",
            Self::Tap => "tap",
            Self::Foreign(name) => name,
        }
    }

    /// Whether a machine runs under QEMU in such a cell.
    pub fn has_machine(&self) -> bool {
        !matches!(self, Self::Tap)
    }

    /// Whether EDK2 runs in it.
    pub fn is_edk2(&self) -> bool {
        matches!(self, Self::Edk2 | Self::Edk2Pxe | Self::Edk2Http)
    }

    /// Whether there is a cell of it with this model: the boot clients of EDK2 stand above what
    /// drives the NIC, so EDK2's own driver and one from a ROM are enough for them.
    pub fn is_tried_with(&self, nic: &str) -> bool {
        let above = matches!(self, Self::Edk2Pxe | Self::Edk2Http);
        !above || matches!(nic, "virtio" | "pcnet")
    }

    /// What its stack can show where it is a firmware. U-Boot has no TCP, and PXE none either.
    pub fn shows(&self) -> Shows {
        Shows {
            web: matches!(self, Self::Ipxe | Self::Grub | Self::Edk2 | Self::Edk2Http),
            echo: *self == Self::Edk2,
            ipv6: *self == Self::Edk2,
        }
    }

    /// Whether one cell of this kind is enough to show what happens when a filter is
    /// attached to a running guest. Foreign guests all differ, so each is tried.
    pub fn is_uniform(&self) -> bool {
        !matches!(self, Self::Tap | Self::Foreign(_))
    }
}

impl FromStr for GuestKind {
    type Err = Infallible;

    fn from_str(word: &str) -> Result<Self, Infallible> {
        let found = Self::OWN.into_iter().find(|kind| kind.word() == word);
        Ok(found.unwrap_or_else(|| Self::Foreign(word.to_owned())))
    }
}

impl From<String> for GuestKind {
    fn from(word: String) -> Self {
        let Ok(kind) = word.parse();
        kind
    }
}

impl From<GuestKind> for String {
    fn from(kind: GuestKind) -> Self {
        kind.word().to_owned()
    }
}

impl fmt::Display for GuestKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.word())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_is_read_from_its_word() {
        let dos = GuestKind::Foreign("dos".into());
        for kind in GuestKind::OWN.into_iter().chain([dos]) {
            assert_eq!(GuestKind::from(kind.to_string()), kind);
        }
    }
}
