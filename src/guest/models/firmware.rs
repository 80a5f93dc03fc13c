//! Which NIC models a firmware has drivers for.

use super::quirks::{Quirk, quirk};
use crate::guest::board::Board;
use crate::guest::image::ImageContents;
use crate::guest::kind::GuestKind;
use crate::lab::{MIPS_EMULATOR, find_program};
use crate::report::model::BackEnd;

/// The models that Debian's U-Boot for machine `pc` has drivers for (measured:
/// docs/measurements.md#M54).
const UBOOT: [&str; 4] = [
    "virtio-non-transitional",
    "e1000",
    "e1000-82544gc",
    "e1000-82545em",
];

/// The models whose driver EDK2 takes from a ROM, and the file in the guest image. The ROM is
/// iPXE's for UEFI; of it EDK2 uses the driver alone (measured: docs/measurements.md#M57).
const ROMS: [(&str, &str); 8] = [
    ("pcnet", "efi-pcnet.rom"),
    ("rtl8139", "efi-rtl8139.rom"),
    ("ne2k_pci", "efi-ne2k_pci.rom"),
    ("e1000", "efi-e1000.rom"),
    ("e1000-82544gc", "efi-e1000.rom"),
    ("e1000-82545em", "efi-e1000.rom"),
    ("e1000e", "efi-e1000e.rom"),
    ("vmxnet3", "efi-vmxnet3.rom"),
];

/// The ROM of Intel's 100 Mbit/s family, of all whose models it drives.
const I8255X: &str = "efi-eepro100.rom";

/// The file in the guest image with EDK2's driver for the model; none where it has its own or there is
/// none.
pub fn edk2_rom(model: &str) -> Option<&'static str> {
    let found = ROMS.iter().find(|(name, _)| *name == model);
    let family = (quirk(model).driver == "e100").then_some(I8255X);
    found.map(|(_, file)| *file).or(family)
}

/// Why the firmware cannot use the model here; none where it can.
pub fn unfit(kind: &GuestKind, quirk: &Quirk, image: &ImageContents) -> Option<String> {
    let missing = |what: &str| {
        format!("the guest image holds no {what}; `cargo xtask image` makes one that does")
    };
    let driver = match kind {
        GuestKind::Uboot => no_uboot(quirk),
        kind if kind.is_edk2() => no_edk2(quirk),
        // GRUB has iPXE's drivers.
        _ => quirk.no_ipxe,
    };
    if let Some(reason) = quirk.unfit.or(driver) {
        return Some(reason.to_owned());
    }
    match kind {
        GuestKind::Uboot if Board::of_nic(quirk.name) == Board::Malta => (!image.uboot_malta)
            .then(|| missing("U-Boot for MIPS Malta"))
            .or_else(|| no_mips(find_program(MIPS_EMULATOR).is_some())),
        GuestKind::Uboot => (!image.uboot).then(|| missing("U-Boot")),
        kind if kind.is_edk2() && !image.edk2 => Some(missing("EDK2")),
        GuestKind::Edk2Pxe | GuestKind::Edk2Http if !cfg!(target_arch = "x86_64") => {
            Some("the program that asks EDK2's boot clients is made on x86-64 only".to_owned())
        }
        kind if kind.is_edk2() => {
            let rom = edk2_rom(quirk.name)?;
            (!image.roms.iter().any(|name| name == rom)).then(|| missing(rom))
        }
        _ if !image.ipxe => Some(missing("iPXE")),
        GuestKind::Grub => (!image.grub).then(|| missing("GRUB")),
        _ => None,
    }
}

/// Why no guest on MIPS can run here.
fn no_mips(installed: bool) -> Option<String> {
    (!installed).then(|| {
        format!(
            "U-Boot drives it on MIPS Malta only, and {MIPS_EMULATOR} is not installed: `apt-get install --no-install-recommends qemu-system-mips`, which `cargo xtask verify --cell uboot/pcnet` does"
        )
    })
}

/// Why EDK2 cannot use the model.
fn no_edk2(quirk: &Quirk) -> Option<&'static str> {
    let own = quirk.has_back_ends() && quirk.back_end.is_none();
    if own || edk2_rom(quirk.name).is_some() {
        return None;
    }
    Some(if quirk.has_back_ends() {
        "its back end is pinned for the Linux guest only"
    } else {
        "EDK2 has no driver for it, and Debian ships no ROM for UEFI that would bring one"
    })
}

