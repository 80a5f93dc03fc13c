use super::*;
use rstest::rstest;

fn device(name: &str, bus: &str) -> Device {
    Device {
        name: name.into(),
        bus: bus.into(),
        alias: (name == "e1000").then(|| "e1000-82540em".into()),
    }
}

/// QEMU 10's devices and two that no QEMU has.
fn have() -> Vec<Device> {
    let mut devices: Vec<Device> = QUIRKS
        .iter()
        .filter(|quirk| quirk.name != "igb")
        .map(|quirk| device(quirk.device, "PCI"))
        .collect();
    devices.push(device("flux", "PCI"));
    devices.push(device("flux-isa", "ISA"));
    devices
}

fn image(absent: &[&str], firmware: &[&str]) -> ImageContents {
    let own = |texts: &[&str]| texts.iter().map(|text| (*text).to_owned()).collect();
    ImageContents {
        absent_modules: own(absent),
        firmware: own(firmware),
        ipxe: true,
        grub: true,
        uboot: true,
        uboot_malta: true,
        edk2: true,
        roms: [
            "pcnet", "rtl8139", "ne2k_pci", "eepro100", "e1000", "e1000e", "vmxnet3",
        ]
        .map(|name| format!("efi-{name}.rom"))
        .to_vec(),
    }
}

#[rstest]
#[case::runs("pcnet", None)]
#[case::too_old_a_qemu("igb", Some("QEMU here has no device igb"))]
#[case::isa("ne2k_isa", Some("ISA bus"))]
#[case::a_switch("rocker", Some("switch"))]
#[case::no_ethernet("pvrdma", Some("RDMA"))]
#[case::no_firmware("i82551", Some("e100/d102e_ucode.bin"))]
#[case::no_module("tulip", Some("no module `tulip`"))]
#[case::newer_than_the_table("flux", None)]
#[case::nowhere_to_plug("flux-isa", Some("bus `ISA`"))]
fn each_model_runs_or_says_why_not(#[case] name: &str, #[case] reason: Option<&str>) {
    let nics = nics(&have(), &image(&["tulip"], &[]));
    let skip = find(&nics, name).expect("in the matrix").skip.clone();
    match (skip, reason) {
        (None, None) => {}
        (Some(skip), Some(reason)) => assert!(skip.contains(reason), "{skip}"),
        other => panic!("{name}: {other:?}"),
    }
}

#[test]
fn firmware_in_the_image_makes_its_model_run() {
    let nics = nics(&have(), &image(&[], &["e100/d102e_ucode.bin"]));
    assert_eq!(find(&nics, "i82551").expect("known").skip, None);
}

#[test]
fn no_device_is_missing() {
    let nics = nics(&have(), &image(&[], &[]));
    for device in have() {
        assert!(find(&nics, &device.name).is_ok(), "{}", device.name);
    }
}

#[rstest]
#[case::libvirts_name("virtio", "virtio")]
#[case::qemus_name("virtio-net-pci", "virtio")]
#[case::alias("e1000-82540em", "e1000")]
fn names(#[case] asked: &str, #[case] found: &str) {
    let nics = nics(&have(), &image(&[], &[]));
    assert_eq!(find(&nics, asked).expect("known").name, found);
}

#[test]
fn a_typo_gets_the_near_names() {
    let nics = nics(&have(), &image(&[], &[]));
    let error = find(&nics, "pcnett").expect_err("a typo").to_string();
    assert!(error.contains("it has pcnet"), "{error}");
}
