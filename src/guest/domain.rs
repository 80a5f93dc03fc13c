//! The domain XML of a throwaway guest.

use super::accel::Accel;
use super::board::Board;
use super::chipset::Chipset;
use super::command_line::{agent_words, command_line};
use super::drive::{self, Drive};
use super::image::Image;
use super::interface::Interface;
use super::models::{Bus, quirk};
use super::xml::Xml;
use crate::lab::{STATE, Shortcut, Shortcuts};
use std::path::Path;

/// What runs in a domain.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DomainKind<'a> {
    /// The project's Linux guest with its agent, on this machine.
    Linux(Chipset),
    /// iPXE with the script in the file.
    Ipxe(&'a Path),
    /// GRUB, which iPXE starts with these words on its command line.
    Grub(&'a str),
    /// U-Boot in place of the firmware, on the machine that it is built for.
    Uboot(Board),
    /// EDK2 with the disk that has its script.
    Edk2(&'a Path),
    /// Whatever boots from the drive.
    Foreign(&'a Drive<'a>),
}

/// What a domain is made of.
#[derive(Debug, Clone)]
pub struct DomainSpec<'a> {
    /// What runs in it.
    pub kind: DomainKind<'a>,
    /// Name of the domain; names its sockets too.
    pub name: &'a str,
    /// Model of the NIC that it has or will be given, by libvirt's name.
    pub nic: &'a str,
    /// Accelerator.
    pub accel: Accel,
    /// Kernel and initramfs.
    pub image: &'a Image,
    /// Nonce that the guest repeats in its READY line.
    pub nonce: &'a str,
    /// What is done only to save time.
    pub shortcuts: Shortcuts,
}

/// Namespace of the domains' UUIDs, which are made of their names.
const UUIDS: uuid::Uuid = uuid::uuid!("7d1c5a0e-6f0b-5c37-9a55-1b1e0e5a2f46");

/// Memory of a guest in MiB: the kernel, 20 MB of initramfs and room to run.
const MEMORY_MIB: u32 = 128;

/// The same on MIPS Malta, where U-Boot counts on as much (its `configs/malta.h`) and says nothing
/// more with less.
const MALTA_MIB: u32 = 256;

impl DomainKind<'_> {
    /// The machine that it runs on.
    fn board(&self) -> Board {
        match self {
            Self::Uboot(board) => *board,
            _ => Board::Pc,
        }
    }
}

/// Socket of the serial console.
pub fn console_path(name: &str) -> String {
    format!("{STATE}/{name}.console")
}

/// Where QEMU itself writes what the console shows, so that it outlives a guest
/// that dies before anybody could ask it.
pub fn serial_log(name: &str) -> String {
    format!("{STATE}/{name}.serial")
}

/// Where EDK2 keeps its variables, which libvirt copies from the image's at the first start.
pub fn variables_path(name: &str) -> String {
    format!("{STATE}/{name}.vars")
}

/// Socket of the agent's port.
pub fn agent_path(name: &str) -> String {
    format!("{STATE}/{name}.agent")
}

/// The whole domain, with its NIC or with none, to be plugged one later.
pub fn domain_xml(spec: &DomainSpec<'_>, interface: Option<&Interface>) -> String {
    let mut xml = Xml::new();
    let kind = if spec.accel == Accel::Kvm && spec.kind.board() == Board::Pc {
        "kvm"
    } else {
        "qemu"
    };
    xml.open("domain", &[("type", kind)], |xml| {
        xml.text("name", &[], spec.name);
        // libvirt restores a domain under another XML only if that has the same UUID.
        let uuid = uuid::Uuid::new_v5(&UUIDS, spec.name.as_bytes());
        xml.text("uuid", &[], &uuid.to_string());
        let memory = match spec.kind {
            DomainKind::Foreign(drive) => drive.manifest.memory_mib,
            DomainKind::Uboot(Board::Malta) => MALTA_MIB,
            _ => MEMORY_MIB,
        };
        xml.text("memory", &[("unit", "MiB")], &memory.to_string());
        xml.text("vcpu", &[], "1");
        xml.open("os", &[], |xml| system(xml, spec, interface));
        // The machine has no hot-plug without ACPI, whether the guest uses it or not; foreign
        // guests also need it for an orderly power-off.
        if spec.kind.board() == Board::Pc {
            xml.open("features", &[], |xml| xml.empty("acpi", &[]));
        }
        if let DomainKind::Foreign(drive) = spec.kind {
            xml.empty("clock", &[("offset", drive.clock())]);
        }
        for event in ["on_poweroff", "on_reboot", "on_crash"] {
            // Windows restarts by itself when it finds new hardware.
            let foreign = matches!(spec.kind, DomainKind::Foreign(_)) && event == "on_reboot";
            xml.text(event, &[], if foreign { "restart" } else { "destroy" });
        }
        xml.open("devices", &[], |xml| devices(xml, spec, interface));
    });
    xml.finish()
}

