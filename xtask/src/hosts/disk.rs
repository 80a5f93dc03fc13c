//! The disk of a host: packages become a tree (mmdebstrap), the tree becomes an ext4 file
//! (mke2fs) without a mount or a loop device, so that an ordinary user can make one too.
//!
//! `hosts/disks/KEY/{disk.ext4,vmlinuz,initrd,packages,identity}` in the cache. The key is a hash of all that
//! the manifest says about the disk, and of the mirror.

use super::interrupt;
use super::manifest::Manifest;
use super::run_directory::RunDirectory;
use super::tools;
use crate::cache::{Cache, hex_sum, make_directory};
use crate::failure::Unfit;
use crate::tool;
use anyhow::{Context as _, Result, bail};
use nix::unistd::Uid;
use std::collections::VecDeque;
use std::env;
use std::fmt::Write as _;
use std::fs;
use std::io::{BufRead as _, BufReader, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Instant, SystemTime, UNIX_EPOCH};

/// Raised when the same manifest has to give another disk.
const FORMAT: u32 = 1;
/// Room that a build takes in the cache, in MiB: the archive of the tree, the tree, the disk.
const ROOM_MIB: u64 = 3072;
/// Room that mmdebstrap takes for its tree in the directory for temporary files, in MiB.
const TREE_MIB: u64 = 1536;
/// Modules with which the kernel finds its root file system.
const ROOT_MODULES: &str = "virtio_pci\nvirtio_blk\next4\n";
/// Lines of mmdebstrap's that an error quotes.
const QUOTED_LINES: usize = 12;

/// The finished disk.
#[derive(Debug, Clone)]
pub struct Disk {
    /// The directory in the cache.
    pub directory: PathBuf,
}

/// Versions of what matters in a host.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Versions {
    /// The kernel's package, such as `linux-image-6.12.48+deb13-amd64`, without its first words.
    pub kernel: String,
    /// libvirt's.
    pub libvirt: String,
    /// QEMU's.
    pub qemu: String,
}

impl Disk {
    /// The disk of this manifest, if it was made before.
    pub fn present(cache: &Cache, manifest: &Manifest) -> Option<Disk> {
        let mirror = manifest.mirror().ok()?;
        let directory = cache.path(&format!("hosts/disks/{}", key(manifest, &mirror)));
        directory.is_dir().then_some(Disk { directory })
    }

    /// The root file system.
    pub fn file(&self) -> PathBuf {
        self.directory.join("disk.ext4")
    }

    /// The kernel.
    pub fn kernel(&self) -> PathBuf {
        self.directory.join("vmlinuz")
    }

    /// Its initramfs.
    pub fn initrd(&self) -> PathBuf {
        self.directory.join("initrd")
    }

    /// Versions of what is on it.
    pub fn versions(&self) -> Versions {
        let status = fs::read_to_string(self.directory.join("packages")).unwrap_or_default();
        versions(&status)
    }

    /// What tells this disk from every other one, made of the same packages or not: an overlay
    /// fits the one disk over which it was made.
    pub fn identity(&self) -> String {
        fs::read_to_string(self.directory.join("identity")).unwrap_or_default()
    }
}

