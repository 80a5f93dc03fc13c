//! What a kernel says that lets no ordinary user make namespaces, and who has to change that.
//!
//! A namespace that can be made may still be worth nothing: where AppArmor restricts user
//! namespaces (Ubuntu since 23.10, any kernel since 6.7 with
//! `kernel.apparmor_restrict_unprivileged_userns`), the kernel makes one and then refuses what
//! its root does in it, such as to change its group or to mount.

use super::error::LabError;
use std::path::Path;

/// The sysctl with which AppArmor keeps programs that have no profile from using what a user
/// namespace gives (apparmor's `policies/user-namespaces` in its wiki).
const APPARMOR: &str = "kernel.apparmor_restrict_unprivileged_userns";

/// The other sysctls that forbid user namespaces, with the value that forbids and one that
/// allows.
const FORBIDDERS: [(&str, &str, &str); 2] = [
    ("kernel.unprivileged_userns_clone", "0", "1"),
    ("user.max_user_namespaces", "0", "15000"),
];

/// The file of the profile that [`apparmor_profile`] prints.
const PROFILE: &str = "/etc/apparmor.d/lanfence";

/// The kernel refuses a step on the way into the lab's namespaces. `what` is a whole sentence.
pub fn forbidden(errno: nix::Error, what: impl Into<String>) -> LabError {
    LabError::host_because(what, errno, cure())
}

/// The command that lifts what this kernel forbids.
fn cure() -> String {
    let is = |name: &str, value: &str| {
        let path = format!("/proc/sys/{}", name.replace('.', "/"));
        std::fs::read_to_string(path).is_ok_and(|text| text.trim() == value)
    };
    for (name, forbids, allows) in FORBIDDERS {
        if is(name, forbids) {
            return format!("`sudo sysctl -w {name}={allows}`, or run as root");
        }
    }
    if !nix::unistd::Uid::current().is_root() && is(APPARMOR, "1") {
        return format!(
            "`lanfence doctor --apparmor-profile | sudo tee {PROFILE} >/dev/null && sudo \
             apparmor_parser --replace {PROFILE}`, or run as root"
        );
    }
    "run as root, or outside a container or chroot that forbids namespaces".to_owned()
}

/// A profile with which AppArmor lets a program use user namespaces and is otherwise as if there
/// were none (apparmor.d(5), "unconfined" and "userns"). Without it only a sysctl for every
/// program of the host would help.
#[must_use]
pub fn apparmor_profile(program: &Path) -> String {
    let program = program.to_string_lossy().replace('"', "\\\"");
    format!(
        "# Lets lanfence make the user namespaces that its lab lives in.\n\
         abi <abi/4.0>,\n\
         include <tunables/global>\n\
         \n\
         profile lanfence \"{program}\" flags=(unconfined) {{\n  \
           userns,\n\
         }}\n"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_profile_is_for_this_program() {
        insta::assert_snapshot!(apparmor_profile(Path::new("/home/a b/lanfence")), @r#"
        # Lets lanfence make the user namespaces that its lab lives in.
        abi <abi/4.0>,
        include <tunables/global>

        profile lanfence "/home/a b/lanfence" flags=(unconfined) {
          userns,
        }
        "#);
    }
}
