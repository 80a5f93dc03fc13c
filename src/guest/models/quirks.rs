//! The one table of what is peculiar about each NIC model, with the reason and the source.

use crate::report::model::BackEnd;
use std::time::Duration;

/// What a NIC is plugged into.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Bus {
    /// PCI or PCI Express.
    Pci,
    /// USB; the domain needs a controller for it.
    Usb,
    /// ISA: no slot that libvirt could plug it into.
    Isa,
    /// No bus that an x86 machine has for a NIC of its own.
    None,
}

/// One NIC model.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Quirk {
    /// libvirt's name of the model.
    pub name: &'static str,
    /// QEMU's name of the device.
    pub device: &'static str,
    /// What it is plugged into.
    pub bus: Bus,
    /// Whether a running guest can be given one; else it must be there at boot.
    pub hot_plug: bool,
    /// The Linux driver's name as the guest image's list of modules has it; empty for none.
    pub driver: &'static str,
    /// File below `/lib/firmware` without which the Linux driver does not work.
    pub firmware: Option<&'static str>,
    /// Milliseconds that the Linux driver takes to negotiate the link under emulation (measured:
    /// docs/measurements.md#M35).
    pub link_ms: u64,
    /// Milliseconds for which it takes no frame in after each change of what it listens to.
    pub rx_blackout_ms: u64,
    /// Whether it can hand unfinished checksums to the tap (virtio-net header).
    pub vnet_header: bool,
    /// What is to carry its frames; none where libvirt chooses.
    pub back_end: Option<BackEnd>,
    /// First octet of the MAC that the guest believes to have, where the device replaces it.
    pub mac_octet: Option<u8>,
    /// Why no guest can be given one here; none where it can.
    pub unfit: Option<&'static str>,
    /// Why iPXE does not work with it; none where it does.
    pub no_ipxe: Option<&'static str>,
    /// What is peculiar, and where that is known from.
    pub source: &'static str,
}

/// The least that a link is waited for: a busy machine stalls an emulated guest for seconds.
const LINK_FLOOR: Duration = Duration::from_secs(8);

/// Negotiation runs on the guest's timers, which a busy machine slows down.
const LINK_SLACK: u32 = 4;

impl Quirk {
    /// Longest wait for the device and its carrier.
    pub fn link_deadline(&self) -> Duration {
        LINK_FLOOR + Duration::from_millis(self.link_ms) * LINK_SLACK
    }
}

/// An ordinary PCI NIC; also what is assumed of a model that the table does not know.
pub const ORDINARY: Quirk = Quirk {
    name: "",
    device: "",
    bus: Bus::Pci,
    hot_plug: true,
    driver: "",
    firmware: None,
    link_ms: 0,
    rx_blackout_ms: 0,
    vnet_header: false,
    back_end: None,
    mac_octet: None,
    unfit: None,
    no_ipxe: None,
    source: "not in the table of quirks",
};

/// Intel's 100 Mbit/s family, one driver for all.
const I8255X: Quirk = Quirk {
    driver: "e100",
    source: "QEMU hw/net/eepro100.c; Linux e100 needs microcode for revisions 82551-F and 82551-10 only",
    ..ORDINARY
};

/// Intel's gigabit family without a virtio-net header. Whenever the receive control
/// register is written, which Linux does at every change of multicast groups, QEMU's
/// model takes no frame in for a second (`set_rx_control` in its hw/net/e1000.c; measured:
/// docs/measurements.md#M36).
const E1000: Quirk = Quirk {
    driver: "e1000",
    link_ms: 3700,
    rx_blackout_ms: 1000,
    source: "QEMU hw/net/e1000.c restarts autonegotiation on reset; Linux e1000 looks at the link every 2 s",
    ..ORDINARY
};

const VIRTIO: Quirk = Quirk {
    driver: "virtio_net",
    vnet_header: true,
    source: "QEMU hw/net/virtio-net.c; libvirt opens the tap with IFF_VNET_HDR",
    ..ORDINARY
};

