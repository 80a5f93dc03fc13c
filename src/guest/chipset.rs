//! The machines of PCs: a guest's NIC sits on PCI or on PCI Express.

use serde::{Deserialize, Serialize};
use std::fmt;

/// QEMU's two PCs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Chipset {
    /// With PCI: `pc`, which is also libvirt's choice where a definition names none.
    #[default]
    Pc,
    /// With PCI Express.
    Q35,
}

impl Chipset {
    /// That of a machine type in a domain's XML, such as `pc-q35-7.2`; none where it is no PC of
    /// these two (QEMU's `-machine help`).
    ///
    /// ```
    /// use lanfence::guest::Chipset;
    /// assert_eq!(Chipset::of_machine("pc-q35-7.2"), Some(Chipset::Q35));
    /// assert_eq!(Chipset::of_machine("pc-i440fx-7.2"), Some(Chipset::Pc));
    /// assert_eq!(Chipset::of_machine("microvm"), None);
    /// ```
    pub fn of_machine(machine: &str) -> Option<Self> {
        match machine {
            "q35" => Some(Self::Q35),
            "pc" => Some(Self::Pc),
            _ if machine.starts_with("pc-q35-") => Some(Self::Q35),
            _ if machine.starts_with("pc-i440fx-") => Some(Self::Pc),
            _ => None,
        }
    }

    /// libvirt's name of the newest machine of this kind.
    pub fn machine(self) -> &'static str {
        match self {
            Self::Pc => "pc",
            Self::Q35 => "q35",
        }
    }
}

impl fmt::Display for Chipset {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.machine())
    }
}
