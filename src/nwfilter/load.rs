//! Reads filters from files, and libvirt's own that they refer to.

use super::read::{as_libvirt, document};
use super::referring::referring;
use super::shipped::ShippedFilters;
use super::tree::{FilterTree, TreeError};
use std::collections::HashMap;
use std::path::{Path, PathBuf};

/// How files are read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Strictness {
    /// What libvirt would ignore is an error.
    Strict,
    /// As libvirt reads them; what it ignores is kept as findings.
    AsLibvirt,
}

impl FilterTree {
    /// Reads filters. Each path is a file, a folder of files that end in
    /// `.xml`, or the bare name of a filter that libvirt ships. What they refer
    /// to and is not among them is taken from those that libvirt ships; what is
    /// not there either is left for [`check_complete`](Self::check_complete)
    /// and [`compile`](Self::compile) to tell. `bind` names the filter that an
    /// interface would refer to, where that is not the one that no other refers to.
    ///
    /// # Errors
    /// A file that cannot be read or is no filter, two filters of one name, and
    /// where it is not clear which filter is to be bound.
    ///
    /// # Examples
    ///
    /// ```
    /// use lanfence::nwfilter::lint::lint;
    /// use lanfence::nwfilter::{FilterTree, ShippedFilters, Strictness};
    ///
    /// let file = std::env::temp_dir().join(format!("no-arp-{}.xml", std::process::id()));
    /// std::fs::write(
    ///     &file,
    ///     "<filter name='no-arp'><rule action='drop' direction='out'><arp/></rule></filter>",
    /// )?;
    /// let shipped = ShippedFilters::default();
    /// let tree = FilterTree::load(&[file.clone()], None, Strictness::Strict, &shipped)?;
    /// # std::fs::remove_file(&file)?;
    /// let compiled = tree.compile([2, 0, 0, 0, 0, 1], &[], Default::default())?;
    /// let findings = lint(&tree.filters, &tree.top, &compiled);
    /// assert!(findings.iter().any(|finding| finding.lint == "default-accept"));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn load(
        paths: &[PathBuf],
        bind: Option<&str>,
        strictness: Strictness,
        shipped: &ShippedFilters,
    ) -> Result<Self, TreeError> {
        let mut tree = Self::default();
        for path in files(paths, shipped)? {
            tree.add_file(&path, strictness, false)?;
        }
        tree.top = match bind {
            Some(name) if tree.has(name) => name.to_owned(),
            Some(name) => return Err(TreeError::NoSuchFilter(name.to_owned())),
            None => tree.unreferenced()?,
        };
        tree.add_shipped(strictness, shipped)?;
        Ok(tree)
    }

    /// The filters that a libvirt has, by name and XML as it prints them; `top` is the one that
    /// an interface refers to. Only those that it needs are taken.
    ///
    /// # Errors
    /// A text that is no filter.
    pub fn defined(filters: &HashMap<String, String>, top: &str) -> Result<Self, TreeError> {
        let mut tree = Self::default();
        let mut wanted = vec![top.to_owned()];
        while let Some(name) = wanted.pop() {
            let Some(text) = filters.get(&name).filter(|_| !tree.has(&name)) else {
                continue;
            };
            let path = format!("libvirt:{name}");
            let document = as_libvirt(text, &path)?;
            wanted.extend(document.filter.references().map(str::to_owned));
            tree.add(document, path, text.clone(), false)?;
        }
        if !tree.has(top) {
            return Err(TreeError::NoSuchFilter(top.to_owned()));
        }
        top.clone_into(&mut tree.top);
        Ok(tree)
    }

    fn add_file(
        &mut self,
        path: &Path,
        strictness: Strictness,
        is_shipped: bool,
    ) -> Result<(), TreeError> {
        let bytes = std::fs::read(path).map_err(failed(path))?;
        let text = String::from_utf8_lossy(&bytes).into_owned();
        let path = path.display().to_string();
        if let Some(document) = referring(&text) {
            return Err(TreeError::Referring { path, document });
        }
        let document = match strictness {
            Strictness::Strict => document(&text, &path),
            Strictness::AsLibvirt => as_libvirt(&text, &path),
        };
        self.add(document?, path, text, is_shipped)
    }

    /// Adds what is referred to and not given.
    fn add_shipped(
        &mut self,
        strictness: Strictness,
        shipped: &ShippedFilters,
    ) -> Result<(), TreeError> {
        let mut at = 0;
        while at < self.filters.len() {
            let wanted: Vec<String> = self.filters[at].references().map(str::to_owned).collect();
            for name in wanted {
                if let Some(path) = shipped.file(&name).filter(|_| !self.has(&name)) {
                    self.add_file(&path, strictness, true)?;
                }
            }
            at += 1;
        }
        Ok(())
    }
}

fn failed(path: &Path) -> impl Fn(std::io::Error) -> TreeError {
    move |source| TreeError::File {
        path: path.to_owned(),
        source,
    }
}

/// The files; for a folder those in it that end in `.xml`, by name.
fn files(paths: &[PathBuf], shipped: &ShippedFilters) -> Result<Vec<PathBuf>, TreeError> {
    let mut out = Vec::new();
    for path in paths.iter().map(|path| shipped.resolve(path)) {
        if !path.is_dir() {
            out.push(path);
            continue;
        }
        let mut inside = Vec::new();
        for entry in std::fs::read_dir(&path).map_err(failed(&path))? {
            let file = entry.map_err(failed(&path))?.path();
            if file.extension().is_some_and(|extension| extension == "xml") {
                inside.push(file);
            }
        }
        if inside.is_empty() {
            return Err(TreeError::EmptyFolder(path));
        }
        inside.sort();
        out.append(&mut inside);
    }
    Ok(out)
}
