//! From needs to package names: what is called how on which distribution.

use crate::distro::Release;
use crate::needs::Need;
use std::fmt::Write as _;

/// Where something comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Package {
    /// A package that is called the same everywhere.
    Named(&'static str),
    /// A libvirt driver that Debian moved out of `libvirt-daemon` between its
    /// packages of libvirt 10.4 and 10.9.
    SplitDriver {
        /// Name before (Debian 12's 9.0, Ubuntu 24.04's 10.0).
        before: &'static str,
        /// Name since (11.3 in Debian 13 and bookworm-backports).
        since: &'static str,
    },
}

impl Package {
    /// The package's name in the release.
    pub fn name(self, release: Release) -> &'static str {
        match self {
            Package::Named(name) => name,
            Package::SplitDriver { before, since } => match release {
                Release::Bookworm | Release::Noble => before,
                Release::BookwormBackports | Release::Trixie => since,
            },
        }
    }
}

/// The packages to install for what is missing, each once, sorted.
pub fn names(missing: &[Need], release: Release) -> Vec<&'static str> {
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::needs::NEEDS;
    use rstest::rstest;

    const FILTER_DRIVER: Package = Package::SplitDriver {
        before: "libvirt-daemon",
        since: "libvirt-daemon-driver-nwfilter",
    };

    #[rstest]
    #[case::bookworm(Release::Bookworm, "libvirt-daemon")]
    #[case::backports(Release::BookwormBackports, "libvirt-daemon-driver-nwfilter")]
    #[case::trixie(Release::Trixie, "libvirt-daemon-driver-nwfilter")]
    #[case::noble(Release::Noble, "libvirt-daemon")]
    fn the_filter_driver_has_moved(#[case] release: Release, #[case] expected: &str) {
        assert_eq!(FILTER_DRIVER.name(release), expected);
        assert_eq!(Package::Named("iproute2").name(release), "iproute2");
    }

    #[test]
    fn a_bare_debian_12_gets_each_package_once() {
        assert_eq!(
            names(NEEDS, Release::Bookworm).join(" "),
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
