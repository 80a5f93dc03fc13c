//! What no package can fix: whether an ordinary user may build the lab's
//! namespaces. The lab checks for itself; this is for `doctor`, so that a
//! newcomer learns of it before the first run.

use nix::unistd::{Uid, User};
use std::fs::{self, OpenOptions};
use std::io;

/// Subordinate ids that the lab's user namespace maps besides root.
const WANTED_IDS: u64 = 65_536;

/// Something that stops an ordinary user's lab, and the command that cures it.
#[derive(Debug, PartialEq, Eq)]
pub struct Obstacle {
    /// What is wrong.
    pub what: String,
    /// The command that cures it, to be run as root.
    pub cure: String,
}

/// What stands in the way of a lab of the present user.
pub fn obstacles() -> Vec<Obstacle> {
    let mut found = Vec::new();
    found.extend(tun());
    let uid = Uid::effective();
    if uid.is_root() {
        return found;
    }
    let name = User::from_uid(uid).ok().flatten().map(|user| user.name);
    let name = name.unwrap_or_else(|| uid.to_string());
    for (file, flag) in [
        ("/etc/subuid", "--add-subuids"),
        ("/etc/subgid", "--add-subgids"),
    ] {
        let text = fs::read_to_string(file).unwrap_or_default();
        if subordinate_ids(&text, &name, uid.as_raw()) < WANTED_IDS {
            found.push(Obstacle {
                what: format!("{file} gives {name} fewer than {WANTED_IDS} ids"),
                cure: format!("usermod {flag} 100000-165535 {name}"),
            });
        }
    }
    found.extend(SWITCHES.iter().filter_map(Switch::obstacle));
    found
}

/// The lab's taps come from this device.
fn tun() -> Option<Obstacle> {
    let error = OpenOptions::new()
        .read(true)
        .write(true)
        .open("/dev/net/tun")
        .err()?;
    let cure = if error.kind() == io::ErrorKind::PermissionDenied {
        "chmod 666 /dev/net/tun"
    } else {
        "modprobe tun; mkdir -p /dev/net; mknod -m 666 /dev/net/tun c 10 200"
    };
    Some(Obstacle {
        what: format!("/dev/net/tun cannot be opened: {error}"),
        cure: cure.to_owned(),
    })
}

/// A kernel setting that forbids user namespaces.
struct Switch {
    sysctl: &'static str,
    bad: &'static str,
    good: &'static str,
}

const SWITCHES: [Switch; 3] = [
    Switch {
        sysctl: "kernel.unprivileged_userns_clone",
        bad: "0",
        good: "1",
    },
    Switch {
        sysctl: "kernel.apparmor_restrict_unprivileged_userns",
        bad: "1",
        good: "0",
    },
    Switch {
        sysctl: "user.max_user_namespaces",
        bad: "0",
        good: "15000",
    },
];

impl Switch {
    fn obstacle(&self) -> Option<Obstacle> {
        let file = format!("/proc/sys/{}", self.sysctl.replace('.', "/"));
        let value = fs::read_to_string(file).ok()?;
        (value.trim() == self.bad).then(|| Obstacle {
            what: format!("{} is {}: no user namespaces", self.sysctl, self.bad),
            cure: format!("sysctl -w {}={}", self.sysctl, self.good),
        })
    }
}

/// How many ids subuid(5) or subgid(5) gives a user, named or numbered.
fn subordinate_ids(text: &str, name: &str, uid: u32) -> u64 {
    let number = uid.to_string();
    text.lines()
        .filter_map(|line| {
            let mut fields = line.trim().split(':');
            let owner = fields.next()?;
            let count = fields.nth(1)?.parse::<u64>().ok()?;
            (owner == name || owner == number).then_some(count)
        })
        .max()
        .unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    #[rstest]
    #[case::by_name("a:100000:65536\nb:165536:65536\n", 65_536)]
    #[case::by_number("1000:100000:65536\n", 65_536)]
    #[case::largest("b:1:10\nb:100000:65536\n", 65_536)]
    #[case::other("a:100000:65536\n", 0)]
    #[case::broken("b:100000\nb:x:y\n", 0)]
    fn subordinate_ids_are_counted(#[case] text: &str, #[case] expected: u64) {
        assert_eq!(subordinate_ids(text, "b", 1000), expected);
    }
}
