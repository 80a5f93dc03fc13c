//! A manifest as TOML, each value with its place.

use super::error::ManifestError;
use super::format::Format;
use super::keys::{Arp, Broadcast, Clock, Dhcp, DiskBus, MachineType, Medium, Wan};
use crate::nearest::nearest;
use crate::place::{place, toml_key, toml_key_of};
use serde::Deserialize;
use std::ops::Range;
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

/// All keys, those of `[expect]` at the end.
const KEYS: &[&str] = &[
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
];

/// The keys that take one of a few words, and those words.
const WORDS: &[(&str, &[&str])] = &[
    ("format", &["qcow2", "raw", "vmdk", "vdi", "vpc"]),
    ("medium", &["disk", "cdrom", "floppy"]),
    ("machine", &["pc", "q35"]),
    ("bus", &["ide", "sata", "scsi", "virtio", "fdc"]),
    ("clock", &["utc", "localtime"]),
    ("dhcp", &["bound", "any"]),
    ("arp", &["seen", "any"]),
    ("broadcast", &["seen", "any"]),
    ("wan", &["attempted", "any"]),
];

/// Parses the text; unknown keys and words are errors with the nearest known one.
pub fn parse(text: &str, origin: &str) -> Result<File, ManifestError> {
    toml::from_str(text).map_err(|source: toml::de::Error| {
        let span = source.span().unwrap_or_default();
        let place = place(origin, text, span.start);
        let meant = key(text, span.clone()).or_else(|| word(text, span));
        ManifestError::Toml {
            place,
            cure: meant.map_or_else(
                || "the comments in `images/windows-2003.toml` say what belongs where".to_owned(),
                |known| format!("did you mean `{known}`?"),
            ),
            source: Box::new(source),
        }
    })
}

/// What an unknown key at this span was probably meant to be.
fn key(text: &str, span: Range<usize>) -> Option<&'static str> {
    let key = toml_key(text, span).filter(|key| !KEYS.contains(key))?;
    nearest(key, KEYS.iter().copied())
}

/// What an unknown word at this span was probably meant to be, where its key takes words.
fn word(text: &str, span: Range<usize>) -> Option<&'static str> {
    let key = toml_key_of(text, span.start)?;
    let (_, words) = WORDS.iter().find(|(name, _)| *name == key)?;
    let word = text.get(span)?.trim_matches(['"', '\'']);
    nearest(word, words.iter().copied())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_word_is_one_that_its_key_takes() {
        let expect = ["dhcp", "arp", "broadcast", "wan"];
        for (key, words) in WORDS {
            let table = if expect.contains(key) {
                "[expect]\n"
            } else {
                ""
            };
            for word in *words {
                let text =
                    format!("name = \"x\"\nnics = []\ndeadline-s = 9\n{table}{key} = \"{word}\"\n");
                parse(&text, "x.toml").unwrap();
            }
        }
    }
}
