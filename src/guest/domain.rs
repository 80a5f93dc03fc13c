//! The domain XML of a throwaway guest.

use super::drive::{self, Drive};
use super::image::Image;
use super::models::{Bus, quirk};
use crate::frame::{Mac, mac_text};
use crate::lab::BRIDGE;
use crate::lab::{STATE, Shortcut, Shortcuts};
use quick_xml::Writer;
use quick_xml::events::{BytesEnd, BytesStart, BytesText, Event};
use serde::{Deserialize, Serialize};
use std::path::Path;

/// The accelerator of a domain.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Accel {
    /// Hardware virtualisation.
    Kvm,
    /// Emulation.
    Tcg,
}

impl Accel {
    /// `kvm` or `tcg`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Kvm => "kvm",
            Self::Tcg => "tcg",
        }
    }
}

/// A filter on an interface, with parameters.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FilterRef {
    /// Name of the filter.
    pub filter: String,
    /// Parameters, in order.
    pub parameters: Vec<(String, String)>,
}

/// The guest's one NIC.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Interface {
    /// libvirt's model name.
    pub model: String,
    /// MAC address.
    pub mac: Mac,
    /// Name of the tap.
    pub tap: String,
    /// Whether its link is up.
    pub link: bool,
    /// The filter, if any.
    pub filter: Option<FilterRef>,
}

/// What runs in a domain.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind<'a> {
    /// The project's Linux guest with its agent.
    Linux,
    /// iPXE with the script in the file.
    Ipxe(&'a Path),
    /// Whatever boots from the drive.
    Foreign(&'a Drive<'a>),
}

/// What a domain is made of.
#[derive(Debug, Clone)]
pub struct DomainSpec<'a> {
    /// What runs in it.
    pub kind: Kind<'a>,
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

/// Socket of the serial console.
pub fn console_path(name: &str) -> String {
    format!("{STATE}/{name}.console")
}

/// Where QEMU itself writes what the console shows, so that it outlives a guest
/// that dies before anybody could ask it.
pub fn serial_log(name: &str) -> String {
    format!("{STATE}/{name}.serial")
}

/// Socket of the agent's port.
pub fn agent_path(name: &str) -> String {
    format!("{STATE}/{name}.agent")
}

pub(super) type Attributes<'a> = &'a [(&'a str, &'a str)];

/// A small tree writer over quick-xml's events: values are escaped by the library.
pub(super) struct Xml(Writer<Vec<u8>>);

impl Xml {
    pub(super) fn new() -> Self {
        Self(Writer::new_with_indent(Vec::new(), b' ', 2))
    }

    fn event(&mut self, event: Event<'_>) {
        self.0.write_event(event).expect("writing to memory");
    }

    pub(super) fn open(
        &mut self,
        name: &str,
        attributes: Attributes<'_>,
        inside: impl FnOnce(&mut Self),
    ) {
        self.event(Event::Start(
            BytesStart::new(name).with_attributes(attributes.iter().copied()),
        ));
        inside(self);
        self.event(Event::End(BytesEnd::new(name)));
    }

    pub(super) fn empty(&mut self, name: &str, attributes: Attributes<'_>) {
        self.event(Event::Empty(
            BytesStart::new(name).with_attributes(attributes.iter().copied()),
        ));
    }

    fn text(&mut self, name: &str, attributes: Attributes<'_>, text: &str) {
        self.open(name, attributes, |xml| {
            xml.event(Event::Text(BytesText::new(text)));
        });
    }

    pub(super) fn finish(self) -> String {
        String::from_utf8(self.0.into_inner()).expect("quick-xml writes UTF-8")
    }
}

impl Interface {
    /// The `<interface>` element, for start and update alike.
    pub fn xml(&self) -> String {
        let mut xml = Xml::new();
        self.write(&mut xml);
        xml.finish()
    }

