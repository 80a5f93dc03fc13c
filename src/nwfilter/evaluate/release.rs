//! What one release of iptables takes and another refuses.

use std::fmt;

/// Releases of iptables, and with it of ebtables, that differ in what they take.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum IptablesRelease {
    /// Before 1.8.11: 1.8.9 (Debian 12) and 1.8.10 (Ubuntu 24.04); measured:
    /// docs/measurements.md#M4.
    Older,
    /// From 1.8.11 (Debian 13) on; measured: docs/measurements.md#M4.
    V1_8_11,
}

impl IptablesRelease {
    /// The release that `iptables --version` names; none where it names none. That of
    /// iptables-legacy has no `continue` either.
    pub fn from_version(text: &str) -> Option<Self> {
        let version = text.split_whitespace().find_map(|word| {
            let mut numbers = word.strip_prefix('v')?.split('.').map(str::parse::<u32>);
            let mut next = || numbers.next().unwrap_or(Ok(0)).ok();
            Some((next()?, next()?, next()?))
        })?;
        let newer = version >= (1, 8, 11) && !text.contains("legacy");
        Some(if newer { Self::V1_8_11 } else { Self::Older })
    }
}

/// Something in a rule that not every release takes. Where it is taken, all read it alike.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Portability {
    /// The action `continue` at layer 3, which is no verdict.
    Continue,
    /// A hexadecimal port from a variable at layer 2.
    HexPort,
    /// A hexadecimal number of a VLAN from a variable.
    HexVlanId,
    /// A range of UDP ports at layer 3 that ends before it begins.
    BackwardPorts,
}

impl Portability {
    /// All of them.
    pub const ALL: [Self; 4] = [
        Self::Continue,
        Self::HexPort,
        Self::HexVlanId,
        Self::BackwardPorts,
    ];

    /// Whether the release takes it.
    pub fn is_taken_by(self, release: IptablesRelease) -> bool {
        match self {
            Self::Continue | Self::HexVlanId => release >= IptablesRelease::V1_8_11,
            Self::HexPort | Self::BackwardPorts => release < IptablesRelease::V1_8_11,
        }
    }
}

impl fmt::Display for Portability {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Continue => "iptables before 1.8.11 has no action `continue`",
            Self::HexPort => "ebtables from 1.8.11 on takes no hexadecimal port from a variable",
            Self::HexVlanId => {
                "ebtables before 1.8.11 takes no hexadecimal VLAN number from a variable"
            }
            Self::BackwardPorts => {
                "iptables from 1.8.11 on takes no range of UDP ports that ends before it begins"
            }
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    #[rstest]
    #[case::debian_12("iptables v1.8.9 (nf_tables)\n", Some(IptablesRelease::Older))]
    #[case::ubuntu_24_04("iptables v1.8.10 (nf_tables)\n", Some(IptablesRelease::Older))]
    #[case::debian_13("iptables v1.8.11 (nf_tables)\n", Some(IptablesRelease::V1_8_11))]
    #[case::later("iptables v1.10 (nf_tables)\n", Some(IptablesRelease::V1_8_11))]
    #[case::legacy("iptables v1.8.11 (legacy)\n", Some(IptablesRelease::Older))]
    #[case::nothing("", None)]
    #[case::words("version 1.8.11 of iptables", None)]
    fn versions(#[case] text: &str, #[case] release: Option<IptablesRelease>) {
        assert_eq!(IptablesRelease::from_version(text), release);
    }

    #[test]
    fn each_is_taken_by_some_release_and_not_by_all() {
        for thing in Portability::ALL {
            let taken =
                [IptablesRelease::Older, IptablesRelease::V1_8_11].map(|by| thing.is_taken_by(by));
            assert!(taken.contains(&true) && taken.contains(&false), "{thing}");
        }
    }
}
