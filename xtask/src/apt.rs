//! apt: refreshing lists, installing, and downloading without installing.

use crate::cache::Cache;
use crate::distro::Release;
use crate::failure::Unfit;
use crate::privilege::Privilege;
use crate::services;
use crate::sources;
use crate::tool;
use anyhow::{Context as _, Result};
use std::fmt::Write as _;
use std::fs;
use std::path::Path;
use std::process::Command;

/// The source that set-up adds on Debian 12 where QEMU comes from backports.
pub const BACKPORTS_FILE: &str = "/etc/apt/sources.list.d/lanfence-backports.sources";

/// Another apt may be running; wait for it this many seconds, no longer.
const LOCK_TIMEOUT: &str = "DPkg::Lock::Timeout=600";

const INSTALL: [&str; 9] = [
    "-y",
    "-q",
    "--no-install-recommends",
    "-o",
    LOCK_TIMEOUT,
    "-o",
    "Dpkg::Use-Pty=0",
    "-o",
    "Dpkg::Options::=--force-confold",
];

/// Debian 12's suite of newer packages.
const BACKPORTS: &str = "bookworm-backports";

/// Lets QEMU and libvirt, and nothing else, come from backports: raising the
/// whole suite (`apt-get -t`) also upgrades systemd, curl and more.
const PIN: &str = "Package: src:qemu src:libvirt src:seabios\n\
                   Pin: release n=bookworm-backports\n\
                   Pin-Priority: 990\n";

/// Installs the packages, adding the backports suite and refreshing apt's
/// lists where that is needed.
///
/// # Errors
///
/// [`Unfit`] if there is no way to become root or apt fails.
pub fn install(names: &[&str], release: Release, cache: &Cache) -> Result<()> {
    let preferences = preferences(release, cache)?;
    let arguments = arguments(names, preferences.as_deref());
    let new_source = missing_source(release)?;
    let privilege = Privilege::acquire(&by_hand(&arguments, new_source.as_deref()))?;
    if let Some(text) = &new_source {
        eprintln!("adding the suite {BACKPORTS}: QEMU or libvirt was installed from it");
        privilege.write(BACKPORTS_FILE, text)?;
    }
    let mut fresh = false;
    if new_source.is_some() || !has_lists(release) {
        update(privilege)?;
        fresh = true;
    }
    let units = services::enabled();
    let mut result = privilege.run("apt-get", &arguments);
    if result.is_err() && !fresh {
        // Old lists name versions that the archive no longer has.
        update(privilege)?;
        result = privilege.run("apt-get", &arguments);
    }
    let disabled = services::disable_new(&units, privilege);
    result.with_context(|| Unfit("installing packages failed".into()))?;
    disabled
}

/// What root would have to type instead of us.
///
/// # Errors
///
/// If apt's preferences cannot be written to the cache, or no source is known for a suite that
/// is needed.
pub fn commands(names: &[&str], release: Release, cache: &Cache) -> Result<String> {
    let preferences = preferences(release, cache)?;
    let new_source = missing_source(release)?;
    Ok(by_hand(
        &arguments(names, preferences.as_deref()),
        new_source.as_deref(),
    ))
}

fn arguments<'a>(names: &[&'a str], preferences: Option<&'a str>) -> Vec<&'a str> {
    ["install"]
        .into_iter()
        .chain(INSTALL)
        .chain(preferences.into_iter().flat_map(|option| ["-o", option]))
        .chain(names.iter().copied())
        .collect()
}

fn by_hand(arguments: &[&str], new_source: Option<&str>) -> String {
    let mut text = String::new();
    if let Some(source) = new_source {
        let _ = writeln!(text, "cat > {BACKPORTS_FILE} <<END\n{source}END");
    }
    let mut command = Command::new("apt-get");
    command.args(arguments);
    let _ = write!(text, "apt-get update\n{}", tool::shell_line(&command));
    text
}

/// The option that makes apt read the machine's preferences with our pin
/// added: for this one call, so that nothing stays behind in /etc.
fn preferences(release: Release, cache: &Cache) -> Result<Option<String>> {
    if release != Release::BookwormBackports {
        return Ok(None);
    }
    let own = fs::read_to_string("/etc/apt/preferences").unwrap_or_default();
    let path = cache.path("apt-preferences");
    cache.replace(&path, format!("{PIN}\n{own}").as_bytes())?;
    Ok(Some(format!("Dir::Etc::preferences={}", path.display())))
}

/// The text of the backports source, when it is needed and absent.
fn missing_source(release: Release) -> Result<Option<String>> {
    if release != Release::BookwormBackports {
        return Ok(None);
    }
    let sources = sources::read();
    if sources::serve(&sources, BACKPORTS) {
        return Ok(None);
    }
    let text = sources::sibling(&sources, "bookworm", BACKPORTS);
    let text = text.context(Unfit(format!(
        "QEMU or libvirt was installed from {BACKPORTS}, which is not among apt's sources, \
         and neither is bookworm, whose archive could be copied: add a source for {BACKPORTS}"
    )))?;
    Ok(Some(text))
}

fn update(privilege: Privilege) -> Result<()> {
    privilege
        .run("apt-get", &["update", "-q", "-o", LOCK_TIMEOUT])
        .with_context(|| Unfit("apt's package lists cannot be refreshed".into()))
}

/// Whether apt has lists of the suites that will be used.
fn has_lists(release: Release) -> bool {
    let suite = match release {
        Release::BookwormBackports => BACKPORTS,
        _ => release.codename(),
    };
    let infix = format!("_dists_{suite}_");
    fs::read_dir("/var/lib/apt/lists").is_ok_and(|entries| {
        entries.flatten().any(|entry| {
            let name = entry.file_name();
            let name = name.to_string_lossy();
            name.contains(&infix) && name.contains("_Packages")
        })
    })
}

