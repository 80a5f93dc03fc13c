//! Kernel modules: which there are, which the machine needs, and loading them.

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::ffi::CString;
use std::fs::File;
use std::path::Path;

use nix::errno::Errno;
use nix::kmod::{ModuleInitFlags, finit_module};

use crate::cmdline::Wanted;

/// Where the image keeps its modules, flat and uncompressed.
const DIR: &str = "/lib/modules";
/// The devices that the PCI bus has found.
const PCI_DEVICES: &str = "/sys/bus/pci/devices";
/// The driver whose PCI devices are USB controllers, which are there at boot or never.
const USB: &str = "usbnet";

/// The image's modules and what of them is loaded.
#[derive(Debug)]
pub struct Modules {
    order: Order,
    /// PCI `vvvv:dddd` to the drivers that claim it (rtl8139 has two, by revision).
    pci: BTreeMap<String, Vec<String>>,
    /// Drivers that were tried; a failure is not repeated.
    tried: HashSet<String>,
    /// Files in the kernel.
    loaded: HashSet<String>,
    /// The driver of every device that may be plugged in has been tried.
    prepared: bool,
    /// What went wrong, for the message of whoever then waits in vain.
    problems: Vec<String>,
}

/// The contents of `/lib/modules/order`.
#[derive(Debug, Default, PartialEq, Eq)]
struct Order {
    core: Vec<String>,
    nic: BTreeMap<String, Vec<String>>,
}

impl Order {
    fn parse(text: &str) -> Result<Self, String> {
        let mut order = Self::default();
        for (number, line) in meaningful(text) {
            let mut words = line.split_ascii_whitespace();
            match (words.next(), words.next()) {
                (Some("core"), Some(file)) if words.next().is_none() => {
                    order.core.push(file.to_owned());
                }
                (Some("nic"), Some(driver)) => {
                    let files: Vec<String> = words.map(str::to_owned).collect();
                    order.nic.insert(driver.to_owned(), files);
                }
                _ => {
                    return Err(format!(
                        "line {number} of {DIR}/order is neither `core <file>` nor `nic <driver> <file>…`: {line}"
                    ));
                }
            }
        }
        Ok(order)
    }
}

fn parse_pci(text: &str) -> Result<BTreeMap<String, Vec<String>>, String> {
    let mut table: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for (number, line) in meaningful(text) {
        let words: Vec<&str> = line.split_ascii_whitespace().collect();
        match words[..] {
            [id, driver] if is_pci_id(id) => {
                let drivers = table.entry(id.to_owned()).or_default();
                if !drivers.iter().any(|known| known == driver) {
                    drivers.push(driver.to_owned());
                }
            }
            _ => {
                return Err(format!(
                    "line {number} of {DIR}/pci is not `vvvv:dddd driver`: {line}"
                ));
            }
        }
    }
    Ok(table)
}

fn is_pci_id(text: &str) -> bool {
    let hex = |part: &str| {
        part.len() == 4
            && part
                .bytes()
                .all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
    };
    text.split_once(':')
        .is_some_and(|(vendor, device)| hex(vendor) && hex(device))
}

/// Numbered lines without blanks at the ends, empty lines and `#` comments.
fn meaningful(text: &str) -> impl Iterator<Item = (usize, &str)> {
    text.lines()
        .enumerate()
        .map(|(at, line)| (at + 1, line.trim()))
        .filter(|(_, line)| !line.is_empty() && !line.starts_with('#'))
}

impl Modules {
    /// Reads the image's lists. An empty list is fine, a missing one is a broken image.
    pub fn read() -> Result<Self, String> {
        let read = |name: &str| {
            let path = Path::new(DIR).join(name);
            std::fs::read_to_string(&path)
                .map_err(|error| format!("cannot read {}: {error}", path.display()))
        };
        Ok(Self {
            order: Order::parse(&read("order")?)?,
            pci: parse_pci(&read("pci")?)?,
            tried: HashSet::new(),
            loaded: HashSet::new(),
            prepared: false,
            problems: Vec::new(),
        })
    }

    /// Loads what the agent itself needs. A failure is only noted: the kernel
    /// may have it built in, and whoever needs it finds out.
    pub fn load_core(&mut self) {
        for file in self.order.core.clone() {
            self.load_file(&file, "");
        }
    }

    /// Loads the drivers that the command line names.
    pub fn load_wanted(&mut self, wanted: &[Wanted]) {
        for one in wanted {
            self.load_driver(&one.driver, &one.parameters);
        }
    }

    /// Loads the driver of every PCI device that may be plugged in later.
    pub fn load_pluggable(&mut self) {
        for driver in pluggable(&self.pci) {
            self.load_driver(&driver, "");
        }
        self.prepared = true;
    }

    /// Removes the files of what is loaded, which lie in the memory that is saved.
    pub fn remove_loaded(&self) {
        for file in &self.loaded {
            // One that stays takes a little time at each restore, and that is all.
            let _ = std::fs::remove_file(Path::new(DIR).join(file));
        }
    }

    /// Loads the drivers of the PCI devices that are there now; whether a device
    /// to come may need one.
    pub fn load_present(&mut self) -> bool {
        if self.prepared {
            return false;
        }
        for id in present_pci_ids() {
            for driver in self.pci.get(&id).cloned().unwrap_or_default() {
                self.load_driver(&driver, "");
            }
        }
        true
    }