/// The disk, made now unless it was before; anew in any case if `fresh`.
///
/// # Errors
///
/// [`Unfit`] if no mirror is named, a program is missing, there is no room, or packages cannot be
/// had; any other error if the cache cannot be written.
pub fn ensure(cache: &Cache, manifest: &Manifest, fresh: bool) -> Result<Disk> {
    if let Some(disk) = Disk::present(cache, manifest).filter(|_| !fresh) {
        return Ok(disk);
    }
    let mirror = manifest
        .mirror()
        .map_err(|why| Unfit(format!("{} cannot be built here: {why}", manifest.name)))?;
    make_directory(&cache.path("hosts"))?;
    let lock = cache.lock_named("hosts/disks.lock")?;
    // Whoever held the lock may have made it.
    if let Some(disk) = Disk::present(cache, manifest).filter(|_| !fresh) {
        return Ok(disk);
    }
    tools::ensure(cache, manifest)?;
    room(&cache.path(""), ROOM_MIB, "LANFENCE_CACHE", manifest)?;
    room(&env::temp_dir(), TREE_MIB, "TMPDIR", manifest)?;
    let start = Instant::now();
    eprintln!(
        "making the disk of {}: {} packages of {} and what they need (two minutes or so)",
        manifest.name,
        manifest.all_packages().len(),
        manifest.suite
    );
    let scratch = RunDirectory::new(cache)?;
    let directory = cache.path(&format!("hosts/disks/{}", key(manifest, &mirror)));
    write(manifest, &mirror, scratch.path()).map_err(|error| cache.explain_full(error))?;
    make_directory(&cache.path("hosts/disks"))?;
    if directory.exists() {
        fs::remove_dir_all(&directory)
            .with_context(|| format!("cannot remove {}", directory.display()))?;
    }
    fs::rename(scratch.path().join("disk"), &directory)
        .with_context(|| format!("cannot make {}", directory.display()))?;
    drop(lock);
    eprintln!("made it in {:.0?}", start.elapsed());
    Ok(Disk { directory })
}

fn key(manifest: &Manifest, mirror: &str) -> String {
    let recipe = format!(
        "{FORMAT} {mirror} {} {:?} {:?} {} {:?} {}",
        manifest.suite,
        manifest.components,
        manifest.extra_suites,
        manifest.kernel,
        manifest.all_packages(),
        manifest.disk_mib
    );
    hex_sum(recipe.as_bytes())[..16].to_owned()
}

fn room(path: &Path, wanted_mib: u64, variable: &str, manifest: &Manifest) -> Result<()> {
    let free = nix::sys::statvfs::statvfs(path)
        .with_context(|| format!("cannot ask for the room in {}", path.display()))?;
    let free_mib = free.blocks_available() * free.fragment_size() / (1 << 20);
    if free_mib < wanted_mib {
        bail!(Unfit(format!(
            "making the disk of {} takes {wanted_mib} MiB in {}, where {free_mib} MiB are free: \
             make room or set {variable} to a directory on another disk",
            manifest.name,
            path.display()
        )));
    }
    Ok(())
}

/// Makes `disk` in the scratch directory.
fn write(manifest: &Manifest, mirror: &str, scratch: &Path) -> Result<()> {
    let disk = scratch.join("disk");
    fs::create_dir(&disk)?;
    let tar = scratch.join("tree.tar");
    bootstrap(manifest, mirror, &tar)?;
    for (target, pattern) in [
        ("vmlinuz", "./boot/vmlinuz-*"),
        ("initrd", "./boot/initrd.img-*"),
        ("packages", "./var/lib/dpkg/status"),
    ] {
        let content = tool::output(
            Command::new("tar")
                .args(["--extract", "--to-stdout", "--wildcards", "--file"])
                .arg(&tar)
                .arg(pattern),
        )?;
        fs::write(disk.join(target), content)
            .with_context(|| format!("cannot write {target} of {}", manifest.name))?;
    }
    to_ext4(manifest, &tar, &disk.join("disk.ext4"), scratch)?;
    let now = SystemTime::now().duration_since(UNIX_EPOCH)?.as_nanos();
    fs::write(
        disk.join("identity"),
        format!("{} {now}", std::process::id()),
    )?;
    fs::remove_file(&tar)?;
    Ok(())
}

fn bootstrap(manifest: &Manifest, mirror: &str, tar: &Path) -> Result<()> {
    let mut command = Command::new("mmdebstrap");
    if manifest.expired_lists {
        command.arg("--aptopt=Acquire::Check-Valid-Until \"false\"");
    }
    command
        .args(["--variant=apt", "--format=tar"])
        .arg(format!("--include={}", manifest.all_packages().join(",")))
        .arg(format!("--setup-hook={}", pins(manifest)))
        .arg(format!("--essential-hook={}", initramfs_settings()))
        .arg(&manifest.suite)
        .arg(tar)
        .args(sources(manifest, mirror));
    let bootstrapped = run_with_progress(&mut command);
    interrupt::check()?;
    bootstrapped.with_context(|| {
        Unfit(format!(
            "the packages of {} cannot be had from {mirror}: is the mirror reachable, and does it \
             have what images/hosts/{}.toml names?",
            manifest.name, manifest.name
        ))
    })
}