/// A package in a version, as the archive has it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Candidate {
    /// Package name.
    pub package: String,
    /// Version.
    pub version: String,
    /// `Depends` field, unparsed.
    pub depends: String,
}

/// What apt knows about the version it would install, without refreshing.
///
/// # Errors
///
/// If `apt-cache` cannot be started.
pub fn show(package: &str) -> Result<Option<Candidate>> {
    let mut command = Command::new("apt-cache");
    command
        .args(["show", "--no-all-versions", package])
        .env("LC_ALL", "C.UTF-8");
    let output = command
        .output()
        .with_context(|| format!("cannot run `{}`", tool::shell_line(&command)))?;
    Ok(parse_show(&String::from_utf8_lossy(&output.stdout)))
}

fn parse_show(text: &str) -> Option<Candidate> {
    let field = |key: &str| {
        text.lines()
            .find_map(|line| line.strip_prefix(key)?.strip_prefix(": "))
            .map(str::to_owned)
    };
    Some(Candidate {
        package: field("Package")?,
        version: field("Version")?,
        depends: field("Depends").unwrap_or_default(),
    })
}

/// Downloads packages into the directory, as an ordinary user, installing
/// nothing; apt checks their hashes and signatures.
///
/// # Errors
///
/// If apt fails, with what it wrote to standard error.
pub fn download(candidates: &[Candidate], directory: &Path) -> Result<()> {
    let mut command = Command::new("apt-get");
    command
        .current_dir(directory)
        .env("LC_ALL", "C.UTF-8")
        // Root's downloads are done as the user _apt, who cannot write here.
        .args(["download", "-q", "-o", "APT::Sandbox::User=root"])
        .args(
            candidates
                .iter()
                .map(|candidate| format!("{}={}", candidate.package, candidate.version)),
        );
    eprintln!("+ {}", tool::shell_line(&command));
    tool::output(&mut command)?;
    Ok(())
}

/// Unpacks the files of an archive below the root, with more options for tar.
///
/// # Errors
///
/// If `dpkg-deb` or `tar` fails; a full disk is a cause of kind
/// [`StorageFull`](std::io::ErrorKind::StorageFull).
pub fn unpack(archive: &Path, root: &Path, options: &[String]) -> Result<()> {
    tool::pipe(
        Command::new("dpkg-deb").arg("--fsys-tarfile").arg(archive),
        Command::new("tar")
            .args(["--extract", "--no-same-owner", "--no-same-permissions"])
            .arg("--wildcards")
            .args(options)
            .arg("--directory")
            .arg(root),
    )
    .with_context(|| format!("cannot unpack {}", archive.display()))
}

/// Does what downloads something; where that fails, once more with fresh lists.
///
/// # Errors
///
/// [`Unfit`] if it fails the second time, or the lists cannot be refreshed. A full disk is
/// reported at once.
pub fn refreshing<T>(what: &str, cache: &Cache, once: impl Fn() -> Result<T>) -> Result<T> {
    once().or_else(|error| {
        if is_full(&error) {
            return Err(cache.explain_full(error));
        }
        eprintln!("{error:#}");
        eprintln!("refreshing apt's lists, they are missing or old");
        refresh()?;
        once().with_context(|| Unfit(format!("{what} cannot be downloaded")))
    })
}

fn is_full(error: &anyhow::Error) -> bool {
    error.chain().any(|cause| {
        cause
            .downcast_ref::<std::io::Error>()
            .is_some_and(|error| error.kind() == std::io::ErrorKind::StorageFull)
    })
}

/// Refreshes apt's lists, as root or through sudo.
fn refresh() -> Result<()> {
    update(Privilege::acquire("apt-get update")?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn apt_cache_show_is_understood() {
        let text = "Package: linux-image-amd64\nSource: x\nVersion: 6.1.192-2\n\
                    Depends: linux-image-6.1.0-56-amd64 (= 6.1.192-2)\nSection: kernel\n";
        let candidate = parse_show(text).expect("complete");
        assert_eq!(candidate.version, "6.1.192-2");
        assert_eq!(
            candidate.depends,
            "linux-image-6.1.0-56-amd64 (= 6.1.192-2)"
        );
        assert_eq!(parse_show(""), None);
    }

    #[test]
    fn the_commands_for_root_are_complete() {
        assert_eq!(
            by_hand(&["install", "-y", "ipxe-qemu"], Some("Types: deb\n")),
            "cat > /etc/apt/sources.list.d/lanfence-backports.sources <<END\nTypes: deb\nEND\n\
             apt-get update\napt-get install -y ipxe-qemu"
        );
    }

    #[test]
    fn only_the_backports_form_is_pinned() {
        let directory = tempfile::tempdir().expect("scratch directory");
        let cache = Cache::at(directory.path()).expect("cache");
        for release in [Release::Bookworm, Release::Trixie, Release::Noble] {
            assert_eq!(preferences(release, &cache).expect("none needed"), None);
        }
        let option = preferences(Release::BookwormBackports, &cache)
            .expect("writable")
            .expect("needed");
        let path = option
            .strip_prefix("Dir::Etc::preferences=")
            .expect("apt option");
        let text = fs::read_to_string(path).expect("written");
        assert!(
            text.starts_with("Package: src:qemu src:libvirt src:seabios\n"),
            "{text}"
        );
    }
}
