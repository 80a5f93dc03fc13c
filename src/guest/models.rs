//! The NIC models that the installed QEMU has.

use super::error::GuestError;
use std::process::Command;

/// libvirt's names for QEMU's devices where they differ.
const ALIASES: [(&str, &str); 3] = [
    ("virtio", "virtio-net-pci"),
    ("virtio-transitional", "virtio-net-pci-transitional"),
    ("virtio-non-transitional", "virtio-net-pci-non-transitional"),
];

/// Asks QEMU which network devices it has; QEMU's own names.
pub fn qemu_models() -> Result<Vec<String>, GuestError> {
    let output = Command::new("qemu-system-x86_64")
        .args(["-device", "help"])
        .output()
        .map_err(|error| {
            crate::lab::LabError::host(
                format!("qemu-system-x86_64 cannot be started: {error}"),
                "`cargo xtask setup` installs what is missing",
            )
        })?;
    if !output.status.success() {
        // A library that is missing, say; else every model would seem to be.
        return Err(crate::lab::LabError::host(
            format!(
                "`qemu-system-x86_64 -device help` failed: {}: {}",
                output.status,
                String::from_utf8_lossy(&output.stderr).trim()
            ),
            "`cargo xtask setup` installs what is missing",
        )
        .into());
    }
    Ok(parse_models(&String::from_utf8_lossy(&output.stdout)))
}

/// The section `Network devices:` of `-device help`.
fn parse_models(help: &str) -> Vec<String> {
    let section = help
        .lines()
        .skip_while(|line| *line != "Network devices:")
        .skip(1);
    section
        .take_while(|line| !line.is_empty())
        .filter_map(|line| {
            line.strip_prefix("name \"")?
                .split('"')
                .next()
                .map(str::to_owned)
        })
        .collect()
}

/// Checks that QEMU has the model that libvirt calls by this name.
pub fn check_model(model: &str, have: &[String]) -> Result<(), GuestError> {
    let device = ALIASES
        .iter()
        .find(|(name, _)| *name == model)
        .map_or(model, |(_, device)| device);
    if have.iter().any(|name| name == device) {
        return Ok(());
    }
    let nearest = have
        .iter()
        .filter(|name| name.starts_with(model.get(..2).unwrap_or(model)))
        .map(String::as_str)
        .collect::<Vec<_>>()
        .join(", ");
    let nearest = if nearest.is_empty() {
        String::new()
    } else {
        format!("; it has {nearest}")
    };
    Err(GuestError::Nic {
        model: model.to_owned(),
        nearest,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    const HELP: &str = "Storage devices:\nname \"nvme\", bus PCI\n\nNetwork devices:\n\
                        name \"pcnet\", bus PCI\nname \"virtio-net-pci\", bus PCI, alias \"virtio-net\"\n\nInput devices:\n";

    #[rstest]
    #[case::its_own_name("pcnet", true)]
    #[case::libvirts_name("virtio", true)]
    #[case::a_disk("nvme", false)]
    #[case::a_typo("pcnett", false)]
    fn models(#[case] model: &str, #[case] known: bool) {
        let have = parse_models(HELP);
        assert_eq!(have, ["pcnet", "virtio-net-pci"]);
        assert_eq!(check_model(model, &have).is_ok(), known);
    }

    #[test]
    fn a_typo_gets_the_near_names() {
        let error = check_model("pcnett", &["pcnet".into()])
            .unwrap_err()
            .to_string();
        assert!(error.contains("it has pcnet"), "{error}");
    }
}
