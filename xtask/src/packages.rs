//! What a package is called on which distribution.

use crate::distro::Release;

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

#[cfg(test)]
mod tests {
    use super::*;
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
}