    fn write(&self, xml: &mut Xml) {
        xml.open("interface", &[("type", "bridge")], |xml| {
            xml.empty("mac", &[("address", &mac_text(self.mac))]);
            xml.empty("source", &[("bridge", BRIDGE)]);
            xml.empty("target", &[("dev", &self.tap)]);
            let quirk = quirk(&self.model);
            let model = quirk.libvirt_model().unwrap_or(&self.model);
            xml.empty("model", &[("type", model)]);
            if quirk.vhost {
                xml.empty("driver", &[("name", "vhost")]);
            }
            xml.empty("link", &[("state", if self.link { "up" } else { "down" })]);
            // The guest never boots from the network; a boot ROM only costs time.
            // libvirt refuses to hear of a ROM where there is no PCI.
            match quirk.bus {
                Bus::Pci => xml.empty("rom", &[("enabled", "no")]),
                // libvirt 9.0 looks for a PCI slot unless told the port (measured:
                // docs/measurements.md#M26).
                Bus::Usb => xml.empty("address", &[("type", "usb"), ("bus", "0"), ("port", "1")]),
                Bus::Isa | Bus::None => {}
            }
            if let Some(filter) = &self.filter {
                xml.open("filterref", &[("filter", &filter.filter)], |xml| {
                    for (name, value) in &filter.parameters {
                        xml.empty("parameter", &[("name", name), ("value", value)]);
                    }
                });
            }
        });
    }
}

/// The kernel command line: console, no second chance after a panic, the nonce, and words
/// for the agent where there are any.
///
/// `no_timer_check` because a busy host fails that check under emulation (measured:
/// docs/measurements.md#M30). The rest are [`Shortcut`]s, each described there, and a clock.
pub fn command_line(accel: Accel, nonce: &str, words: &[String], shortcuts: Shortcuts) -> String {
    let mut line =
        "console=ttyS0 panic=-1 loglevel=4 random.trust_cpu=on no_timer_check".to_owned();
    let mut add = |text: &str| {
        line.push(' ');
        line.push_str(text);
    };
    if shortcuts.has(Shortcut::NoMitigations) {
        add("mitigations=off");
    }
    if shortcuts.has(Shortcut::NoSecurityModules) {
        add("lsm= psi=0");
    }
    if shortcuts.has(Shortcut::ExpediteRcu) {
        add("rcupdate.rcu_expedited=1");
    }
    match accel {
        // KVM brings a clock of its own.
        Accel::Kvm => add("tsc=reliable"),
        Accel::Tcg => {
            if shortcuts.has(Shortcut::NoAcpi) {
                add(NO_ACPI);
            }
            add(STEADY_CLOCK);
        }
    }
    add(&format!("lanfence.nonce={nonce}"));
    words.iter().for_each(|word| add(word));
    line
}

/// Without ACPI interrupts come by the old controller (`noapic`), since the firmware's
/// table for the new one lacks slots that were empty at boot (`mptable_setup` in SeaBIOS
/// `src/fw/mptable.c`). The rate of ACPI's timer is fixed, and it is there without ACPI,
/// 8 bytes into what SeaBIOS sets up for power management (`PORT_ACPI_PM_BASE` in its
/// `src/config.h`).
const NO_ACPI: &str = "acpi=off noapic pmtmr=0x608";

/// Emulated, the kernel measures the TSC against another clock while the host may take the
/// CPU away in between: on a busy host one boot in five came out at 1007 MHz for 2596 MHz,
/// and that guest's seconds ran 2.6 times too fast (measured: docs/measurements.md#M30).
/// So it uses ACPI's timer, and is told right away that the TSC is of no use: a restored guest
/// would find that out and rewrite its code.
const STEADY_CLOCK: &str = "tsc=unstable clocksource=acpi_pm";

/// Words for the agent: the driver of a NIC that no PCI ID announces, and, for a guest
/// without a NIC, that it must prepare to be saved.
fn agent_words(nic: &str, is_there: bool) -> Vec<String> {
    let quirk = quirk(nic);
    let modules = (quirk.bus != Bus::Pci).then(|| format!("lanfence.modules={}", quirk.driver));
    let prepare = (!is_there).then(|| "lanfence.prepare".into());
    prepare.into_iter().chain(modules).collect()
}

