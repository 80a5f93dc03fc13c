//! The files that define guests, interfaces and networks, among those that are to be looked at.

use crate::cli::failure::Failure;
use crate::domain::{Definition, Network};
use crate::nwfilter::FilterTree;
use crate::nwfilter::lint::Finding;
use std::path::{Path, PathBuf};

/// A definition with its file.
struct File {
    path: String,
    text: String,
    definition: Definition,
}

/// The files, taken apart.
#[derive(Default)]
pub struct Definitions {
    files: Vec<File>,
    /// All other files and folders: filters.
    pub filters: Vec<PathBuf>,
}

impl Definitions {
    /// Takes the files apart; those of a folder one by one where a definition is among them.
    ///
    /// # Errors
    /// A definition that cannot be read.
    pub fn among(paths: &[PathBuf]) -> Result<Self, Failure> {
        let mut all = Self::default();
        for path in paths {
            let inside = if path.is_dir() {
                let mut inside = Self::default();
                for file in xml_files(path)? {
                    inside.sort(file)?;
                }
                inside
            } else {
                let mut one = Self::default();
                one.sort(path.clone())?;
                one
            };
            if inside.files.is_empty() {
                all.filters.push(path.clone());
            } else {
                all.filters.extend(inside.filters);
                all.files.extend(inside.files);
            }
        }
        Ok(all)
    }

    /// What is wrong with them; `tree` hears where they stand.
    pub fn lint(&self, tree: &mut FilterTree) -> Vec<Finding> {
        let network = |file: &'_ File| match &file.definition {
            Definition::Network(network) => Some(network.clone()),
            _ => None,
        };
        let networks: Vec<Network> = self.files.iter().filter_map(network).collect();
        let networks: Vec<&Network> = networks.iter().collect();
        let mut out = Vec::new();
        for file in &self.files {
            tree.add_definition(file.definition.name(), file.path.clone());
            out.extend(file.definition.lint(&file.text, &networks));
        }
        out
    }

    fn sort(&mut self, path: PathBuf) -> Result<(), Failure> {
        // What cannot be read as text is left to the reader of filters, which says why.
        let text = std::fs::read_to_string(&path).unwrap_or_default();
        let Some(parsed) = Definition::parse(&text) else {
            self.filters.push(path);
            return Ok(());
        };
        let path = path.display().to_string();
        let definition = parsed.map_err(|error| Failure::usage(format!("{path}: {error}")))?;
        self.files.push(File {
            path,
            text,
            definition,
        });
        Ok(())
    }
}

/// The files of a folder that end in `.xml`, by name.
fn xml_files(folder: &Path) -> Result<Vec<PathBuf>, Failure> {
    let failed = |error| Failure::file(folder, error);
    let mut out = Vec::new();
    for entry in std::fs::read_dir(folder).map_err(failed)? {
        let path = entry.map_err(failed)?.path();
        if path.is_file() && path.extension().is_some_and(|end| end == "xml") {
            out.push(path);
        }
    }
    out.sort();
    Ok(out)
}
