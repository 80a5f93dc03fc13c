//! The guest kernel: an uncompressed ELF for QEMU to start through PVH, and the
//! modules, both out of the distribution's package.

use super::bzimage;
use super::edk2;
use super::grub;
use super::modules::{self, Selection, Tree};
use super::uboot;
use crate::apt;
use crate::cache::{Cache, hex_sum, make_directory, write_readable};
use crate::guest_packages::GuestPackages;
use anyhow::{Context as _, Result};
use std::ffi::OsStr;
use std::fs;
use std::path::{Path, PathBuf};

/// Raised when the same package has to be unpacked into something else.
const FORMAT: u32 = 7;

/// Trees of the kernel package that hold no NIC driver and most of its bytes.
const SKIPPED: [&str; 9] = [
    "*/kernel/sound",
    "*/kernel/fs",
    "*/kernel/drivers/gpu",
    "*/kernel/drivers/media",
    "*/kernel/drivers/scsi",
    "*/kernel/drivers/infiniband",
    "*/kernel/drivers/iio",
    "*/kernel/drivers/net/wireless",
    "*/usr/share",
];

/// How the names of archives begin that have what is wanted below /usr/share.
const WHOLE: [&str; 2] = ["ovmf_", "ipxe-qemu_"];

/// An unpacked kernel in the cache.
#[derive(Debug)]
pub struct Kernel {
    /// Holds `vmlinux`, `release`, `order`, `pci`, `absent`, `modules/`, `busybox`, `ipxe.lkrn`, `ipxe.iso` and, where they could be made or found, `grub.0`, `u-boot.rom`, `u-boot-malta.bin`, `ovmf-*.fd` and `efi-*.rom`.
    pub directory: PathBuf,
}

impl Kernel {
    /// A file of it.
    pub fn path(&self, name: &str) -> PathBuf {
        self.directory.join(name)
    }

    /// A text file of it.
    ///
    /// # Errors
    ///
    /// If the file cannot be read.
    pub fn text(&self, name: &str) -> Result<String> {
        let path = self.path(name);
        fs::read_to_string(&path).with_context(|| format!("cannot read {}", path.display()))
    }

    /// Its modules, sorted by name.
    ///
    /// # Errors
    ///
    /// If the directory cannot be listed.
    pub fn modules(&self) -> Result<Vec<PathBuf>> {
        let path = self.path("modules");
        let list = || format!("cannot list {}", path.display());
        let mut modules = fs::read_dir(&path)
            .with_context(list)?
            .map(|entry| Ok(entry?.path()))
            .collect::<Result<Vec<_>>>()
            .with_context(list)?;
        modules.sort();
        Ok(modules)
    }
}

/// The kernel of the packages, unpacked now unless it was before.
///
/// # Errors
///
/// If a package cannot be unpacked or lacks something that the guest needs, or the cache cannot
/// be written.
pub fn unpacked(cache: &Cache, packages: &GuestPackages) -> Result<Kernel> {
    let directory = cache.path(&format!("kernel/{}", name(packages)));
    if directory.is_dir() {
        return Ok(Kernel { directory });
    }
    let lock = cache.lock()?;
    if directory.is_dir() {
        return Ok(Kernel { directory });
    }
    eprintln!("unpacking {} {}", packages.kernel, packages.kernel_version);
    let scratch = cache.scratch(&lock)?;
    unpack(packages, scratch.path()).map_err(|error| cache.explain_full(error))?;
    scratch.keep("kernel", &directory)?;
    Ok(Kernel { directory })
}

/// Names everything that the unpacked kernel depends on.
fn name(packages: &GuestPackages) -> String {
    let files = packages.others().map(|path| path.file_name());
    let files: Vec<_> = files.map(Option::unwrap_or_default).collect();
    let recipe = format!(
        "{FORMAT}\n{}\n{}\n{}",
        modules::LIST,
        grub::RECIPE.concat(),
        files.join(OsStr::new("\n")).display()
    );
    format!(
        "{}_{}_{}",
        packages.kernel,
        packages.kernel_version.replace(':', "%3a"),
        &hex_sum(recipe.as_bytes())[..12]
    )
}

fn unpack(packages: &GuestPackages, scratch: &Path) -> Result<()> {
    let root = scratch.join("package");
    make_directory(&root)?;
    let skipped: Vec<String> = SKIPPED
        .iter()
        .map(|pattern| format!("--exclude={pattern}"))
        .collect();
    for archive in &packages.kernel_archives {
        apt::unpack(archive, &root, &skipped)?;
    }
    for archive in packages.others() {
        apt::unpack(archive, &root, &skipped_of(archive))?;
    }
    let (release, tree) = module_tree(&root)?;
    let image = root.join(format!("boot/vmlinuz-{release}"));
    let image = fs::read(&image).with_context(|| format!("cannot read {}", image.display()))?;
    let selection = modules::select(&modules::parse_list(modules::LIST)?, &tree)?;
    let busybox = ["bin/busybox", "usr/bin/busybox"]
        .iter()
        .find_map(|path| fs::read(root.join(path)).ok())
        .context("the busybox package has no busybox")?;
    let ipxe = ipxe(&root)?;
    let target = scratch.join("kernel");
    make_directory(&target)?;
    write_readable(&target.join("vmlinux"), &bzimage::vmlinux(&image)?)?;
    write_readable(&target.join("vmlinuz"), &image)?;
    write_readable(&target.join("release"), release.as_bytes())?;
    write_readable(&target.join("busybox"), &busybox)?;
    write_readable(&target.join("ipxe.lkrn"), &ipxe)?;
    let cd = root.join("usr/lib/ipxe/ipxe.iso");
    // Only tests want it: a package without it makes a good image all the same.
    write_readable(&target.join("ipxe.iso"), &fs::read(&cd).unwrap_or_default())?;
    match grub::image(&root, scratch) {
        Ok(grub) => write_readable(&target.join(grub::FILE), &grub)?,
        // The other guests do without it, and its cells say what is missing.
        Err(error) => eprintln!("no {} for the cells of GRUB: {error:#}", grub::FILE),
    }
    uboot::put(&root, &target)?;
    if let Err(error) = edk2::copy(&root, &target) {
        eprintln!("no firmware for the cells of EDK2: {error:#}");
    }
    write_selection(&selection, &target)
}