/// Lines of sources.list(5).
fn sources(manifest: &Manifest, mirror: &str) -> Vec<String> {
    let extra = manifest.extra_suites.iter().map(|it| it.suite.as_str());
    std::iter::once(manifest.suite.as_str())
        .chain(extra)
        .map(|suite| {
            format!(
                "deb [signed-by={}] {mirror} {suite} {}",
                manifest.keyring.display(),
                manifest.components.join(" ")
            )
        })
        .collect()
}

/// A hook for a shell, whose first argument is the tree.
fn pins(manifest: &Manifest) -> String {
    let mut text = String::new();
    for extra in &manifest.extra_suites {
        let sources: Vec<String> = extra.sources.iter().map(|it| format!("src:{it}")).collect();
        let _ = write!(
            text,
            "Package: {}\\nPin: release n={}\\nPin-Priority: 990\\n\\n",
            sources.join(" "),
            extra.suite
        );
    }
    format!(
        "mkdir -p \"$1/etc/apt/preferences.d\" && \
         printf '{text}' > \"$1/etc/apt/preferences.d/lanfence\""
    )
}

/// A small initramfs: what Debian makes by default has every driver there is, and unpacking it
/// takes an emulated host longer than the rest of its kernel's start.
fn initramfs_settings() -> String {
    format!(
        "mkdir -p \"$1/etc/initramfs-tools/conf.d\" \"$1/usr/share/initramfs-tools/modules.d\" && \
         echo MODULES=list > \"$1/etc/initramfs-tools/conf.d/lanfence\" && \
         printf '{}' > \"$1/usr/share/initramfs-tools/modules.d/lanfence\"",
        ROOT_MODULES.replace('\n', "\\n")
    )
}

/// Runs a command, prints what it says about its progress, and quotes the end of it all where
/// it fails.
fn run_with_progress(command: &mut Command) -> Result<()> {
    let line = tool::shell_line(command);
    let mut child = command
        .env("LC_ALL", "C.UTF-8")
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .with_context(|| format!("cannot run `{line}`"))?;
    let said = child.stderr.take().expect("standard error is piped");
    let mut last = VecDeque::new();
    for said in BufReader::new(said).split(b'\n') {
        let said = String::from_utf8_lossy(&said?).into_owned();
        if let Some(progress) = said.strip_prefix("I: ") {
            let _ = writeln!(std::io::stderr(), "  {progress}");
            continue;
        }
        if last.len() == QUOTED_LINES {
            last.pop_front();
        }
        last.push_back(said);
    }
    let status = child
        .wait()
        .with_context(|| format!("cannot wait for `{line}`"))?;
    if !status.success() {
        let program = command.get_program().display();
        let last: Vec<String> = last.into();
        bail!("{program} failed ({status}):\n{}", last.join("\n"));
    }
    Ok(())
}

/// Unpacks the tree and makes a file system of it. An ordinary user does it in a user namespace
/// of its own, where files can belong to others.
fn to_ext4(manifest: &Manifest, tar: &Path, disk: &Path, scratch: &Path) -> Result<()> {
    let tree = scratch.join("tree");
    // Device files belong to devtmpfs, and no user namespace may make them.
    let script = "set -e; mkdir \"$2\"; tar --extract --preserve-permissions --numeric-owner \
                  --exclude='./dev/*' --file \"$1\" --directory \"$2\"; \
                  mke2fs -q -t ext4 -E root_owner=0:0 -L lanfence-host -d \"$2\" \"$3\" \"$4\"; \
                  rm -rf \"$2\"";
    let mut command = if Uid::effective().is_root() {
        Command::new("sh")
    } else {
        let mut command = Command::new("unshare");
        command.args(["--map-root-user", "--map-auto", "sh"]);
        command
    };
    command
        .args(["-c", script, "sh"])
        .args([tar, &tree, disk])
        .arg(format!("{}M", manifest.disk_mib));
    // mke2fs is among the administrators' programs.
    command.env("PATH", tool::administrators_path());
    tool::output(&mut command)?;
    Ok(())
}

