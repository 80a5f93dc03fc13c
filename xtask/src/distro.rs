//! Which distribution this is, as far as package names depend on it.

use anyhow::{Context as _, Result};
use std::fs;
use std::path::Path;

/// The distributions whose package names are known.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Release {
    /// Debian 12 with its own QEMU 7.2 and libvirt 9.0.
    Bookworm,
    /// Debian 12 where some of QEMU or libvirt already comes from
    /// bookworm-backports: the rest must come from there too, because the two
    /// builds refuse to be installed together.
    BookwormBackports,
    /// Debian 13.
    Trixie,
    /// Ubuntu 24.04.
    Noble,
}

/// What os-release tells.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Distro {
    /// Name for people.
    pub name: String,
    /// Known release, if it is one.
    pub release: Option<Release>,
}

impl Release {
    /// Suite name; also the name under which this release's kernel is cached.
    pub fn codename(self) -> &'static str {
        match self {
            Release::Bookworm | Release::BookwormBackports => "bookworm",
            Release::Trixie => "trixie",
            Release::Noble => "noble",
        }
    }

    /// The package that always depends on the newest kernel of the release.
    pub fn kernel_package(self) -> &'static str {
        match self {
            Release::Noble => "linux-image-generic",
            _ => "linux-image-amd64",
        }
    }
}

/// Reads the distribution of this machine. Debian 12's two forms are not told
/// apart: that takes dpkg's whole status file, see [`Distro::with_form`].
pub fn detect() -> Distro {
    let text = ["/etc/os-release", "/usr/lib/os-release"]
        .iter()
        .find_map(|path| fs::read_to_string(path).ok())
        .unwrap_or_default();
    parse(&text)
}

impl Distro {
    /// Tells Debian 12's two forms apart; needed only before installing.
    ///
    /// # Errors
    ///
    /// If dpkg's status file exists and cannot be read.
    pub fn with_form(mut self) -> Result<Distro> {
        let status = Path::new("/var/lib/dpkg/status");
        if self.release == Some(Release::Bookworm) && status.exists() {
            let status = fs::read_to_string(status)
                .with_context(|| format!("cannot read {}", status.display()))?;
            if has_backported_virtualisation(&status) {
                self.release = Some(Release::BookwormBackports);
            }
        }
        Ok(self)
    }
}

/// Understands os-release(5).
pub fn parse(os_release: &str) -> Distro {
    let field = |key: &str| {
        os_release
            .lines()
            .filter_map(|line| line.trim().split_once('='))
            .find(|(name, _)| *name == key)
            .map(|(_, value)| value.trim_matches(['"', '\'']))
    };
    let release = match (field("ID"), field("VERSION_ID")) {
        (Some("debian"), Some("12")) => Some(Release::Bookworm),
        (Some("debian"), Some("13")) => Some(Release::Trixie),
        (Some("ubuntu"), Some("24.04")) => Some(Release::Noble),
        _ => None,
    };
    let name = field("PRETTY_NAME").or(field("ID"));
    Distro {
        name: name.unwrap_or("an unknown distribution").to_owned(),
        release,
    }
}

/// Whether dpkg's status file lists an installed piece of QEMU or libvirt that
/// was built for bookworm-backports.
fn has_backported_virtualisation(status: &str) -> bool {
    status.split("\n\n").any(|paragraph| {
        let field = |key: &str| {
            paragraph
                .lines()
                .find_map(|line| line.strip_prefix(key)?.strip_prefix(": "))
        };
        let ours = field("Package").is_some_and(|name| {
            ["qemu-", "libvirt"]
                .iter()
                .any(|prefix| name.starts_with(prefix))
        });
        let installed = field("Status").is_some_and(|status| status.ends_with(" installed"));
        ours && installed && field("Version").is_some_and(|version| version.contains("~bpo12"))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    #[rstest]
    #[case::debian12("ID=debian\nVERSION_ID=\"12\"\n", Some(Release::Bookworm))]
    #[case::debian13("VERSION_ID=\"13\"\nID=debian\n", Some(Release::Trixie))]
    #[case::ubuntu(
        "ID=ubuntu\nVERSION_ID='24.04'\nID_LIKE=debian\n",
        Some(Release::Noble)
    )]
    #[case::older_ubuntu("ID=ubuntu\nVERSION_ID=\"22.04\"\n", None)]
    #[case::testing_has_no_version("ID=debian\n", None)]
    #[case::derivative("ID=linuxmint\nID_LIKE=ubuntu\nVERSION_ID=\"22\"\n", None)]
    #[case::empty("", None)]
    fn os_release_is_understood(#[case] text: &str, #[case] release: Option<Release>) {
        assert_eq!(parse(text).release, release);
    }

    #[test]
    fn the_name_is_the_pretty_one() {
        let distro = parse("ID=fedora\nPRETTY_NAME=\"Fedora Linux 42\"\n");
        assert_eq!(distro.name, "Fedora Linux 42");
        assert_eq!(parse("").name, "an unknown distribution");
    }

    fn paragraph(name: &str, status: &str, version: &str) -> String {
        format!("Package: {name}\nStatus: {status}\nArchitecture: amd64\nVersion: {version}\n")
    }

    #[rstest]
    #[case::qemu("qemu-utils", "install ok installed", "1:10.0.2+ds-2~bpo12+1", true)]
    #[case::libvirt("libvirt0", "hold ok installed", "11.3.0-2~bpo12+1", true)]
    #[case::removed("qemu-utils", "deinstall ok config-files", "1:10.0.2~bpo12+1", false)]
    #[case::own("qemu-utils", "install ok installed", "1:7.2+dfsg-7+deb12u18", false)]
    #[case::unrelated("git", "install ok installed", "1:2.47~bpo12+1", false)]
    fn backports_are_seen_in_the_status_file(
        #[case] name: &str,
        #[case] status: &str,
        #[case] version: &str,
        #[case] expected: bool,
    ) {
        let other = paragraph("zlib1g", "install ok installed", "1:1.2.13");
        let text = format!("{other}\n{}", paragraph(name, status, version));
        assert_eq!(has_backported_virtualisation(&text), expected);
    }
}
