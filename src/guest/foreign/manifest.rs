//! What a manifest says of a foreign guest, checked.

use super::super::kind::GuestKind;
use super::error::ManifestError;
use super::file::{self, File};
use super::format::Format;
use super::keys::{Arp, Broadcast, Clock, Dhcp, DiskBus, MachineType, Medium, Wan};
use serde::{Deserialize, Serialize};
use std::path::{Path, PathBuf};
use std::time::Duration;
use toml::Spanned;

/// A checked manifest.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Manifest {
    /// First part of its cells' names.
    pub name: String,
    /// What it is, in words.
    pub about: String,
    /// Where the image is.
    pub origin: ImageSource,
    /// What its bytes must hash to, 64 hexadecimal digits.
    pub sha256: Option<String>,
    /// Its format; none looks at its first bytes.
    pub format: Option<Format>,
    /// What the guest takes it for.
    pub medium: Medium,
    /// NIC models by libvirt's names: a cell each.
    pub nics: Vec<String>,
    /// The machine.
    pub machine: MachineType,
    /// What the medium is plugged into.
    pub bus: DiskBus,
    /// Memory in MiB.
    pub memory_mib: u32,
    /// What its clock shows.
    pub clock: Clock,
    /// Longest way from power-on to everything that is expected, in seconds.
    pub deadline_s: u32,
    /// Observation time after that, in seconds: for what the guest sends by itself.
    pub observe_s: u32,
    /// What it is expected to do by itself.
    pub expect: Expectations,
}

/// Where an image is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ImageSource {
    /// At a path; a relative one begins at the manifest's directory.
    Path(PathBuf),
    /// Where an environment variable says.
    Variable(String),
}

/// What the guest is expected to do by itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Expectations {
    /// DHCP.
    pub dhcp: Dhcp,
    /// ARP.
    pub arp: Arp,
    /// Broadcasts other than DHCP and ARP.
    pub broadcast: Broadcast,
    /// Frames to the WAN.
    pub wan: Wan,
}

/// Most NIC models of a manifest.
const MAX_NICS: usize = 32;

impl Manifest {
    /// Reads and checks a manifest. `dir` is where relative paths begin.
    ///
    /// # Errors
    /// What is wrong, at which line and column of `origin`, and the cure.
    pub fn parse(text: &str, origin: &str, dir: &Path) -> Result<Self, ManifestError> {
        let file = file::parse(text, origin)?;
        let checker = Checker { text, origin };
        Ok(Self {
            name: checker.name(&file.name)?,
            origin: checker.origin(&file, dir)?,
            sha256: file
                .sha256
                .as_ref()
                .map(|sum| checker.sum(sum))
                .transpose()?,
            format: file.format,
            medium: file.medium,
            nics: checker.nics(&file.nics)?,
            machine: file.machine,
            bus: checker.bus(&file)?,
            memory_mib: checker.number(&file.memory_mib, "memory-mib", 1, 65536)?,
            clock: file.clock,
            deadline_s: checker.number(&file.deadline_s, "deadline-s", 5, 3600)?,
            observe_s: checker.number(&file.observe_s, "observe-s", 0, 600)?,
            expect: Expectations {
                dhcp: file.expect.dhcp,
                arp: file.expect.arp,
                broadcast: file.expect.broadcast,
                wan: file.expect.wan,
            },
            about: file.about,
        })
    }

    /// Reads and checks a manifest file.
    ///
    /// # Errors
    /// As [`Manifest::parse`], and what the system says of the file.
    pub fn read(path: &Path) -> Result<Self, ManifestError> {
        let origin = path.display().to_string();
        let file = path.to_owned();
        let bytes = match std::fs::read(path) {
            Ok(bytes) => bytes,
            Err(source) => return Err(ManifestError::Unreadable { path: file, source }),
        };
        let text = String::from_utf8(bytes)
            .map_err(|source| ManifestError::NotUtf8 { path: file, source })?;
        let dir = path.parent().unwrap_or(Path::new(""));
        Self::parse(&text, &origin, dir)
    }

    /// How long after power-on everything expected must have happened.
    pub fn deadline(&self) -> Duration {
        Duration::from_secs(self.deadline_s.into())
    }

    /// How long it is observed after that.
    pub fn observe_for(&self) -> Duration {
        Duration::from_secs(self.observe_s.into())
    }
}

struct Checker<'a> {
    text: &'a str,
    origin: &'a str,
}