/// Why U-Boot cannot use the model.
fn no_uboot(quirk: &Quirk) -> Option<&'static str> {
    if UBOOT.contains(&quirk.name) || Board::of_nic(quirk.name) == Board::Malta {
        return None;
    }
    Some(match quirk.name {
        "e1000e" => "U-Boot finds it and says \"No valid MAC\" (measured with Debian 12's U-Boot)",
        "virtio" | "virtio-transitional" => {
            "Debian 12's U-Boot takes 52:52:52:52:52:52 for the MAC of a NIC that speaks old virtio too: `virtio-non-transitional` is tested"
        }
        _ if quirk.back_end == Some(BackEnd::VhostNet) => {
            "vhost-net is tried with the Linux guest only"
        }
        _ if quirk.back_end == Some(BackEnd::Qemu) => {
            "QEMU's own back end is pinned for the Linux guest only"
        }
        _ => "U-Boot for this machine has no driver for it",
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::guest::quirk;
    use rstest::rstest;

    fn image() -> ImageContents {
        ImageContents {
            ipxe: true,
            grub: true,
            uboot: true,
            uboot_malta: true,
            edk2: true,
            roms: vec!["efi-pcnet.rom".into()],
            ..ImageContents::default()
        }
    }

    #[rstest]
    #[case::grub_has_ipxes_drivers(GuestKind::Grub, "i82551", None)]
    #[case::and_its_gaps(GuestKind::Grub, "igb", Some("link come up"))]
    #[case::an_old_nic(GuestKind::Uboot, "rtl8139", Some("no driver"))]
    #[case::its_own_driver(GuestKind::Uboot, "e1000", None)]
    #[case::no_mac(GuestKind::Uboot, "e1000e", Some("No valid MAC"))]
    #[case::a_wrong_mac(GuestKind::Uboot, "virtio", Some("52:52:52:52:52:52"))]
    #[case::a_new_virtio(GuestKind::Uboot, "virtio-non-transitional", None)]
    #[case::a_back_end(GuestKind::Uboot, "virtio-vhost", Some("vhost-net"))]
    #[case::edk2s_own_driver(GuestKind::Edk2, "virtio", None)]
    #[case::a_driver_in_a_rom(GuestKind::Edk2, "pcnet", None)]
    #[case::a_rom_that_the_image_lacks(GuestKind::Edk2, "e1000", Some("efi-e1000.rom"))]
    #[case::no_rom(GuestKind::Edk2, "tulip", Some("no ROM for UEFI"))]
    #[case::a_back_end_of_edk2(GuestKind::Edk2, "virtio-qemu", Some("Linux guest only"))]
    #[case::not_for_libvirt(GuestKind::Uboot, "rocker", Some("switch"))]
    fn each_model_runs_or_says_why_not(
        #[case] kind: GuestKind,
        #[case] model: &str,
        #[case] reason: Option<&str>,
    ) {
        let found = unfit(&kind, &quirk(model), &image());
        assert_eq!(found.is_some(), reason.is_some(), "{found:?}");
        let expected = reason.unwrap_or_default();
        assert!(
            found.is_none_or(|found| found.contains(expected)),
            "{expected}"
        );
    }

    #[rstest]
    #[case(GuestKind::Ipxe, "iPXE")]
    #[case(GuestKind::Grub, "GRUB")]
    #[case(GuestKind::Uboot, "U-Boot")]
    #[case(GuestKind::Uboot, "U-Boot for MIPS Malta")]
    #[case(GuestKind::Edk2, "EDK2")]
    fn an_image_that_lacks_it_is_named(#[case] kind: GuestKind, #[case] what: &str) {
        let model = if what.ends_with("Malta") {
            "pcnet"
        } else {
            "e1000"
        };
        let lacks = ImageContents {
            ipxe: kind != GuestKind::Ipxe,
            ..ImageContents::default()
        };
        let reason = unfit(&kind, &quirk(model), &lacks).expect("a reason");
        assert!(reason.contains(&format!("no {what};")), "{reason}");
    }

    #[test]
    fn the_other_emulator_is_asked_for_by_its_package() {
        assert_eq!(no_mips(true), None);
        let reason = no_mips(false).expect("a reason");
        assert!(reason.contains("apt-get install --no-install-recommends qemu-system-mips`"));
    }
}