/// What is booted.
fn system(xml: &mut Xml, spec: &DomainSpec<'_>, interface: Option<&Interface>) {
    let (architecture, machine) = spec.kind.board().names();
    let machine = match spec.kind {
        DomainKind::Foreign(drive) => drive.machine(),
        DomainKind::Linux(chipset) => chipset.machine(),
        DomainKind::Edk2(_) => Chipset::Q35.machine(),
        _ => machine,
    };
    xml.text(
        "type",
        &[("arch", architecture), ("machine", machine)],
        "hvm",
    );
    if let DomainKind::Edk2(_) = spec.kind {
        return flash(xml, spec);
    }
    let mut file = |name: &str, path: &Path| xml.text(name, &[], &path.to_string_lossy());
    match spec.kind {
        DomainKind::Linux(_) => {
            file("kernel", &spec.image.kernel);
            file("initrd", &spec.image.initramfs);
            let agent_words = agent_words(spec.nic, interface.is_some());
            let words = command_line(spec.accel, spec.nonce, &agent_words, spec.shortcuts);
            xml.text("cmdline", &[], &words);
        }
        DomainKind::Ipxe(script) => {
            file("kernel", &spec.image.ipxe);
            // iPXE takes an initial RAM disk for its script.
            file("initrd", script);
            // Its console is the firmware's, which only then is the serial port.
            xml.empty("bios", &[("useserial", "yes")]);
        }
        DomainKind::Grub(words) => {
            file("kernel", &spec.image.ipxe);
            // GRUB sends frames, iPXE has the drivers: it starts its initial RAM disk.
            file("initrd", &spec.image.grub);
            xml.text("cmdline", &[], words);
            xml.empty("bios", &[("useserial", "yes")]);
        }
        DomainKind::Uboot(board) => {
            let rom = match board {
                Board::Pc => &spec.image.uboot,
                Board::Malta => &spec.image.uboot_malta,
            };
            let attributes = [("readonly", "yes"), ("type", "rom")];
            xml.text("loader", &attributes, &rom.to_string_lossy());
        }
        DomainKind::Edk2(_) => {}
        DomainKind::Foreign(drive) => xml.empty("boot", &[("dev", drive.boot())]),
    }
}

/// The flash that the firmware is in, and a copy of its variables.
fn flash(xml: &mut Xml, spec: &DomainSpec<'_>) {
    let attributes = [("readonly", "yes"), ("type", "pflash")];
    let code = spec.image.ovmf_code.to_string_lossy();
    xml.text("loader", &attributes, &code);
    let template = spec.image.ovmf_vars.to_string_lossy();
    let own = variables_path(spec.name);
    xml.text("nvram", &[("template", &template)], &own);
}

fn devices(xml: &mut Xml, spec: &DomainSpec<'_>, interface: Option<&Interface>) {
    let usb = match quirk(spec.nic).bus {
        // What machines of the legacy guests' time had.
        Bus::Usb => "piix3-uhci",
        Bus::Pci | Bus::Isa | Bus::None => "none",
    };
    xml.empty("controller", &[("type", "usb"), ("model", usb)]);
    xml.empty("memballoon", &[("model", "none")]);
    match spec.kind {
        DomainKind::Foreign(drive) => drive::write(xml, drive),
        DomainKind::Edk2(disk) => edk2_devices(xml, disk),
        _ => {}
    }
    if let Some(interface) = interface {
        interface.write(xml);
    }
    xml.open("serial", &[("type", "unix")], |xml| {
        xml.empty(
            "source",
            &[("mode", "bind"), ("path", &console_path(spec.name))],
        );
        xml.empty(
            "log",
            &[("file", &serial_log(spec.name)), ("append", "off")],
        );
        xml.empty("target", &[("port", "0")]);
    });
    if matches!(spec.kind, DomainKind::Linux(_)) {
        if spec.shortcuts.has(Shortcut::FewSerialPorts) {
            serial_ports(xml);
        }
        agent_channel(xml, spec.name);
    }
    let video = match spec.kind {
        // Windows does not start without a screen.
        DomainKind::Foreign(_) => "vga",
        _ => "none",
    };
    xml.open("video", &[], |xml| xml.empty("model", &[("type", video)]));
}

