//! The host's network devices, as `/sys/class/net` shows them (sysfs-class-net in the kernel's
//! documents).

use crate::frame::{Mac, mac_text};
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

/// Where the kernel lists the devices of the reader's network namespace.
const CLASS: &str = "/sys/class/net";

/// Whether a device is there.
pub fn exists(device: &str) -> bool {
    path(device).is_some_and(|path| path.exists())
}

/// The Linux bridge that a device is a port of; none where it is in none, or in another kind of
/// switch.
pub fn bridge_of(device: &str) -> Option<String> {
    let master = path(device)?.join("master");
    let target = std::fs::read_link(&master).ok()?;
    // Open vSwitch and bonds are masters too, without this folder.
    master.join("bridge").exists().then_some(())?;
    let name = target.file_name()?;
    Some(name.to_string_lossy().into_owned())
}

/// Whether a device is a Linux bridge.
pub fn is_bridge(device: &str) -> bool {
    path(device).is_some_and(|path| path.join("bridge").exists())
}

/// The Linux bridges.
pub fn bridges() -> BTreeSet<String> {
    let entries = std::fs::read_dir(CLASS).into_iter().flatten().flatten();
    let names = entries.map(|entry| entry.file_name().to_string_lossy().into_owned());
    names.filter(|name| is_bridge(name)).collect()
}

/// A name for a bridge that is not taken.
pub fn free_bridge() -> String {
    let names = (0..).map(|number| format!("br{number}"));
    let mut free = names.filter(|name| !exists(name));
    free.next().unwrap_or_else(|| "br0".into())
}

/// The NIC that the host's default route goes over.
pub fn main_nic() -> Option<String> {
    let json = super::tools::json("ip", &["-j", "-4", "route", "show", "default"]).ok()?;
    Some(json.as_array()?.first()?["dev"].as_str()?.to_owned())
}

/// The number of a device.
pub fn index(device: &str) -> Option<u32> {
    let text = std::fs::read_to_string(path(device)?.join("ifindex")).ok()?;
    text.trim().parse().ok()
}

/// The name of the device with this number; none where it is gone.
pub fn name_of(index: u32) -> Option<String> {
    let name = nix::net::if_::if_indextoname(index).ok()?;
    // nix does not tell that there is none.
    name.into_string().ok().filter(|name| !name.is_empty())
}

/// The taps that have this MAC. A bridge takes over that of one of its ports.
pub fn taps_with_mac(mac: Mac) -> Vec<String> {
    let wanted = mac_text(mac);
    let entries = std::fs::read_dir(CLASS).into_iter().flatten().flatten();
    let own = entries.filter(|entry| {
        let address = std::fs::read_to_string(entry.path().join("address"));
        let is_tap = entry.path().join("tun_flags").exists();
        is_tap && address.is_ok_and(|address| address.trim() == wanted)
    });
    own.map(|entry| entry.file_name().to_string_lossy().into_owned())
        .collect()
}

/// The folder of a device; none for what cannot be a device's name (`dev_valid_name` in the
/// kernel's `net/core/dev.c`).
fn path(device: &str) -> Option<PathBuf> {
    let valid = !device.is_empty()
        && device.len() < 16
        && ![".", ".."].contains(&device)
        && !device.contains(['/', ':'])
        && !device.contains(char::is_whitespace);
    valid.then(|| Path::new(CLASS).join(device))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_device_is_not_looked_for() {
        for name in ["", ".", "..", "../../etc", "a b", "sixteen-letters-", "a:b"] {
            assert_eq!(path(name), None, "{name:?}");
        }
        assert!(path("vnet0").is_some());
    }

    #[test]
    fn the_loopback_is_in_no_bridge() {
        assert!(exists("lo") && bridge_of("lo").is_none());
        assert_eq!(index("lo").and_then(name_of).as_deref(), Some("lo"));
        assert_eq!(name_of(0), None);
    }
}