/// A model named the same in libvirt and QEMU.
const fn same(name: &'static str, like: Quirk) -> Quirk {
    Quirk {
        name,
        device: name,
        ..like
    }
}

/// All models in the order of the matrix: first what old guests have drivers for.
pub const QUIRKS: &[Quirk] = &[
    Quirk {
        driver: "pcnet32",
        source: "QEMU hw/net/pcnet-pci.c; Windows 2000 to Server 2003 bring its driver along",
        ..same("pcnet", ORDINARY)
    },
    Quirk {
        driver: "8139cp",
        source: "QEMU's revision 0x20 is an 8139C+, which Linux 8139too leaves to 8139cp",
        ..same("rtl8139", ORDINARY)
    },
    Quirk {
        driver: "ne2k-pci",
        source: "QEMU hw/net/ne2000-pci.c; the device tells nothing of its link, Linux takes it as up",
        ..same("ne2k_pci", ORDINARY)
    },
    Quirk {
        driver: "ne",
        bus: Bus::Isa,
        hot_plug: false,
        unfit: Some(
            "it sits on the ISA bus, and libvirt plugs interfaces into PCI and USB only; Debian's amd64 kernels have no `ne` module either",
        ),
        source: "libvirt 11.3 puts it on pci.0, and QEMU says \"Device 'ne2k_isa' can't go on PCI bus\" (measured: docs/measurements.md#M37)",
        ..same("ne2k_isa", ORDINARY)
    },
    same("i82550", I8255X),
    Quirk {
        firmware: Some("e100/d102e_ucode.bin"),
        ..same("i82551", I8255X)
    },
    same("i82557a", I8255X),
    same("i82557b", I8255X),
    same("i82557c", I8255X),
    same("i82558a", I8255X),
    same("i82558b", I8255X),
    same("i82559a", I8255X),
    same("i82559b", I8255X),
    same("i82559c", I8255X),
    same("i82559er", I8255X),
    same("i82562", I8255X),
    same("i82801", I8255X),
    Quirk {
        driver: "tulip",
        source: "QEMU hw/net/tulip.c, a DECchip 21143; since QEMU 5.1",
        ..same("tulip", ORDINARY)
    },
    same("e1000", E1000),
    same("e1000-82544gc", E1000),
    same("e1000-82545em", E1000),
    Quirk {
        driver: "e1000e",
        link_ms: 1600,
        vnet_header: true,
        source: "QEMU hw/net/e1000e.c; PCI Express, works in a conventional slot with MSI only",
        ..same("e1000e", ORDINARY)
    },
    Quirk {
        driver: "igb",
        no_ipxe: Some("iPXE's driver never sees its link come up (measured with Debian 12's iPXE)"),
        link_ms: 2400,
        vnet_header: true,
        source: "QEMU hw/net/igb.c; since QEMU 8.0, libvirt passes the name on; iPXE: docs/measurements.md#M38",
        ..same("igb", ORDINARY)
    },
    Quirk {
        driver: "vmxnet3",
        vnet_header: true,
        source: "QEMU hw/net/vmxnet3.c",
        ..same("vmxnet3", ORDINARY)
    },
    Quirk {
        driver: "usbnet",
        no_ipxe: Some(
            "iPXE finds no NIC behind machine pc's USB controller (measured with Debian 12's iPXE)",
        ),
        bus: Bus::Usb,
        mac_octet: Some(0x40),
        source: "QEMU hw/usb/dev-network.c: over CDC Ethernet it tells the guest a MAC that begins with 40, so a filter with $MAC stops the guest unless the domain's MAC begins so too; iPXE: docs/measurements.md#M38",
        ..same("usb-net", ORDINARY)
    },
    Quirk {
        name: "virtio",
        device: "virtio-net-pci",
        ..VIRTIO
    },
    Quirk {
        name: "virtio-vhost",
        device: "virtio-net-pci",
        back_end: Some(BackEnd::VhostNet),
        no_ipxe: Some("vhost-net is tried with the Linux guest only"),
        source: "drivers/vhost/net.c; QEMU's repair of DHCP checksums is not on its way (libvirt commit 3855f9fb)",
        ..VIRTIO
    },
    Quirk {
        name: "virtio-qemu",
        device: "virtio-net-pci",
        back_end: Some(BackEnd::Qemu),
        no_ipxe: Some("QEMU's own back end is pinned for the Linux guest only"),
        source: "QEMU net/tap.c; with vhost-net on the host, libvirt would take that",
        ..VIRTIO
    },
    Quirk {
        name: "virtio-transitional",
        device: "virtio-net-pci-transitional",
        ..VIRTIO
    },
    Quirk {
        name: "virtio-non-transitional",
        device: "virtio-net-pci-non-transitional",
        ..VIRTIO
    },
    Quirk {
        unfit: Some("it is a switch with ports of its own, which libvirt cannot connect"),
        source: "QEMU says \"Property 'rocker.netdev' not found\" to what libvirt makes of it (measured: docs/measurements.md#M37)",
        ..same("rocker", ORDINARY)
    },
    Quirk {
        unfit: Some("it has no MAC address: it carries RDMA beside a vmxnet3, which is tested"),
        source: "QEMU docs/pvrdma.txt; QEMU 7.2 says \"Property 'pvrdma.mac' not found\" (measured: docs/measurements.md#M37), and 9.1 has it no more",
        ..same("pvrdma", ORDINARY)
    },
    Quirk {
        bus: Bus::None,
        hot_plug: false,
        unfit: Some("it is the inner half of the virtio models, which are tested"),
        source: "QEMU hw/net/virtio-net.c; alone it needs a virtio-mmio bus, which machine pc has not",
        ..same("virtio-net-device", ORDINARY)
    },
    Quirk {
        bus: Bus::None,
        hot_plug: false,
        unfit: Some("its bus exists on a Xen host only"),
        source: "QEMU hw/net/xen_nic.c",
        ..same("xen-net-device", ORDINARY)
    },
];

