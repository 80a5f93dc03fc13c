//! The guest image: `guest/KEY/{vmlinux,vmlinuz,initramfs.cpio,ipxe.lkrn,grub.0,u-boot.rom,u-boot-malta.bin,ovmf-*.fd,efi-*.rom,opaque.iso,manifest.json}`
//! in the cache. The key is a hash over everything that goes in, so an image is built
//! once and never changes afterwards.
//!
//! What the agent finds in the guest:
//! - `/init`, itself; `/bin/busybox` with its names in `/bin`; `/bin/dropbear`
//!   and `/bin/dropbearkey` with their libraries.
//! - `/lib/modules/NAME.ko`, uncompressed, all in one directory.
//! - `/lib/modules/order`: `core FILE` for each module to load at start, in
//!   load order; `nic DRIVER FILE…` for each NIC driver, its files in load
//!   order without those on `core` lines, none when the kernel has it built in.
//! - `/lib/modules/pci`: `vvvv:dddd DRIVER` for each PCI device that a NIC
//!   driver claims; for a device with several drivers the first line is the
//!   better one.

mod agent;
mod bzimage;
mod edk2;
mod grub;
mod initramfs;
mod kernel;
mod libs;
mod manifest;
mod modules;
mod opaque;
mod uboot;

pub use agent::{build_lanfence, build_pure, cargo, workspace};

use crate::cache::{Cache, hex_sum, make_directory, write_readable};
use crate::options::Options;
use crate::setup::{self, Ready};
use crate::tool;
use anyhow::{Context as _, Result};
use initramfs::Tree;
use kernel::Kernel;
use libs::Closure;
use manifest::Manifest;
use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant, SystemTime};

/// Raised when the same ingredients have to give another image.
const FORMAT: u64 = 5;
/// Images that stay besides those used lately.
const KEPT_IMAGES: usize = 4;
/// An image used within this time is never removed: a run may still need it.
const IN_USE: Duration = Duration::from_secs(24 * 60 * 60);
/// Names of busybox in the guest.
const APPLETS: &str = include_str!("../../../images/applets.txt");
/// Programs for SSH into the guest.
const PROGRAMS: [&str; 2] = ["dropbear", "dropbearkey"];
/// Where the guest's loader looks for libraries.
const LIBRARIES: &str = "lib/x86_64-linux-gnu";

/// `cargo xtask image`.
///
/// # Errors
///
/// Wrong arguments, and as for [`setup::ensure`] and [`ensure`].
pub fn task(options: Options, arguments: Vec<OsString>) -> Result<()> {
    let mut update_kernel = false;
    let mut parser = lexopt::Parser::from_args(arguments);
    while let Some(argument) = parser.next()? {
        match argument {
            lexopt::Arg::Long("update-kernel") => update_kernel = true,
            other => return Err(other.unexpected().into()),
        }
    }
    let ready = setup::ensure(options, update_kernel)?;
    println!("{}", ensure(options, &ready)?.display());
    Ok(())
}

/// Everything that goes into an image, as files of this machine.
struct Ingredients {
    kernel: Kernel,
    agent: PathBuf,
    programs: BTreeMap<String, PathBuf>,
    closure: Closure,
    /// SHA-256 by the name in the image.
    sums: BTreeMap<String, String>,
}

/// The image's directory; the image is built now unless it was before.
///
/// # Errors
///
/// If the agent does not compile, a package of the guest is not as expected, or the cache
/// cannot be written.
pub fn ensure(options: Options, ready: &Ready) -> Result<PathBuf> {
    let cache = &ready.cache;
    let kernel = kernel::unpacked(cache, &ready.guest)?;
    let agent = agent::build(options.offline)?;
    let ingredients = Ingredients::gather(cache, kernel, agent)?;
    let key = ingredients.key();
    let directory = cache.path(&format!("guest/{key}"));
    if !directory.is_dir() {
        build(cache, ready, &ingredients, &key, &directory)?;
    }
    // The time of last use decides which images may be removed.
    let _ = fs::File::open(&directory).and_then(|file| file.set_modified(SystemTime::now()));
    Ok(directory)
}

/// The image that was used last; none where none was built.
#[must_use]
pub fn newest(cache: &Cache) -> Option<PathBuf> {
    let images = fs::read_dir(cache.path("guest")).ok()?.flatten();
    let whole = images.filter(|entry| entry.path().join("manifest.json").is_file());
    let newest = whole.max_by_key(|entry| entry.metadata().and_then(|meta| meta.modified()).ok());
    newest.map(|entry| entry.path())
}

