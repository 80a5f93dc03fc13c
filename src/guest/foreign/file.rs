//! A manifest as TOML, each value with its place.

use super::error::ManifestError;
use super::format::Format;
use super::keys::{Arp, Broadcast, Clock, Dhcp, DiskBus, MachineType, Medium, Wan};
use crate::nearest::nearest;
use serde::Deserialize;
use std::path::PathBuf;
use toml::Spanned;

/// The whole file.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct File {
    pub name: Spanned<String>,
    #[serde(default)]
    pub about: String,
    pub path: Option<Spanned<PathBuf>>,
    pub variable: Option<Spanned<String>>,
    pub sha256: Option<Spanned<String>>,
    pub format: Option<Format>,
    #[serde(default)]
    pub medium: Medium,
    pub nics: Spanned<Vec<Spanned<String>>>,
    #[serde(default)]
    pub machine: MachineType,
    pub bus: Option<Spanned<DiskBus>>,
    #[serde(default = "memory")]
    pub memory_mib: Spanned<u32>,
    #[serde(default)]
    pub clock: Clock,
    pub deadline_s: Spanned<u32>,
    #[serde(default = "observe")]
    pub observe_s: Spanned<u32>,
    #[serde(default)]
    pub expect: Expect,
}

/// `[expect]`
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Expect {
    #[serde(default)]
    pub dhcp: Dhcp,
    #[serde(default)]
    pub arp: Arp,
    #[serde(default)]
    pub broadcast: Broadcast,
    #[serde(default)]
    pub wan: Wan,
}

fn memory() -> Spanned<u32> {
    Spanned::new(0..0, 256)
}

fn observe() -> Spanned<u32> {
    Spanned::new(0..0, 10)
}

/// Keys and the words that some of them take.
const KNOWN: &[&str] = &[
    "name",
    "about",
    "path",
    "variable",
    "sha256",
    "format",
    "medium",
    "nics",
    "machine",
    "bus",
    "memory-mib",
    "clock",
    "deadline-s",
    "observe-s",
    "expect",
    "dhcp",
    "arp",
    "broadcast",
    "wan",
    "qcow2",
    "raw",
    "vmdk",
    "vdi",
    "vpc",
    "disk",
    "cdrom",
    "floppy",
    "ide",
    "sata",
    "scsi",
    "virtio",
    "utc",
    "localtime",
    "bound",
    "seen",
    "any",
    "attempted",
];

/// Parses the text; unknown keys and words are errors with the nearest known one.
pub fn parse(text: &str, origin: &str) -> Result<File, ManifestError> {
    toml::from_str(text).map_err(|error| {
        let offset = error.span().map_or(0, |span| span.start);
        let what = error.message().to_owned();
        let unknown = ["unknown field `", "unknown variant `"]
            .iter()
            .find_map(|prefix| what.strip_prefix(prefix)?.split('`').next());
        let near = unknown.and_then(|word| nearest(word, KNOWN.iter().copied()));
        let cure = match near {
            Some(known) => format!("did you mean `{known}`?"),
            None => "the comments in `images/windows-2003.toml` say what belongs where".to_owned(),
        };
        ManifestError::at(origin, text, offset, what, cure)
    })
}
