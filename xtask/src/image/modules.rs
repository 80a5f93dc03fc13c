//! Which kernel modules the guest gets, in which order they load, and which
//! PCI device wants which.

use crate::elf::Elf;
use crate::tool;
use anyhow::{Context as _, Result, bail};
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// The list of modules that the image carries.
pub const LIST: &str = include_str!("../../../images/modules.txt");

/// virtio-net's PCI devices, transitional and modern: its module knows only
/// the virtio bus behind them.
const VIRTIO_NET: [&str; 2] = ["1af4:1000", "1af4:1041"];

/// One line of the list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Group {
    /// The NIC driver; none for modules that are always loaded.
    driver: Option<String>,
    /// Modules that were asked for.
    modules: Vec<String>,
    /// Whether a kernel may lack them.
    optional: bool,
}

/// Reads the list.
///
/// # Errors
///
/// The first line that is wrong, with its number.
pub fn parse_list(text: &str) -> Result<Vec<Group>> {
    let lines = text.lines().enumerate();
    lines
        .map(|(index, line)| (index + 1, line.split('#').next().unwrap_or_default()))
        .filter(|(_, line)| !line.trim().is_empty())
        .map(|(number, line)| {
            parse_line(line).with_context(|| format!("images/modules.txt:{number}: `{line}`"))
        })
        .collect()
}

fn parse_line(line: &str) -> Result<Group> {
    let mut words = line.split_whitespace().map(str::to_owned);
    let head = words.next().context("empty line")?;
    let mut modules: Vec<String> = words.collect();
    let (kind, optional) = match head.strip_suffix('?') {
        Some(kind) => (kind, true),
        None => (head.as_str(), false),
    };
    let driver = match kind {
        "core" => None,
        "nic" if modules.len() > 1 => Some(modules.remove(0)),
        "nic" => modules.first().cloned(),
        _ => bail!("`{kind}` is neither `core` nor `nic`"),
    };
    if modules.is_empty() {
        bail!("no module is named");
    }
    Ok(Group {
        driver,
        modules,
        optional,
    })
}

/// Where the modules of an unpacked kernel package are.
#[derive(Debug)]
pub struct Tree {
    files: BTreeMap<String, PathBuf>,
    builtin: BTreeSet<String>,
}

impl Tree {
    /// Looks through `lib/modules/RELEASE`.
    ///
    /// # Errors
    ///
    /// If the directory or its `modules.builtin` cannot be read.
    pub fn read(directory: &Path) -> Result<Tree> {
        let mut files = BTreeMap::new();
        collect(&directory.join("kernel"), &mut files)?;
        let list = directory.join("modules.builtin");
        let builtin = fs::read_to_string(&list)
            .with_context(|| format!("cannot read {}", list.display()))?
            .lines()
            .filter_map(|line| module_name(Path::new(line)))
            .collect();
        Ok(Tree { files, builtin })
    }
}

fn collect(directory: &Path, files: &mut BTreeMap<String, PathBuf>) -> Result<()> {
    let entries =
        fs::read_dir(directory).with_context(|| format!("cannot list {}", directory.display()))?;
    for entry in entries {
        let path = entry
            .with_context(|| format!("cannot list {}", directory.display()))?
            .path();
        if path.is_dir() {
            collect(&path, files)?;
        } else if let Some(name) = module_name(&path) {
            files.insert(name, path);
        }
    }
    Ok(())
}

/// `drivers/net/ne2k-pci.ko.xz` is the file of the module `ne2k_pci`.
fn module_name(path: &Path) -> Option<String> {
    let (stem, compression) = path.file_name()?.to_str()?.split_once(".ko")?;
    let known = ["", ".xz", ".zst", ".gz"].contains(&compression);
    known.then(|| stem.replace('-', "_"))
}

/// What the image carries.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Selection {
    /// Uncompressed modules by file name.
    pub files: BTreeMap<String, Vec<u8>>,
    /// Text of `/lib/modules/order`.
    pub order: String,
    /// Text of `/lib/modules/pci`.
    pub pci: String,
    /// Optional modules that this kernel lacks.
    pub absent: Vec<String>,
}

/// Picks the modules of the list and everything they depend on.
///
/// # Errors
///
/// If a module that is not optional is absent, or a module's file cannot be unpacked or
/// understood.
pub fn select(groups: &[Group], tree: &Tree) -> Result<Selection> {
    let mut picker = Picker {
        tree,
        loaded: BTreeMap::new(),
        selection: Selection::default(),
    };
    let mut core = BTreeSet::new();
    for group in groups {
        picker.add(group, &mut core)?;
    }
    Ok(picker.selection)
}

struct Module {
    file: String,
    depends: Vec<String>,
    pci: Vec<String>,
}

struct Picker<'a> {
    tree: &'a Tree,
    loaded: BTreeMap<String, Module>,
    selection: Selection,
}