fn build(
    cache: &Cache,
    ready: &Ready,
    ingredients: &Ingredients,
    key: &str,
    directory: &Path,
) -> Result<()> {
    let lock = cache.lock()?;
    if directory.is_dir() {
        return Ok(());
    }
    let start = Instant::now();
    let scratch = cache.scratch(&lock)?;
    let image = scratch.path().join("image");
    write_image(ready, ingredients, key, &image).map_err(|error| cache.explain_full(error))?;
    scratch.keep("image", directory)?;
    forget_old_images(cache, directory);
    eprintln!("built the guest image in {:.1?}", start.elapsed());
    Ok(())
}

impl Ingredients {
    fn gather(cache: &Cache, kernel: Kernel, agent: PathBuf) -> Result<Ingredients> {
        let mut programs = BTreeMap::new();
        for name in PROGRAMS {
            let path = tool::find(name).with_context(|| {
                format!("{name} is not installed: `cargo xtask setup` installs it")
            })?;
            programs.insert(name.to_owned(), path);
        }
        let paths: Vec<&Path> = programs.values().map(PathBuf::as_path).collect();
        let closure = libs::closure(&paths)?;
        let mut sums = BTreeMap::new();
        sums.insert("init".to_owned(), cache.hash(&agent)?);
        for (name, path) in programs.iter().chain(&closure.libraries) {
            sums.insert(name.clone(), cache.hash(path)?);
        }
        Ok(Ingredients {
            kernel,
            agent,
            programs,
            closure,
            sums,
        })
    }

    /// The name of the unpacked kernel stands for its package, its modules and
    /// busybox; see [`kernel::unpacked`].
    fn key(&self) -> String {
        let kernel = self.kernel.directory.file_name().unwrap_or_default();
        let mut recipe = format!("{FORMAT}\n{}\n{APPLETS}", kernel.display());
        for (name, sum) in &self.sums {
            let _ = writeln!(recipe, "{name} {sum}");
        }
        hex_sum(recipe.as_bytes())[..16].to_owned()
    }
}

fn write_image(ready: &Ready, from: &Ingredients, key: &str, image: &Path) -> Result<()> {
    make_directory(image)?;
    let initramfs = root(from)?.archive()?;
    write_readable(&image.join("initramfs.cpio"), &initramfs)?;
    // What guests boot, and what benchmarks compare it with.
    for name in ["vmlinux", "vmlinuz"] {
        let (kernel, here) = (from.kernel.path(name), image.join(name));
        // A link costs no space; across a change of file system it is a copy.
        fs::hard_link(&kernel, &here)
            .or_else(|_| fs::copy(&kernel, &here).map(drop))
            .with_context(|| format!("cannot copy {}", kernel.display()))?;
    }
    let kernel = from.kernel.path("vmlinux");
    let ipxe = read(&from.kernel.path("ipxe.lkrn"))?;
    write_readable(&image.join("ipxe.lkrn"), &ipxe)?;
    let loaders = boot_loaders(&from.kernel, image)?;
    match opaque::image(&read(&from.kernel.path("ipxe.iso"))?) {
        Ok(opaque) => write_readable(&image.join("opaque.iso"), &opaque)?,
        Err(error) => eprintln!("no opaque.iso for the tests of foreign guests: {error:#}"),
    }
    let mut sums: Vec<(String, String)> = from.sums.clone().into_iter().collect();
    sums.push(("vmlinux".into(), ready.cache.hash(&kernel)?));
    sums.push(("initramfs.cpio".into(), hex_sum(&initramfs)));
    sums.push(("ipxe.lkrn".into(), hex_sum(&ipxe)));
    sums.extend(loaders);
    let manifest = Manifest::default()
        .number("format", FORMAT)
        .text("key", key)
        .text("kernel_package", &ready.guest.kernel)
        .text("kernel_version", &ready.guest.kernel_version)
        .text("kernel_release", &from.kernel.text("release")?)
        .text("absent_modules", &from.kernel.text("absent")?)
        .object("sha256", sums);
    write_readable(&image.join("manifest.json"), manifest.json().as_bytes())?;
    Ok(())
}

/// Puts those boot loaders into the image that the packages had; their names and hashes.
fn boot_loaders(kernel: &Kernel, image: &Path) -> Result<Vec<(String, String)>> {
    let mut sums = Vec::new();
    let names = [grub::FILE, uboot::PC, uboot::MALTA].map(str::to_owned);
    for name in names.into_iter().chain(edk2::names(&kernel.directory)?) {
        let file = kernel.path(&name);
        if file.exists() {
            let bytes = read(&file)?;
            write_readable(&image.join(&name), &bytes)?;
            sums.push((name, hex_sum(&bytes)));
        }
    }
    Ok(sums)
}

