//! What is set on a host's first boot: the part of its manifest that is not on the disk.

use super::manifest::Manifest;
use crate::tool::quoted_for_shell;
use std::ffi::OsStr;
use std::fmt::Write as _;

/// The script that the host runs as root. It ends with 0 only if everything is set.
pub fn script(manifest: &Manifest) -> String {
    let mut text = String::from("set -eu\nexport PATH=/usr/sbin:/usr/bin:/sbin:/bin\n");
    line(&mut text, &["hostname", &manifest.name]);
    write_file(&mut text, "/etc/hostname", &format!("{}\n", manifest.name));
    write_file(
        &mut text,
        "/etc/hosts",
        &format!("127.0.0.1 localhost {}\n::1 localhost\n", manifest.name),
    );
    modules(&mut text, manifest);
    sysctls(&mut text, manifest);
    backend(&mut text, manifest);
    users(&mut text, manifest);
    services(&mut text, manifest);
    // A host whose units have not settled is not ready; a unit that failed is not our concern.
    text.push_str("systemctl is-system-running --wait || true\n");
    text.push_str("sync\n");
    text
}

fn modules(text: &mut String, manifest: &Manifest) {
    write_file(
        text,
        "/etc/modules-load.d/lanfence.conf",
        &lines(&manifest.modules, |text, module| writeln!(text, "{module}")),
    );
    let forbidden = lines(&manifest.absent_modules, |text, module| {
        writeln!(text, "install {module} /bin/false")
    });
    write_file(text, "/etc/modprobe.d/lanfence.conf", &forbidden);
    for module in &manifest.modules {
        // kvm_intel on AMD's processors, and the other way round.
        let _ = writeln!(text, "modprobe -q {} || true", word(module));
    }
    for module in &manifest.absent_modules {
        let _ = writeln!(text, "modprobe -qr {} || true", word(module));
    }
}

fn sysctls(text: &mut String, manifest: &Manifest) {
    let settings = lines(&manifest.sysctls, |text, (name, value)| {
        writeln!(text, "{name} = {value}")
    });
    write_file(text, "/etc/sysctl.d/90-lanfence.conf", &settings);
    text.push_str("sysctl -q -p /etc/sysctl.d/90-lanfence.conf\n");
}

/// The last line of a file of libvirt's counts. Before 12.8 there is no such file.
fn backend(text: &mut String, manifest: &Manifest) {
    let Some(backend) = manifest.nwfilter_backend.word() else {
        return;
    };
    for file in ["/etc/libvirt/nwfilter.conf", "/etc/libvirt/network.conf"] {
        let _ = writeln!(
            text,
            "test -e {file} || {{ echo 'libvirt has no {file}' >&2; exit 1; }}\n\
             printf 'firewall_backend = \"{backend}\"\\n' >> {file}"
        );
    }
    text.push_str("printf 'enable_counters = 1\\n' >> /etc/libvirt/nwfilter.conf\n");
    text.push_str("systemctl try-restart libvirtd.service\n");
}

fn users(text: &mut String, manifest: &Manifest) {
    for (index, user) in manifest.users.iter().enumerate() {
        line(text, &["useradd", "-m", "-s", "/bin/bash", &user.name]);
        if !user.groups.is_empty() {
            line(
                text,
                &["usermod", "-aG", &user.groups.join(","), &user.name],
            );
        }
        let first = 200_000 + index * 65_536;
        let ids = format!("{}:{first}:65536\n", user.name);
        for file in ["/etc/subuid", "/etc/subgid"] {
            // What useradd gave of its own accord depends on the distribution.
            let _ = writeln!(text, "sed -i '/^{}:/d' {file}", user.name);
            if user.subordinate_ids {
                let _ = writeln!(text, "printf %s {} >> {file}", word(&ids));
            }
        }
    }
}

fn services(text: &mut String, manifest: &Manifest) {
    for unit in &manifest.services.disable {
        // Not every release has each of them.
        let _ = writeln!(
            text,
            "if systemctl cat {0} >/dev/null 2>&1; then systemctl -q disable --now {0}; \
             systemctl -q mask {0}; fi",
            word(unit)
        );
    }
    for unit in &manifest.services.enable {
        line(text, &["systemctl", "-q", "enable", "--now", unit]);
    }
}

fn lines<T>(
    of: impl IntoIterator<Item = T>,
    write: impl Fn(&mut String, T) -> std::fmt::Result,
) -> String {
    let mut text = String::new();
    for item in of {
        let _ = write(&mut text, item);
    }
    text
}

fn write_file(text: &mut String, path: &str, content: &str) {
    let _ = writeln!(text, "printf %s {} > {path}", word(content));
}

fn line(text: &mut String, words: &[&str]) {
    let words: Vec<String> = words.iter().map(|it| word(it)).collect();
    let _ = writeln!(text, "{}", words.join(" "));
}

fn word(text: &str) -> String {
    quoted_for_shell(OsStr::new(text))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::hosts::manifest;
    use std::process::Command;

    #[test]
    fn every_shipped_host_gets_a_script_that_a_shell_can_read() {
        for host in manifest::all(&manifest::directory()).expect("shipped") {
            let script = script(&host);
            let status = Command::new("sh").args(["-n", "-c", &script]).status();
            assert!(status.expect("sh").success(), "{}:\n{script}", host.name);
        }
    }

    #[test]
    fn what_the_manifest_says_is_in_it() {
        let host = manifest::read(&manifest::directory(), "debian-13-hardened").expect("shipped");
        let script = script(&host);
        for part in [
            "install br_netfilter /bin/false",
            "kernel.unprivileged_userns_clone = 0",
            "useradd -m -s /bin/bash tester",
            "systemctl -q enable --now apparmor.service",
        ] {
            assert!(script.contains(part), "{part} is not in\n{script}");
        }
    }
}