impl Picker<'_> {
    fn add(&mut self, group: &Group, core: &mut BTreeSet<String>) -> Result<()> {
        let mut order = Vec::new();
        let mut pci = BTreeSet::new();
        for wanted in &group.modules {
            let name = wanted.replace('-', "_");
            if self.tree.builtin.contains(&name) {
                continue;
            }
            if group.optional && !self.tree.files.contains_key(&name) {
                self.selection.absent.push(wanted.clone());
                continue;
            }
            self.visit(&name, &mut order)?;
            pci.extend(self.loaded[&name].pci.iter().cloned());
        }
        order.retain(|name| !core.contains(name));
        let files: Vec<&str> = order
            .iter()
            .map(|name| self.loaded[name].file.as_str())
            .collect();
        let Some(driver) = &group.driver else {
            for file in &files {
                let _ = writeln!(self.selection.order, "core {file}");
            }
            core.extend(order);
            return Ok(());
        };
        if driver == "virtio_net" {
            pci.extend(VIRTIO_NET.map(str::to_owned));
        }
        let lacks = group.optional && files.is_empty();
        if !lacks {
            let line = format!("nic {driver} {}", files.join(" "));
            self.selection.order.push_str(line.trim_end());
            self.selection.order.push('\n');
        }
        for id in pci {
            let _ = writeln!(self.selection.pci, "{id} {driver}");
        }
        Ok(())
    }

    /// Adds the module after everything it depends on.
    fn visit(&mut self, name: &str, order: &mut Vec<String>) -> Result<()> {
        if self.tree.builtin.contains(name) || order.iter().any(|listed| listed == name) {
            return Ok(());
        }
        if !self.loaded.contains_key(name) {
            let module = self.load(name)?;
            self.loaded.insert(name.to_owned(), module);
        }
        for dependency in self.loaded[name].depends.clone() {
            self.visit(&dependency, order)
                .with_context(|| format!("module {name} depends on {dependency}"))?;
        }
        order.push(name.to_owned());
        Ok(())
    }

    fn load(&mut self, name: &str) -> Result<Module> {
        let path = self
            .tree
            .files
            .get(name)
            .with_context(|| format!("the kernel package has no module {name}"))?;
        let bytes = uncompressed(path)?;
        let elf = Elf::new(&bytes);
        let info = elf
            .and_then(|elf| elf.modinfo())
            .with_context(|| format!("{} has no readable .modinfo section", path.display()))?;
        let values = |key: &str| -> Vec<&str> {
            info.iter()
                .filter(|(name, _)| *name == key)
                .map(|(_, value)| *value)
                .collect()
        };
        let depends = values("depends")
            .iter()
            .flat_map(|list| list.split(','))
            .filter(|name| !name.is_empty())
            .map(|name| name.replace('-', "_"))
            .collect();
        let pci = values("alias").into_iter().filter_map(pci_id).collect();
        let stem = path.file_name().and_then(|name| name.to_str());
        let stem = stem.and_then(|name| name.split_once(".ko"));
        let file = format!("{}.ko", stem.map_or(name, |(stem, _)| stem));
        self.selection.files.insert(file.clone(), bytes);
        Ok(Module { file, depends, pci })
    }
}

/// `pci:v00001022d00002000sv*sd*bc*sc*i*` is `1022:2000`; patterns without
/// both numbers match classes and are left out.
fn pci_id(alias: &str) -> Option<String> {
    let rest = alias.strip_prefix("pci:v0000")?;
    let (vendor, rest) = (rest.get(..4)?, rest.get(4..)?.strip_prefix("d0000")?);
    let id = format!("{vendor}:{}", rest.get(..4)?).to_ascii_lowercase();
    let hex = id.chars().all(|c| c == ':' || c.is_ascii_hexdigit());
    hex.then_some(id)
}