/// Reads dpkg's status file.
fn versions(status: &str) -> Versions {
    let mut found = Versions::default();
    for paragraph in status.split("\n\n") {
        let field = |key: &str| {
            paragraph
                .lines()
                .find_map(|line| line.strip_prefix(key)?.strip_prefix(": "))
        };
        let (Some(name), Some(version)) = (field("Package"), field("Version")) else {
            continue;
        };
        match name {
            "libvirt0" => found.libvirt = upstream(version),
            "qemu-system-x86" => found.qemu = upstream(version),
            _ => {
                if let Some(release) = name.strip_prefix("linux-image-")
                    && release.starts_with(|first: char| first.is_ascii_digit())
                {
                    release.clone_into(&mut found.kernel);
                }
            }
        }
    }
    found
}

/// The upstream part of a Debian version.
fn upstream(version: &str) -> String {
    let version = version.split_once(':').map_or(version, |(_, rest)| rest);
    let end = version.find(['-', '+', '~']).unwrap_or(version.len());
    version[..end].to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::hosts::manifest;

    fn shipped(name: &str) -> Manifest {
        manifest::read(&manifest::directory(), name).expect("shipped")
    }

    #[test]
    fn hosts_that_differ_in_their_settings_share_a_disk() {
        let key = |name| key(&shipped(name), "http://a");
        assert_eq!(
            key("debian-13-backports"),
            key("debian-13-backports-nftables")
        );
        assert_ne!(key("debian-13"), key("debian-13-backports"));
        assert_ne!(key("debian-13"), key("debian-13-hardened"));
    }

    #[test]
    fn another_mirror_makes_another_disk() {
        let host = shipped("debian-13");
        assert_ne!(key(&host, "http://a"), key(&host, "http://b"));
    }

    #[test]
    fn sources_and_pins_name_each_suite() {
        let host = shipped("debian-13-backports");
        let keyring = "/usr/share/keyrings/debian-archive-keyring.gpg";
        assert_eq!(
            sources(&host, "http://a"),
            [
                format!("deb [signed-by={keyring}] http://a trixie main"),
                format!("deb [signed-by={keyring}] http://a trixie-backports main"),
            ]
        );
        assert!(pins(&host).contains(
            "Package: src:libvirt src:qemu src:seabios\\nPin: release n=trixie-backports\\n"
        ));
    }

    #[test]
    fn versions_are_read_from_dpkg() {
        let status = "Package: libvirt0\nVersion: 12.9.0-1~bpo13+1\n\n\
                      Package: qemu-system-x86\nVersion: 1:11.1.3+ds-1\n\n\
                      Package: linux-image-amd64\nVersion: 6.12.48-1\n\n\
                      Package: linux-image-6.12.48+deb13-amd64\nVersion: 6.12.48-1\n";
        let found = versions(status);
        assert_eq!(found.libvirt, "12.9.0");
        assert_eq!(found.qemu, "11.1.3");
        assert_eq!(found.kernel, "6.12.48+deb13-amd64");
    }

    #[test]
    fn a_failure_quotes_the_end_of_what_was_said() {
        let mut command = Command::new("sh");
        command.args(["-c", "seq 100 >&2; echo 'E: no such package' >&2; exit 25"]);
        let error = run_with_progress(&mut command).expect_err("exits with 25");
        let text = format!("{error:#}");
        assert!(text.contains("100\nE: no such package"), "{text}");
        assert!(!text.contains("\n50\n"), "{text}");
    }
}