    /// What went wrong so far, empty if nothing, else ready to be put behind a message.
    pub fn problems(&self) -> String {
        if self.problems.is_empty() {
            return String::new();
        }
        format!(" ({})", self.problems.join("; "))
    }

    /// The same, one by one.
    pub fn problem_list(&self) -> &[String] {
        &self.problems
    }

    fn load_driver(&mut self, driver: &str, parameters: &str) {
        if !self.tried.insert(driver.to_owned()) {
            return;
        }
        let Some(files) = self.order.nic.get(driver).cloned() else {
            self.problems
                .push(format!("the image has no driver {driver}"));
            return;
        };
        // The parameters are the driver's own, not those of what it depends on.
        let last = files.len().saturating_sub(1);
        for (at, file) in files.iter().enumerate() {
            self.load_file(file, if at == last { parameters } else { "" });
        }
    }

    fn load_file(&mut self, file: &str, parameters: &str) {
        if self.loaded.contains(file) {
            return;
        }
        match insert(file, parameters) {
            Ok(()) => {
                self.loaded.insert(file.to_owned());
            }
            Err(error) => self.problems.push(error),
        }
    }
}

fn insert(file: &str, parameters: &str) -> Result<(), String> {
    let path = Path::new(DIR).join(file);
    let open =
        File::open(&path).map_err(|error| format!("cannot open {}: {error}", path.display()))?;
    let parameters = CString::new(parameters)
        .map_err(|_| format!("the parameters of {file} hold a zero byte"))?;
    match finit_module(&open, &parameters, ModuleInitFlags::empty()) {
        // EEXIST: loaded before, or built in.
        Ok(()) | Err(Errno::EEXIST) => Ok(()),
        Err(errno) => Err(format!("cannot load {file}: {errno}")),
    }
}

/// The drivers of the table's NICs, each once.
fn pluggable(pci: &BTreeMap<String, Vec<String>>) -> BTreeSet<String> {
    let drivers = pci.values().flatten().filter(|driver| *driver != USB);
    drivers.cloned().collect()
}

fn present_pci_ids() -> Vec<String> {
    let Ok(devices) = std::fs::read_dir(PCI_DEVICES) else {
        return Vec::new();
    };
    devices
        .flatten()
        .filter_map(|device| {
            let read = |name| std::fs::read_to_string(device.path().join(name)).ok();
            pci_id(&read("vendor")?, &read("device")?)
        })
        .collect()
}

/// `vvvv:dddd` from the two sysfs texts, `0x1022` and `0x2000`.
fn pci_id(vendor: &str, device: &str) -> Option<String> {
    let hex = |text: &str| text.trim().strip_prefix("0x").map(str::to_ascii_lowercase);
    Some(format!("{}:{}", hex(vendor)?, hex(device)?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn order_keeps_the_load_order() {
        let order = Order::parse(
            "# made by xtask\ncore virtio.ko\ncore virtio_pci.ko\n\nnic pcnet32 mii.ko pcnet32.ko\nnic builtin\n",
        )
        .unwrap();
        assert_eq!(order.core, ["virtio.ko", "virtio_pci.ko"]);
        assert_eq!(order.nic["pcnet32"], ["mii.ko", "pcnet32.ko"]);
        assert!(order.nic["builtin"].is_empty());
    }

    #[test]
    fn order_names_the_bad_line() {
        for bad in ["core", "core a.ko b.ko", "nic", "driver x"] {
            let error = Order::parse(&format!("core a.ko\n{bad}\n")).unwrap_err();
            assert!(error.contains("line 2 "), "{error}");
        }
    }

    #[test]
    fn pci_keeps_every_driver_of_a_device() {
        let table =
            parse_pci("1022:2000 pcnet32\n10ec:8139 8139cp\n10ec:8139 8139too\n10ec:8139 8139cp\n")
                .unwrap();
        assert_eq!(table["1022:2000"], ["pcnet32"]);
        assert_eq!(table["10ec:8139"], ["8139cp", "8139too"]);
    }

    #[test]
    fn what_cannot_be_plugged_in_is_not_loaded_for_it() {
        let table =
            parse_pci("10ec:8139 8139cp\n10ec:8139 8139too\n1113:1211 8139too\n8086:7020 usbnet\n")
                .unwrap();
        let drivers: Vec<String> = pluggable(&table).into_iter().collect();
        assert_eq!(drivers, ["8139cp", "8139too"]);
    }

    #[test]
    fn pci_names_the_bad_line() {
        for bad in [
            "1022:2000",
            "1022 2000 x",
            "102:2000 x",
            "10EC:8139 x",
            "1022:2000 a b",
        ] {
            let error = parse_pci(&format!("\n{bad}\n")).unwrap_err();
            assert!(error.contains("line 2 "), "{error}");
        }
    }

    #[test]
    fn sysfs_texts_become_an_id() {
        assert_eq!(pci_id("0x10EC\n", "0x8139\n").as_deref(), Some("10ec:8139"));
        assert_eq!(pci_id("", "0x8139\n"), None);
    }
}
