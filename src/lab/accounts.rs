//! The accounts that libvirtd wants to exist.
//!
//! Debian's libvirtd looks up the user `libvirt-qemu` and its group before it
//! reads the configuration that says to run QEMU as somebody else, and gives
//! up without them. In libvirt 9.0's packages only `libvirt-daemon-system`
//! makes them, which set-up does not install because it starts daemons on the
//! host (measured: docs/measurements.md#M24; Debian 13's QEMU driver makes them
//! itself). The lab adds them to its own view of /etc/passwd and /etc/group.

use super::bind_mount::bind;
use super::error::LabError;
use super::paths::STATE;
use nix::unistd::{Group, User};
use std::path::Path;

/// Debian's and Ubuntu's QEMU user. The number is the one that Debian reserves
/// for it, and it lies inside the range that an ordinary user's lab maps.
const USERS: &[(&str, &str)] = &[(
    "libvirt-qemu",
    "libvirt-qemu:x:64055:64055::/var/lib/libvirt:/usr/sbin/nologin",
)];

/// Debian's QEMU group, and Ubuntu's, which is udev's and absent from some containers.
const GROUPS: &[(&str, &str)] = &[
    ("libvirt-qemu", "libvirt-qemu:x:64055:"),
    ("kvm", "kvm:x:64056:"),
];

/// Adds what is missing, in this mount namespace only. [`STATE`] must exist.
pub fn ensure() -> Result<(), LabError> {
    add("/etc/passwd", USERS, |name| {
        User::from_name(name).map(|user| user.is_some())
    })?;
    add("/etc/group", GROUPS, |name| {
        Group::from_name(name).map(|group| group.is_some())
    })
}

/// Covers the file with a copy that has the lines of the missing names.
fn add(
    file: &str,
    wanted: &[(&str, &str)],
    exists: impl Fn(&str) -> nix::Result<bool>,
) -> Result<(), LabError> {
    let mut lines = Vec::new();
    for (name, line) in wanted {
        let known =
            exists(name).map_err(|errno| LabError::system(format!("look up {name}"), errno))?;
        if !known {
            lines.push(*line);
        }
    }
    if lines.is_empty() {
        return Ok(());
    }
    let failed = |path: &Path, source| LabError::File {
        path: path.into(),
        source,
    };
    let original = Path::new(file);
    let text = std::fs::read_to_string(original).map_err(|source| failed(original, source))?;
    let copy = Path::new(STATE).join(original.file_name().expect("a file has a name"));
    std::fs::write(&copy, extended(&text, &lines)).map_err(|source| failed(&copy, source))?;
    bind(&copy, file)
}

fn extended(text: &str, lines: &[&str]) -> String {
    let mut text = text.to_owned();
    for line in lines {
        if !text.is_empty() && !text.ends_with('\n') {
            text.push('\n');
        }
        text.push_str(line);
        text.push('\n');
    }
    text
}

#[cfg(test)]
mod tests {
    use super::extended;
    use rstest::rstest;

    #[rstest]
    #[case::whole("root:x:0:\n", "root:x:0:\na:x:1:\nb:x:2:\n")]
    #[case::no_newline_at_the_end("root:x:0:", "root:x:0:\na:x:1:\nb:x:2:\n")]
    #[case::empty("", "a:x:1:\nb:x:2:\n")]
    fn lines_are_added_at_the_end(#[case] text: &str, #[case] expected: &str) {
        assert_eq!(extended(text, &["a:x:1:", "b:x:2:"]), expected);
    }
}
