//! The EDK2 guest: the firmware of UEFI machines, which has a network stack of its own, IPv6
//! included, and a driver for virtio's NIC; for other NICs it takes the driver from the NIC's
//! ROM. Its shell finds a script on a small disk.

mod boot_clients;
mod disk;
mod program;
mod script;
mod told;

pub use boot_clients::{HttpBoot, Pxe};

use super::firmware::{Firmware, Told};
use crate::guest::Image;
use crate::lab::LabError;
use crate::layout::{Host, Lan, Layout};
use std::net::Ipv6Addr;
use std::path::Path;

/// EDK2's shell.
#[derive(Debug)]
pub enum Edk2 {}

/// What the last but one group of the guest's own IPv6 address is, so that its solicited-node
/// group is not that of its link-local address, which the stack has joined already.
const GROUP: u16 = 0x0ed2;

impl Firmware for Edk2 {
    const NAME: &'static str = "EDK2";
    const IS_SAVED: bool = true;
    // 6 s for an echo, longer for a connection.
    const WAITS: bool = true;
    // It asks for a file's size and then anew for the file.
    const ASKS_SIZE: bool = true;

    fn tell(
        (name, _): (&str, &str),
        lan: &Lan,
        guest: &Host,
        run: Option<u32>,
    ) -> Result<Told, LabError> {
        told::told(name, run, &script::rounds(lan, guest), &[])
    }

    fn wakes(run: u32) -> String {
        told::wakes(run)
    }

    fn booted_from(image: &Image) -> Vec<&Path> {
        told::booted_from(image)
    }

    fn settle(layout: Layout) -> Layout {
        let bits = layout.guest.v6.to_bits() | u128::from(GROUP) << 16;
        let mut layout = layout;
        layout.guest.v6 = Ipv6Addr::from_bits(bits);
        layout
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::frame::solicited_node;
    use crate::policy::Policy;

    #[test]
    fn its_own_address_has_a_group_of_its_own_and_stays_in_the_prefix() {
        let lan = Lan::of(&Policy::example()).expect("the example has room");
        let layout = Edk2::settle(lan.layout(7, None));
        let guest = &layout.guest;
        assert!(lan.lan6.contains(&guest.v6));
        assert_ne!(solicited_node(guest.v6), solicited_node(guest.link_local));
        let other = Edk2::settle(lan.layout(8, None));
        assert_ne!(other.guest.v6, guest.v6);
    }
}
