//! The way to a bridge, for a guest whose interface no filter can hold: commands to print.
//! lanfence does not run them, because the host's network is somebody else's.

use super::interface::Interface;
use super::print;
use crate::frame::mac_text;
use crate::nwfilter::FilterRef;
use std::fmt::Write as _;
use thiserror::Error;

/// Longest name of a device (`IFNAMSIZ`, less the byte that ends it).
const LONGEST_NAME: usize = 15;

/// What sets up the host's network.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Manager {
    /// `/etc/network/interfaces`, as in Debian.
    Ifupdown,
    /// systemd-networkd.
    Networkd,
    /// NetworkManager, as on desktops.
    NetworkManager,
    /// netplan, as in Ubuntu.
    Netplan,
}

impl Manager {
    /// All of them.
    pub const ALL: [Self; 4] = [
        Self::Ifupdown,
        Self::Networkd,
        Self::NetworkManager,
        Self::Netplan,
    ];

    /// Its name.
    pub fn word(self) -> &'static str {
        match self {
            Self::Ifupdown => "ifupdown",
            Self::Networkd => "systemd-networkd",
            Self::NetworkManager => "NetworkManager",
            Self::Netplan => "netplan",
        }
    }

    fn template(self) -> &'static str {
        match self {
            Self::Ifupdown => include_str!("ifupdown.txt"),
            Self::Networkd => include_str!("networkd.txt"),
            Self::NetworkManager => include_str!("network-manager.txt"),
            Self::Netplan => include_str!("netplan.txt"),
        }
    }
}

/// Why there are no commands.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum RecipeError {
    /// A name that a shell or a file would read as something else.
    #[error(
        "lanfence prints no commands for a device of the name `{0}`\n  cure: choose a name of at \
         most 15 letters, digits, `.`, `_` and `-`, with a letter or digit first"
    )]
    Name(String),
    /// Wi-Fi.
    #[error(
        "{0} is a Wi-Fi NIC, which cannot be the port of a bridge: an access point refuses the \
         frames of other MAC addresses\n  cure: connect the guest to a network of libvirt \
         (`<interface type='network'><source network='default'/>`), which takes a filter too"
    )]
    Wireless(String),
}

/// The commands that make a bridge of a NIC of the host.
///
/// # Errors
/// A name that must not stand in a command, and a NIC that no bridge can have.
///
/// # Examples
///
/// ```
/// use lanfence::domain::recipes::{Manager, bridge};
///
/// let text = bridge("eno1", "br0", Manager::Networkd)?;
/// assert!(text.contains("Name=br0\nKind=bridge"));
/// # Ok::<(), lanfence::domain::recipes::RecipeError>(())
/// ```
pub fn bridge(nic: &str, bridge: &str, manager: Manager) -> Result<String, RecipeError> {
    for name in [nic, bridge] {
        if !is_harmless(name) {
            return Err(RecipeError::Name(name.to_owned()));
        }
    }
    // The names of udev and of the kernel.
    if nic.starts_with("wl") {
        return Err(RecipeError::Wireless(nic.to_owned()));
    }
    let text = manager.template();
    Ok(text.replace("{nic}", nic).replace("{bridge}", bridge))
}

/// The interface that puts a guest on a bridge: its MAC address and NIC model stay, so that the
/// guest notices nothing.
pub fn on_bridge(interface: &Interface, bridge: &str, filterref: Option<&FilterRef>) -> String {
    const INDENT: &str = "\n  ";
    let mut out = "<interface type='bridge'>".to_owned();
    if let Some(mac) = interface.mac {
        let _ = write!(out, "{INDENT}<mac address='{}'/>", mac_text(mac));
    }
    let _ = write!(out, "{INDENT}<source bridge='{}'/>", print::value(bridge));
    if let Some(model) = &interface.model {
        let _ = write!(out, "{INDENT}<model type='{}'/>", print::value(model));
    }
    if let Some(filterref) = filterref {
        let _ = write!(out, "{INDENT}{}", print::filterref(filterref, INDENT));
    }
    out + "\n</interface>\n"
}

/// Whether a name means itself in a shell, in a file of each manager, and in a path.
fn is_harmless(name: &str) -> bool {
    let plain = |c: char| c.is_ascii_alphanumeric() || "._-".contains(c);
    name.len() <= LONGEST_NAME
        && name.starts_with(|c: char| c.is_ascii_alphanumeric())
        && name.chars().all(plain)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::Domain;
    use proptest::prelude::*;
    use rstest::rstest;

    #[rstest]
    #[case::ifupdown(Manager::Ifupdown)]
    #[case::networkd(Manager::Networkd)]
    #[case::network_manager(Manager::NetworkManager)]
    #[case::netplan(Manager::Netplan)]
    fn a_bridge_of(#[case] manager: Manager) {
        let text = bridge("eno1", "br0", manager).unwrap();
        insta::assert_snapshot!(manager.word(), text);
    }

    #[rstest]
    #[case::a_command("eno1;reboot")]
    #[case::an_option("-eno1")]
    #[case::a_path("../eno1")]
    #[case::nothing("")]
    #[case::too_long("enx0123456789abcdef")]
    fn no_commands_for(#[case] name: &str) {
        let wrong = RecipeError::Name(name.to_owned());
        assert_eq!(bridge(name, "br0", Manager::Netplan), Err(wrong.clone()));
        assert_eq!(bridge("eno1", name, Manager::Netplan), Err(wrong));
    }

    #[test]
    fn a_wifi_nic_has_no_bridge() {
        let error = bridge("wlp3s0", "br0", Manager::NetworkManager).unwrap_err();
        assert_eq!(error, RecipeError::Wireless("wlp3s0".into()));
    }

    #[test]
    fn the_guest_keeps_mac_and_model() {
        let xml = "<domain><name>g</name><devices><interface type='direct'>\
                   <mac address='52:54:00:5a:00:01'/><source dev='eno1' mode='bridge'/>\
                   <model type='e1000'/></interface></devices></domain>";
        let guest = Domain::parse(xml).unwrap();
        let filterref = FilterRef {
            filter: "lan-only".into(),
            parameters: vec![("IP".into(), "192.0.2.7".into())],
        };
        insta::assert_snapshot!(on_bridge(&guest.interfaces[0], "br0", Some(&filterref)), @r"
        <interface type='bridge'>
          <mac address='52:54:00:5a:00:01'/>
          <source bridge='br0'/>
          <model type='e1000'/>
          <filterref filter='lan-only'>
            <parameter name='IP' value='192.0.2.7'/>
          </filterref>
        </interface>
        ");
    }

    proptest! {
        /// No placeholder is left, and each line that is no comment has been meant by its author.
        #[test]
        fn names_are_filled_in(nic in "e[a-z0-9]{1,14}", name in "[a-z][a-z0-9._-]{0,14}") {
            for manager in Manager::ALL {
                let text = bridge(&nic, &name, manager).unwrap();
                let is_left = text.contains("{nic}") || text.contains("{bridge}");
                prop_assert!(!is_left, "{}", text);
                prop_assert!(text.contains("Warning: the host has no network while this runs"));
                prop_assert_eq!(text.lines().count(), manager.template().lines().count());
            }
        }
    }
}
