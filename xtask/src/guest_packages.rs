//! Packages that only guests use: kernel, busybox, iPXE and LOADERS. They are downloaded
//! and unpacked into the cache and never installed, so the machine keeps its own
//! kernel, its own busybox and its own boot menu (iPXE's package adds an entry).

use crate::apt::{self, Candidate};
use crate::cache::{Cache, Lock};
use crate::distro::Release;
use crate::tool;
use anyhow::{Context as _, Result};
use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};

/// The package with a static busybox.
const BUSYBOX: &str = "busybox-static";

/// The packages with the guest that is not Linux. In Ubuntu's, what a boot loader can
/// start is apart from the CD image.
fn ipxe(release: Release) -> &'static [&'static str] {
    match release {
        Release::Noble => &["ipxe", "grub-ipxe"],
        Release::Bookworm | Release::BookwormBackports | Release::Trixie => &["ipxe"],
    }
}

/// The packages with boot loaders that are guests. GRUB for the PC BIOS: its modules, the program
/// that makes an image of them, and the one library of that program which a machine may lack.
/// U-Boot as a ROM for QEMU. EDK2 for virtual machines, and ROMs with its drivers of NICs.
const LOADERS: [&str; 6] = [
    "grub-pc-bin",
    "grub-common",
    "libdevmapper1.02.1",
    "u-boot-qemu",
    "ovmf",
    "ipxe-qemu",
];

/// Downloaded packages, as the cache remembers them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GuestPackages {
    /// Name of the package that holds the kernel image.
    pub kernel: String,
    /// Version of that package.
    pub kernel_version: String,
    /// Archives of the kernel: the image, and its modules where they are
    /// packaged apart.
    pub kernel_archives: Vec<PathBuf>,
    /// Archive of busybox.
    pub busybox_archive: PathBuf,
    /// Archives of iPXE.
    pub ipxe_archives: Vec<PathBuf>,
    /// Archives of LOADERS.
    pub loader_archives: Vec<PathBuf>,
}

impl GuestPackages {
    /// Archives of all that is not the kernel.
    pub fn others(&self) -> impl Iterator<Item = &PathBuf> {
        std::iter::once(&self.busybox_archive)
            .chain(&self.ipxe_archives)
            .chain(&self.loader_archives)
    }
}

/// What the cache has for the release; none if anything is absent.
pub fn present(cache: &Cache, release: Release) -> Option<GuestPackages> {
    let text = fs::read_to_string(record(cache, release)).ok()?;
    let directory = cache.path("packages");
    let ipxe = fs::read_to_string(ipxe_record(cache, release)).ok()?;
    let ipxe_archives = parse_ipxe_record(&ipxe, &directory)?;
    // Written for other packages than are wanted today.
    if ipxe_archives.len() != self::ipxe(release).len() {
        return None;
    }
    let loaders = fs::read_to_string(loader_record(cache, release)).ok()?;
    let loader_archives = parse_loader_record(&loaders, &directory)?;
    let packages = GuestPackages {
        ipxe_archives,
        loader_archives,
        ..parse_record(&text, &directory)?
    };
    let all_there = packages
        .kernel_archives
        .iter()
        .chain(packages.others())
        .all(|archive| archive.exists());
    all_there.then_some(packages)
}

/// What is missing, in a line for people.
pub fn describe(release: Release) -> String {
    format!(
        "  the guests' kernel, busybox, iPXE, GRUB, U-Boot and EDK2 (downloaded, not installed), packages {}, {BUSYBOX}, {}, {}\n",
        release.kernel_package(),
        ipxe(release).join(", "),
        LOADERS.join(", ")
    )
}