/// A module's bytes as the kernel wants them from an init without tools.
fn uncompressed(path: &Path) -> Result<Vec<u8>> {
    let program = match path.extension().and_then(|extension| extension.to_str()) {
        Some("xz") => "xz",
        Some("zst") => "zstd",
        Some("gz") => "gzip",
        _ => return fs::read(path).with_context(|| format!("cannot read {}", path.display())),
    };
    tool::output(Command::new(program).arg("-dcq").arg(path))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::elf::tests::module;
    use rstest::rstest;

    /// A kernel tree with modules of the given strings.
    fn tree(modules: &[(&str, &[&str])], builtin: &str) -> (tempfile::TempDir, Tree) {
        let directory = tempfile::tempdir().expect("scratch directory");
        let drivers = directory.path().join("kernel/drivers");
        fs::create_dir_all(&drivers).expect("directory");
        for (file, info) in modules {
            fs::write(drivers.join(file), module(info)).expect("module");
        }
        fs::write(directory.path().join("modules.builtin"), builtin).expect("list");
        let tree = Tree::read(directory.path()).expect("readable");
        (directory, tree)
    }

    const PCNET: (&str, &[&str]) = (
        "pcnet32.ko",
        &["depends=mii", "alias=pci:v00001022d00002000sv*sd*bc*sc*i*"],
    );
    const MII: (&str, &[&str]) = ("mii.ko", &["depends="]);
    const NE2K: (&str, &[&str]) = (
        "ne2k-pci.ko",
        &["depends=8390", "alias=pci:v000010ECd00008029sv*sd*bc*sc*i*"],
    );
    const CHIP: (&str, &[&str]) = ("8390.ko", &["depends=crc32"]);

    #[test]
    fn dependencies_load_first_and_built_in_ones_not_at_all() {
        let (_keep, tree) = tree(&[PCNET, MII, NE2K, CHIP], "kernel/lib/crc32.ko\n");
        let groups = parse_list("nic pcnet32\nnic ne2k-pci\n").expect("list");
        let selection = select(&groups, &tree).expect("all there");
        assert_eq!(
            selection.order,
            "nic pcnet32 mii.ko pcnet32.ko\nnic ne2k-pci 8390.ko ne2k-pci.ko\n"
        );
        assert_eq!(selection.pci, "1022:2000 pcnet32\n10ec:8029 ne2k-pci\n");
        assert_eq!(selection.files.len(), 4);
    }

    #[test]
    fn core_modules_are_not_repeated_for_a_nic() {
        let ring: (&str, &[&str]) = ("virtio_ring.ko", &["depends="]);
        let pci: (&str, &[&str]) = ("virtio_pci.ko", &["depends=virtio_ring"]);
        let net: (&str, &[&str]) = ("virtio_net.ko", &["depends=virtio_ring,failover"]);
        let failover: (&str, &[&str]) = ("failover.ko", &["depends="]);
        let (_keep, tree) = tree(&[ring, pci, net, failover], "");
        let groups = parse_list("core virtio_pci\nnic virtio_net\n").expect("list");
        let selection = select(&groups, &tree).expect("all there");
        assert_eq!(
            selection.order,
            "core virtio_ring.ko\ncore virtio_pci.ko\nnic virtio_net failover.ko virtio_net.ko\n"
        );
        assert_eq!(
            selection.pci,
            "1af4:1000 virtio_net\n1af4:1041 virtio_net\n"
        );
    }

    #[test]
    fn a_built_in_driver_still_has_its_line() {
        let (_keep, tree) = tree(&[], "kernel/drivers/net/virtio_net.ko\n");
        let groups = parse_list("nic virtio_net\n").expect("list");
        let selection = select(&groups, &tree).expect("built in");
        assert_eq!(selection.order, "nic virtio_net\n");
    }

    #[test]
    fn an_optional_module_may_be_absent_and_is_named() {
        let (_keep, tree) = tree(&[PCNET, MII], "");
        let groups = parse_list("nic? ne\nnic pcnet32\n").expect("list");
        let selection = select(&groups, &tree).expect("optional");
        assert_eq!(selection.absent, ["ne"]);
        assert!(!selection.order.contains("nic ne"));
    }

    #[test]
    fn a_missing_module_names_who_wants_it() {
        let (_keep, tree) = tree(&[PCNET], "");
        let groups = parse_list("nic pcnet32\n").expect("list");
        let error = select(&groups, &tree).expect_err("mii is missing");
        let text = format!("{error:#}");
        assert!(text.contains("pcnet32 depends on mii"), "{text}");
    }

    #[rstest]
    #[case::device("pci:v00008086d0000100Esv*sd*bc*sc*i*", Some("8086:100e"))]
    #[case::class("pci:v*d*sv*sd*bc0Csc03i30*", None)]
    #[case::any_device("pci:v00001AF4d*sv*sd*bc*sc*i*", None)]
    #[case::other_bus("virtio:d00000001v*", None)]
    #[case::cut("pci:v000080", None)]
    fn pci_aliases_are_understood(#[case] alias: &str, #[case] expected: Option<&str>) {
        assert_eq!(pci_id(alias).as_deref(), expected);
    }

    #[rstest]
    #[case::unknown_word("disk virtio_blk", "neither")]
    #[case::nothing("core", "no module")]
    fn a_bad_list_names_its_line(#[case] text: &str, #[case] expected: &str) {
        let error = parse_list(text).expect_err("bad");
        let text = format!("{error:#}");
        assert!(
            text.contains("images/modules.txt:1") && text.contains(expected),
            "{text}"
        );
    }

    #[test]
    fn the_shipped_list_is_well_formed() {
        let groups = parse_list(LIST).expect("shipped");
        let usb = groups.last().expect("not empty");
        assert_eq!(usb.driver.as_deref(), Some("usbnet"));
        assert_eq!(usb.modules[0], "uhci_hcd");
    }
}
