//! What network devices the installed QEMU says it has.

use crate::guest::error::GuestError;
use crate::lab::{EMULATOR, LabError, ProgramFault};
use std::process::Command;

/// A device as `-device help` lists it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Device {
    /// QEMU's name.
    pub name: String,
    /// The bus that it is plugged into: `PCI`, `ISA`, `usb-bus`, `virtio-bus`, `xen-bus`.
    pub bus: String,
    /// Another name for the same device.
    pub alias: Option<String>,
}

/// Asks QEMU which network devices it has.
///
/// # Errors
/// When QEMU cannot be started or fails, as it does for want of a library.
pub fn devices() -> Result<Vec<Device>, GuestError> {
    let output = Command::new(EMULATOR)
        .args(["-device", "help"])
        .output()
        .map_err(|error| {
            LabError::host_because(
                format!("{EMULATOR} cannot be started"),
                error,
                "`cargo xtask setup` installs what is missing",
            )
        })?;
    if !output.status.success() {
        // A library that is missing, say; else every model would seem to be.
        return Err(LabError::host_because(
            format!("`{EMULATOR} -device help` failed"),
            ProgramFault::of(&output),
            "`cargo xtask setup` installs what is missing",
        )
        .into());
    }
    Ok(parse(&String::from_utf8_lossy(&output.stdout)))
}

/// The section `Network devices:` of `-device help`.
fn parse(help: &str) -> Vec<Device> {
    let section = help
        .lines()
        .skip_while(|line| *line != "Network devices:")
        .skip(1);
    section
        .take_while(|line| !line.is_empty())
        .filter_map(device)
        .collect()
}

/// `name "e1000", bus PCI, alias "e1000-82540em", desc "Intel Gigabit Ethernet"`.
fn device(line: &str) -> Option<Device> {
    let quoted = |rest: &str| rest.split('"').next().map(str::to_owned);
    let after = |key: &str| line.split_once(key).map(|(_, rest)| rest);
    Some(Device {
        name: quoted(line.strip_prefix("name \"")?)?,
        bus: after(", bus ")
            .and_then(|rest| rest.split(',').next())
            .unwrap_or_default()
            .to_owned(),
        alias: after(", alias \"").and_then(quoted),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const HELP: &str = "Storage devices:\nname \"nvme\", bus PCI\n\nNetwork devices:\n\
        name \"pcnet\", bus PCI\n\
        name \"e1000\", bus PCI, alias \"e1000-82540em\", desc \"Intel Gigabit Ethernet\"\n\
        name \"usb-net\", bus usb-bus\n\nInput devices:\nname \"mouse\"\n";

    #[test]
    fn only_network_devices_with_bus_and_alias() {
        let text = |device: &Device| format!("{} {} {:?}", device.name, device.bus, device.alias);
        let found: Vec<String> = parse(HELP).iter().map(text).collect();
        let expected = [
            "pcnet PCI None",
            "e1000 PCI Some(\"e1000-82540em\")",
            "usb-net usb-bus None",
        ];
        assert_eq!(found, expected);
    }
}