/// Downloads the newest kernel, busybox, iPXE, GRUB, U-Boot and EDK2 of the release.
///
/// # Errors
///
/// [`Unfit`](crate::failure::Unfit) if apt cannot download the packages, even with fresh lists;
/// any other error if they cannot be written to the cache.
pub fn fetch(cache: &Cache, release: Release, lock: &Lock) -> Result<GuestPackages> {
    let once = || -> Result<Vec<Candidate>> {
        let mut wanted = kernel_candidates(release)?;
        for package in [&[BUSYBOX], ipxe(release), &LOADERS].concat() {
            wanted.push(show(package, release)?);
        }
        download(cache, &wanted, lock)?;
        Ok(wanted)
    };
    let wanted = apt::refreshing("the guest's packages", cache, once)?;
    let (others, loaders) = wanted.split_at(wanted.len() - LOADERS.len());
    let (others, ipxe) = others.split_at(others.len() - ipxe(release).len());
    let directory = cache.path("packages");
    for (file, part) in [
        (record(cache, release), others),
        (ipxe_record(cache, release), ipxe),
        (loader_record(cache, release), loaders),
    ] {
        cache.replace(&file, write_record(part, &directory)?.as_bytes())?;
    }
    forget_old_archives(cache);
    present(cache, release).context("the downloaded packages are not in the cache")
}

fn show(package: &str, release: Release) -> Result<Candidate> {
    apt::show(package)?.with_context(|| {
        format!(
            "apt knows no package {package}; {} main has to be among its sources",
            release.codename()
        )
    })
}

/// The packages of the newest kernel, the one with the image first.
fn kernel_candidates(release: Release) -> Result<Vec<Candidate>> {
    let meta = show(release.kernel_package(), release)?;
    let mut names: Vec<String> = dependencies(&meta.depends)
        .into_iter()
        .filter(|name| name.starts_with("linux-image-") || name.starts_with("linux-modules-"))
        .collect();
    names.sort_by_key(|name| !name.starts_with("linux-image-"));
    let image = names
        .first()
        .cloned()
        .with_context(|| format!("{} does not depend on any kernel image", meta.package))?;
    if release == Release::Noble {
        // Ubuntu's image package depends on its modules; the meta package does not.
        let modules = image.replace("linux-image-", "linux-modules-");
        if !names.contains(&modules) {
            names.push(modules);
        }
    }
    names.iter().map(|name| show(name, release)).collect()
}

/// The first choice of each dependency, without versions.
fn dependencies(field: &str) -> Vec<String> {
    field
        .split(',')
        .filter_map(|choice| choice.split(['|', '(', ':']).next())
        .map(|name| name.trim().to_owned())
        .filter(|name| !name.is_empty())
        .collect()
}

fn download(cache: &Cache, wanted: &[Candidate], lock: &Lock) -> Result<()> {
    let packages = cache.path("packages");
    crate::cache::make_directory(&packages)?;
    let scratch = cache.scratch(lock)?;
    apt::download(wanted, scratch.path())?;
    for archive in archives(scratch.path()) {
        let name = archive.file_name().context("an archive has a name")?;
        let target = packages.join(name);
        fs::rename(&archive, &target).map_err(|error| cache.explain(error, &target))?;
    }
    Ok(())
}

fn archives(directory: &Path) -> Vec<PathBuf> {
    tool::files(directory, "deb")
}

/// The file that says which archives belong to a release. Machines with
/// different releases may share a cache.
fn record(cache: &Cache, release: Release) -> PathBuf {
    cache.path(&format!("packages/{}", release.codename()))
}

/// The same for iPXE, apart: a program that knows of none reads the other record as before.
fn ipxe_record(cache: &Cache, release: Release) -> PathBuf {
    cache.path(&format!("packages/{}-ipxe", release.codename()))
}

/// The same for LOADERS.
fn loader_record(cache: &Cache, release: Release) -> PathBuf {
    cache.path(&format!("packages/{}-loaders", release.codename()))
}

/// One line an archive: package, version, file name; busybox last.
fn write_record(wanted: &[Candidate], directory: &Path) -> Result<String> {
    let mut text = String::new();
    let files = archives(directory);
    for candidate in wanted {
        let prefix = format!("{}_{}_", candidate.package, escaped(&candidate.version));
        let file = files
            .iter()
            .filter_map(|file| file.file_name()?.to_str())
            .find(|name| name.starts_with(&prefix))
            .with_context(|| format!("apt downloaded no file {prefix}*.deb"))?;
        let _ = writeln!(text, "{} {} {file}", candidate.package, candidate.version);
    }
    Ok(text)
}

/// The version as apt writes it into file names.
fn escaped(version: &str) -> String {
    version.replace(':', "%3a")
}

