//! The machines that U-Boot is a guest of: it has drivers of its own for few NICs, and not all of
//! them are in the same build.

use super::kind::GuestKind;
use crate::lab::{EMULATOR, MIPS_EMULATOR};

/// A machine, with the U-Boot that is built for it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Board {
    /// A PC: virtio-net and Intel's gigabit NICs.
    Pc,
    /// MIPS Malta, little-endian: AMD's pcnet. No x86 host has a KVM for it.
    Malta,
}

impl Board {
    /// The machine whose U-Boot is asked to use a NIC of this model.
    pub fn of_nic(nic: &str) -> Self {
        if nic == "pcnet" {
            Self::Malta
        } else {
            Self::Pc
        }
    }

    /// The machine of a cell's guest.
    pub fn of_cell(kind: &GuestKind, nic: &str) -> Self {
        if *kind == GuestKind::Uboot {
            Self::of_nic(nic)
        } else {
            Self::Pc
        }
    }

    /// What it runs in.
    pub fn emulator(self) -> &'static str {
        match self {
            Self::Pc => EMULATOR,
            Self::Malta => MIPS_EMULATOR,
        }
    }

    /// libvirt's names of the architecture and the machine.
    pub fn names(self) -> (&'static str, &'static str) {
        match self {
            Self::Pc => ("x86_64", "pc"),
            Self::Malta => ("mipsel", "malta"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_u_boot_on_pcnet_is_no_pc() {
        let board = |kind, nic| Board::of_cell(&kind, nic);
        assert_eq!(board(GuestKind::Uboot, "pcnet"), Board::Malta);
        assert_eq!(board(GuestKind::Uboot, "e1000"), Board::Pc);
        assert_eq!(board(GuestKind::Grub, "pcnet"), Board::Pc);
        assert_ne!(Board::Pc.emulator(), Board::Malta.emulator());
    }
}
