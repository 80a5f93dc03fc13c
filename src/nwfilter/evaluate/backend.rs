//! What libvirt translates filters into.

use serde::{Deserialize, Serialize};
use std::fmt;

/// A back end of libvirt's filter driver.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Backend {
    /// ebtables and iptables: every release up to at least 12.5.0; measured:
    /// docs/measurements.md#M1.
    #[default]
    Ebtables,
    /// nftables: releases since 12.8; measured: docs/measurements.md#M47.
    Nftables,
}

impl Backend {
    /// As `nwfilter.conf` and the command line name it.
    pub fn word(self) -> &'static str {
        match self {
            Self::Ebtables => "ebtables",
            Self::Nftables => "nftables",
        }
    }

    /// The back end with this name.
    pub fn from_word(word: &str) -> Option<Self> {
        [Self::Ebtables, Self::Nftables]
            .into_iter()
            .find(|backend| backend.word() == word)
    }

    /// Where the knowledge comes from, for a heading.
    pub fn source(self) -> &'static str {
        match self {
            Self::Ebtables => "measured with libvirt 11.3.0",
            Self::Nftables => "measured with libvirt 12.9.0",
        }
    }
}

impl fmt::Display for Backend {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.word())
    }
}