fn parse_ipxe_record(text: &str, directory: &Path) -> Option<Vec<PathBuf>> {
    let file = |line: &str| match line.split_whitespace().collect::<Vec<_>>()[..] {
        [package, _, file] if package.ends_with("ipxe") => Some(directory.join(file)),
        _ => None,
    };
    let files: Option<Vec<PathBuf>> = text.lines().map(file).collect();
    files.filter(|files| !files.is_empty())
}

/// All of the boot loaders' archives, in the order of [`LOADERS`].
fn parse_loader_record(text: &str, directory: &Path) -> Option<Vec<PathBuf>> {
    let mut lines = text.lines().map(|line| line.split_whitespace());
    let file = |wanted: &&str| {
        let mut words = lines.next()?;
        words.next().filter(|package| package == wanted)?;
        Some(directory.join(words.nth(1)?))
    };
    LOADERS.iter().map(file).collect()
}

/// The kernel's and busybox's part; what has a record of its own is left empty.
fn parse_record(text: &str, directory: &Path) -> Option<GuestPackages> {
    let mut lines: Vec<[&str; 3]> = text
        .lines()
        .map(|line| line.split(' ').collect::<Vec<_>>().try_into().ok())
        .collect::<Option<_>>()?;
    let [_, _, busybox] = lines.pop().filter(|[name, ..]| *name == BUSYBOX)?;
    let [kernel, kernel_version, _] = *lines.first()?;
    Some(GuestPackages {
        kernel: kernel.to_owned(),
        kernel_version: kernel_version.to_owned(),
        kernel_archives: lines
            .iter()
            .map(|[.., file]| directory.join(file))
            .collect(),
        busybox_archive: directory.join(busybox),
        ipxe_archives: Vec::new(),
        loader_archives: Vec::new(),
    })
}