impl Quirk {
    /// Whether QEMU or the host's vhost-net can carry its frames; others are QEMU's alone.
    pub fn has_back_ends(&self) -> bool {
        self.driver == VIRTIO.driver
    }

    /// libvirt's name of the model behind the name of the matrix.
    pub fn libvirt_model(&self) -> Option<&'static str> {
        self.back_end.map(|_| "virtio")
    }
}

/// What is known of the model with libvirt's name; an ordinary PCI NIC where nothing is.
pub fn quirk(name: &str) -> Quirk {
    let known = QUIRKS.iter().find(|quirk| quirk.name == name);
    known.copied().unwrap_or(ORDINARY)
}

/// A model's place in the table, from 0 on; one that is not in it comes after all.
pub fn place(name: &str) -> usize {
    let found = QUIRKS.iter().position(|quirk| quirk.name == name);
    found.unwrap_or(QUIRKS.len())
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;
    use std::collections::HashSet;

    #[test]
    fn every_row_has_a_name_a_source_and_a_driver_or_a_reason() {
        let mut names = HashSet::new();
        for row in QUIRKS {
            assert!(names.insert(row.name), "{} stands twice", row.name);
            assert!(!row.device.is_empty() && row.source.len() > 10, "{row:?}");
            assert!(
                row.unfit.is_some() || !row.driver.is_empty(),
                "{} has neither driver nor reason",
                row.name
            );
            assert!(
                !row.hot_plug || matches!(row.bus, Bus::Pci | Bus::Usb),
                "{}",
                row.name
            );
        }
    }

    #[rstest]
    #[case::at_once("pcnet", 8000)]
    #[case::slow("e1000", 22_800)]
    #[case::unheard_of("flux", 8000)]
    fn deadlines(#[case] name: &str, #[case] ms: u128) {
        assert_eq!(quirk(name).link_deadline().as_millis(), ms);
    }
}
