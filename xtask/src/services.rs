//! Keeps set-up from leaving daemons behind: libvirt's packages enable
//! libvirtd and its sockets, which lanfence has no use for because it runs a
//! private libvirtd inside its own namespaces.

use crate::privilege::Privilege;
use crate::tool;
use anyhow::Result;
use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

/// Where systemd keeps what the administrator enabled.
const UNITS: &str = "/etc/systemd/system";

/// Units of libvirt that are started at boot.
pub fn enabled() -> BTreeSet<String> {
    enabled_below(Path::new(UNITS))
}

fn enabled_below(root: &Path) -> BTreeSet<String> {
    let wanted = |name: &str| {
        let extension = Path::new(name).extension();
        extension.is_some_and(|kind| kind == "wants" || kind == "requires")
    };
    names(root)
        .filter(|name| wanted(name))
        .flat_map(|directory| names(&root.join(directory)).collect::<Vec<_>>())
        .filter(|unit| unit.starts_with("libvirt") || unit.starts_with("virt"))
        .collect()
}

fn names(directory: &Path) -> impl Iterator<Item = String> {
    fs::read_dir(directory)
        .into_iter()
        .flatten()
        .flatten()
        .filter_map(|entry| entry.file_name().into_string().ok())
}

/// Disables what was enabled since `before` was taken; nothing that the
/// machine had already.
///
/// # Errors
///
/// If `systemctl` cannot be started as root or fails.
pub fn disable_new(before: &BTreeSet<String>, privilege: Privilege) -> Result<()> {
    let after = enabled();
    let new: Vec<&str> = after.difference(before).map(String::as_str).collect();
    if new.is_empty() || tool::find("systemctl").is_none() {
        return Ok(());
    }
    eprintln!(
        "libvirt's services stay off: lanfence runs its own libvirtd in private namespaces \
         (`systemctl enable --now libvirtd` turns the system's on)"
    );
    let arguments: Vec<&str> = ["disable", "--quiet"].into_iter().chain(new).collect();
    privilege.run("systemctl", &arguments)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_libvirts_units_are_listed() {
        let root = tempfile::tempdir().expect("scratch directory");
        for file in [
            "multi-user.target.wants/libvirtd.service",
            "sockets.target.wants/virtlogd.socket",
            "sockets.target.requires/libvirtd.socket",
            "multi-user.target.wants/cron.service",
            "libvirt-not-enabled.service",
        ] {
            let path = root.path().join(file);
            fs::create_dir_all(path.parent().expect("below the root")).expect("directory");
            fs::write(path, "").expect("file");
        }
        let units: Vec<_> = enabled_below(root.path()).into_iter().collect();
        assert_eq!(
            units,
            ["libvirtd.service", "libvirtd.socket", "virtlogd.socket"]
        );
    }
}
