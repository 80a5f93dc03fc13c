//! What lanfence needs from the machine, and how each thing is recognised:
//! by looking at files only, so that a look costs milliseconds and needs
//! neither root nor a package manager.

use crate::distro::Release;
use crate::packages::Package;
use crate::tool;
use std::env;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};

/// How a need is recognised as met.
#[derive(Debug, Clone, Copy)]
pub enum Proof {
    /// A program in PATH or in the administrators' directories.
    Program(&'static str),
    /// A pkg-config file, without its suffix: the headers and the link to the
    /// library come in the same package.
    PkgConfig(&'static str),
    /// A file below one of the library directories.
    Library(&'static str),
    /// One of these files.
    AnyFile(&'static [&'static str]),
}

/// Something without which lanfence cannot be built or run.
#[derive(Debug, Clone, Copy)]
pub struct Need {
    /// How it is recognised.
    pub proof: Proof,
    /// What it is for, for people.
    pub purpose: &'static str,
    /// Where it comes from.
    pub package: Package,
}

const fn need(proof: Proof, purpose: &'static str, package: Package) -> Need {
    Need {
        proof,
        purpose,
        package,
    }
}

/// Everything, builders' tools first.
pub const NEEDS: &[Need] = {
    use Package::{Named, SplitDriver};
    use Proof::{AnyFile, Library, PkgConfig, Program};
    &[
        need(Program("cc"), "links Rust programs", Named("gcc")),
        need(
            Library("libc.a"),
            "links the guest agent statically",
            Named("libc6-dev"),
        ),
        need(
            Program("pkg-config"),
            "finds C libraries",
            Named("pkg-config"),
        ),
        need(
            PkgConfig("libvirt-qemu"),
            "libvirt's headers",
            Named("libvirt-dev"),
        ),
        need(PkgConfig("openssl"), "SSH", Named("libssl-dev")),
        need(PkgConfig("zlib"), "SSH", Named("zlib1g-dev")),
        need(
            Program("qemu-system-x86_64"),
            "runs guests",
            Named("qemu-system-x86"),
        ),
        need(
            Program("qemu-img"),
            "overlays over foreign disks",
            Named("qemu-utils"),
        ),
        need(
            AnyFile(&[
                "/usr/share/seabios/bios-256k.bin",
                "/usr/share/qemu/bios-256k.bin",
                "/usr/local/share/qemu/bios-256k.bin",
            ]),
            "guests' firmware",
            Named("seabios"),
        ),
        need(
            AnyFile(&[
                "/usr/lib/ipxe/qemu/efi-pcnet.rom",
                "/usr/share/qemu/efi-pcnet.rom",
                "/usr/local/share/qemu/efi-pcnet.rom",
            ]),
            "boot ROMs of guests' NICs",
            Named("ipxe-qemu"),
        ),
        need(
            Program("libvirtd"),
            "applies filters",
            Named("libvirt-daemon"),
        ),
        need(
            Library("libvirt/connection-driver/libvirt_driver_qemu.so"),
            "libvirt's QEMU driver",
            Named("libvirt-daemon-driver-qemu"),
        ),
        need(
            Library("libvirt/connection-driver/libvirt_driver_nwfilter.so"),
            "libvirt's filter driver",
            SplitDriver {
                before: "libvirt-daemon",
                since: "libvirt-daemon-driver-nwfilter",
            },
        ),
        need(
            Program("ebtables"),
            "libvirt's layer-2 rules",
            Named("iptables"),
        ),
        need(
            Program("ebtables-save"),
            "evidence: rules and counters",
            Named("iptables"),
        ),
        need(
            Program("iptables"),
            "libvirt's IPv4 rules",
            Named("iptables"),
        ),
        need(
            Program("ip6tables"),
            "libvirt's IPv6 rules",
            Named("iptables"),
        ),
        need(
            Program("nft"),
            "evidence: rules and counters",
            Named("nftables"),
        ),
        need(Program("ip"), "the lab's links", Named("iproute2")),
        need(
            Program("dnsmasq"),
            "the lab's DHCP server",
            Named("dnsmasq-base"),
        ),
        need(
            Program("newuidmap"),
            "the lab of an ordinary user",
            Named("uidmap"),
        ),
        need(
            Program("dropbear"),
            "the guest's SSH server",
            Named("dropbear-bin"),
        ),
        need(
            Program("dpkg-deb"),
            "unpacks the guest kernel",
            Named("dpkg"),
        ),
        need(Program("tar"), "unpacks the guest kernel", Named("tar")),
        need(Program("xz"), "unpacks the guest kernel", Named("xz-utils")),
        need(Program("zstd"), "unpacks the guest kernel", Named("zstd")),
        need(Program("gzip"), "unpacks the guest kernel", Named("gzip")),
    ]
};

/// What a few cells of the matrix need and everything else does without: the emulator of guests on
/// MIPS.
pub const MIPS: Need = need(
    Proof::Program("qemu-system-mipsel"),
    "runs U-Boot with pcnet",
    Package::Named("qemu-system-mips"),
);

impl Need {
    /// What is looked for, in a few words.
    pub fn subject(&self) -> String {
        match self.proof {
            Proof::Program(name) | Proof::Library(name) => name.to_owned(),
            Proof::PkgConfig(name) => format!("{name}.pc"),
            Proof::AnyFile(files) => files[0].to_owned(),
        }
    }

    /// Where it was found.
    pub fn locate(&self) -> Option<PathBuf> {
        match self.proof {
            Proof::Program(name) => tool::find(name),
            Proof::PkgConfig(name) => pkg_config_directories()
                .map(|directory| directory.join(format!("{name}.pc")))
                .find(|file| file.exists()),
            Proof::Library(name) => library_directories()
                .map(|directory| directory.join(name))
                .find(|file| file.exists()),
            Proof::AnyFile(files) => files.iter().map(PathBuf::from).find(|file| file.exists()),
        }
    }
}

/// The needs that are not met.
pub fn missing() -> Vec<Need> {
    NEEDS
        .iter()
        .filter(|need| need.locate().is_none())
        .copied()
        .collect()
}

/// The packages to install for what is missing, each once, sorted.
pub fn packages(missing: &[Need], release: Release) -> Vec<&'static str> {
    let mut names: Vec<_> = missing
        .iter()
        .map(|need| need.package.name(release))
        .collect();
    names.sort_unstable();
    names.dedup();
    names
}

/// One line a need: what is missing, what for, and in which package it is.
pub fn describe(missing: &[Need], release: Release) -> String {
    let mut text = String::new();
    for need in missing {
        let name = need.package.name(release);
        let _ = writeln!(
            text,
            "  {} ({}), package {name}",
            need.subject(),
            need.purpose
        );
    }
    text
}

/// Where the linker and the loader look on the distributions known here.
pub fn library_directories() -> impl Iterator<Item = PathBuf> {
    [
        "/usr/local/lib/x86_64-linux-gnu",
        "/usr/local/lib",
        "/usr/lib/x86_64-linux-gnu",
        "/lib/x86_64-linux-gnu",
        "/usr/lib64",
        "/lib64",
        "/usr/lib",
        "/lib",
    ]
    .iter()
    .map(PathBuf::from)
}

/// Where pkg-config looks, its environment variable included.
fn pkg_config_directories() -> impl Iterator<Item = PathBuf> {
    let named = env::var_os("PKG_CONFIG_PATH").unwrap_or_default();
    env::split_paths(&named)
        .filter(|path| !path.as_os_str().is_empty())
        .collect::<Vec<_>>()
        .into_iter()
        .chain(library_directories().map(|directory| directory.join("pkgconfig")))
        .chain([Path::new("/usr/share/pkgconfig").to_path_buf()])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_need_that_nothing_meets_is_not_located() {
        for proof in [
            Proof::Program("no-such-program-anywhere"),
            Proof::PkgConfig("no-such-library"),
            Proof::Library("no-such-library.so"),
            Proof::AnyFile(&["/no/such/file"]),
        ] {
            assert_eq!(need(proof, "", Package::Named("none")).locate(), None);
        }
    }

    #[test]
    fn a_shell_is_located() {
        let shell = need(Proof::Program("sh"), "", Package::Named("dash"));
        assert!(shell.locate().is_some());
    }

    #[test]
    fn every_subject_is_named_once() {
        let mut subjects: Vec<_> = NEEDS.iter().map(Need::subject).collect();
        subjects.sort();
        subjects.dedup();
        assert_eq!(subjects.len(), NEEDS.len());
    }

    #[test]
    fn a_bare_debian_12_gets_each_package_once() {
        assert_eq!(
            packages(NEEDS, Release::Bookworm).join(" "),
            "dnsmasq-base dpkg dropbear-bin gcc gzip iproute2 iptables ipxe-qemu libc6-dev \
             libssl-dev libvirt-daemon libvirt-daemon-driver-qemu libvirt-dev nftables \
             pkg-config qemu-system-x86 qemu-utils seabios tar uidmap xz-utils zlib1g-dev zstd"
        );
    }

    #[test]
    fn the_description_names_thing_purpose_and_package() {
        let libvirtd: Vec<_> = NEEDS
            .iter()
            .filter(|need| need.subject() == "libvirtd")
            .copied()
            .collect();
        assert_eq!(
            describe(&libvirtd, Release::Trixie),
            "  libvirtd (applies filters), package libvirt-daemon\n"
        );
    }
}
