//! The shared libraries that a program of this machine needs inside the guest.

use crate::elf::Elf;
use crate::needs;
use anyhow::{Context as _, Result};
use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

/// What has to be in the guest for some programs to start.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Closure {
    /// Libraries by the name under which they are asked for.
    pub libraries: BTreeMap<String, PathBuf>,
    /// The loader: the absolute path that programs name.
    pub loader: Option<String>,
}

/// Finds everything that the programs load, directly or through libraries.
/// Neither program is run for it, unlike with ldd.
///
/// # Errors
///
/// If a program or library cannot be read, is not for x86_64, or needs a library that is
/// absent.
pub fn closure(programs: &[&Path]) -> Result<Closure> {
    let directories: Vec<PathBuf> = needs::library_directories().collect();
    closure_in(programs, &directories)
}

fn closure_in(programs: &[&Path], directories: &[PathBuf]) -> Result<Closure> {
    let mut closure = Closure::default();
    let mut queue: Vec<PathBuf> = programs.iter().map(|path| path.to_path_buf()).collect();
    while let Some(file) = queue.pop() {
        let bytes = fs::read(&file).with_context(|| format!("cannot read {}", file.display()))?;
        let broken = || format!("{} is not a program or library for x86_64", file.display());
        let elf = Elf::new(&bytes).with_context(broken)?;
        if let Some(loader) = elf.interpreter() {
            closure.loader = Some(loader.to_owned());
        }
        for name in elf.needed().with_context(broken)? {
            if closure.libraries.contains_key(name) {
                continue;
            }
            let path = directories
                .iter()
                .map(|directory| directory.join(name))
                .find(|path| path.exists())
                .with_context(|| {
                    format!(
                        "{} needs {name}, which is in no library directory",
                        file.display()
                    )
                })?;
            closure.libraries.insert(name.to_owned(), path.clone());
            queue.push(path);
        }
    }
    Ok(closure)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::elf::tests::program;

    fn scratch(files: &[(&str, Vec<u8>)]) -> tempfile::TempDir {
        let directory = tempfile::tempdir().expect("scratch directory");
        for (name, content) in files {
            fs::write(directory.path().join(name), content).expect("file");
        }
        directory
    }

    #[test]
    fn libraries_of_libraries_are_found_once() {
        let directory = scratch(&[
            ("sshd", program("/lib64/ld.so", &["liba.so", "libc.so"])),
            ("liba.so", program("/lib64/ld.so", &["libc.so"])),
            ("libc.so", program("/lib64/ld.so", &[])),
        ]);
        let root = directory.path();
        let closure = closure_in(&[&root.join("sshd")], &[root.to_path_buf()]).expect("complete");
        let names: Vec<_> = closure.libraries.keys().collect();
        assert_eq!(names, ["liba.so", "libc.so"]);
        assert_eq!(closure.loader.as_deref(), Some("/lib64/ld.so"));
    }

    #[test]
    fn a_missing_library_names_who_needs_it() {
        let directory = scratch(&[("sshd", program("/ld", &["libgone.so"]))]);
        let root = directory.path();
        let error = closure_in(&[&root.join("sshd")], &[root.to_path_buf()]).expect_err("gone");
        let text = error.to_string();
        assert!(text.contains("sshd needs libgone.so"), "{text}");
    }
}