/// Removes archives that no release's record names; a kernel takes 70 MB.
fn forget_old_archives(cache: &Cache) {
    let directory = cache.path("packages");
    let mut used = BTreeSet::new();
    for entry in fs::read_dir(&directory).into_iter().flatten().flatten() {
        let text = fs::read_to_string(entry.path()).unwrap_or_default();
        used.extend(parse_ipxe_record(&text, &directory).unwrap_or_default());
        used.extend(parse_loader_record(&text, &directory).unwrap_or_default());
        if let Some(packages) = parse_record(&text, &directory) {
            used.insert(packages.busybox_archive);
            used.extend(packages.kernel_archives);
        }
    }
    for archive in archives(&directory) {
        if !used.contains(&archive) {
            let _ = fs::remove_file(archive);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    #[rstest]
    #[case::debian("linux-image-6.1.0-56-amd64 (= 6.1.192-2)", &["linux-image-6.1.0-56-amd64"])]
    #[case::ubuntu(
        "linux-image-6.8.0-31-generic, linux-modules-extra-6.8.0-31-generic, linux-firmware | x, thermald:any",
        &["linux-image-6.8.0-31-generic", "linux-modules-extra-6.8.0-31-generic", "linux-firmware", "thermald"]
    )]
    #[case::none("", &[])]
    fn dependencies_are_named(#[case] field: &str, #[case] expected: &[&str]) {
        assert_eq!(dependencies(field), expected);
    }

    fn candidate(package: &str, version: &str) -> Candidate {
        Candidate {
            package: package.into(),
            version: version.into(),
            depends: String::new(),
        }
    }

    #[test]
    fn a_record_is_read_back() {
        let directory = tempfile::tempdir().expect("scratch directory");
        for name in [
            "linux-image-6_6.1_amd64.deb",
            "busybox-static_1%3a1.35_amd64.deb",
        ] {
            fs::write(directory.path().join(name), "").expect("file");
        }
        let wanted = [
            candidate("linux-image-6", "6.1"),
            candidate(BUSYBOX, "1:1.35"),
        ];
        let text = write_record(&wanted, directory.path()).expect("both are there");
        let packages = parse_record(&text, directory.path()).expect("own text");
        assert_eq!(packages.kernel, "linux-image-6");
        assert_eq!(packages.kernel_version, "6.1");
        assert_eq!(packages.kernel_archives.len(), 1);
        assert!(packages.busybox_archive.exists());
    }

    #[rstest]
    #[case::empty("")]
    #[case::no_busybox("linux-image-6 6.1 a.deb\n")]
    #[case::no_kernel("busybox-static 1 b.deb\n")]
    #[case::cut("linux-image-6 6.1\nbusybox-static 1 b.deb\n")]
    fn a_broken_record_counts_as_absent(#[case] text: &str) {
        assert_eq!(parse_record(text, Path::new("/x")), None);
    }

    #[rstest]
    #[case::debian("ipxe 1.0 i.deb\n", Some(vec!["/x/i.deb"]))]
    #[case::ubuntu("ipxe 1.0 i.deb\ngrub-ipxe 1.0 g.deb\n", Some(vec!["/x/i.deb", "/x/g.deb"]))]
    #[case::empty("", None)]
    #[case::another_record("busybox-static 1 b.deb\n", None)]
    fn ipxe_has_a_record_of_its_own(#[case] text: &str, #[case] files: Option<Vec<&str>>) {
        let files = files.map(|files| files.into_iter().map(PathBuf::from).collect());
        assert_eq!(parse_ipxe_record(text, Path::new("/x")), files);
    }

    #[rstest]
    #[case::whole(
        "grub-pc-bin 2 p.deb\ngrub-common 2 c.deb\nlibdevmapper1.02.1 1 d.deb\nu-boot-qemu 3 u.deb\novmf 4 o.deb\nipxe-qemu 5 r.deb\n",
        true
    )]
    #[case::written_before_edk2(
        "grub-pc-bin 2 p.deb\ngrub-common 2 c.deb\nlibdevmapper1.02.1 1 d.deb\nu-boot-qemu 3 u.deb\n",
        false
    )]
    #[case::cut("grub-pc-bin 2 p.deb\ngrub-common 2\n", false)]
    #[case::another_record("ipxe 1.0 i.deb\n", false)]
    #[case::empty("", false)]
    fn boot_loaders_have_a_record_of_their_own(#[case] text: &str, #[case] good: bool) {
        let files = parse_loader_record(text, Path::new("/x"));
        let names = ["p", "c", "d", "u", "o", "r"];
        let names = names.map(|name| PathBuf::from(format!("/x/{name}.deb")));
        assert_eq!(files, good.then(|| names.to_vec()));
    }

    /// A cache with these archives, and the records of a release.
    fn cache_with(archives: &[&str], release: Release, ipxe: &str) -> (tempfile::TempDir, Cache) {
        let directory = tempfile::tempdir().expect("scratch directory");
        let cache = Cache::at(directory.path()).expect("cache");
        let packages = cache.path("packages");
        fs::create_dir(&packages).expect("directory");
        for name in archives {
            fs::write(packages.join(name), "").expect("file");
        }
        let others = "linux-image-6 6.1 k.deb\nbusybox-static 1 b.deb\n";
        fs::write(record(&cache, release), others).expect("record");
        fs::write(ipxe_record(&cache, release), ipxe).expect("record");
        let loaders = LOADERS.map(|package| format!("{package} 2 {package}.deb\n"));
        fs::write(loader_record(&cache, release), loaders.concat()).expect("record");
        for package in LOADERS {
            fs::write(packages.join(format!("{package}.deb")), "").expect("file");
        }
        (directory, cache)
    }

    #[rstest]
    #[case::written_before("ipxe 1.0 i.deb\n", false)]
    #[case::written_since("ipxe 1.0 i.deb\ngrub-ipxe 1.0 g.deb\n", true)]
    fn a_package_that_is_wanted_since_is_absent(#[case] ipxe: &str, #[case] there: bool) {
        let archives = ["k.deb", "b.deb", "i.deb", "g.deb"];
        let (_directory, cache) = cache_with(&archives, Release::Noble, ipxe);
        assert_eq!(present(&cache, Release::Noble).is_some(), there);
    }

    #[test]
    fn archives_without_a_record_are_removed() {
        let archives = ["old.deb", "k.deb", "b.deb", "i.deb"];
        let (_directory, cache) = cache_with(&archives, Release::Trixie, "ipxe 1.0 i.deb\n");
        forget_old_archives(&cache);
        assert!(!cache.path("packages/old.deb").exists());
        assert!(present(&cache, Release::Trixie).is_some());
        assert!(present(&cache, Release::Bookworm).is_none());
    }
}