/// The guest's root file system.
fn root(from: &Ingredients) -> Result<Tree> {
    let mut tree = skeleton();
    tree.file("init", 0o755, read(&from.agent)?);
    tree.file("bin/busybox", 0o755, read(&from.kernel.path("busybox"))?);
    for applet in applets() {
        tree.symlink(&format!("bin/{applet}"), "busybox");
    }
    for (name, path) in &from.programs {
        tree.file(&format!("bin/{name}"), 0o755, read(path)?);
    }
    for (name, path) in &from.closure.libraries {
        tree.file(&format!("{LIBRARIES}/{name}"), 0o755, read(path)?);
    }
    if let Some(loader) = &from.closure.loader {
        tree.file(loader, 0o755, read(Path::new(loader))?);
    }
    for path in from.kernel.modules()? {
        let name = path.file_name().context("a module has a name")?;
        let name = format!("lib/modules/{}", name.display());
        tree.file(&name, 0o644, read(&path)?);
    }
    tree.file("lib/modules/order", 0o644, from.kernel.text("order")?);
    tree.file("lib/modules/pci", 0o644, from.kernel.text("pci")?);
    Ok(tree)
}

/// What a root file system has before anything is put into it.
fn skeleton() -> Tree {
    let mut tree = Tree::default();
    for path in [
        "etc/dropbear",
        "proc",
        "run",
        "sys",
        "usr/share/udhcpc",
        "var/run",
        "var/log",
    ] {
        tree.directory(path, 0o755);
    }
    tree.directory("root", 0o700);
    tree.directory("tmp", 0o1777);
    // Before devtmpfs is mounted, the kernel opens the console for init.
    tree.character("dev/console", 0o600, 5, 1);
    tree.character("dev/null", 0o666, 1, 3);
    tree.symlink("sbin", "bin");
    tree.symlink("usr/bin", "../bin");
    tree.symlink("usr/sbin", "../bin");
    // Whoever reaches the guest logs in: it is the guest that has to prove who it is.
    tree.file("etc/passwd", 0o644, "root::0:0:root:/root:/bin/sh\n");
    tree.file("etc/group", 0o644, "root:x:0:\n");
    tree.file("etc/shells", 0o644, "/bin/sh\n");
    tree.file(
        "etc/nsswitch.conf",
        0o644,
        "passwd: files\ngroup: files\nhosts: files dns\n",
    );
    tree.file("etc/hosts", 0o644, "127.0.0.1 localhost\n::1 localhost\n");
    tree
}

fn applets() -> impl Iterator<Item = &'static str> {
    APPLETS
        .lines()
        .map(str::trim)
        .filter(|line| !line.is_empty() && !line.starts_with('#'))
}

fn read(path: &Path) -> Result<Vec<u8>> {
    fs::read(path).with_context(|| format!("cannot read {}", path.display()))
}

/// Removes images and kernels that were not used lately.
fn forget_old_images(cache: &Cache, newest: &Path) {
    for kind in ["guest", "kernel"] {
        let entries = fs::read_dir(cache.path(kind))
            .into_iter()
            .flatten()
            .flatten();
        let mut aged: Vec<(SystemTime, PathBuf)> = entries
            .filter_map(|entry| Some((entry.metadata().ok()?.modified().ok()?, entry.path())))
            .filter(|(_, path)| path != newest)
            .collect();
        aged.sort();
        let spare = aged.len().saturating_sub(KEPT_IMAGES);
        for (used, path) in aged.into_iter().take(spare) {
            if used.elapsed().is_ok_and(|age| age > IN_USE) {
                let _ = fs::remove_dir_all(path);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn applets_are_plain_names_in_order() {
        let names: Vec<_> = applets().collect();
        let mut sorted = names.clone();
        sorted.sort_unstable();
        sorted.dedup();
        assert_eq!(names, sorted);
        for wanted in ["sh", "ip", "udhcpc"] {
            assert!(names.contains(&wanted));
        }
        assert!(!names.contains(&"busybox"));
    }

    #[test]
    fn old_images_go_and_used_ones_stay() {
        let directory = tempfile::tempdir().expect("scratch directory");
        let cache = Cache::at(directory.path()).expect("cache");
        let old = SystemTime::now() - 2 * IN_USE;
        for index in 0..8 {
            let image = cache.path(&format!("guest/{index}"));
            fs::create_dir_all(&image).expect("directory");
            if index < 6 {
                let file = fs::File::open(&image).expect("open");
                file.set_modified(old + Duration::from_secs(index))
                    .expect("touch");
            }
        }
        forget_old_images(&cache, &cache.path("guest/7"));
        let mut left: Vec<_> = fs::read_dir(cache.path("guest"))
            .expect("list")
            .map(|entry| entry.expect("entry").file_name())
            .collect();
        left.sort();
        assert_eq!(left, ["3", "4", "5", "6", "7"]);
    }
}