/// The disk with the script, which is looked at first and so in place of the network, and the
/// source of randomness without which newer releases load no network driver.
fn edk2_devices(xml: &mut Xml, disk: &Path) {
    xml.open("disk", &[("type", "file"), ("device", "disk")], |xml| {
        let driver = [("name", "qemu"), ("type", "raw"), ("cache", "unsafe")];
        xml.empty("driver", &driver);
        xml.empty("source", &[("file", &disk.to_string_lossy())]);
        xml.empty("target", &[("dev", "vda"), ("bus", "virtio")]);
        xml.empty("boot", &[("order", "1")]);
    });
    xml.open("rng", &[("model", "virtio")], |xml| {
        xml.text("backend", &[("model", "random")], "/dev/urandom");
    });
}

/// Room for the agent's channel and for port 0, which is a console's (QEMU,
/// `hw/char/virtio-serial-bus.c`): see [`Shortcut::FewSerialPorts`]. Left alone it is 31
/// ports with 64 queues, and QEMU's main loop polls an event descriptor of each at every
/// turn.
fn serial_ports(xml: &mut Xml) {
    let attributes = [("type", "virtio-serial"), ("index", "0"), ("ports", "2")];
    xml.empty("controller", &attributes);
}

fn agent_channel(xml: &mut Xml, name: &str) {
    xml.open("channel", &[("type", "unix")], |xml| {
        xml.empty("source", &[("mode", "bind"), ("path", &agent_path(name))]);
        xml.empty(
            "target",
            &[("type", "virtio"), ("name", lanfence_agent::PORT_NAME)],
        );
    });
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::guest::FilterRef;
    use crate::guest::foreign::{Format, Manifest};
    use rstest::rstest;

    fn interface(filter: Option<FilterRef>) -> Interface {
        let mac = [0x52, 0x54, 0, 0, 1, 1];
        Interface {
            model: "pcnet".into(),
            mac,
            tap: "tap1".into(),
            link: true,
            rom: None,
            filter,
        }
    }

    fn image() -> Image {
        Image {
            kernel: "/guest/vmlinux".into(),
            initramfs: "/guest/initramfs.cpio".into(),
            ipxe: "/guest/ipxe.lkrn".into(),
            grub: "/guest/grub.0".into(),
            uboot: "/guest/u-boot.rom".into(),
            uboot_malta: "/guest/u-boot-malta.bin".into(),
            ovmf_code: "/guest/ovmf-code.fd".into(),
            ovmf_vars: "/guest/ovmf-vars.fd".into(),
            roms: "/guest".into(),
        }
    }

    #[test]
    fn domain() {
        let image = image();
        let spec = DomainSpec {
            kind: DomainKind::Linux(Chipset::Pc),
            name: "linux-pcnet",
            nic: "pcnet",
            accel: Accel::Tcg,
            image: &image,
            nonce: "c0ffee",
            shortcuts: Shortcuts::all(),
        };
        insta::assert_snapshot!(domain_xml(&spec, Some(&interface(None))));
        let saved = domain_xml(&spec, None);
        assert!(saved.contains(" lanfence.prepare</cmdline>"), "{saved}");
        let other = DomainSpec {
            nic: "virtio",
            ..spec.clone()
        };
        assert_eq!(domain_xml(&other, None), saved, "one state for all of PCI");
        let usb = DomainSpec {
            nic: "usb-net",
            ..spec.clone()
        };
        let usb = domain_xml(&usb, None);
        let words = " lanfence.prepare lanfence.modules=usbnet</cmdline>";
        assert!(usb.contains(words) && usb.contains("piix3-uhci"), "{usb}");
        let script = Path::new("/run/lanfence/script");
        let ipxe = DomainSpec {
            kind: DomainKind::Ipxe(script),
            ..spec.clone()
        };
        insta::assert_snapshot!("ipxe", domain_xml(&ipxe, Some(&interface(None))));
        let grub = DomainSpec {
            kind: DomainKind::Grub("ifopen net0 && imgexec <INITRD>"),
            ..spec.clone()
        };
        insta::assert_snapshot!("grub", domain_xml(&grub, Some(&interface(None))));
        let uboot = DomainSpec {
            kind: DomainKind::Uboot(Board::Pc),
            ..spec.clone()
        };
        insta::assert_snapshot!("uboot", domain_xml(&uboot, Some(&interface(None))));
        let malta = DomainSpec {
            kind: DomainKind::Uboot(Board::Malta),
            accel: Accel::Kvm,
            ..spec.clone()
        };
        insta::assert_snapshot!("uboot_malta", domain_xml(&malta, Some(&interface(None))));
        let edk2 = DomainSpec {
            kind: DomainKind::Edk2(Path::new("/run/lanfence/edk2-pcnet.img")),
            ..spec
        };
        let with_rom = Interface {
            rom: Some("/guest/efi-pcnet.rom".into()),
            ..interface(None)
        };
        insta::assert_snapshot!("edk2", domain_xml(&edk2, Some(&with_rom)));
    }

    #[rstest]
    #[case::disk("")]
    #[case::cdrom("medium = \"cdrom\"")]
    #[case::floppy("medium = \"floppy\"\nclock = \"localtime\"")]
    #[case::q35("machine = \"q35\"\nbus = \"virtio\"\nmemory-mib = 1024")]
    fn foreign(#[case] more: &str) {
        let text =
            format!("name = \"x\"\npath = \"x\"\nnics = [\"pcnet\"]\ndeadline-s = 9\n{more}\n");
        let manifest = Manifest::parse(&text, "x.toml", Path::new("")).expect("a good manifest");
        let drive = Drive {
            manifest: &manifest,
            file: "/proc/7/fd/12".into(),
            format: Format::Qcow2,
        };
        let image = image();
        let spec = DomainSpec {
            kind: DomainKind::Foreign(&drive),
            name: "x-pcnet",
            nic: "pcnet",
            accel: Accel::Tcg,
            image: &image,
            nonce: "",
            shortcuts: Shortcuts::all(),
        };
        let name = format!("foreign_{:?}_{:?}", manifest.medium, manifest.machine);
        insta::assert_snapshot!(
            name.to_lowercase(),
            domain_xml(&spec, Some(&interface(None)))
        );
    }

    #[test]
    fn interface_with_a_filter() {
        let parameters = vec![("GATEWAY_MAC".into(), "52:54:00:00:00:01".into())];
        let filter = FilterRef {
            filter: "lan-only".into(),
            parameters,
        };
        insta::assert_snapshot!(interface(Some(filter)).xml());
    }

    #[rstest]
    #[case::pinned_to_vhost_net("virtio-vhost", Some("<driver name=\"vhost\"/>"))]
    #[case::pinned_to_qemu("virtio-qemu", Some("<driver name=\"qemu\"/>"))]
    #[case::left_to_libvirt("virtio", None)]
    fn a_back_end_is_a_driver_of_the_virtio_model(
        #[case] model: &str,
        #[case] driver: Option<&str>,
    ) {
        let nic = Interface {
            model: model.into(),
            ..interface(None)
        };
        let xml = nic.xml();
        assert!(xml.contains("<model type=\"virtio\"/>"), "{xml}");
        match driver {
            Some(driver) => assert!(xml.contains(driver), "{xml}"),
            None => assert!(!xml.contains("<driver"), "{xml}"),
        }
    }

    #[test]
    fn values_are_escaped() {
        let filter = FilterRef {
            filter: "a'<b".into(),
            parameters: Vec::new(),
        };
        let xml = interface(Some(filter)).xml();
        assert!(xml.contains("&lt;b") && !xml.contains("'<b"), "{xml}");
    }
}