impl Checker<'_> {
    fn error<T>(&self, value: &Spanned<T>, what: impl Into<String>, cure: &str) -> ManifestError {
        ManifestError::at(self.origin, self.text, value.span().start, what, cure)
    }

    /// The name becomes a domain's, a directory's and a part of a glob.
    fn name(&self, value: &Spanned<String>) -> Result<String, ManifestError> {
        let name = value.get_ref();
        let fits = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || "-.".contains(c);
        let good = name.starts_with(|c: char| c.is_ascii_lowercase())
            && name.len() <= 40
            && name.chars().all(fits);
        if !good {
            let cure = "start with a lower-case letter, then letters, digits, `-` and `.`, at most 40 in all";
            return Err(self.error(
                value,
                format!("`{name}` cannot be the name of a guest"),
                cure,
            ));
        }
        if GuestKind::OWN.iter().any(|kind| kind.word() == name) {
            let what = format!("`{name}` is the name of lanfence's own guest");
            return Err(self.error(value, what, "take another"));
        }
        Ok(name.clone())
    }

    fn origin(&self, file: &File, dir: &Path) -> Result<ImageSource, ManifestError> {
        match (&file.path, &file.variable) {
            (Some(path), None) => Ok(ImageSource::Path(dir.join(path.get_ref()))),
            (None, Some(variable)) => {
                let name = variable.get_ref();
                let fits = |c: char| c.is_ascii_uppercase() || c.is_ascii_digit() || c == '_';
                if name.is_empty() || !name.chars().all(fits) {
                    let cure = "write it like LANFENCE_IMAGE_WINDOWS_2003";
                    let what = format!("`{name}` cannot be an environment variable");
                    return Err(self.error(variable, what, cure));
                }
                Ok(ImageSource::Variable(name.clone()))
            }
            (Some(_), Some(variable)) => {
                let what = "both `path` and `variable` say where the image is";
                Err(self.error(variable, what, "keep one of them"))
            }
            (None, None) => {
                let cure = "write `path = \"disk.qcow2\"`, or `variable` with the name of an environment variable";
                Err(self.error(&file.name, "nothing says where the image is", cure))
            }
        }
    }

    fn sum(&self, value: &Spanned<String>) -> Result<String, ManifestError> {
        let sum = value.get_ref().to_ascii_lowercase();
        if sum.len() == 64 && sum.bytes().all(|byte| byte.is_ascii_hexdigit()) {
            return Ok(sum);
        }
        let cure = "`sha256sum FILE` prints the 64 hexadecimal digits";
        Err(self.error(value, "this is no SHA-256", cure))
    }

    fn nics(&self, values: &Spanned<Vec<Spanned<String>>>) -> Result<Vec<String>, ManifestError> {
        let mut nics: Vec<String> = Vec::new();
        for value in values.get_ref() {
            let name = value.get_ref();
            if nics.contains(name) {
                return Err(self.error(value, format!("`{name}` is there twice"), "keep one"));
            }
            nics.push(name.clone());
        }
        if nics.is_empty() || nics.len() > MAX_NICS {
            let what = format!("{} NIC models", nics.len());
            return Err(self.error(
                values,
                what,
                "name 1 to 32 of libvirt's models, such as \"pcnet\"",
            ));
        }
        Ok(nics)
    }

    /// The bus, or what a machine of the kind has for the medium.
    fn bus(&self, file: &File) -> Result<DiskBus, ManifestError> {
        let usual = match (file.medium, file.machine) {
            (Medium::Floppy, _) => DiskBus::Fdc,
            (_, MachineType::Pc) => DiskBus::Ide,
            (_, MachineType::Q35) => DiskBus::Sata,
        };
        let Some(value) = &file.bus else {
            return Ok(usual);
        };
        let bus = *value.get_ref();
        let bad = match (bus, file.medium, file.machine) {
            (DiskBus::Fdc, Medium::Floppy, _) => None,
            (DiskBus::Fdc, ..) | (_, Medium::Floppy, _) => {
                Some("floppies, and only they, go into `fdc`")
            }
            (DiskBus::Virtio, Medium::Cdrom, _) => Some("there are no CD drives on `virtio`"),
            (DiskBus::Ide, _, MachineType::Q35) => Some("machine `q35` has no IDE"),
            _ => None,
        };
        match bad {
            Some(what) => Err(self.error(value, what, "leave `bus` out, or name another")),
            None => Ok(bus),
        }
    }

    fn number(
        &self,
        value: &Spanned<u32>,
        key: &str,
        least: u32,
        most: u32,
    ) -> Result<u32, ManifestError> {
        let number = *value.get_ref();
        if (least..=most).contains(&number) {
            return Ok(number);
        }
        let what = format!("`{key}` is {number}");
        Err(self.error(value, what, &format!("choose {least} to {most}")))
    }
}

#[cfg(test)]
mod tests;