/// The whole domain, with its NIC or with none, to be plugged one later.
pub fn domain_xml(spec: &DomainSpec<'_>, interface: Option<&Interface>) -> String {
    let mut xml = Xml::new();
    let kind = if spec.accel == Accel::Kvm {
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
            Kind::Foreign(drive) => drive.manifest.memory_mib,
            Kind::Linux | Kind::Ipxe(_) => MEMORY_MIB,
        };
        xml.text("memory", &[("unit", "MiB")], &memory.to_string());
        xml.text("vcpu", &[], "1");
        xml.open("os", &[], |xml| system(xml, spec, interface));
        // The machine has no hot-plug without ACPI, whether the guest uses it or not; foreign
        // guests also need it for an orderly power-off.
        xml.open("features", &[], |xml| xml.empty("acpi", &[]));
        if let Kind::Foreign(drive) = spec.kind {
            xml.empty("clock", &[("offset", drive.clock())]);
        }
        for event in ["on_poweroff", "on_reboot", "on_crash"] {
            // Windows restarts by itself when it finds new hardware.
            let foreign = matches!(spec.kind, Kind::Foreign(_)) && event == "on_reboot";
            xml.text(event, &[], if foreign { "restart" } else { "destroy" });
        }
        xml.open("devices", &[], |xml| devices(xml, spec, interface));
    });
    xml.finish()
}

/// What is booted.
fn system(xml: &mut Xml, spec: &DomainSpec<'_>, interface: Option<&Interface>) {
    let machine = match spec.kind {
        Kind::Foreign(drive) => drive.machine(),
        Kind::Linux | Kind::Ipxe(_) => "pc",
    };
    xml.text("type", &[("arch", "x86_64"), ("machine", machine)], "hvm");
    let mut file = |name: &str, path: &Path| xml.text(name, &[], &path.to_string_lossy());
    match spec.kind {
        Kind::Linux => {
            file("kernel", &spec.image.kernel);
            file("initrd", &spec.image.initramfs);
            let agent_words = agent_words(spec.nic, interface.is_some());
            let words = command_line(spec.accel, spec.nonce, &agent_words, spec.shortcuts);
            xml.text("cmdline", &[], &words);
        }
        Kind::Ipxe(script) => {
            file("kernel", &spec.image.ipxe);
            // iPXE takes an initial RAM disk for its script.
            file("initrd", script);
            // Its console is the firmware's, which only then is the serial port.
            xml.empty("bios", &[("useserial", "yes")]);
        }
        Kind::Foreign(drive) => xml.empty("boot", &[("dev", drive.boot())]),
    }
}

fn devices(xml: &mut Xml, spec: &DomainSpec<'_>, interface: Option<&Interface>) {
    let usb = match quirk(spec.nic).bus {
        // What machines of the legacy guests' time had.
        Bus::Usb => "piix3-uhci",
        Bus::Pci | Bus::Isa | Bus::None => "none",
    };
    xml.empty("controller", &[("type", "usb"), ("model", usb)]);
    xml.empty("memballoon", &[("model", "none")]);
    if let Kind::Foreign(drive) = spec.kind {
        drive::write(xml, drive);
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
    if spec.kind == Kind::Linux {
        if spec.shortcuts.has(Shortcut::FewSerialPorts) {
            serial_ports(xml);
        }
        agent_channel(xml, spec.name);
    }
    let video = match spec.kind {
        // Windows does not start without a screen.
        Kind::Foreign(_) => "vga",
        Kind::Linux | Kind::Ipxe(_) => "none",
    };
    xml.open("video", &[], |xml| xml.empty("model", &[("type", video)]));
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
    use crate::guest::foreign::{Format, Manifest};
    use rstest::rstest;

    fn interface(filter: Option<FilterRef>) -> Interface {
        let mac = [0x52, 0x54, 0, 0, 1, 1];
        Interface {
            model: "pcnet".into(),
            mac,
            tap: "tap1".into(),
            link: true,
            filter,
        }
    }

    fn image() -> Image {
        Image {
            kernel: "/guest/vmlinux".into(),
            initramfs: "/guest/initramfs.cpio".into(),
            ipxe: "/guest/ipxe.lkrn".into(),
        }
    }

    #[test]
    fn domain() {
        let image = image();
        let spec = DomainSpec {
            kind: Kind::Linux,
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
            kind: Kind::Ipxe(script),
            ..spec
        };
        insta::assert_snapshot!("ipxe", domain_xml(&ipxe, Some(&interface(None))));
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
            kind: Kind::Foreign(&drive),
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

    #[test]
    fn vhost_is_a_driver_of_the_virtio_model() {
        let vhost = Interface {
            model: "virtio-vhost".into(),
            ..interface(None)
        };
        let xml = vhost.xml();
        assert!(xml.contains("<model type=\"virtio\"/>"), "{xml}");
        assert!(xml.contains("<driver name=\"vhost\"/>"), "{xml}");
        assert!(!interface(None).xml().contains("<driver"));
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