/// What is not unpacked of a package besides the kernel's: manuals and the like, but EDK2's
/// files are there.
fn skipped_of(archive: &Path) -> Vec<String> {
    let name = archive.file_name().unwrap_or_default().to_string_lossy();
    let whole = WHOLE.iter().any(|package| name.starts_with(package));
    let skipped = (!whole).then(|| "--exclude=*/usr/share".to_owned());
    skipped.into_iter().collect()
}

/// What a boot loader starts of iPXE. Debian 13 has it in another place than Debian 12,
/// where a link leads from the one to the other, and so past the unpacked tree.
fn ipxe(root: &Path) -> Result<Vec<u8>> {
    let places = ["boot/ipxe.lkrn", "usr/lib/ipxe/ipxe.lkrn"];
    let file = places
        .iter()
        .map(|place| root.join(place))
        .find(|file| fs::symlink_metadata(file).is_ok_and(|data| data.is_file()));
    let file =
        file.with_context(|| format!("iPXE's packages hold neither {}", places.join(" nor ")))?;
    fs::read(&file).with_context(|| format!("cannot read {}", file.display()))
}

fn write_selection(selection: &Selection, target: &Path) -> Result<()> {
    let modules = target.join("modules");
    make_directory(&modules)?;
    for (file, content) in &selection.files {
        write_readable(&modules.join(file), content)?;
    }
    write_readable(&target.join("order"), selection.order.as_bytes())?;
    write_readable(&target.join("pci"), selection.pci.as_bytes())?;
    write_readable(
        &target.join("absent"),
        selection.absent.join(" ").as_bytes(),
    )?;
    Ok(())
}

/// The kernel's release and its modules; Debian 13 has them below /usr.
fn module_tree(root: &Path) -> Result<(String, Tree)> {
    let directory = ["lib/modules", "usr/lib/modules"]
        .iter()
        .filter_map(|path| fs::read_dir(root.join(path)).ok())
        .flatten()
        .flatten()
        .map(|entry| entry.path())
        .find(|path| path.join("modules.builtin").exists())
        .context("the kernel package has no modules")?;
    let release = directory
        .file_name()
        .map(|name| name.to_string_lossy().into_owned())
        .context("the modules' directory has no name")?;
    Ok((release, Tree::read(&directory)?))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn packages(version: &str, busybox: &str) -> GuestPackages {
        GuestPackages {
            kernel: "linux-image-6".into(),
            kernel_version: version.into(),
            kernel_archives: Vec::new(),
            busybox_archive: busybox.into(),
            ipxe_archives: vec!["/a/ipxe_1.deb".into()],
            loader_archives: vec!["/a/grub_1.deb".into()],
        }
    }

    #[test]
    fn the_name_changes_with_each_package() {
        let one = name(&packages("6.1.1", "/a/busybox_1.deb"));
        assert_eq!(one, name(&packages("6.1.1", "/b/busybox_1.deb")));
        assert_ne!(one, name(&packages("6.1.2", "/a/busybox_1.deb")));
        assert_ne!(one, name(&packages("6.1.1", "/a/busybox_2.deb")));
        assert!(one.starts_with("linux-image-6_6.1.1_"), "{one}");
    }

    #[test]
    fn both_places_of_ipxe_are_found_and_no_link_is_followed() {
        for place in ["boot", "usr/lib/ipxe"] {
            let root = tempfile::tempdir().expect("scratch directory");
            for directory in ["boot", "usr/lib/ipxe"] {
                fs::create_dir_all(root.path().join(directory)).expect("directory");
            }
            let link = root.path().join("usr/lib/ipxe/ipxe.lkrn");
            std::os::unix::fs::symlink("/proc/version", &link).expect("link");
            let none = ipxe(root.path()).unwrap_err().to_string();
            assert!(none.contains("usr/lib/ipxe/ipxe.lkrn"), "{none}");
            fs::remove_file(&link).expect("the link");
            fs::write(root.path().join(place).join("ipxe.lkrn"), place).expect("file");
            assert_eq!(ipxe(root.path()).expect(place), place.as_bytes());
        }
    }

    #[test]
    fn both_places_of_modules_are_found() {
        for place in ["lib/modules", "usr/lib/modules"] {
            let root = tempfile::tempdir().expect("scratch directory");
            let directory = root.path().join(place).join("6.1.0-1-amd64");
            fs::create_dir_all(directory.join("kernel")).expect("directory");
            fs::write(directory.join("modules.builtin"), "").expect("list");
            let (release, _) = module_tree(root.path()).expect("found");
            assert_eq!(release, "6.1.0-1-amd64");
        }
    }
}
